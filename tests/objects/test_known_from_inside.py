"""What libraries reach for inside of flax objects, and classes that mix with ours."""

import abc
from typing import ClassVar

import jax
import jax.numpy as jnp
import pytest

import oakum as nnx


def test_lists_and_dicts_of_ours_are_modules():
    for made in (nnx.List([1]), nnx.Dict(a=1)):
        assert isinstance(made, nnx.Module)
        assert isinstance(made, nnx.Pytree)
        assert not isinstance(made, nnx.Linear)


def test_plain_lists_are_no_modules():
    assert not isinstance([], nnx.Module)
    assert not issubclass(dict, nnx.Pytree)


def test_an_abstract_module_cannot_be_made():
    class Base(nnx.Module):
        @abc.abstractmethod
        def __call__(self, x): ...

    class Double(Base):
        def __call__(self, x):
            return 2 * x

    with pytest.raises(TypeError, match="abstract"):
        Base()  # pyright: ignore[reportAbstractUsage]
    assert Double()(3) == 6


class Counted:
    made: ClassVar[list] = []

    def __new__(cls, *args, **kwargs):
        new = super().__new__(cls)
        new.number = len(cls.made)
        cls.made.append(cls)
        return new


def test_new_of_a_later_base_runs():
    class Layer(nnx.Module, Counted):
        def __init__(self, width):
            self.w = nnx.Param(jnp.ones(width))

    Counted.made.clear()
    layers = [Layer(2), Layer(width=3)]
    assert [layer.number for layer in layers] == [0, 1]
    vars(layers[0])["extra"] = nnx.Param(jnp.zeros(1))
    assert sorted(nnx.to_pure_dict(nnx.state(layers[0]))) == ["extra", "w"]


class Marked:
    def __new__(cls, *args, **kwargs):
        new = super().__new__(cls)
        vars(new)["_pytree__state"] = nnx.pytreelib.PytreeState()
        return new


class Defaulted:
    sizes: ClassVar[list] = [1, 2]

    def __new__(cls, *args, **kwargs):
        new = super().__new__(cls)
        assert new.sizes == new.total() == [1, 2]
        new.__dict__["depth"] = len(new.sizes)
        return new

    def total(self):
        return self.sizes


MADE = {Marked: {"width": 3}, Defaulted: {"depth": 2, "width": 3}}
TRACES = {
    "none": lambda f, x: f(x),
    "eval_shape": jax.eval_shape,
    "nnx.eval_shape": nnx.eval_shape,
    "nnx.jit": lambda f, x: nnx.jit(f)(x),
}


@pytest.mark.parametrize("trace", TRACES.values(), ids=TRACES)
@pytest.mark.parametrize(("base", "attributes"), MADE.items())
def test_what_another_new_reads_and_sets_in_a_trace(trace, base, attributes):
    class Layer(nnx.Module, base):
        def __init__(self, width):
            self.width = width

    made = []
    trace(lambda x: made.append(Layer(x.shape[0])), jnp.ones(3))
    assert dict(vars(made[0])) == attributes


class Named:
    scale = 1

    def __init__(self, name):
        self.name = name
        self.scale = 2


class NamedParam(Named, nnx.Param):
    def __init__(self, value, name):
        nnx.Param.__init__(self, value)
        Named.__init__(self, name)


def test_what_a_mixin_of_a_variable_sets_stays_in_copies():
    graphdef, state = nnx.split(nnx.Dict(w=NamedParam(jnp.ones(2), "first")))
    copied = nnx.merge(graphdef, jax.tree.map(lambda x: x + 1, state)).w
    assert copied.name == "first"
    assert copied[0] == 2


def test_what_a_mixin_has_in_its_class_is_set_on_the_object():
    assert NamedParam(jnp.ones(2), "first").scale == 2


def test_edits_of_the_metadata_from_inside_are_edits():
    v = nnx.Param(jnp.ones(2), a=1)
    v._var_metadata["b"] = 2
    del v._var_metadata["a"]
    assert v.get_metadata() == {"b": 2}
    v._var_metadata = {"c": 3}
    assert v.get_metadata() == {"c": 3}


METADATA_EDITS = {
    "update": (lambda m: m.update(b=2), {"a": 1, "b": 2}),
    "or": (lambda m: m.__ior__({"b": 2}), {"a": 1, "b": 2}),
    "setdefault": (lambda m: m.setdefault("b", 2), {"a": 1, "b": 2}),
    "pop": (lambda m: m.pop("a"), {}),
    "popitem": (lambda m: m.popitem(), {}),
    "clear": (lambda m: m.clear(), {}),
}


@pytest.mark.parametrize(("edit", "after"), METADATA_EDITS.values(), ids=METADATA_EDITS)
def test_every_way_to_edit_a_dict_edits_the_metadata(edit, after):
    v = nnx.Param(jnp.ones(2), a=1)
    edit(v._var_metadata)
    assert v.get_metadata() == after


def test_the_stored_value_from_inside():
    v = nnx.Param(jnp.ones(2), on_get_value=lambda v, x: 2 * x)
    object.__setattr__(v, "_raw_value", jnp.full(2, 3.0))
    assert v._raw_value.tolist() == [3, 3]
    assert v[...].tolist() == [6, 6]


def test_what_is_made_in_a_trace_can_be_moved_to_the_one_around():
    outer, found = nnx.tracers.current_jax_trace(), []

    def infer(x):
        found.append(nnx.Param(x.shape[0]))
        assert found[0]._trace_state.is_valid()
        object.__setattr__(found[0]._trace_state, "_jax_trace", outer)
        assert not found[0]._trace_state.is_valid()
        return x

    jax.eval_shape(infer, jnp.ones(3))
    assert found[0]._trace_state.is_valid()
    found[0].value = 4
    assert found[0].value == 4


class Noted(nnx.Module):
    def __init__(self, free):
        self.free = free

    def _check_valid_context(self, error_msg):
        if not self.free:
            super()._check_valid_context(error_msg)


def test_a_class_may_know_that_a_write_in_a_trace_is_harmless():
    def infer(layer, x):
        layer.width = x.shape[0]
        return x

    for layer in (Noted(True), Noted(False)):
        if layer.free:
            jax.eval_shape(lambda x, m=layer: infer(m, x), jnp.ones(3))
            assert layer.width == 3
        else:
            with pytest.raises(nnx.errors.TraceContextError, match="eval_shape"):
                jax.eval_shape(lambda x, m=layer: infer(m, x), jnp.ones(3))


heard: list = []


class Told(nnx.Module):
    width = property(lambda self: heard[-1], lambda self, x: heard.append(x.shape[0]))
    kept = property(None, lambda self, x: setattr(self, "value", x))


@pytest.mark.parametrize("jit", [jax.jit, nnx.jit])
def test_a_property_whose_setter_writes_elsewhere_is_set_in_a_trace(jit):
    heard.clear()
    told = Told()
    jit(lambda x: setattr(told, "width", x))(jnp.ones(3))
    assert told.width == 3


@pytest.mark.parametrize("jit", [jax.jit, nnx.jit])
def test_a_property_whose_setter_writes_here_is_blocked(jit):
    told = Told()
    with pytest.raises(nnx.errors.TraceContextError, match=r"Told(.|\n)*told"):
        jit(lambda x: setattr(told, "kept", x))(jnp.ones(3))
    assert not hasattr(told, "value")
