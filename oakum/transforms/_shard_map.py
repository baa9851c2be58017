"""shard_map and pmap: a function that takes objects, run on each device's part."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, overload

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from .._compiled._shardings import StateSharding
from .._engine._modes import MISSING, keeping, modeless
from .._engine._signature import by_position
from .._engine._traceback import trimmed
from .._engine.axes._axes import Axes
from .._engine.axes._by_filter import ByFilter, by_path
from .._engine.axes._lengths import axis_length
from .._engine.axes._mapped import Mapped
from .._engine.axes._prefix import StateAxes
from .._guard import ROOT, current_trace
from .._typing import P as Params
from .._typing import R
from ..errors import ArgumentError, OakumError
from ._jit import jit

if TYPE_CHECKING:
    from .._typed import JitWrapped

    class PmapOptions(TypedDict, total=False):
        """Those of `pmap`."""

        axis_name: Any
        in_axes: Any
        out_axes: Any
        static_broadcasted_argnums: int | Sequence[int]
        devices: Sequence[Any] | None
        backend: str | None
        axis_size: int | None
        donate_argnums: int | Sequence[int]
        transform_metadata: Mapping[str, Any] | None


@keeping
def shard_map(
    f: Any = MISSING,
    *,
    mesh: Any,
    in_specs: Any,
    out_specs: Any,
    axis_names: Iterable[Any] = frozenset(),
    check_vma: bool = True,
) -> Any:
    """A function that runs `f` on each device, on its part of the arguments.

    Args:
        f: takes and returns objects and arrays; left out where used as a decorator.
        mesh: the devices, a `jax.sharding.Mesh`.
        in_specs: a `PartitionSpec`, a `StateSharding` of these for an object, or one of
            these for each argument.
        out_specs: likewise for what `f` returns; None for what is None, or whole.
        axis_names, check_vma: as for `jax.shard_map`.

    Returns:
        A function of the same arguments. Their Variables are spread by their specs
        afterwards, whether `f` writes them or not.

    Raises:
        ArgumentError: a Variable has two specs, or is written by each device though
            all share it; a bare array of an object has a spec.

    Example:
        >>> import oakum as nnx, jax, jax.numpy as jnp
        >>> from jax.sharding import Mesh, PartitionSpec as P
        >>> mesh = Mesh(jax.devices()[:2], ('data',))
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> @nnx.shard_map(mesh=mesh, in_specs=(P(), P('data')), out_specs=P('data'))
        ... def forward(model, x):
        ...     return model(x)
        >>> forward(model, jnp.ones((4, 2))).shape
        (4, 3)
    """
    in_specs, out_specs = by_path((in_specs, out_specs), StateSharding)
    in_specs, out_specs = _whole(in_specs), _whole(out_specs)
    options: dict[str, Any] = {
        "mesh": mesh,
        "axis_names": frozenset(axis_names),
        "check_vma": check_vma,
    }

    @functools.wraps(f)
    @trimmed
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = by_position(f, args, kwargs, in_specs)
        mapped = Mapped(
            "shard_map",
            f,
            args,
            kwargs,
            in_specs,
            out_specs,
            keywords=P(),
            new=P(),
            whole=P(),
        )
        try:
            result = mapped.run(
                lambda pure, inputs, outputs: jax.shard_map(
                    pure, in_specs=inputs, out_specs=outputs, **options
                )
            )
            _spread(mapped, mesh)
            return result
        except ValueError as error:
            shared = mapped.written_whole()
            ours = isinstance(error, OakumError)
            if ours or not shared or "replicat" not in str(error):
                raise
            raise ArgumentError(
                "shard_map: each device writes its own value to what all share: "
                f"{', '.join(shared)}",
                remedy="make the value the same on all (jax.lax.pmean over the mesh "
                "axis), or give it a spec of its own: nnx.StateSharding({...: P(axis)}"
                ").",
            ) from error

    return wrapped


def _whole(specs: Any) -> Any:
    """Specs where None stands for all of a value."""
    return jax.tree.map(
        lambda x: P() if x is None else x, specs, is_leaf=lambda x: x is None
    )


def _spread(mapped: Mapped, mesh: Any) -> None:
    """Puts the Variables of the arguments where their specs say."""
    if current_trace() != ROOT or not isinstance(mesh, Mesh):
        return
    for variable in mapped.body.flat.variables:
        value, spec = variable._raw, mapped.given.by_variable[id(variable)]
        sharding = NamedSharding(mesh, spec)
        if isinstance(value, jax.Array) and not value.sharding.is_equivalent_to(
            sharding, value.ndim
        ):
            variable._raw = jax.device_put(value, sharding)


@overload
def pmap(
    f: Callable[Params, R],
    **options: Unpack[PmapOptions],
) -> JitWrapped[Params, R]: ...
@overload
def pmap(
    **options: Unpack[PmapOptions],
) -> Callable[[Callable[Params, R]], JitWrapped[Params, R]]: ...
@modeless
def pmap(
    f: Any = MISSING,
    *,
    axis_name: Any = None,
    in_axes: Any = 0,
    out_axes: Any = 0,
    static_broadcasted_argnums: int | Sequence[int] = (),
    devices: Sequence[Any] | None = None,
    backend: str | None = None,
    axis_size: int | None = None,
    donate_argnums: int | Sequence[int] = (),
    transform_metadata: Mapping[str, Any] | None = None,
) -> Any:
    """A function that runs `f` on several devices, one index of an axis on each.

    It is `jit` of `shard_map`, for programs that have it; new ones use these.

    Args:
        f: takes and returns objects and arrays; left out where used as a decorator.
        axis_name: a name of the axis, for collectives.
        in_axes, out_axes: as for `vmap`.
        static_broadcasted_argnums: positions of arguments that are configuration.
        devices: the devices to use; by default all.
        backend: whose devices, such as `cpu`.
        axis_size: the size of the axis, where no argument has it.
        donate_argnums: as for `jit`.
        transform_metadata: as for `vmap`.

    Returns:
        A function of the same arguments.

    Raises:
        ArgumentError: there are fewer devices than the axis is long.

    Example:
        >>> import oakum as nnx, jax, jax.numpy as jnp
        >>> total = nnx.pmap(lambda x: jax.lax.psum(x, 'i'), axis_name='i')
        >>> total(jnp.arange(3.0)).tolist()
        [3.0, 3.0, 3.0]
    """
    in_axes, out_axes = by_path((in_axes, out_axes), StateAxes)
    name = "pmap" if axis_name is None else axis_name
    static = static_broadcasted_argnums
    static = (static,) if isinstance(static, int) else tuple(static)

    @functools.wraps(f)
    @trimmed
    def on_devices(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = by_position(f, args, kwargs, in_axes)
        fixed = {n + len(args) if n < 0 else n for n in static}
        mapped = [i for i in range(len(args)) if i not in fixed]
        axes = (*_axes_of(mapped, in_axes, len(args)), 0)  # the last is for `kwargs`
        moved = (*[args[i] for i in mapped], kwargs)
        used = _first_devices(_size(axes, moved, axis_size), devices, backend)

        def call(*inner: Any) -> Any:
            *positional, keywords = inner
            whole = list(args)
            for i, arg in zip(mapped, positional, strict=True):
                whole[i] = arg
            return f(*whole, **keywords)

        def on_one(*parts: Any) -> Any:
            prefixes = axes, out_axes
            one = Mapped.over_axes(
                "pmap", call, (parts, {}), prefixes, transform_metadata
            )
            return one.run(_without_axis)

        return shard_map(
            on_one,
            mesh=Mesh(np.array(used), (name,)),
            in_specs=_specs(axes, name),
            out_specs=_specs(out_axes, name),
        )(*moved)

    return jit(
        on_devices,
        static_argnums=static or None,
        donate_argnums=donate_argnums or None,
    )


def _without_axis(
    pure: Callable[..., dict[str, list]], inputs: tuple, outputs: dict[str, Any]
) -> Callable[..., dict[str, list]]:
    """Takes an axis of size one away from what a function gets, and puts it back."""

    def along(change: Callable[..., Any], values: Any, axes: Any) -> list:
        return [
            value
            if axis is None
            else jax.tree.map(lambda x, axis=axis: change(x, axis), value)
            for value, axis in zip(values, axes, strict=True)
        ]

    def run(*values: Any) -> dict[str, list]:
        taken = [
            along(jnp.squeeze, v, axes) for v, axes in zip(values, inputs, strict=True)
        ]
        return {
            kind: along(jnp.expand_dims, found, [outputs[kind]] * len(found))
            for kind, found in pure(*taken).items()
        }

    return run


def _axes_of(mapped: list[int], in_axes: Any, count: int) -> Sequence[Any]:
    """The axes of the positional arguments that are mapped.

    Args:
        mapped: their positions.
        in_axes: one for all, or for each of them, or for each argument.
        count: how many arguments there are.
    """
    if not isinstance(in_axes, tuple | list):
        return [in_axes] * len(mapped)
    return in_axes if len(in_axes) < count else [in_axes[i] for i in mapped]


def _first_devices(
    count: int, devices: Sequence[Any] | None, backend: str | None
) -> list[Any]:
    """As many devices as the axis is long."""
    available = list(devices or jax.devices(backend))
    if count > len(available):
        raise ArgumentError(
            f"pmap: the axis has size {count}, but there are {len(available)} devices",
            remedy="use nnx.vmap, or reshape to the number of devices.",
        )
    return available[:count]


def _size(axes: tuple, args: tuple, axis_size: int | None) -> int:
    given = Axes()
    flat = given.of_arguments(axes, args)
    size = axis_length("pmap", flat, given, axis_size)
    if size is None:
        raise ArgumentError(
            "pmap: no argument has the mapped axis", remedy="give axis_size=."
        )
    return size


def _specs(axes: Any, name: Any) -> Any:
    """PartitionSpecs for what axes say."""

    def spec(axis: Any) -> Any:
        if isinstance(axis, ByFilter):
            pairs = zip(axis.filters, axis.chosen, strict=True)
            return StateSharding([(filter, spec(one)) for filter, one in pairs])
        if axis is not None and axis < 0:
            raise ArgumentError(
                f"pmap: an axis must not be negative, got {axis}",
                remedy="count it from the front.",
            )
        return P() if axis is None else P(*[None] * axis, name)

    return jax.tree.map(spec, axes, is_leaf=lambda x: x is None)
