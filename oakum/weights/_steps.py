"""Steps between an array as a file has it and as a layer wants it; each has a way back.

A *part* is what one layer takes of a tensor that holds the arrays of several, such as
the queries of `in_proj_weight`. Both are hashable, so that a program compiled for one
tensor serves all like it, and work on NumPy's and on JAX's arrays.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Transpose:
    """Axis `i` of the result is axis `axes[i]`."""

    axes: tuple[int, ...]

    def apply(self, x: Any) -> Any:
        """The array in the other order of axes."""
        return x.transpose(self.axes)

    @property
    def inverse(self) -> Transpose:
        """The way back."""
        return Transpose(tuple(int(i) for i in np.argsort(self.axes)))

    def shape_before(self, shape: Shape) -> Shape:
        """The shape that this makes into `shape`."""
        return tuple(shape[i] for i in self.inverse.axes)

    def __str__(self) -> str:
        return "transposed"


@dataclasses.dataclass(frozen=True)
class Reshape:
    """From one shape to another of as many elements."""

    old: Shape
    new: Shape

    def apply(self, x: Any) -> Any:
        """The array in the new shape."""
        return x.reshape(self.new)

    @property
    def splits(self) -> bool:
        """Whether each axis becomes some of the new ones, in any order of memory."""
        rest = list(reversed(self.new))
        for size in self.old:
            while rest and rest[-1] and size > 1 and size % rest[-1] == 0:
                size //= rest.pop()
            if size > 1:
                return False
        return all(size == 1 for size in rest)

    @property
    def inverse(self) -> Reshape:
        """The way back."""
        return Reshape(self.new, self.old)

    def shape_before(self, shape: Shape) -> Shape:
        """The shape that this makes into `shape`."""
        return self.old

    def __str__(self) -> str:
        return f"reshaped to {self.new}"


@dataclasses.dataclass(frozen=True)
class Flip:
    """Axes the other way round."""

    axes: tuple[int, ...]

    def apply(self, x: Any) -> Any:
        """The array with these axes reversed."""
        backward = slice(None, None, -1)
        return x[
            tuple(backward if i in self.axes else slice(None) for i in range(x.ndim))
        ]

    @property
    def inverse(self) -> Flip:
        """Itself."""
        return self

    def shape_before(self, shape: Shape) -> Shape:
        """The same."""
        return shape

    def __str__(self) -> str:
        return f"flipped along {self.axes}"


Step = Transpose | Reshape | Flip
Steps = tuple[Step, ...]


@dataclasses.dataclass(frozen=True)
class Part:
    """What is taken of a tensor along one axis.

    The axis is seen as of shape `view`, and of that `axis_in_view` from `start` to
    `stop` is taken: blocks with a view of one axis, every other row with `(n, 2)`, the
    rows of each head with `(heads, 3, depth)`.
    """

    axis: int
    view: Shape
    axis_in_view: int
    start: int
    stop: int

    def take(self, x: Any) -> Any:
        """The part of an array."""
        pre, post = x.shape[: self.axis], x.shape[self.axis + 1 :]
        seen = x.reshape(*pre, *self.view, *post)
        return seen[self._index(len(pre))].reshape(*pre, -1, *post)

    def put(self, whole: np.ndarray, piece: np.ndarray) -> None:
        """Writes the part into an array, which lies in memory as one piece."""
        pre, post = whole.shape[: self.axis], whole.shape[self.axis + 1 :]
        seen = whole.reshape(*pre, *self.view, *post)
        at = self._index(len(pre))
        seen[at] = piece.reshape(seen[at].shape)

    def whole_shape(self, shape: Shape) -> Shape:
        """The shape of the tensor that has a part of this shape."""
        size = math.prod(self.view)
        return (*shape[: self.axis], size, *shape[self.axis + 1 :])

    @property
    def is_block(self) -> bool:
        """Whether it lies in memory as one piece."""
        return self.axis == 0 and len(self.view) == 1

    def _index(self, leading: int) -> tuple[slice, ...]:
        at = leading + self.axis_in_view
        return (*[slice(None)] * at, slice(self.start, self.stop))

    def __str__(self) -> str:
        if len(self.view) == 1:
            return f"{self.start}:{self.stop} of axis {self.axis}"
        return f"{self.start}:{self.stop} of axis {self.axis} seen as {self.view}"


def inverse(steps: Steps) -> Steps:
    """The steps back."""
    return tuple(step.inverse for step in reversed(steps))


def shape_before(steps: Steps, shape: Shape) -> Shape:
    """The shape that the steps make into `shape`."""
    for step in reversed(steps):
        shape = step.shape_before(shape)
    return shape


def apply(steps: Steps, x: Any) -> Any:
    """The array after all steps."""
    for step in steps:
        x = step.apply(x)
    return x


def moves_alone(steps: Steps) -> bool:
    """Whether the steps leave an array of NumPy's where it is in memory."""
    return all(not isinstance(step, Reshape) or step.splits for step in steps)


def _convert(
    arrays: list[Any], parts: tuple[Part | None, ...], steps: Steps, dtype: Any
) -> jax.Array:
    pieces = [
        x if part is None else part.take(x)
        for x, part in zip(arrays, parts, strict=True)
    ]
    total = functools.reduce(jnp.add, pieces)
    out = apply(steps, total).astype(dtype)
    # The argument itself would be the bytes of the file.
    return jnp.copy(out) if out is arrays[0] else out


convert = jax.jit(_convert, static_argnums=(1, 2, 3))


@functools.partial(jax.jit, static_argnums=(2, 3, 4), donate_argnums=0)
def convert_into(
    stack: jax.Array,
    arrays: list[Any],
    parts: tuple[Part | None, ...],
    steps: Steps,
    leading: int,
    index: jax.Array,
) -> jax.Array:
    """`convert`, into a stack of such arrays, whose memory is used again.

    Args:
        stack: the arrays so far.
        arrays, parts, steps: as for `convert`.
        leading: how many axes of the stack number the arrays.
        index: `(leading,)`, which one this is.
    """
    value = _convert(arrays, parts, steps, stack.dtype)
    starts = [*index, *[jnp.zeros((), index.dtype)] * value.ndim]
    new = value.reshape((1,) * leading + value.shape)
    return jax.lax.dynamic_update_slice(stack, new, starts)
