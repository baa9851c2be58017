"""Modules and Pytrees: attributes, methods, iteration, copies."""

import copy
import dataclasses
import pickle

import jax
import jax.numpy as jnp

from tests.parity.models import make_mlp, paths
from tests.parity.table import Table

TABLE = Table("modules")
idiom, differs = TABLE.idiom, TABLE.differs


@idiom
def attribute_names_are_paths(nnx):
    """The paths of a state are attribute names."""
    return paths(nnx, make_mlp(nnx))


@idiom
def initial_values(nnx):
    """The same seed gives the same initial values, layer by layer."""
    flat = nnx.to_flat_state(nnx.state(make_mlp(nnx, 7), nnx.Param))
    return {path: v.value for path, v in flat}


@idiom
def call_of_a_model(nnx):
    """A model in evaluation computes the same."""
    model = make_mlp(nnx)
    model.eval()
    return model(jnp.ones((4, 2)))


@idiom
def training_with_dropout(nnx):
    """Dropout masks and batch statistics are the same from the same seed."""
    model = make_mlp(nnx)
    model.train()
    out = model(jnp.arange(8.0).reshape(4, 2))
    return out, model.norm.mean.value, model.norm.var.value


@idiom
def train_and_eval_set_flags(nnx):
    """`train` and `eval` set the attributes of all submodules."""
    model = make_mlp(nnx)
    model.eval()
    first = model.dropout.deterministic, model.norm.use_running_average
    model.train()
    return first, model.dropout.deterministic, model.norm.use_running_average


@idiom
def train_with_other_attributes(nnx):
    """`train` and `eval` take further attributes."""
    model = make_mlp(nnx)
    model.eval(rate=0.25)
    return model.dropout.rate


@idiom
def set_attributes_by_filter(nnx):
    """`set_attributes` takes filters."""
    model = make_mlp(nnx)
    model.set_attributes(nnx.OfType(nnx.Dropout), deterministic=True)
    return model.dropout.deterministic, model.norm.use_running_average


@idiom
def set_attributes_not_found(nnx):
    """An attribute that no module has is refused."""
    make_mlp(nnx).set_attributes(no_such_attribute=True)


@idiom
def set_attributes_not_found_allowed(nnx):
    """`raise_if_not_found=False` lets it pass."""
    make_mlp(nnx).set_attributes(no_such=True, raise_if_not_found=False)


@idiom
def iter_modules_yields_paths(nnx):
    """`iter_modules` yields path and module, the whole included."""
    found = nnx.iter_modules(make_mlp(nnx))
    return [(path, type(m).__name__) for path, m in found]


@idiom
def iter_modules_method(nnx):
    """`model.iter_modules()`."""
    return [path for path, _ in make_mlp(nnx).iter_modules()]


@idiom
def iter_children_method(nnx):
    """`iter_children` yields name and direct submodule."""
    return [(n, type(m).__name__) for n, m in make_mlp(nnx).iter_children()]


@idiom
def iter_modules_of_containers(nnx):
    """Lists and dicts of modules in `iter_modules` and `iter_children`."""
    m = nnx.Dict(
        a=nnx.List([nnx.Linear(1, 1, rngs=nnx.Rngs(0)), nnx.Dropout(0.5)]),
        b=nnx.Dict(c=nnx.Linear(1, 1, rngs=nnx.Rngs(0))),
    )
    return (
        [(path, type(x).__name__) for path, x in nnx.iter_modules(m)],
        [(path, type(x).__name__) for path, x in m.iter_children()],
    )


@idiom
def iter_children_function(nnx):
    """`nnx.iter_children` yields all direct children of a node."""
    return [name for name, _ in nnx.iter_children(nnx.Linear(1, 2, rngs=nnx.Rngs(0)))]


@idiom
def iter_graph_order(nnx):
    """`iter_graph` yields path and node, children first."""
    m = nnx.Dict(a=nnx.Param(1.0), b=nnx.Dict(c=nnx.Param(2.0)))
    kinds = nnx.Variable, nnx.Dict
    found = nnx.iter_graph(m)
    return [(path, type(x).__name__) for path, x in found if isinstance(x, kinds)]


@idiom
def new_attribute_later(nnx):
    """Attributes may be added and deleted after construction."""
    model = make_mlp(nnx)
    model.extra = nnx.Param(jnp.ones(2))
    del model.second
    return paths(nnx, model, nnx.Param)


@idiom
def dataclass_module(nnx):
    """A dataclass may be a Module."""

    @dataclasses.dataclass
    class Layer(nnx.Module):
        size: int
        rngs: dataclasses.InitVar[object]

        def __post_init__(self, rngs):
            self.linear = nnx.Linear(self.size, 2, rngs=rngs)

    return paths(nnx, Layer(3, rngs=nnx.Rngs(0)))


@idiom
def check_pytree_passes(nnx):
    """`check_pytree` takes a sound object."""
    return nnx.check_pytree(make_mlp(nnx))


@idiom
def shared_submodule(nnx):
    """A module at two places is one in the state."""
    shared = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    return paths(nnx, nnx.Dict(a=shared, b=shared))


@idiom
def cyclic_module(nnx):
    """A module may refer to itself."""
    m = nnx.Dict(w=nnx.Param(1.0))
    m["me"] = m
    graphdef, state = nnx.split(m)
    merged = nnx.merge(graphdef, state)
    return merged["me"] is merged, paths(nnx, m)


@idiom
def repr_names_the_class(nnx):
    """The repr starts with the class."""
    return repr(nnx.Linear(1, 2, rngs=nnx.Rngs(0)))[:7]


@idiom
def deepcopy_of_a_model(nnx):
    """`copy.deepcopy` gives a model apart."""
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    other = copy.deepcopy(model)
    other.kernel.value = jnp.zeros((2, 2))
    return model.kernel.value, other.kernel.value


@idiom
def copy_of_a_model(nnx):
    """`copy.copy` shares the Variables."""
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    other = copy.copy(model)
    return other.kernel is model.kernel, type(other).__name__


@idiom
def pickle_of_a_model(nnx):
    """A model pickles."""
    model = pickle.loads(pickle.dumps(nnx.Linear(2, 2, rngs=nnx.Rngs(0))))
    return model(jnp.ones((1, 2)))


@idiom
def module_is_a_pytree(nnx):
    """`jax.tree.map` over a Module gives a Module."""
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    zero = jax.tree.map(jnp.zeros_like, model)
    return type(zero).__name__, zero.kernel.value, zero.bias.value


@idiom
def leaves_of_a_module(nnx):
    """`jax.tree.leaves` of a Module, in order."""
    return [x.shape for x in jax.tree.leaves(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))]


@idiom
def key_paths_of_a_module(nnx):
    """The key paths of a Module in `jax.tree_util`."""
    m = nnx.Dict(a=nnx.List([nnx.Linear(1, 1, rngs=nnx.Rngs(0))]))
    flat, _ = jax.tree_util.tree_flatten_with_path(m)
    return [[f"{type(k).__name__}{k}" for k in path] for path, _ in flat]


@idiom
def attribute_missing(nnx):
    """A missing attribute is an AttributeError."""
    return make_mlp(nnx).nothing


@idiom
def bad_super_init(nnx):
    """A Module needs no call of `super().__init__`."""

    class Model(nnx.Module):
        def __init__(self):
            self.w = nnx.Param(1.0)

    return Model().w.value


@idiom
def object_is_pytree(nnx):
    """`nnx.Pytree` is a base of Module and of `nnx.Object`."""
    return issubclass(nnx.Module, nnx.Pytree), issubclass(nnx.Object, nnx.Pytree)


@idiom
def pytree_without_module(nnx):
    """A Pytree that is no Module has state as well."""

    class Counter(nnx.Pytree):
        def __init__(self):
            self.n = nnx.Variable(jnp.array(0))

        def __call__(self):
            self.n[...] += 1

    c = Counter()
    c()
    return c.n.value, [path for path, _ in nnx.to_flat_state(nnx.state(c))]


@idiom
def subclass_flag_pytree_false(nnx):
    """`pytree=False` makes an object that may hold anything."""

    class Holder(nnx.Object, pytree=False):
        def __init__(self):
            self.items = [nnx.Param(1.0)]

    return Holder().items[0].value


@idiom
def find_duplicates(nnx):
    """`find_duplicates` lists the paths of what is shared."""
    shared = nnx.Param(1.0)
    return nnx.find_duplicates(nnx.Dict(a=shared, b=nnx.Dict(c=shared)))
