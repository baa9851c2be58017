"""LinearGeneral: a linear map between several axes at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ..._objects import Module, VariableMetadata, static
from ..._rngs import Rngs
from ..._typing import Dtype, Initializer
from ...errors import ArgumentValueError, ShapeError
from .. import initializers
from .._compute import Settings, add_bias, compute
from .._dtypes import PromoteDtype, promote_dtype
from .._first_values import first_value
from .._params import as_tuple, param_maker, plain, size_error, value_of


def contract(
    using: Settings,
    inputs: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None,
    axes: tuple[int, ...],
    n_batch: int,
) -> jax.Array:
    """Contracts axes of `inputs` with `(*batch, *in, *out)` of `kernel`; adds `bias`.

    The result is `(*batch, *rest of inputs, *out)`.
    """
    batch_axes = tuple(range(n_batch))
    kernel_axes = tuple(range(n_batch, n_batch + len(axes)))
    out = using.multiply(inputs, kernel, ((axes, kernel_axes), (batch_axes,) * 2))
    if bias is not None:
        rest = (1,) * (inputs.ndim - n_batch - len(axes))
        bias = bias.reshape(*bias.shape[:n_batch], *rest, *bias.shape[n_batch:])
    return add_bias(out, bias)


class LinearGeneral(Module):
    """A linear map of one or several axes to one or several new ones.

    The new axes come last. The kernel is initialized as the matrix that it is once the
    input axes are joined to one, and the output axes to another.

    Attributes: `kernel`, a Param of shape `(*batch, *in_features, *out_features)`;
    `bias`, a Param of shape `(*batch, *out_features)` or None.

    Args:
        in_features: size of each axis that is mapped; an int for one axis.
        out_features: size of each axis of the result; an int for one axis.
        axis: the axes of the input that are mapped, as many as `in_features`. They are
            taken in ascending order, as `in_features` is to list them.
        batch_axis: for each leading axis its size, as in `{0: 3}`, to give each index
            along it a kernel of its own.
        use_bias: whether to add a bias.
        dtype: dtype of the computation; None infers it from input and parameters.
        param_dtype: dtype of the parameters.
        kernel_init: initializer of the kernel, called with its shape as a matrix.
        bias_init: initializer of the bias, called with its number of elements.
        precision: precision of the product, as `jax.lax.dot_general` takes it.
        promote_dtype: casts `(inputs, kernel, bias)`.
        dot_general: function to take the product with; None takes that of `jax.lax`.
        dot_general_cls: makes such a function in each call; goes before `dot_general`.
        preferred_element_type: dtype in which the product accumulates and is returned.
        rngs: gives the keys of the initializers, from its `params` stream.
        kernel_metadata: metadata of the kernel.
        bias_metadata: metadata of the bias.

    Raises:
        ArgumentValueError: not as many axes as `in_features`, or a `batch_axis` that
            does not lead.
        MissingRngError: no `rngs` for an initializer that draws.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> layer = nnx.LinearGeneral((2, 3), (4, 5), axis=(1, 2), rngs=nnx.Rngs(0))
        >>> layer.kernel.shape, layer(jnp.ones((7, 2, 3))).shape
        ((2, 3, 4, 5), (7, 4, 5))
    """

    output_dtype: Dtype | None = None  # set by `set_dtypes`

    def __init__(
        self,
        in_features: int | Sequence[int],
        out_features: int | Sequence[int],
        *,
        axis: int | Sequence[int] = -1,
        batch_axis: Mapping[int, int] = MappingProxyType({}),
        use_bias: bool = True,
        dtype: Dtype | None = None,
        param_dtype: Dtype = jnp.float32,
        kernel_init: Initializer = initializers.lecun_normal(),
        bias_init: Initializer = initializers.zeros,
        precision: Any = None,
        promote_dtype: PromoteDtype = promote_dtype,
        dot_general: Callable[..., jax.Array] | None = None,
        dot_general_cls: Any = None,
        preferred_element_type: Dtype | None = None,
        rngs: Rngs | None = None,
        kernel_metadata: Mapping[str, Any] = MappingProxyType({}),
        bias_metadata: Mapping[str, Any] = MappingProxyType({}),
    ):
        self.in_features = as_tuple(in_features)
        self.out_features = as_tuple(out_features)
        self.axis = as_tuple(axis)
        self.batch_axis = static({plain(k): plain(v) for k, v in batch_axis.items()})
        self.use_bias = use_bias
        self.dtype, self.param_dtype = dtype, param_dtype
        self.precision = precision
        self.dot_general, self.dot_general_cls = dot_general, dot_general_cls
        self.promote_dtype = promote_dtype
        self.preferred_element_type = preferred_element_type
        self._check_arguments()
        batch = _batch_shape(self)
        shape = (*batch, *self.in_features, *self.out_features)
        rows = math.prod(batch) * math.prod(self.in_features)
        make = param_maker(self, rngs, param_dtype)
        init = _as_matrix(kernel_init, (rows, math.prod(self.out_features)))
        self.kernel = make("kernel", init, shape, kernel_metadata)
        self.bias = None
        if use_bias:
            shape = (*batch, *self.out_features)
            init = _as_matrix(bias_init, (math.prod(shape),))
            self.bias = make("bias", init, shape, bias_metadata)

    def __call__(self, inputs: jax.Array, out_sharding: Any = None) -> jax.Array:
        """Applies the map.

        Args:
            inputs: any shape with `in_features` at `axis`.
            out_sharding: sharding of the output, for a mesh with explicit axes.

        Returns:
            An array of shape `(*batch, *rest, *out_features)`, where rest are the axes
            of the input that are neither mapped nor batch axes.

        Raises:
            ShapeError: the mapped axes are not `in_features`, or the leading axes not
                those of `batch_axis`.
        """
        axes = mapped_axes(self, inputs)
        batch_axes = tuple(range(len(self.batch_axis)))
        batch_shape = _batch_shape(self)
        if inputs.shape[: len(batch_axes)] != batch_shape:
            raise _size_error(self, inputs, batch_axes, batch_shape, "batch_axis")
        product = self.dot_general or lax.dot_general
        if self.dot_general_cls is not None:
            product = self.dot_general_cls()
        return compute(
            contract,
            self,
            inputs,
            value_of(self, "kernel"),
            value_of(self, "bias"),
            options=(axes, len(batch_axes)),
            product=product,
            out_sharding=out_sharding,
        )

    def _check_arguments(self) -> None:
        if len(self.in_features) != len(self.axis):
            raise ArgumentValueError(
                f"LinearGeneral has {len(self.in_features)} in_features="
                f"{self.in_features}, but {len(self.axis)} axis={self.axis}",
                remedy="pass one axis for each of in_features, as in "
                "nnx.LinearGeneral((2, 3), 4, axis=(-2, -1)).",
            )
        leading = range(len(self.batch_axis))
        if set(self.batch_axis) != set(leading):
            raise ArgumentValueError(
                f"batch_axis={self.batch_axis} of a LinearGeneral are not the leading "
                f"axes {tuple(leading)}",
                remedy="number them from 0 without a gap, as in {0: 3, 1: 5}, and move "
                "the axes of the input to the front.",
            )


def mapped_axes(layer: LinearGeneral, inputs: jax.Array) -> tuple[int, ...]:
    """The axes of the input that a layer maps, counted from the front, in order."""
    ndim = inputs.ndim
    if all(-ndim <= axis < ndim for axis in layer.axis):
        axes = tuple(sorted(axis % ndim for axis in layer.axis))
        if tuple(inputs.shape[axis] for axis in axes) == layer.in_features:
            return axes
    raise _size_error(layer, inputs, layer.axis, layer.in_features, "in_features")


def _batch_shape(layer: LinearGeneral) -> tuple[int, ...]:
    return tuple(size for _, size in sorted(layer.batch_axis.items()))


def _size_error(
    layer: LinearGeneral, inputs: Any, axes: tuple, sizes: tuple, argument: str
) -> ShapeError:
    try:
        got: Any = _unwrap(tuple(inputs.shape[axis] for axis in axes))
    except IndexError:
        got = None
    expected: Any = _unwrap(sizes)
    if argument == "batch_axis":
        expected = dict(enumerate(sizes))
        got = None if got is None else dict(enumerate(as_tuple(got)))
    return size_error(
        layer,
        inputs,
        axis=_unwrap(axes),
        expected=expected,
        got=got,
        argument=argument,
    )


def _unwrap(values: tuple) -> Any:
    return values[0] if len(values) == 1 else values


def _as_matrix(init: Initializer, flat: tuple[int, ...]) -> Initializer:
    """`init`, called with the shape `flat`, its result in the shape asked for."""

    def in_shape(key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
        value: Any = first_value(init, key, flat, dtype)
        if not isinstance(value, VariableMetadata):
            return jnp.reshape(value, shape)
        # The names of axes in the metadata are those of the whole shape.
        value.raw_value = jnp.reshape(value.raw_value, shape)
        return value

    return in_shape
