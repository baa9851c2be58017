"""A captured object that is replaced is seen, by whatever way the function finds it."""

import collections
import contextvars
import queue
import sys
import threading
import types
import weakref

import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from oakum.errors import OakumWarning

X = jnp.ones(3)


class Scale(nnx.Module):
    def __init__(self, value):
        self.w = nnx.Param(jnp.full(3, value))

    def __call__(self, x):
        return x * self.w.value


class Slots:
    __slots__ = ("m",)


class Registry:
    m = None


class Late:
    def __getattr__(self, name):
        return Registry.m


class Property:
    @property
    def m(self):
        return helper()


def helper():
    return Registry.m


def row_of_helpers():
    return helper()


settings = types.ModuleType("some_settings")
table, defaults, row, members = (
    collections.OrderedDict(),
    collections.defaultdict(list),
    collections.deque(),
    set(),
)
many, refs, keep = [0] * 300, [None], []
slots, late, prop, instance = Slots(), Late(), Property(), Registry()
variable, local, waiting = contextvars.ContextVar("v"), threading.local(), queue.Queue()
deep: dict = {"a": {"b": {"c": {"d": {"e": {"f": {"g": {}}}}}}}}
deepest = deep["a"]["b"]["c"]["d"]["e"]["f"]["g"]


def set_ref(v):
    keep.append(v)
    refs[0] = weakref.ref(v)


def refill(container, add):
    def put(v):
        container.clear()
        add(v)

    return put


def put_in_queue(v):
    waiting.queue.clear()
    waiting.put(v)


def put_in_module(v):
    settings.m = v
    sys.modules["some_settings"] = settings


def import_it():
    import some_settings  # type: ignore[import-not-found]

    return some_settings.m


def set_class(v):
    Registry.m = v


WAYS = {
    "module": (put_in_module, lambda: settings.m),
    "import": (put_in_module, import_it),
    "class": (set_class, lambda: Registry.m),
    "instance": (set_class, lambda: instance.m),
    "property": (set_class, lambda: prop.m),
    "getattr": (set_class, lambda: late.m),
    "helpers": (set_class, lambda: row_of_helpers()),
    "OrderedDict": (lambda v: table.update(m=v), lambda: table["m"]),
    "proxy": (
        lambda v: table.update(m=v),
        lambda proxy=types.MappingProxyType(table): proxy["m"],
    ),
    "defaultdict": (lambda v: defaults.update(m=v), lambda: defaults["m"]),
    "deque": (refill(row, row.append), lambda: row[0]),
    "set": (refill(members, members.add), lambda: next(iter(members))),
    "slots": (lambda v: setattr(slots, "m", v), lambda: slots.m),
    "ContextVar": (variable.set, lambda: variable.get()),
    "thread-local": (lambda v: setattr(local, "m", v), lambda: local.m),
    "queue": (put_in_queue, lambda: waiting.queue[0]),
    "globals": (lambda v: globals().update(G=v), lambda: globals()["G"]),
    "long-list": (lambda v: many.__setitem__(299, v), lambda: many[299]),
    "deep-dict": (
        lambda v: deepest.update(m=v),
        lambda: deep["a"]["b"]["c"]["d"]["e"]["f"]["g"]["m"],
    ),
    "weakref": (set_ref, lambda: refs[0]()),  # type: ignore[misc]
    "class-of-modules": (lambda v: setattr(Scale, "shared", v), lambda: Scale.shared),  # type: ignore[attr-defined]
}


@pytest.mark.parametrize(("put", "get"), WAYS.values(), ids=WAYS)
def test_another_object_is_seen(put, get):
    put(Scale(1.0))
    step = nnx.jit(lambda x: get()(x))
    step(X), step(X)
    put(Scale(9.0))
    assert float(step(X)[0]) == 9.0


def test_a_way_that_is_not_followed_is_traced_in_each_call_and_told_once():
    hidden = np.array([Scale(1.0)], dtype=object)
    step = nnx.jit(lambda x: hidden[0](x))
    with pytest.warns(OakumWarning, match=r"(?s)captures state.*pass it as an arg"):
        step(X)
    hidden[0] = Scale(9.0)
    assert float(step(X)[0]) == 9.0  # and no warning, which would be an error
