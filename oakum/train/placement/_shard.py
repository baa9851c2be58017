"""shard and init_sharded: puts the state of objects on a mesh, or makes it there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from jax.core import Tracer
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding

from ..._compat._programs import sparing_options
from ..._compiled._jitted import Jitted
from ..._objects import Variable, bump, use_eager_sharding
from ...sharding import place_on_mesh
from ..checkpoint._contents import Item, check_alike, hold_values, is_key, put
from ..checkpoint._processes import spread_keys
from ._layout import Layout, collect_arrays, layout

T = TypeVar("T")


def shard(objects: Any, mesh: Mesh | AbstractMesh, rules: Any = None) -> Layout:
    """Puts the state of objects on a mesh, in place.

    What no rule selects, and names no axes in its metadata, is on each device. What an
    optimizer keeps for a parameter, or an `EMA`, goes where the parameter goes. Inside
    `nnx.jit` it says where the results are to lie. The same program runs on one device.

    In a program of several processes all of them call it, with equal objects.

    Args:
        objects: a model, an optimizer, an EMA, metrics, Rngs, or a tuple, list or dict
            of these. In abstract ones the arrays learn where they are to lie.
        mesh: the mesh; its axes may be Auto or Explicit.
        rules: a dict from a filter, or from the end of a path with `*` for parts of
            its steps, to the axes of the mesh for each axis of the array: a
            PartitionSpec or tuple of names and Nones. Names that
            `nnx.logical_axis_rules` knows stand for axes. A policy such as
            `nnx.fsdp('data')` may stand for the spec, or for all rules. `...` takes
            what the others leave. By default the metadata alone decides.

    Returns:
        The Layout: `print` shows path, array, spec and bytes a device.

    Raises:
        ArgumentValueError: a rule selects nothing, two disagree, or one and the
            metadata; an axis is not the mesh's, is named twice, or does not divide;
            lists all of these, and nothing was moved. Or processes hold different
            values; names the first array that differs.

    Example:
        >>> import oakum as nnx, jax, optax
        >>> mesh = jax.make_mesh((1,), ('data',))
        >>> model = nnx.Linear(2, 4, rngs=nnx.Rngs(0))
        >>> optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)
        >>> rules = {'kernel': (None, 'data')}
        >>> placed = nnx.shard((model, optimizer), mesh, rules)
        >>> tuple(optimizer.opt_state[0].mu.kernel.value.sharding.spec)
        (None, 'data')
    """
    found = layout(objects, mesh, rules)
    hold_values(found.items)
    if not any(_is_traced(item.leaves()) for item in found.items):
        check_alike("nnx.shard", found.items)
    pairs = zip(found.items, found.specs, strict=True)
    values = [(item, _placed(item, found.sharding(spec))) for item, spec in pairs]
    before = [item.leaves() for item in found.items]
    put(values)
    for (item, _), old in zip(values, before, strict=True):
        # A compiled step of objects on one device is another one than of spread ones.
        if isinstance(item.value, Variable) and not _is_traced(old):
            bump(item.value)
    return found


def init_sharded(make: Callable[[], T], mesh: Any, rules: Any = None) -> T:
    """Makes objects on a mesh, where no device ever holds more than its part.

    Args:
        make: a function without arguments that makes and returns the objects, the
            optimizer too. It runs once, compiled.
        mesh: the mesh.
        rules: as `shard` takes them.

    Returns:
        What `make` returns, with the values that it would have without a mesh, but for
        the last bit of some, which compiled code rounds in another way.

    Raises:
        ArgumentValueError: as `shard` raises it; nothing was made. Or processes made
            different values of what several of them hold.

    Example:
        >>> import oakum as nnx, jax
        >>> mesh = jax.make_mesh((1,), ('data',))
        >>> model = nnx.init_sharded(
        ...     lambda: nnx.Linear(2, 4, rngs=nnx.Rngs(0)), mesh, nnx.fsdp('data')
        ... )
        >>> model.kernel.shape
        (2, 4)
    """

    # Explicit axes are part of an array's type, and an initializer's is that of a whole
    # array: left to the compiler, it makes each part in its place.
    free = Mesh(
        mesh.devices, mesh.axis_names, axis_types=(AxisType.Auto,) * mesh.devices.ndim
    )
    layouts: list[Layout] = []

    def build() -> T:
        with use_eager_sharding(False):
            objects = make()
        layouts.append(shard(objects, free, rules))
        return objects

    options = sparing_options(mesh.devices.flat[0].platform)
    with jax.set_mesh(free):
        objects = Jitted(build, compiler_options=options).call()
    if free != mesh:
        items = collect_arrays(objects)
        put(
            (item, _placed(item, NamedSharding(mesh, spec), owned=False))
            for item, spec in zip(items, layouts[0].specs, strict=True)
        )
    if jax.process_count() > 1:
        check_alike("nnx.init_sharded", collect_arrays(objects))
    return objects


def _is_traced(leaves: list[tuple[str, Any]]) -> bool:
    return any(isinstance(leaf, Tracer) for _, leaf in leaves)


def _placed(item: Item, sharding: NamedSharding, owned: bool = True) -> Any:
    """The value of a place of state, on the mesh."""
    old = item.value.get_raw_value() if item.is_variable else item.value
    leaves = [_placed_leaf(leaf, sharding, owned) for _, leaf in item.leaves()]
    return jax.tree.unflatten(jax.tree.structure(old), leaves)


def _placed_leaf(leaf: Any, sharding: NamedSharding, owned: bool) -> Any:
    if isinstance(leaf, jax.ShapeDtypeStruct):
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
    if isinstance(leaf, Tracer):
        return place_on_mesh(leaf, sharding)
    if not hasattr(leaf, "shape") or getattr(leaf, "sharding", None) == sharding:
        return leaf
    if sharding.is_fully_addressable or not _is_local(leaf):
        if owned and sharding.shard_shape(leaf.shape) == leaf.shape:
            # The part on the device where it was would be the same buffer, though
            # `may_alias` be False, and die with a step that is given this one.
            leaf = leaf.copy()
        return jax.device_put(leaf, sharding)
    if is_key(leaf):
        bits = np.asarray(jax.random.key_data(leaf))
        impl = str(jax.random.key_impl(leaf))
        return spread_keys(bits, impl, sharding, leaf.shape)
    host = np.asarray(leaf)
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])


def _is_local(leaf: Any) -> bool:
    return getattr(leaf, "is_fully_addressable", True)
