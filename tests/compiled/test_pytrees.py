"""Pytrees of others as attributes: their arrays are state, and edits are seen."""

import collections
import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx

X = jnp.ones(3)


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Stats:
    a: Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass(eq=False)
class Scale:
    a: Any

    def __call__(self, x):
        return x * self.a


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Typed:
    a: Any
    dtype: Any = dataclasses.field(default="float32", metadata={"static": True})


@jax.tree_util.register_pytree_with_keys_class
class Listing:
    unit = "m"  # found in the class: a place that is looked at, too

    def __init__(self, a):
        self.items = [a]

    a = property(
        lambda self: self.items[0], lambda self, v: self.items.__setitem__(0, v)
    )

    def tree_flatten_with_keys(self):
        return [(jax.tree_util.SequenceKey(0), self.items[0])], None

    @classmethod
    def tree_unflatten(cls, aux, children):
        return cls(*children)


class Pair(NamedTuple):
    inner: Any


class Model(nnx.Module):
    def __init__(self, part):
        self.part = part
        self.count = 0


def by_key(key):
    return (lambda part: part[key]), (lambda part, v: part.__setitem__(key, v))


def by_name():
    return (lambda part: part.a), (lambda part, v: setattr(part, "a", v))


KINDS = {
    "OrderedDict": (lambda: collections.OrderedDict(a=X), *by_key("a")),
    "defaultdict": (lambda: collections.defaultdict(list, a=X), *by_key("a")),
    "dataclass": (lambda: Stats(X), *by_name()),
    "callable": (lambda: Scale(X), *by_name()),
    "with-dtype": (lambda: Typed(X), *by_name()),
    "list-inside": (lambda: Listing(X), *by_name()),
    "in-a-tuple": (
        lambda: (Stats(X), 1),
        lambda part: part[0].a,
        lambda part, v: setattr(part[0], "a", v),
    ),
    "in-a-named-tuple": (
        lambda: Pair(collections.OrderedDict(a=X)),
        lambda part: part.inner["a"],
        lambda part, v: part.inner.__setitem__("a", v),
    ),
    "in-a-list": (
        lambda: [Stats(X)],
        lambda part: part[0].a,
        lambda part, v: setattr(part[0], "a", v),
    ),
}
each = pytest.mark.parametrize(("make", "read", "write"), KINDS.values(), ids=KINDS)


@each
def test_its_arrays_are_state(make, read, write):
    model = Model(make())
    assert len(jax.tree.leaves(nnx.state(model))) == 1
    copied = nnx.merge(*nnx.split(model))
    write(copied.part, X * 5)
    assert (float(read(model.part)[0]), float(read(copied.part)[0])) == (1.0, 5.0)


@each
def test_an_edit_between_calls_is_seen(make, read, write):
    model, step = Model(make()), nnx.jit(lambda m: read(m.part) * 1)
    step(model), step(model)
    write(model.part, X * 5)
    assert float(step(model)[0]) == 5.0
    assert step._cache_size() == 1


@each
def test_a_write_inside_arrives(make, read, write):
    model = Model(make())
    step = nnx.jit(lambda m: write(m.part, read(m.part) * 2))
    for _ in range(3):
        step(model)
    assert float(read(model.part)[0]) == 8.0


@each
def test_a_variable_put_in_is_state(make, read, write):
    model, step = Model(make()), nnx.jit(lambda m: nnx.state(m, nnx.Param))
    step(model)
    write(model.part, nnx.Param(X * 3))
    assert len(jax.tree.leaves(step(model))) == 1
    nnx.jit(lambda m: read(m.part).set_value(X * 4))(model)
    assert float(read(model.part)[0]) == 4.0


@each
def test_it_is_saved_and_loaded(make, read, write, tmp_path):
    model, other = Model(make()), Model(make())
    write(model.part, X * 5)
    nnx.save(tmp_path / "m.safetensors", m=model)
    nnx.load(tmp_path / "m.safetensors", m=other)
    assert float(read(other.part)[0]) == 5.0


@each
def test_an_argument_of_it_is_dynamic(make, read, write):
    step, part = nnx.jit(lambda p: read(p) * 2), make()
    step(part)
    write(part, X * 5)
    assert float(step(part)[0]) == 10.0


def test_a_captured_one_cannot_be_written():
    model = Model(collections.OrderedDict(a=X))
    with pytest.raises(nnx.errors.TraceContextError):
        nnx.jit(lambda: model.part.__setitem__("a", X * 2))()
    assert float(model.part["a"][0]) == 1.0


def test_what_a_captured_one_finds_in_its_class_is_put_back():
    class Below(Listing):
        pass

    jax.tree_util.register_pytree_with_keys_class(Below)
    model = Model(Below(X))

    def edit():
        model.part.a = X * 2
        Listing.unit = "km"

    with pytest.raises(nnx.errors.TraceContextError):
        nnx.jit(edit)()
    assert (Listing.unit, "unit" in vars(Below)) == ("m", False)
    assert float(model.part.a[0]) == 1.0


def test_a_class_registered_after_a_refusal_is_taken():
    @dataclasses.dataclass
    class Late:
        a: Any

    step = nnx.jit(lambda p: p.a * 2)
    with pytest.raises(TypeError, match="Late"):
        step(Late(X))
    jax.tree_util.register_dataclass(Late)
    assert float(step(Late(X))[0]) == 2.0


@pytest.mark.peer
@pytest.mark.parametrize("library", ["equinox", "flax.struct"])
def test_classes_of_libraries_are_trained(library):
    module = pytest.importorskip(library)
    if library == "equinox":
        part: Any = module.nn.Linear(3, 3, key=jax.random.key(0))
    else:
        part = module.dataclass(type("Part", (), {"__annotations__": {"weight": Any}}))(
            X
        )
    model = Model(part)
    before = np.asarray(part.weight)
    everything = nnx.DiffState(0, ...)
    grads = nnx.grad(lambda m: m.part.weight.sum(), argnums=everything)(model)
    assert float(jax.tree.leaves(grads)[-1].sum()) > 0

    @nnx.jit
    def step(m):
        m.part = jax.tree.map(lambda a: a - 1, m.part)

    step(model)
    assert np.allclose(model.part.weight, before - 1)


def test_untouched_numpy_arrays_are_the_same_in_a_step_that_restructures():
    class Numbers(nnx.Module):
        def __init__(self):
            self.ids, self.seen = np.array([2**40 + 5]), np.zeros(3)
            self.parts = [np.array([2**40])]

    model = Numbers()
    ids, inner = model.ids, model.parts[0]

    @nnx.jit
    def step(m):
        m.calls = 1
        m.seen = m.seen + 1

    step(model)
    assert model.ids is ids
    assert model.parts[0] is inner
    assert (float(model.seen[0]), model.calls) == (1.0, 1)


def test_arrays_that_change_places_arrive():
    class Two(nnx.Module):
        def __init__(self):
            self.a, self.b = X, X * 2

    @nnx.jit
    def swap(m):
        m.a, m.b = m.b, m.a
        m.done = True

    model = Two()
    swap(model)
    assert (float(model.a[0]), float(model.b[0])) == (2.0, 1.0)
