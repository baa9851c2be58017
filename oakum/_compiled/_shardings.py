"""Shardings of the arguments and results of `jit`."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from .._compat import ConcreteArray
from .._engine._lift import Flat
from .._engine.axes._by_filter import ByFilter
from .._graph import leaves
from .._objects import Variable, get_value, is_object, set_value
from ..errors import ArgumentError, ArgumentValueError
from ..sharding import axes_of


class StateSharding(ByFilter):
    """A sharding for the state of an argument, by filter.

    Args:
        filter_sharding: a mapping from filter to sharding, or (filter, sharding) pairs;
            the first filter that selects a Variable decides.

    Example:
        >>> import oakum as nnx, jax
        >>> one = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        >>> nnx.StateSharding({nnx.Param: one, ...: None}).filters
        (<class 'oakum._objects.variables._kinds.Param'>, Ellipsis)
    """

    def __init__(self, filter_sharding: Any):
        super().__init__(filter_sharding)

    @property
    def shardings(self) -> tuple[Any, ...]:
        """The shardings."""
        return self.chosen


_ON_ONE_DEVICE = {jax.sharding.SingleDeviceSharding, type(None)}


def spread_of(variables: Iterable[Variable]) -> tuple[Any, ...]:
    """Where each Variable's array lies; empty where none is on several devices."""
    found = [
        value.sharding if type(value) is ConcreteArray else None
        for value in map(get_value, variables)
    ]
    if set(map(type, found)) <= _ON_ONE_DEVICE:  # nearly always, and seen at once
        return ()
    spread = [_in_short(x) if x and x.num_devices > 1 else None for x in found]
    return tuple(spread) if any(spread) else ()


@functools.lru_cache(maxsize=1024)
def _in_short(sharding: Any) -> Any:
    """The same for all that are alike: `P('x', None)` and `P('x')` are unequal."""
    if not isinstance(sharding, NamedSharding):
        return sharding
    size, entries = sharding.mesh.shape, []
    for entry in sharding.spec:
        axes = tuple([axis for axis in axes_of(entry) if size[axis] > 1])
        entries.append(axes if len(axes) > 1 else (*axes, None)[0])
    while entries and entries[-1] is None:
        entries.pop()
    kind = sharding.memory_kind
    return NamedSharding(sharding.mesh, PartitionSpec(*entries), memory_kind=kind)


def lie_as(known: tuple[Any, ...], variables: Iterable[Variable]) -> bool:
    """Whether Variables lie where `spread_of` found them.

    What lay on one device goes to all of them in a first step with others that do.
    """
    now = spread_of(variables)
    if not (known and now):
        return not (known or now)
    pairs = zip(known, now, strict=True)
    return all(one is None or one == other for one, other in pairs)


def expand_in_shardings(
    shardings: Any, flat: Flat, args: tuple, kwargs: dict, static: frozenset
) -> tuple:
    """One sharding (or prefix) for each positional value of a compiled function."""
    dynamic_args = [(i, a) for i, a in enumerate(args) if i not in static]
    if isinstance(shardings, tuple | list):
        if len(shardings) != len(dynamic_args):
            raise ArgumentError(
                f"in_shardings has {len(shardings)} entries for "
                f"{len(dynamic_args)} arguments that are not static",
                remedy="give one for each, None where JAX is to choose.",
            )
        given = list(shardings)
    else:
        given = [shardings] * len(dynamic_args)
    by_leaf: dict[int, Any] = {}
    dynamic = []
    for (_, arg), sharding in zip(dynamic_args, given, strict=True):
        parts = jax.tree.leaves(arg, is_leaf=is_object)
        if not any(map(is_object, parts)):
            dynamic.append(sharding)
            continue
        for part in parts:
            if not is_object(part):
                dynamic.append(sharding)
                continue
            for path, leaf in leaves(part):
                one = (
                    sharding.select(path, leaf)
                    if isinstance(sharding, StateSharding)
                    else sharding
                )
                known = by_leaf.setdefault(id(leaf), one)
                if not _alike(known, one, leaf):
                    raise ArgumentValueError(
                        f"in_shardings: one {type(leaf).__name__}, at "
                        f"{'.'.join(map(str, path)) or 'the root'} of an argument, has "
                        f"two shardings: {known} and {one}",
                        remedy="give a shared Variable the same sharding everywhere.",
                    )
    dynamic += [None] * len(kwargs)
    state = [by_leaf.get(id(v)) for v in flat.variables]
    return (*state, *[None] * len(flat.places), *dynamic)


def place_state(
    shardings: Any, key: tuple, flat: Flat, args: tuple, static: frozenset
) -> None:
    """Puts the Variables of the arguments where a compiled function wants them.

    Small ones that JAX placed, as counters, go to the mesh of the others. They stay
    there, so that later calls move nothing. What only traces moves nothing.

    Args:
        shardings: the `in_shardings`, or None.
        key: that of the plan.
        flat: the arguments, taken apart.
        args: the positional ones, as they were given.
        static: which of them are static.
    """
    if key[:1] == ("trace",):
        return
    _join_mesh(flat.variables)
    if shardings is None:
        return
    wanted = expand_in_shardings(shardings, flat, args, {}, static)
    moved = []
    for variable, one in zip(flat.variables, wanted, strict=False):
        value = get_value(variable)
        if (
            isinstance(one, jax.sharding.Sharding)
            and type(value) is ConcreteArray
            and not value.is_deleted()
            and not value.sharding.is_equivalent_to(one, value.ndim)
        ):
            moved.append((variable, value, one))
    if moved:
        variables, values, places = zip(*moved, strict=True)
        new = jax.device_put(values, places)
        for variable, value in zip(variables, new, strict=True):
            set_value(variable, value)


_SMALL = 1024  # bytes


def _join_mesh(variables: Sequence[Variable]) -> None:
    """Puts small arrays that JAX placed, as counters, on the mesh of all the others.

    The first step would leave them there, so that the second was traced again.
    """
    meshes = {x.mesh for x in spread_of(variables) if isinstance(x, NamedSharding)}
    if len(meshes) != 1:
        return
    place = NamedSharding(meshes.pop(), PartitionSpec())
    for variable, value in zip(variables, map(get_value, variables), strict=True):
        if type(value) is ConcreteArray and _is_small_and_free(value):
            set_value(variable, _on_each(value, place))


def _is_small_and_free(value: jax.Array) -> bool:
    if value.committed or value.is_deleted() or value.nbytes > _SMALL:
        return False
    is_key = jnp.issubdtype(value.dtype, jax.dtypes.extended)
    return value.sharding.num_devices == 1 and not (is_key and jax.process_count() > 1)


def _on_each(value: jax.Array, place: NamedSharding) -> jax.Array:
    if place.is_fully_addressable:  # of one buffer there would be two arrays
        return jax.device_put(value.copy(), place)
    host = np.asarray(value)
    return jax.make_array_from_callback(host.shape, place, lambda index: host[index])


def _alike(known: Any, other: Any, leaf: Any) -> bool:
    if known is other or known is None or other is None:
        return True
    ndim = jnp.ndim(leaf.get_raw_value() if isinstance(leaf, Variable) else leaf)
    same = getattr(known, "is_equivalent_to", None)  # a PartitionSpec has none
    return known == other or (same is not None and same(other, ndim))


def constrain_result(shardings: Any, result: Any) -> Any:
    """Puts shardings on what a function returns.

    Args:
        shardings: a sharding, or a pytree of them that is a prefix of the result.
        result: arrays and objects.
    """
    if shardings is None or isinstance(
        shardings, jax.sharding.Sharding | StateSharding
    ):
        return jax.tree.map(
            lambda x: _constrain(shardings, x), result, is_leaf=is_object
        )
    if isinstance(shardings, tuple | list):
        parts = zip(shardings, result, strict=True)
        return type(result)([constrain_result(s, r) for s, r in parts])
    return {k: constrain_result(shardings.get(k), r) for k, r in result.items()}


def _constrain(sharding: Any, value: Any) -> Any:
    if sharding is None:
        return value
    if not is_object(value):
        return jax.lax.with_sharding_constraint(value, sharding)
    for path, leaf in leaves(value):
        one = (
            sharding.select(path, leaf)
            if isinstance(sharding, StateSharding)
            else sharding
        )
        if isinstance(leaf, Variable) and one is not None:
            constrained = jax.lax.with_sharding_constraint(leaf.get_raw_value(), one)
            leaf.set_raw_value(constrained)
    return value
