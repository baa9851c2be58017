"""Numbers, texts and arrays that a jitted function reads beside its arguments."""

from __future__ import annotations

import contextvars
import dataclasses
import functools
import sys
import types
import weakref
from collections import ChainMap, Counter, OrderedDict, UserDict, deque
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from oakum.errors import OakumWarning

X = jnp.ones(2)
module = types.ModuleType("settings_of_this_test")
sys.modules["settings_of_this_test"] = module
GLOBAL: Any = 2.0


def scaled(x):
    return x * GLOBAL


@dataclasses.dataclass
class Config:
    rate: Any = 2.0
    rows: list = dataclasses.field(default_factory=lambda: [1.0, 1.0])

    @property
    def doubled(self):
        return self.rate * 2

    def apply(self, x):
        return x * self.rate

    def __call__(self, x):
        return self.apply(x)


class Slots:
    __slots__ = ("rate",)

    def __init__(self):
        self.rate = 2.0


class OfClass:
    rate = 2.0


class Described:
    def __get__(self, held, kind):
        return held._rate


class Partly:
    described = Described()

    def __init__(self):
        self._rate = 2.0

    def times(self, factor):
        return getattr(self, "_rate") * factor  # noqa: B009

    once = functools.partialmethod(times, 1)


class Computed:
    def __init__(self):
        self.__dict__["fields"] = {"rate": 2.0}

    def __getattr__(self, name):
        return self.fields[name]

    def __setattr__(self, name, value):
        self.fields[name] = value


def on(make, read, set_rate=lambda o, v: setattr(o, "rate", v)):
    """A function that reads an object it captures, and what sets the object's rate."""

    def build():
        held = make()
        return lambda x: read(held, x), lambda value: set_rate(held, value)

    return build


class Point(NamedTuple):
    rate: float


def rate_of(holder):
    return holder.rate


def handed_on(config, x):
    return config.apply(x)


def module_handed_on():
    module.rate = 2.0
    return (lambda x: x * rate_of(module)), lambda v: setattr(module, "rate", v)


def set_first(o, v):
    o[0] = int(v)


def rebound_name():
    rate = 2.0

    def put(value):
        nonlocal rate
        rate = value

    return (lambda x: x * rate), put


def rebound_global():
    def put(value):
        global GLOBAL
        GLOBAL = value

    put(2.0)
    return (lambda x: scaled(x)), put


def rebound_object():
    config = Config()

    def put(value):
        nonlocal config
        config = Config(value)

    return (lambda x: x * config.rate), put


def rebound_function():
    apply = lambda x: x * 2.0  # noqa: E731

    def put(value):
        nonlocal apply
        apply = lambda x: x * 3.0  # noqa: E731

    return (lambda x: apply(x)), put


def doubled(x):
    return x * 2.0


def global_function(function):
    """A function of the module that is defined anew, as by a cell of a notebook."""

    def make():
        def put(value):
            global doubled

            def doubled(x):
                return x * value

        put(2.0)
        return function, put

    return make


def of_module():
    module.rate = 2.0

    def read(x):
        import settings_of_this_test  # type: ignore[import-not-found]

        return x * settings_of_this_test.rate

    return read, lambda value: setattr(module, "rate", value)


def of_function():
    def f(x):
        return x * f.rate

    f.rate = 2.0
    return f, lambda value: setattr(f, "rate", value)


def of_partial():
    config = Config()
    f = functools.partial(lambda c, x: x * c.rate, config)
    return f, lambda value: setattr(config, "rate", value)


def of_default():
    config = Config()
    return (lambda x, c=config: x * c.rate), lambda v: setattr(config, "rate", v)


def of_gradient():
    rate = 2.0
    value_of = nnx.value_and_grad(lambda x: (x * rate).sum())

    def put(value):
        nonlocal rate
        rate = value

    return (lambda x: value_of(x)[0] / 2), put


def of_derivative():
    rate = 2.0

    @nnx.custom_vjp
    def f(x):
        return x

    f.defvjp(lambda x: (f(x), None), lambda _, g: (g[1] * rate,))

    def put(value):
        nonlocal rate
        rate = value

    return nnx.grad(lambda x: f(x).sum()), put


def set_item(held, value):
    held["rate"] = value


ITEM = lambda held, x: x * held["rate"]  # noqa: E731
ATTRIBUTE = lambda held, x: x * held.rate  # noqa: E731
WAYS = {
    "name": rebound_name,
    "global": rebound_global,
    "object": rebound_object,
    "function": rebound_function,
    "global function": global_function(lambda x: doubled(x)),
    "global function, handed on": global_function(
        lambda x: jax.lax.map(lambda y: nnx.remat(doubled)(y), x)
    ),
    "module": of_module,
    "attribute of a function": of_function,
    "partial": of_partial,
    "default": of_default,
    "gradient": of_gradient,
    "derivative": of_derivative,
    "attribute": on(Config, ATTRIBUTE),
    "nested": on(
        lambda: Config(Config()),
        lambda o, x: x * o.rate.rate,
        lambda o, v: setattr(o.rate, "rate", v),
    ),
    "property": on(Config, lambda o, x: x * o.doubled / 2),
    "method": on(Config, lambda o, x: o.apply(x)),
    "bound method": on(Config, lambda o, x: next(map(o.apply, [x]))),
    "call": on(Config, lambda o, x: o(x)),
    "getattr": on(Config, lambda o, x: x * getattr(o, "rate")),  # noqa: B009
    "vars": on(Config, lambda o, x: x * vars(o)["rate"]),
    "slots": on(Slots, ATTRIBUTE),
    "class": on(lambda: type("K", (OfClass,), {}), ATTRIBUTE),
    "class of an object": on(
        lambda: type("K", (OfClass,), {})(),
        ATTRIBUTE,
        lambda o, v: setattr(type(o), "rate", v),
    ),
    "__getattr__": on(Computed, ATTRIBUTE),
    "namespace": on(lambda: types.SimpleNamespace(rate=2.0), ATTRIBUTE),
    "dict": on(lambda: {"rate": 2.0}, ITEM, set_item),
    "OrderedDict": on(lambda: OrderedDict(rate=2.0), ITEM, set_item),
    "Counter": on(lambda: Counter(rate=2), ITEM, set_item),
    "list": on(lambda: [2.0], lambda o, x: x * o[0], lambda o, v: o.__setitem__(0, v)),
    "sum of a list": on(
        lambda: [1.0, 1.0], lambda o, x: x * sum(o), lambda o, v: o.append(v - 2)
    ),
    "deque": on(
        lambda: deque([2.0]), lambda o, x: x * sum(o), lambda o, v: o.append(1)
    ),
    "set": on(lambda: {2.0}, lambda o, x: x * sum(o), lambda o, v: o.add(1.0)),
    "list of an object": on(
        Config, lambda o, x: x * sum(o.rows), lambda o, v: o.rows.append(v - 2)
    ),
    "weakref": on(
        lambda: [c := Config(), weakref.ref(c)],
        lambda o, x: x * o[1]().rate,
        lambda o, v: setattr(o[0], "rate", v),
    ),
    "ContextVar": on(
        lambda: contextvars.ContextVar("rate", default=2.0),
        lambda o, x: x * o.get(),
        lambda o, v: o.set(v),
    ),
    "array": on(
        lambda: Config(jnp.full(2, 2.0)),
        ATTRIBUTE,
        lambda o, v: setattr(o, "rate", jnp.full(2, v)),
    ),
    "array of NumPy, in place": on(
        lambda: Config(np.full(2, 2.0, np.float32)),
        ATTRIBUTE,
        lambda o, v: o.rate.__setitem__(slice(None), v),
    ),
    "scalar of NumPy": on(lambda: Config(np.float32(2)), ATTRIBUTE),
    "get": on(lambda: {"rate": 2.0}, lambda o, x: x * o.get("rate"), set_item),
    "items": on(
        lambda: {"rate": 2.0}, lambda o, x: x * dict(o.items())["rate"], set_item
    ),
    "tuple": on(
        Config,
        lambda o, x: x * (o.rate[0] if isinstance(o.rate, tuple) else o.rate),
        lambda o, v: setattr(o, "rate", (v,)),
    ),
    "ChainMap": on(lambda: ChainMap({}, {"rate": 2.0}), ITEM, set_item),
    "ChainMap's parent": on(
        lambda: ChainMap({}, {"rate": 2.0}),
        ITEM,
        lambda o, v: o.maps[1].update(rate=v),
    ),
    "UserDict": on(lambda: UserDict(rate=2.0), ITEM, set_item),
    "MappingProxyType": on(
        lambda: [d := {"rate": 2.0}, types.MappingProxyType(d)],
        lambda o, x: x * o[1].get("rate"),
        lambda o, v: o[0].update(rate=v),
    ),
    "names in a set": on(
        set, lambda o, x: x * (3.0 if "on" in o else 2.0), lambda o, v: o.add("on")
    ),
    "list of arrays": on(
        lambda: [jnp.full(2, 1.0), jnp.full(2, 1.0)],
        lambda o, x: sum(a * x for a in o),
        lambda o, v: o.__setitem__(0, jnp.full(2, v - 1)),
    ),
    "list of functions": on(
        lambda: [lambda x: x * 2.0],
        lambda o, x: next(f(x) for f in o),
        lambda o, v: o.__setitem__(0, lambda x: x * v),
    ),
    "method of a class": on(
        lambda: type("K", (), {"rate": lambda self: 2.0})(),
        lambda o, x: x * o.rate(),
        lambda o, v: setattr(type(o), "rate", lambda self: v),
    ),
    "module that is handed on": module_handed_on,
    "method of what is handed on": on(
        Config, lambda o, x: handed_on(o, x), lambda o, v: setattr(o, "rate", v)
    ),
    "large array of NumPy": on(
        lambda: np.full((5000, 2), 2.0, np.float32),
        lambda o, x: x * jnp.asarray(o)[7],
        lambda o, v: o.fill(v),
    ),
    "named tuple": on(
        lambda: [Point(2.0)],
        lambda o, x: x * o[0].rate,
        lambda o, v: o.__setitem__(0, Point(v)),
    ),
    "array of a partial": on(
        lambda: np.full(2, 2.0, np.float32),
        lambda o, x: functools.partial(jnp.multiply, o)(x),
        lambda o, v: o.fill(v),
    ),
    "bytearray": on(lambda: bytearray([2]), lambda o, x: x * o[0], set_first),
    "memoryview": on(
        lambda: memoryview(bytearray([2])), lambda o, x: x * o[0], set_first
    ),
    "attribute of an attribute, handed on": on(
        lambda: types.SimpleNamespace(a=types.SimpleNamespace(rate=2.0)),
        lambda o, x: x * (lambda held: held.a.rate)(o),
        lambda o, v: setattr(o.a, "rate", v),
    ),
    "keyword of a partial": on(
        lambda: functools.partial(lambda x, rate: x * rate, rate=2.0),
        lambda o, x: o(x),
        lambda o, v: o.keywords.update(rate=v),
    ),
    "partialmethod": on(
        Partly, lambda o, x: x * o.once(), lambda o, v: setattr(o, "_rate", v)
    ),
    "descriptor": on(
        Partly, lambda o, x: x * o.described, lambda o, v: setattr(o, "_rate", v)
    ),
    "static method": on(
        lambda: type("K", (), {"rates": [2.0], "one": staticmethod(lambda k: k)})(),
        lambda o, x: x * o.one(o.rates[0]),
        lambda o, v: o.rates.__setitem__(0, v),
    ),
    "row of a table": on(
        lambda: [[2.0, 2.0]],
        lambda o, x: x * jnp.array(o)[0],
        lambda o, v: o.__setitem__(0, [v, v]),
    ),
    "text": on(
        lambda: Config("ab"),
        lambda o, x: x * len(o.rate),
        lambda o, v: setattr(o, "rate", "abc"),
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_call_sees_what_was_set_since_the_last(way):
    function, put = WAYS[way]()
    step = nnx.jit(function)
    assert step(X).tolist() == step(X).tolist() == [2.0, 2.0] or way == "gradient"
    put(3.0)
    assert np.asarray(step(X)).ravel()[0] == 3.0
    assert step._cache_size() == 2


@pytest.mark.parametrize("way", WAYS)
def test_so_does_an_eager_loop(way):
    function, put = WAYS[way]()

    def body(i, x):
        return jnp.broadcast_to(function(x), x.shape)

    assert nnx.fori_loop(0, 1, body, X)[0] == nnx.fori_loop(0, 1, body, X)[0] == 2.0
    put(3.0)
    assert nnx.fori_loop(0, 1, body, X)[0] == 3.0


def test_numbers_of_other_types_and_signs_are_others():
    config = Config(2)
    step = nnx.jit(lambda: jnp.copysign(jnp.ones((), type(config.rate)), config.rate))
    assert step().dtype == jnp.int32 or step().dtype == jnp.float32
    seen = []
    for config.rate in (2, 2.0, 0.0, -0.0):
        seen.append(float(nnx.jit(lambda x: jnp.copysign(x, config.rate))(1.0)))
        step()
    assert seen == [1.0, 1.0, 1.0, -1.0]
    assert step._cache_size() == 4


def count_name(counts):
    traces = 0

    def f(m, x):
        nonlocal traces
        traces += 1
        counts[:] = [traces]
        return m.w * x

    return f


def count_item(counts):
    counts[:] = [0]

    def f(m, x):
        counts[0] += 1
        return m.w * x

    return f


def count_attribute(counts):
    config = Config(0)

    def tick():
        config.rate += 1
        counts[:] = [config.rate]

    def f(m, x):
        tick()
        return m.w * x * config.rate

    return f


@pytest.mark.parametrize("count", [count_name, count_item, count_attribute])
def test_a_count_of_traces_traces_nothing_anew(count):
    counts: list = []
    step = nnx.jit(count(counts))
    models = [nnx.Dict(w=nnx.Param(jnp.ones(2))) for _ in range(3)]
    for _ in range(2):
        for model in models:
            step(model, X)
    assert counts == [1]


def test_a_count_of_the_program_that_is_not_read_traces_nothing_anew():
    trainer = types.SimpleNamespace(
        model=nnx.Dict(w=nnx.Param(jnp.ones(2)), step=3), step=0
    )
    step = nnx.jit(lambda x: trainer.model.w * x * trainer.model.step)
    step(X)
    known = step._cache_size()
    for _ in range(3):
        trainer.step += 1
        step(X)
    assert step._cache_size() == known


def test_a_number_that_changes_in_each_call_is_told_and_keeps_few_programs():
    rate = 0.0
    step = nnx.jit(lambda x: x * rate)
    for rate in map(float, range(8)):
        assert step(X)[0] == rate
    rate = 8.0
    with pytest.warns(OakumWarning, match=r"traced anew 8 times.*\n.*as an argument"):
        step(X)
    for rate in map(float, range(9, 12)):
        assert step(X)[0] == rate
    assert len(step.jit._entries) < 12


def test_going_back_to_a_number_traces_nothing_anew():
    rate = 2.0
    step = nnx.jit(lambda x: x * rate)
    for rate in (2.0, 3.0, 2.0, 3.0, float("2.0")):
        assert step(X)[0] == rate
    assert step._cache_size() == 2


def test_a_key_that_was_split_is_another():
    key = jax.random.key(0)
    draw = nnx.jit(lambda: jax.random.normal(key))
    first = draw()
    key, _ = jax.random.split(key)
    assert draw() != first


@pytest.mark.parametrize("size", [2, 5000])
def test_an_array_of_64_bits_that_is_edited_in_place_is_cast_anew(size):
    table = np.full(size, 2.0)
    step = nnx.jit(lambda x: x * jnp.asarray(table)[:2])
    assert step(X).tolist() == step(X).tolist() == [2.0, 2.0]
    table.fill(3.0)
    assert step(X).tolist() == [3.0, 3.0]
