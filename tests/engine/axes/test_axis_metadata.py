"""transform_metadata: names of axes go out and come back as in flax."""

from __future__ import annotations

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import oakum as nnx
from oakum.errors import ArgumentValueError
from tests.models import snapshot

N = 2


def named(*names: str) -> dict[str, Any]:
    """Metadata of a Variable that flax is not to spread at once."""
    return {"out_sharding": names, "eager_sharding": False}


def model_class(lib: Any) -> Any:
    class Model(lib.Module):
        def __init__(self, x=None, names=("in", "out")):
            x = jnp.ones((3, 4)) if x is None else x
            self.kernel = lib.Param(x, units=("a", "b"), **named(*names))
            self.bias = lib.Param(x[0])
            self.mean = lib.BatchStat(x[0], **named("out"))

    return Model


def stacked(lib: Any, axis: int = 0) -> Any:
    """A model whose arrays have an axis `layers` of size N."""
    model = model_class(lib)()
    for v, names in ((model.kernel, ["in", "out"]), (model.mean, ["out"])):
        names.insert(axis, "layers")
        v.set_metadata(out_sharding=tuple(names))
        v.set_value(jnp.stack([v.get_value()] * N, axis))
    model.bias.set_value(jnp.stack([model.bias.get_value()] * N, axis))
    return model


def names(lib: Any, *objects: Any) -> list[Any]:
    return [
        (type(v).__name__, v.get_metadata().get("out_sharding"), v.get_value().shape)
        for obj in objects
        for v in jax.tree.leaves(obj, is_leaf=lambda v: isinstance(v, lib.Variable))
    ]


def layers(lib: Any) -> dict[str, Any]:
    return {"transform_metadata": {lib.PARTITION_NAME: "layers"}}


def make(lib, transform, **options):
    cls = model_class(lib)
    seen = []

    def f(x):
        model = cls(x)
        seen.append(names(lib, model))
        return model

    return seen[:1], names(
        lib, transform(f, **layers(lib), **options)(jnp.ones((N, 3, 4)))
    )


def use(lib, transform, axis=0, **options):
    model, seen = stacked(lib, axis), []

    def f(m):
        seen.append([n[:2] for n in names(lib, m)])
        m.bias.set_value(m.bias.get_value() * 2)
        return m.kernel.get_value().sum()

    transform(f, in_axes=axis, **layers(lib), **options)(model)
    return seen[0], names(lib, model)


def by_filter(lib):
    model, seen = model_class(lib)(), []
    model.mean = lib.BatchStat(jnp.ones((N, 4)), **named("layers", "out"))

    def f(m):
        seen.append([n[:2] for n in names(lib, m)])

    axes = lib.StateAxes({lib.BatchStat: 0, ...: None})
    lib.vmap(f, in_axes=(axes,), axis_size=N, **layers(lib))(model)
    return seen[0], names(lib, model)


def carried(lib):
    model, seen = stacked(lib), []

    def f(x, m):
        seen.append([n[:2] for n in names(lib, m)])
        return x + m.kernel.get_value().sum(), lib.Param(
            m.bias.get_value(), **named("out")
        )

    out = lib.scan(f, **layers(lib))(jnp.zeros(()), model)[1]
    return seen[0], names(lib, model, out)


def further(lib):
    cls = model_class(lib)
    metadata = {lib.PARTITION_NAME: None, "units": "n"}
    model = lib.vmap(cls, transform_metadata=metadata)(jnp.ones((N, 3, 4)))
    return names(lib, model), model.kernel.get_metadata()["units"]


def without_a_name(lib):
    model = lib.vmap(model_class(lib), transform_metadata={})(jnp.ones((N, 3, 4)))
    return names(lib, model)


def hooks(lib):
    log = []
    add = lambda v, axis, name: log.append(("add", axis, name))  # noqa: E731
    remove = lambda v, axis, name: log.append(("remove", axis, name))  # noqa: E731
    v = lib.Param(
        jnp.ones((3, N)),
        **named("a", "layers"),
        on_add_axis=(add,),
        on_remove_axis=(remove,),
    )
    lib.vmap(lambda v: v.get_value().sum(), in_axes=1, **layers(lib))(v)
    return log, names(lib, v)


def as_decorator(lib, **axes):
    model, seen = stacked(lib), []

    @lib.vmap(**axes)
    @lib.transform_metadata(partition="layers", **axes)
    def f(m):
        seen.append([n[:2] for n in names(lib, m)])
        m.bias.set_value(m.bias.get_value() * 2)
        return lib.Param(m.bias.get_value(), **named("out"))

    return seen, names(lib, f(model), model)


def jitted(lib):
    model, seen = stacked(lib), []

    def f(m):
        seen.append([n[:2] for n in names(lib, m)])
        m.bias.set_value(m.bias.get_value() * 2)

    lib.jit(lambda m: lib.vmap(f, **layers(lib))(m))(model)
    return seen, names(lib, model)


def scan(lib):
    def transform(f, in_axes=0, out_axes=0, **options):
        return lib.scan(f, in_axes=(in_axes,), out_axes=out_axes, **options)

    return transform


CASES = {
    "vmap-make": lambda lib: make(lib, lib.vmap),
    "vmap-make-1": lambda lib: make(lib, lib.vmap, out_axes=1),
    "scan-make": lambda lib: make(lib, scan(lib)),
    "vmap-use": lambda lib: use(lib, lib.vmap),
    "vmap-use-1": lambda lib: use(lib, lib.vmap, 1),
    "scan-use": lambda lib: use(lib, scan(lib)),
    "pmap-use": lambda lib: use(lib, lib.pmap),
    "by-filter": by_filter,
    "scan-carry": carried,
    "further": further,
    "without-a-name": without_a_name,
    "hooks": hooks,
    "decorator": as_decorator,
    "decorator-axes": lambda lib: as_decorator(lib, in_axes=0, out_axes=0),
    "jit": jitted,
}


@pytest.mark.peer
@pytest.mark.parametrize("name", CASES)
def test_names_are_those_of_flax(name):
    flax = pytest.importorskip("flax.nnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # flax announces that hooks will go
        expected = CASES[name](flax)
    assert CASES[name](nnx) == expected


@pytest.mark.parametrize("key", ["out_sharding", "sharding_names", "sharding"], ids=str)
def test_every_key_of_names_is_changed(key):
    v = nnx.Param(jnp.ones((N, 3)), **{key: ("layers", "out")})
    seen = []
    nnx.vmap(lambda v: seen.append(v.sharding_names), **layers(nnx))(v)
    assert (seen[0], v.sharding_names) == (("out",), ("layers", "out"))


def test_an_axis_counted_from_the_end_is_named_where_it_is():
    v = nnx.Param(jnp.ones((3, N)), out_sharding=("in", "layers"))
    seen = []
    nnx.vmap(
        lambda v: seen.append(v.out_sharding), in_axes=-1, out_axes=None, **layers(nnx)
    )(v)
    assert (seen[0], v.out_sharding) == (("in",), ("in", "layers"))


def test_names_that_come_back_are_no_change_of_structure():
    model = stacked(nnx)
    before, version = snapshot(model), model.kernel._oakum_version
    step = nnx.jit(nnx.vmap(lambda m: m.kernel.value.sum(), **layers(nnx)))
    for _ in range(3):
        step(model)
    assert snapshot(model) == before
    assert model.kernel._oakum_version == version
    assert step._cache_size() == 1


MAPS = {
    "vmap": lambda f: nnx.vmap(f, **layers(nnx)),
    "scan": lambda f: nnx.scan(f, in_axes=(0,), out_axes=0, **layers(nnx)),
    "decorator": lambda f: nnx.transform_metadata(f, partition="layers"),
}


@pytest.mark.parametrize("name", MAPS)
def test_another_name_is_an_error_and_changes_nothing(name):
    model = stacked(nnx)
    model.kernel.set_metadata(out_sharding=("stages", "in", "out"))
    before = snapshot(model)
    with pytest.raises(
        ArgumentValueError,
        match=r"(?s)axis 0 of args\[0\]\.kernel is named 'stages'.*'layers'.*PARTITION",
    ):
        MAPS[name](lambda m: m.kernel.value.sum())(model)
    assert snapshot(model) == before


def test_repeat_names_the_axes_of_its_stack():
    init = nnx.with_partitioning(nnx.initializers.ones_init(), (None, "model"))
    stack = nnx.Repeat(nnx.Linear, N, 3, 3, kernel_init=init, rngs=nnx.Rngs(0))
    assert stack.layers.kernel.out_sharding == (None, None, "model")
    assert stack(jnp.ones((1, 3))).shape == (1, 3)
    layers = stack.unstack()
    assert layers[0].kernel.out_sharding == (None, "model")
    again = nnx.Repeat.stack(layers)
    assert nnx.graphdef(again) == nnx.graphdef(stack)
