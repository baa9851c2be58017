"""Einsum: a linear map in Einstein's notation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp

from ..._objects import Module, module_path
from ..._rngs import Rngs
from ..._typing import Dtype, Initializer
from ...errors import ArgumentValueError, ShapeError
from .. import initializers
from .._compute import Settings, add_bias, compute
from .._dtypes import PromoteDtype, promote_dtype
from .._params import as_array, as_tuple, param_maker, value_of

# A letter, or (-n,) for the n-th axis from the end of those that `...` stands for.
Labels = tuple[Any, ...]


def einsum(
    using: Settings,
    inputs: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None,
    equation: str,
) -> jax.Array:
    """The sum of products that `equation` names, and `bias` added to it."""

    def product(x: jax.Array, y: jax.Array, **given: Any) -> jax.Array:
        return using.product(equation, x, y, **given)

    out = using.multiply(inputs, kernel, product=product)
    if bias is not None:
        bias = bias.reshape(kept_sizes(equation, inputs.shape, kernel.shape))
    return add_bias(out, bias)


def labels(term: str, ndim: int) -> Labels:
    """One label for each of `ndim` axes.

    Raises:
        ValueError: `term` names another number of axes.
    """
    before, dots, after = term.partition("...")
    hidden = ndim - len(before) - len(after)
    if hidden < 0 or (hidden and not dots):
        raise ValueError
    return (*before, *((-n,) for n in range(hidden, 0, -1)), *after)


def kept_sizes(
    equation: str, input_shape: Sequence[int], kernel_shape: Sequence[int]
) -> tuple[int, ...]:
    """The shape of a bias: the kernel's size where an axis of the result is its, or 1.

    Args:
        equation: without blanks.
        input_shape: of the first operand.
        kernel_shape: of the second.
    """
    (first, second), result = _terms(equation)
    kernel = labels(second, len(kernel_shape))
    hidden = [
        sum(isinstance(label, tuple) for label in operand)
        for operand in (labels(first, len(input_shape)), kernel)
    ]
    ndim = len(result.replace("...", "")) + ("..." in result) * max(hidden)
    sizes = dict(zip(kernel, kernel_shape, strict=True))
    return tuple(sizes.get(label, 1) for label in labels(result, ndim))


class Einsum(Module):
    """A linear map, written as an einsum of the input and a kernel.

    Attributes: `kernel`, a Param of shape `kernel_shape`; `bias`, a Param of shape
    `bias_shape` or None.

    Args:
        einsum_str: `'input,kernel->output'`, as `jnp.einsum` takes it; None leaves it
            to the call.
        kernel_shape: shape of the kernel.
        bias_shape: sizes of the axes that the output has from the kernel, in order;
            None adds no bias.
        dtype: dtype of the computation; None infers it from input and parameters.
        param_dtype: dtype of the parameters.
        precision: precision of the products, as `jnp.einsum` takes it.
        kernel_init: initializer of the kernel.
        bias_init: initializer of the bias.
        promote_dtype: casts `(inputs, kernel, bias)`.
        einsum_op: function to compute with, in place of `jnp.einsum`.
        preferred_element_type: dtype in which products accumulate and are returned.
        rngs: gives the keys of the initializers, from its `params` stream.
        kernel_metadata: metadata of the kernel.
        bias_metadata: metadata of the bias.

    Raises:
        ArgumentValueError: an equation that is not of this form, or does not fit
            `kernel_shape`.
        MissingRngError: no `rngs` for an initializer that draws.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> heads = nnx.Einsum('btd,hde->bthe', (8, 6, 4), (8, 4), rngs=nnx.Rngs(0))
        >>> heads(jnp.ones((2, 3, 6))).shape
        (2, 3, 8, 4)
    """

    output_dtype: Dtype | None = None  # set by `set_dtypes`

    def __init__(
        self,
        einsum_str: str | None,
        kernel_shape: int | Sequence[int],
        bias_shape: int | Sequence[int] | None = None,
        *,
        dtype: Dtype | None = None,
        param_dtype: Dtype = jnp.float32,
        precision: Any = None,
        kernel_init: Initializer = initializers.lecun_normal(),
        bias_init: Initializer = initializers.zeros,
        promote_dtype: PromoteDtype = promote_dtype,
        einsum_op: Callable[..., jax.Array] = jnp.einsum,
        preferred_element_type: Dtype | None = None,
        rngs: Rngs | None = None,
        kernel_metadata: Mapping[str, Any] = MappingProxyType({}),
        bias_metadata: Mapping[str, Any] = MappingProxyType({}),
    ):
        self.kernel_shape = as_tuple(kernel_shape)
        self.bias_shape = None if bias_shape is None else as_tuple(bias_shape)
        self.einsum_str = None
        if einsum_str is not None:
            self.einsum_str = self._check_equation(einsum_str)
        self.dtype, self.param_dtype = dtype, param_dtype
        self.precision = precision
        self.promote_dtype = promote_dtype
        self.einsum_op = einsum_op
        self.preferred_element_type = preferred_element_type
        make = param_maker(self, rngs, param_dtype)
        self.kernel = make("kernel", kernel_init, self.kernel_shape, kernel_metadata)
        self.bias = None
        if self.bias_shape is not None:
            self.bias = make("bias", bias_init, self.bias_shape, bias_metadata)

    def __call__(
        self,
        inputs: jax.Array,
        einsum_str: str | None = None,
        out_sharding: Any = None,
    ) -> jax.Array:
        """Applies the map.

        Args:
            inputs: the first operand of the equation.
            einsum_str: takes precedence over that of the constructor.
            out_sharding: sharding of the output, for a mesh with explicit axes.

        Returns:
            An array with the axes that the equation names.

        Raises:
            ArgumentValueError: no equation is given here or before, or one that does
                not fit the kernel or the bias.
            ShapeError: the input does not fit the equation and the kernel.
        """
        equation = self.einsum_str
        if einsum_str is not None:
            equation = self._check_equation(einsum_str)
        if equation is None:
            raise ArgumentValueError(
                "Einsum has no equation",
                where=module_path(self),
                remedy="pass einsum_str='...a,ab->...b' to the constructor or the "
                "call.",
            )
        inputs = as_array(inputs)
        self._check_input(equation, inputs)
        return compute(
            einsum,
            self,
            inputs,
            value_of(self, "kernel"),
            value_of(self, "bias"),
            options=(equation,),
            product=self.einsum_op,
            out_sharding=out_sharding,
        )

    def _check_equation(self, equation: str) -> str:
        """`equation` without blanks, checked against the kernel."""
        equation = equation.replace(" ", "")
        (_, *others), result = _terms(equation)
        if (not result and "->" not in equation) or len(others) != 1:
            raise ArgumentValueError(
                f"einsum_str={equation!r} is not of the form 'input,kernel->output'",
                remedy="name two operands and the result, as in '...a,ab->...b'.",
            )
        try:
            labels(others[0], len(self.kernel_shape))
        except ValueError:
            raise ArgumentValueError(
                f"einsum_str={equation!r} names {others[0]!r} as the axes of the "
                f"kernel, which has kernel_shape={self.kernel_shape}",
                remedy=f"name {len(self.kernel_shape)} axes after the comma.",
            ) from None
        return equation

    def _check_input(self, equation: str, inputs: jax.Array) -> None:
        (first, second), _ = _terms(equation)
        shape = tuple(inputs.shape)
        sizes = dict(
            zip(labels(second, len(self.kernel_shape)), self.kernel_shape, strict=True)
        )
        try:
            named = labels(first, len(shape))
        except ValueError:
            raise ShapeError(
                f"Einsum {equation!r} expects an input with the axes {first!r}, but "
                f"the input has shape {shape}",
                where=module_path(self),
                remedy=f"pass an input with the axes {first!r}.",
            ) from None
        for axis, (label, got) in enumerate(zip(named, shape, strict=True)):
            expected = sizes.get(label, got)
            if expected != got and not isinstance(label, tuple):
                raise ShapeError(
                    f"Einsum {equation!r} expects {expected} at axis {axis} "
                    f"({label!r} of kernel_shape={self.kernel_shape}), but the input "
                    f"of shape {shape} has {got}",
                    where=module_path(self),
                    remedy=f"pass the layer an input that has {expected} at axis "
                    f"{axis}, or build it with a kernel_shape that has {got} at "
                    f"{label!r}.",
                )
        if self.bias_shape is not None:
            self._check_bias(equation, shape)

    def _check_bias(self, equation: str, input_shape: tuple[int, ...]) -> None:
        sizes = kept_sizes(equation, input_shape, self.kernel_shape)
        assert self.bias_shape is not None
        if math.prod(self.bias_shape) != math.prod(sizes):
            raise ArgumentValueError(
                f"bias_shape={self.bias_shape} does not fit Einsum {equation!r}, whose "
                f"output has the sizes {sizes} from the kernel",
                where=module_path(self),
                remedy=f"pass bias_shape={tuple(n for n in sizes if n != 1)}.",
            )


def _terms(equation: str) -> tuple[list[str], str]:
    operands, _, result = equation.partition("->")
    return operands.split(","), result
