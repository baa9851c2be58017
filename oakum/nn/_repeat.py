"""Repeat: a stack of equal layers, held and run as one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from .._graph import leaves
from .._objects import (
    PARTITION_NAME,
    Module,
    RngState,
    Variable,
    is_array,
    is_object,
    module_path,
)
from .._repr import shape_text
from .._rngs import Rngs
from .._state import clone, graphdef, merge, split
from ..errors import ArgumentError, ShapeError, StructureError
from ..transforms import AxisNames, Carry, StateAxes, remat, scan

_SHARED = StateAxes({RngState: Carry, ...: None})
_NAMES = {PARTITION_NAME: None}  # the axis of layers has none


class Repeat(Module):
    """`n` layers of one kind, one after the other: `x = layer(x)` for each.

    Their Variables are stacked along a first axis, and a call loops over them, so that
    one layer is traced and compiled however many there are. Parameters, dropout masks
    and statistics are those of the layers in a Python loop, made one after the other
    from the same streams.

    Args:
        make: makes a layer: called with `*args`, `**kwargs` and `rngs`. A layer takes
            an array and returns one of its shape and dtype.
        n: the number of layers.
        *args, **kwargs: passed to `make`.
        rngs: the streams that the layers are made from.
        remat: whether the gradient computes a layer's activations again instead of
            keeping them.
        policy: what to keep all the same, one of `jax.checkpoint_policies`.
        unroll: how many layers to compile as one step of the loop.

    Attributes:
        layers: one layer, its Variables of shape `(n, ...)`.

    Raises:
        ArgumentError: `n` is not positive; `make` gives no module.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> stack = nnx.Repeat(nnx.Linear, 12, 4, 4, rngs=nnx.Rngs(0))
        >>> stack.layers.kernel.shape, stack(jnp.ones((2, 4))).shape
        ((12, 4, 4), (2, 4))
    """

    def __init__(
        self,
        make: Callable[..., Any],
        n: int,
        *args: Any,
        rngs: Rngs,
        remat: bool = False,
        policy: Callable[..., bool] | None = None,
        unroll: int = 1,
        **kwargs: Any,
    ):
        if n < 1:
            raise ArgumentError(
                f"Repeat: the number of layers is {n}", remedy="give at least 1."
            )

        def make_next(rngs: Rngs) -> tuple[Rngs, Any]:
            layer = make(*args, rngs=rngs, **kwargs)
            _check_layer(layer, rngs)
            return rngs, layer

        loop = scan(
            make_next,
            in_axes=(Carry,),
            out_axes=(Carry, 0),
            length=n,
            transform_metadata=_NAMES,
        )
        self._set_up(loop(rngs)[1], n, remat, policy, unroll)

    def _set_up(
        self,
        layers: Any,
        n: int,
        remat: bool = False,
        policy: Any = None,
        unroll: int = 1,
    ) -> None:
        self.layers = layers
        self.n = n
        self.remat = remat
        self.policy = policy
        self.unroll = unroll

    def __call__(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Applies the layers in order.

        Args:
            x: what the first layer takes, an array or a pytree of them.
            *args, **kwargs: passed to every layer, such as a mask. Streams among them
                go from one layer to the next. Of a Repeat, such as one of KVCaches,
                each layer gets the one of its number.

        Returns:
            What the last layer returns, of the form of `x`.

        Raises:
            ShapeError: a layer returns another shape or dtype than it takes.
            ArgumentError: a Repeat among the arguments has another number of layers.
        """
        given = (*args, *kwargs.values())
        axes, names = tuple(map(_axis, given)), tuple(kwargs)
        given = tuple(self._layers_of(value) for value in given)
        loop = _loop(self.n, self.remat, self.policy, self.unroll, axes, names)
        return loop(x, self.layers, *given)

    def _layers_of(self, value: Any) -> Any:
        """What the loop over the layers is given of an argument."""
        if not isinstance(value, Repeat):
            return value
        if value.n != self.n:
            raise ArgumentError(
                f"A Repeat of {self.n} layers was passed a Repeat of {value.n}",
                where=module_path(self),
                remedy=f"stack {self.n}, one for each layer: nnx.Repeat.stack([...]).",
            )
        return value.layers

    def __len__(self) -> int:
        return self.n

    def unstack(self) -> list[Any]:
        """The layers as a list of modules, for a checkpoint or a look at each."""
        stacked = clone(self.layers)
        names = AxisNames("Repeat.unstack", _NAMES)
        for path, leaf in leaves(stacked):
            if isinstance(leaf, Variable):
                names.remove(leaf, 0, lambda path=path: ".".join(map(str, path)))
        definition, state = split(stacked)
        return [
            merge(definition, jax.tree.map(lambda x, i=i: x[i], state))
            for i in range(self.n)
        ]

    @classmethod
    def stack(cls, layers: Sequence[Any], **options: Any) -> Repeat:
        """A Repeat of layers that there are already.

        Args:
            layers: modules of one structure.
            **options: `remat`, `policy` and `unroll` of the constructor.

        Raises:
            ArgumentError: there are no layers.
            StructureError: the structures differ, or the sizes of Variables.
        """
        if not layers:
            raise ArgumentError(
                "Repeat.stack: there are no layers", remedy="give at least one."
            )
        definition = graphdef(layers[0])
        for number, layer in enumerate(layers):
            if graphdef(layer) != definition:
                raise StructureError(
                    f"Repeat.stack: layer {number} has another structure than layer 0",
                    remedy="stack layers of one class and configuration.",
                )
            _check_alike(layers[0], layer, number)
        states = [split(layer)[1] for layer in layers]
        stacked = jax.tree.map(lambda *xs: jnp.stack(xs), *states)
        new = cls.__new__(cls)
        new._set_up(merge(definition, stacked), len(layers), **options)
        names = AxisNames("Repeat.stack", _NAMES)
        for _, leaf in leaves(new.layers):
            if isinstance(leaf, Variable):
                names.add(leaf, 0)
        return new

    def __iter__(self) -> Iterator[Any]:
        return iter(self.unstack())


def _check_layer(layer: Any, rngs: Rngs) -> None:
    """Raises where it is no layer, or keeps what all layers are made from."""
    if not is_object(layer):
        raise ArgumentError(
            f"Repeat: a layer is a module, but make gave a {type(layer).__name__}",
            remedy="pass a module's class, or a function that makes one.",
        )
    known = {id(variable) for _, variable in leaves(rngs)}
    if any(id(variable) in known for _, variable in leaves(layer)):
        raise ArgumentError(
            f"Repeat: {type(layer).__name__} keeps the streams that it was made from, "
            "which all layers would share",
            remedy="keep a fork in the layer: self.rngs = rngs.fork().",
        )


def _check_kept(layer: Any, x: Any, out: Any) -> None:
    """Raises a ShapeError unless `out` could be the input of the next layer."""
    if is_array(x) and is_array(out) and x.shape == out.shape and x.dtype == out.dtype:
        return
    expected, got = (jax.tree.map(_type_text, y) for y in (x, out))
    if expected != got:
        raise ShapeError(
            f"Repeat expects a {type(layer).__name__} to return what it takes, "
            f"{expected}, but it returns {got}",
            where=module_path(layer),
            remedy="give its input and output the same width, and cast the input to "
            "the dtype of the output, as in repeat(x.astype(jnp.bfloat16)).",
        )


def _type_text(value: Any) -> str:
    return shape_text(jax.typeof(value))  # a number has a type as well


def _check_alike(first: Any, layer: Any, number: int) -> None:
    """Raises a StructureError unless the Variables of both have the same shapes."""
    lines = [
        f"{'.'.join(map(str, path))}: expected {a.dtype}{list(a.shape)}, got "
        f"{b.dtype}{list(b.shape)}"
        for (path, a), (_, b) in zip(leaves(first), leaves(layer), strict=True)
        if (a.shape, a.dtype) != (b.shape, b.dtype)
    ]
    if lines:
        raise StructureError(
            f"Repeat.stack: layer {number} has other sizes than layer 0"
            + "".join(f"\n  {line}" for line in lines),
            remedy="stack layers of one class and configuration.",
        )


def _axis(value: Any) -> Any:
    if isinstance(value, Repeat):
        return 0
    parts = jax.tree.leaves(value, is_leaf=is_object)
    return _SHARED if any(map(is_object, parts)) else None


@functools.lru_cache(maxsize=256)
def _loop(
    n: int, again: bool, policy: Any, unroll: int, axes: tuple, names: tuple
) -> Callable[..., Any]:
    """The loop over the layers: the same for all calls, so that it is traced once.

    Args:
        n: the number of layers.
        again: whether the gradient computes a layer's activations again.
        policy, unroll: as for `Repeat`.
        axes: the axis of each further argument.
        names: the last of these are keyword arguments.
    """

    def step(x: Any, layer: Any, *given: Any) -> Any:
        first = len(given) - len(names)
        out = layer(x, *given[:first], **dict(zip(names, given[first:], strict=True)))
        _check_kept(layer, x, out)
        return out

    return scan(
        remat(step, prevent_cse=False, policy=policy) if again else step,
        in_axes=(Carry, 0, *axes),
        out_axes=Carry,
        length=n,
        unroll=unroll,
        transform_metadata=_NAMES,
    )
