"""Configuration is compared by value, and an edit of it is seen in the next call."""

import argparse
import collections
import dataclasses
import enum
import functools
import types
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import oakum as nnx

X = jnp.ones(3)


@dataclasses.dataclass
class Config:
    gain: float = 1.0
    inner: Any = None


@dataclasses.dataclass(frozen=True)
class Frozen:
    table: Any


@dataclasses.dataclass(unsafe_hash=True)
class Hashed:
    gain: float = 1.0


class Plain:
    gain = 1.0


class Slotted:
    __slots__ = ("gain",)

    def __init__(self):
        self.gain = 1.0


class Keyed(dict):
    pass


class Mode(enum.Enum):
    A = 1
    B = 2


class Model(nnx.Module):
    def __init__(self, config):
        self.config = config
        self.w = nnx.Param(jnp.ones(3))


def namespace():
    class Settings:
        gain = 1.0

    return Settings


def set_gain(config):
    config.gain = 9.0


def set_item(key):
    return lambda config: config.__setitem__(key, 9.0)


def gain(config):
    return config.gain


def with_gain(place):
    place.gain = 1.0
    return place


EDITED = {
    "dataclass": (Config(), gain, set_gain),
    "hashed-dataclass": (Hashed(), gain, set_gain),
    "object": (Plain(), gain, set_gain),
    "slots": (Slotted(), gain, set_gain),
    "class": (namespace(), gain, set_gain),
    "its-class": (namespace()(), gain, lambda c: set_gain(type(c))),
    "base-of-its-class": (
        type("Below", (namespace(),), {})(),
        gain,
        lambda c: set_gain(type(c).__bases__[0]),
    ),
    "function": (with_gain(lambda: None), gain, set_gain),
    "module": (with_gain(types.ModuleType("settings")), gain, set_gain),
    "SimpleNamespace": (types.SimpleNamespace(gain=1.0), gain, set_gain),
    "argparse": (argparse.Namespace(gain=1.0), gain, set_gain),
    "nested": (
        Config(inner=Config()),
        lambda c: c.inner.gain,
        lambda c: set_gain(c.inner),
    ),
    "in-a-list": (
        Config(inner=[Config()]),
        lambda c: c.inner[0].gain,
        lambda c: set_gain(c.inner[0]),
    ),
    "dict-of-a-frozen": (
        Frozen({"a": 1.0}),
        lambda c: c.table["a"],
        lambda c: c.table.__setitem__("a", 9.0),
    ),
    "static-list": (nnx.static([1.0]), lambda c: c[0], set_item(0)),
    "static-dict": (nnx.static({"a": 1.0}), lambda c: c["a"], set_item("a")),
    "static-array": (nnx.static(np.ones(3, np.float32)), sum, set_item(slice(2))),
    "static-set": (nnx.static({1.0}), sum, lambda c: c.add(8.0)),
    "subclass-of-dict": (Keyed(a=1.0), lambda c: c["a"], set_item("a")),
    "OrderedDict": (
        collections.OrderedDict(a=1.0),
        lambda c: c["a"],
        set_item("a"),
    ),
    "bytearray": (bytearray([1]), lambda c: float(c[0]), lambda c: c.__setitem__(0, 9)),
    "deque": (collections.deque([1.0]), lambda c: c[0], set_item(0)),
    "partial": (
        functools.partial(lambda gain: gain, gain=1.0),
        lambda c: c(),
        lambda c: c.keywords.update(gain=9.0),
    ),
    "method": (
        Config().__eq__,
        lambda c: c.__self__.gain,
        lambda c: set_gain(c.__self__),
    ),
    "method-of-an-object": (
        types.MethodType(gain, Plain()),
        lambda c: c(),
        lambda c: set_gain(c.__self__),
    ),
    "method-of-slots": (
        types.MethodType(gain, Slotted()),
        lambda c: c(),
        lambda c: set_gain(c.__self__),
    ),
}


@pytest.mark.parametrize(("config", "read", "edit"), EDITED.values(), ids=EDITED)
def test_an_edit_in_place_is_seen(config, read, edit):
    model, step = Model(config), nnx.jit(lambda m: X * read(m.config))
    before = float(step(model)[0]), float(step(model)[0])
    edit(model.config)
    assert before == (1.0, 1.0) or before[0] == before[1] == 3.0
    assert float(step(model)[0]) == float(read(model.config))
    assert step._cache_size() == 2


@pytest.mark.parametrize(("config", "read", "edit"), EDITED.values(), ids=EDITED)
def test_what_was_edited_back_is_compiled_already(config, read, edit):
    model, step = Model(config), nnx.jit(lambda m: X * read(m.config))
    step(model)
    edit(model.config)
    step(model), step(model)
    traces = step._cache_size()
    edit(model.config)
    step(model)
    assert step._cache_size() == traces


ANYTHING = {
    "dtype": jnp.bfloat16,
    "np-dtype": np.dtype("float32"),
    "enum": Mode.A,
    "function": jax.nn.relu,
    "lambda": lambda x: x,
    "mesh": jax.sharding.Mesh(np.array(jax.devices()[:1]), ("x",)),
    "spec": jax.sharding.PartitionSpec("x", None),
    "list": [1, {"a": (2, [3])}],
    "module": jnp,
    "class": nnx.Linear,
    "array": np.arange(3),
}


@pytest.mark.parametrize("part", ANYTHING.values(), ids=ANYTHING)
def test_equal_configurations_are_one_structure(part):
    first, second = Model(Config(inner=part)), Model(Config(inner=part))
    step = nnx.jit(lambda m: m.w * m.config.gain)
    step(first), step(second)
    assert step._cache_size() == 1
    assert nnx.graphdef(first) == nnx.graphdef(second)
    assert hash(nnx.graphdef(first)) == hash(nnx.graphdef(second))


def test_merge_gives_the_configuration_of_its_own_graph():
    first, second = Model(Config()), Model(Config())
    graphs = [nnx.split(m) for m in (first, second)]
    assert [nnx.merge(*g).config for g in graphs] == [Config(), Config()]
    assert nnx.merge(*graphs[1]).config is second.config


def test_a_new_shape_is_traced_with_the_configuration_of_its_own_call():
    first, second = Model(Config()), Model(Config())
    step = nnx.jit(lambda m, x: x * m.config.gain)
    step(first, X)
    first.config.gain = 9.0
    assert float(step(second, jnp.ones(2))[0]) == 1.0


def test_a_restructured_object_keeps_its_own_configuration():
    first, second = Model(Config()), Model(Config())

    @nnx.jit
    def step(m):
        m.calls = 1

    step(first), step(second)
    assert second.calls == 1
    assert second.config is not first.config


@pytest.mark.parametrize("make", [Config, Plain, Hashed, Slotted, namespace])
def test_a_static_argument_is_compared_by_value_in_each_call(make):
    config, step = make(), nnx.jit(lambda m, c: X * c.gain, static_argnums=1)
    model = Model(None)
    assert float(step(model, config)[0]) == 1.0
    config.gain = 9.0
    assert float(step(model, config)[0]) == 9.0


def test_static_arguments_of_an_equal_value_are_traced_once():
    step = nnx.jit(lambda x, c: x * c.gain, static_argnums=1)
    step(X, Config()), step(X, Config())
    assert step._cache_size() == 1


def test_metadata_edited_in_place_is_seen():
    model = Model(None)
    model.w = nnx.Param(jnp.ones(3), scales=[1.0])
    step = nnx.jit(lambda m: X * m.w.get_metadata("scales")[0])
    step(model), step(model)
    model.w.get_metadata("scales")[0] = 9.0
    assert float(step(model)[0]) == 9.0


def test_a_name_of_an_enclosing_function_bound_anew_is_seen():
    scale = 1.0
    model, step = Model(lambda x: x * scale), nnx.jit(lambda m: m.config(X))
    step(model), step(model)
    scale = 9.0
    assert float(step(model)[0]) == 9.0


RATE = 1.0


def times_rate(x):
    return x * RATE


@pytest.mark.parametrize(
    "function", [times_rate, lambda x: times_rate(x)], ids=["direct", "helper"]
)
def test_a_global_bound_anew_is_seen_by_a_function_as_attribute(function, monkeypatch):
    model, step = Model(function), nnx.jit(lambda m: m.config(X))
    step(model), step(model)
    monkeypatch.setitem(globals(), "RATE", 9.0)
    assert float(step(model)[0]) == 9.0


def test_a_trace_that_edits_what_it_closes_over_is_not_repeated():
    calls = []
    model = Model(lambda x: calls.append(1) or x)
    step = nnx.jit(lambda m: m.config(X))
    step(model), step(model), step(model)
    assert len(calls) == 1


@pytest.mark.parametrize("library", ["attrs", "pydantic"])
def test_classes_of_libraries_are_compared_by_value(library):
    module = pytest.importorskip(library)
    if library == "attrs":
        made = module.make_class("Made", {"gain": module.field(default=1.0)})
    else:
        made = module.create_model("Made", gain=(float, 1.0))
    first, second = Model(made()), Model(made())
    step = nnx.jit(lambda m: X * m.config.gain)
    step(first), step(second)
    first.config.gain = 9.0
    assert (float(step(first)[0]), float(step(second)[0])) == (9.0, 1.0)
    assert step._cache_size() == 2


def test_a_static_array_is_refused():
    with pytest.raises(
        nnx.errors.StaticValueError, match=r"Model\.config(.|\n)*nnx\.data"
    ):
        nnx.graphdef(Model(nnx.static(jnp.ones(3))))


def test_a_new_shape_is_traced_with_the_static_argument_of_its_own_call():
    first, second = Config(), Config()
    step = nnx.jit(lambda x, c: x * c.gain, static_argnums=1)
    step(X, first)
    first.gain = 9.0
    assert float(step(jnp.ones(2), second)[0]) == 1.0


def test_a_plan_of_observed_objects_alone_looks_at_nothing_again():
    model = nnx.Sequential(nnx.Linear(2, 2, rngs=nnx.Rngs(0)), nnx.relu)
    schedule = optax.cosine_decay_schedule(0.1, 10)
    optimizer = nnx.Optimizer(model, optax.adamw(schedule), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer):
        grads = nnx.grad(lambda m: m(jnp.ones((1, 2))).sum())(model)
        optimizer.update(model, grads)

    step(model, optimizer)
    (plan,) = step.jit._plans.values()
    assert plan._parts == []
    assert plan.clock >= 0


class Once(nnx.Module):
    def __init__(self):
        self.w = nnx.Param(jnp.full((), 2.0))

    def __call__(self):
        return self.w.value


class Tenfold(Once):
    def __call__(self):
        return self.w.value * 10


def test_another_class_of_a_module_is_seen():
    model = Once()
    as_argument, captured = nnx.jit(lambda m: m()), nnx.jit(lambda: model())
    for cls, expected in [(Once, 2.0), (Tenfold, 20.0), (Once, 2.0)]:
        model.__class__ = cls
        assert as_argument(model) == as_argument(model) == expected
        assert captured() == captured() == expected
