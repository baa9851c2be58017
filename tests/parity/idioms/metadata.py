"""Metadata of Variables, hooks, copies, types and their names."""

import copy
import pickle

import jax.numpy as jnp

from tests.parity.table import Table

TABLE = Table("metadata")
idiom, differs = TABLE.idiom, TABLE.differs


@idiom
def metadata_by_keyword(nnx):
    """Keywords are metadata, read as attributes."""
    v = nnx.Param(jnp.zeros(2), tag="a", level=3)
    return v.tag, v.level, v.get_metadata("tag"), v.has_metadata("no")


@idiom
def metadata_set_and_deleted(nnx):
    """Metadata are set by keyword and by name, and deleted."""
    v = nnx.Param(jnp.zeros(2), tag="a")
    v.set_metadata(level=1)
    v.set_metadata("other", 2)
    v.del_metadata("tag")
    return v.has_metadata("tag"), v.level, v.get_metadata("other")


@idiom
def metadata_assigned(nnx):
    """Assigning an attribute of a Variable."""
    v = nnx.Param(jnp.zeros(2), tag="a")
    v.tag = "b"
    return v.tag


@idiom
def metadata_replaced_as_a_whole(nnx):
    """`set_metadata(dict)` replaces all metadata."""
    v = nnx.Param(jnp.zeros(2), tag="a")
    v.set_metadata(v.get_metadata() | {"level": 2})
    return v.tag, v.level


@idiom
def metadata_whole(nnx):
    """`get_metadata()` gives what was set, as a dict."""
    got = nnx.Param(jnp.zeros(2), tag="a", level=3).get_metadata()
    return {k: got[k] for k in ("tag", "level")}


@idiom
def metadata_with_default(nnx):
    """A default stands in for missing metadata."""
    return nnx.Param(0.0).get_metadata("no", default=4)


@idiom
def metadata_missing(nnx):
    """Missing metadata read as an attribute are an AttributeError."""
    return nnx.Param(jnp.zeros(2)).nothing


@idiom
def metadata_missing_by_method(nnx):
    """Missing metadata read by method raise."""
    return nnx.Param(jnp.zeros(2)).get_metadata("nothing")


@idiom
def replace_keeps_metadata(nnx):
    """`replace` gives a Variable of the type with another value."""
    v = nnx.Param(jnp.zeros(2), tag="a")
    w = v.replace(jnp.ones(3))
    return type(w) is nnx.Param, w.value, w.tag, v.value


@idiom
def replace_metadata(nnx):
    """`replace` takes metadata by keyword."""
    w = nnx.Param(jnp.zeros(2), tag="a").replace(tag="b")
    return w.tag, w.value


@idiom
def copy_is_apart(nnx):
    """`copy` and `copy.copy` give Variables with values of their own."""
    v = nnx.Param(jnp.zeros(2), tag="a")
    w, x = v.copy(), copy.copy(v)
    v.value = jnp.ones(2)
    return w.value, x.value, w.tag, type(x) is nnx.Param


@differs("a deep copy is a Variable with its metadata; flax gives the bare array")
def deepcopy_is_apart(nnx):
    """`copy.deepcopy` of a Variable."""
    w = copy.deepcopy(nnx.Param(jnp.zeros(2), tag="a"))
    return type(w) is nnx.Param


@idiom
def copy_from(nnx):
    """`copy_from` takes value and metadata of another."""
    v, w = nnx.Param(jnp.zeros(2), tag="a"), nnx.Param(jnp.ones(2), tag="b")
    v.copy_from(w)
    return v.value, v.tag


@idiom
def copy_from_another_type(nnx):
    """`copy_from` refuses a Variable of another type."""
    nnx.Param(jnp.zeros(2)).copy_from(nnx.BatchStat(jnp.ones(2)))


@idiom
def update_from_state(nnx):
    """`update_from_state` takes the value of a Variable of a State."""
    v = nnx.Param(jnp.zeros(2))
    v.update_from_state(nnx.Param(jnp.ones(2)))
    return v.value


@idiom
def to_state(nnx):
    """`to_state` gives a Variable of the same type and value."""
    s = nnx.Param(jnp.zeros(2), tag="a").to_state()
    return s.value, s.type is nnx.Param, s.get_metadata("tag")


@idiom
def from_metadata(nnx):
    """`from_metadata` builds a Variable from a value and another's metadata."""
    v = nnx.Param.from_metadata(jnp.ones(2), nnx.Param(0.0, tag="a").get_metadata())
    return type(v) is nnx.Param, v.value, v.tag


@idiom
def type_property(nnx):
    """`type` and `var_type` are the class."""
    v = nnx.BatchStat(0.0)
    return v.type is nnx.BatchStat, v.var_type is nnx.BatchStat


@idiom
def get_hook(nnx):
    """`on_get_value` sees each read."""
    v = nnx.Param(jnp.ones(2), on_get_value=lambda v, x: x * 2)
    return v.value, v + 0, v[...]


@idiom
def set_hook(nnx):
    """`on_set_value` sees each write."""
    v = nnx.Param(jnp.ones(2), on_set_value=lambda v, x: x * 2)
    first = v.value
    v.value = jnp.ones(2)
    v.set_value(v.value + 1)
    return first, v.value


@idiom
def create_hook(nnx):
    """`on_create_value` sees the first value."""
    return nnx.Param(jnp.ones(2), on_create_value=lambda v, x: x + 5).value


@idiom
def several_hooks(nnx):
    """Hooks of an initializer may be several, run in order."""
    hooks = [lambda v, x: x + 1, lambda v, x: x * 10]
    init = nnx.with_metadata(nnx.initializers.ones_init(), on_get_value=hooks)
    layer = nnx.Linear(2, 3, kernel_init=init, rngs=nnx.Rngs(0))
    return layer.kernel.value


def with_hook_methods(kind):
    class Doubled(kind):
        def on_get_value(self, value):
            return value * 2

        def on_set_value(self, value):
            return value + 1

        def on_create_value(self, value):
            return value - 1

    return Doubled


@idiom
def hooks_of_a_subclass(nnx):
    """Hooks are methods of a subclass."""

    v = with_hook_methods(nnx.Param)(jnp.full(2, 3.0))
    first = v.value
    v.value = jnp.zeros(2)
    return first, v.value


@idiom
def hooks_of_with_metadata(nnx):
    """`with_metadata` gives the Param of an initializer its metadata and hooks."""
    init = nnx.with_metadata(
        nnx.initializers.ones_init(), tag="a", on_get_value=lambda v, x: x * 3
    )
    layer = nnx.Linear(2, 3, kernel_init=init, rngs=nnx.Rngs(0))
    return layer.kernel.tag, layer.kernel.value


@idiom
def variable_metadata_value(nnx):
    """A VariableMetadata as value gives its metadata to the Variable."""
    box = nnx.VariableMetadata(jnp.ones(2), metadata={"tag": "a"})
    v = nnx.Param(box)
    return v.value, v.tag


@idiom
def variable_pickles(nnx):
    """A Variable pickles with its metadata."""
    v = pickle.loads(pickle.dumps(nnx.Param(jnp.ones(2), tag="a")))
    return type(v) is nnx.Param, v.value, v.tag


@idiom
def registered_names(nnx):
    """Variable types are found by name and the other way round."""
    names = [
        nnx.variable_name_from_type(t) for t in (nnx.Param, nnx.BatchStat, nnx.Cache)
    ]
    return names, nnx.variable_type_from_name("params") is nnx.Param


@idiom
def register_a_name(nnx):
    """A new type is registered by a name of its own."""

    class Special(nnx.Variable):
        pass

    nnx.register_variable_name("special_of_parity", Special, overwrite=True)
    found = nnx.variable_type_from_name("special_of_parity")
    return found is Special, nnx.variable_name_from_type(Special)


@idiom
def unknown_name(nnx):
    """A name that no type has is refused."""
    return nnx.variable_type_from_name("no_such_collection_at_all")


@idiom
def name_of_an_unregistered_type(nnx):
    """A type without a name is refused, and registered where asked for."""

    class FreshOne(nnx.Variable):
        pass

    try:
        nnx.variable_name_from_type(FreshOne)
    except ValueError:
        refused = True
    return refused, nnx.variable_name_from_type(FreshOne, allow_register=True)


@idiom
def types_of_the_library(nnx):
    """The types form a tree under Variable."""
    types = (
        "Param BatchStat Cache Intermediate Perturbation OptState LoRAParam RngState"
    )
    below = "OptArray OptVariable RngKey RngCount"
    return [
        [issubclass(getattr(nnx, t), nnx.Variable) for t in types.split()],
        [issubclass(getattr(nnx, t), nnx.OptState) for t in below.split()[:2]],
        [issubclass(getattr(nnx, t), nnx.RngState) for t in below.split()[2:]],
        issubclass(nnx.LoRAParam, nnx.Param),
    ]


@idiom
def set_metadata_of_a_model(nnx):
    """`set_metadata` on a graph sets what a filter selects."""
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    nnx.set_metadata(model, only=nnx.PathContains("bias"), frozen=True)
    return model.kernel.has_metadata("frozen"), model.bias.frozen


@idiom
def variables_are_shared_by_name(nnx):
    """A Variable at two attributes is one."""
    m = nnx.Dict(a=nnx.Param(jnp.ones(2)))
    m["b"] = m["a"]
    m["b"].value = jnp.zeros(2)
    return m["a"].value, m["a"] is m["b"]
