"""Recurrent cells: what RNNs do in one step.

A *cell* takes the *carry*, what it remembers, and the input of one step, and returns
the new carry and the output: `carry, out = cell(carry, x)`. `initialize_carry` makes
the carry of the first step; `RNN` runs a cell over a sequence. Here are the base of all
cells and the plainest of them; `_gru.py` and `_lstm.py` have those with gates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, TypedDict, Unpack

import jax
import jax.numpy as jnp

from ..._arguments import with_arguments_of
from ..._objects import Module, module_path
from ..._rngs import Rngs, RngStream
from ..._typing import Dtype, Initializer
from ...errors import MissingRngError, ShapeError
from .. import initializers
from .._activations import tanh
from .._dtypes import PromoteDtype, as_output, promote_dtype
from .._params import as_array, broadcasts, check_last_axis, plain
from ..linear._linear import Linear


class RNNCellBase(Module):
    """Base of recurrent cells: subclass it to write one for `RNN`.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> class Sum(nnx.RNNCellBase):
        ...     num_feature_axes = 1
        ...     def initialize_carry(self, input_shape, rngs=None, carry_init=None):
        ...         return jnp.zeros(input_shape)
        ...     def __call__(self, carry, inputs):
        ...         return carry + inputs, carry + inputs
        >>> nnx.RNN(Sum())(jnp.ones((1, 3, 1))).ravel()
        Array([1., 2., 3.], dtype=float32)
    """

    def initialize_carry(
        self,
        input_shape: tuple[int, ...],
        rngs: Rngs | RngStream | None = None,
        carry_init: Initializer | None = None,
    ) -> Any:
        """Makes the carry of the first step.

        Args:
            input_shape: shape of the input of a step, `(*batch, *features)`.
            rngs: gives keys, from its `carry` stream.
            carry_init: initializer of the carry.

        Returns:
            A pytree of arrays.
        """
        raise NotImplementedError

    def __call__(self, carry: Any, inputs: jax.Array) -> tuple[Any, Any]:
        """Does one step.

        Args:
            carry: what the last step returned.
            inputs: `(*batch, *features)`.

        Returns:
            The new carry, of the form of the old one, and the output.
        """
        raise NotImplementedError

    @property
    def num_feature_axes(self) -> int:
        """How many of the last axes of the input are features rather than batch."""
        raise NotImplementedError


def kept_stream(keep: bool, rngs: Rngs | None, kind: str) -> RngStream | None:
    """The stream that a cell keeps for its carry, if it is asked to."""
    if not keep:
        return None
    if rngs is None:
        raise MissingRngError(
            f"{kind} is to keep a random stream (keep_rngs=True) and got no rngs",
            remedy="pass rngs=nnx.Rngs(0) to the cell.",
        )
    return rngs["carry"].fork()


def orthogonal(key: Any, shape: Any, dtype: Any = jnp.float32) -> jax.Array:
    """An orthogonal matrix; in half precision one rounded, as none can be found."""
    wide = dtype if jnp.finfo(dtype).bits >= 32 else jnp.float32
    return initializers.orthogonal()(key, shape, wide).astype(dtype)


class Products(NamedTuple):
    """What the Linears of a cell are made with, as keyword arguments.

    Attributes:
        taken: those that map the input.
        kept: those that map the carry.
        bias: those with a bias, besides.
    """

    taken: dict[str, Any]
    kept: dict[str, Any]
    bias: dict[str, Any]


class CellArguments(TypedDict, total=False):
    """What a cell hands on to `DenseCell`, which documents it."""

    kernel_init: Initializer
    recurrent_kernel_init: Initializer
    bias_init: Initializer
    param_dtype: Dtype
    carry_init: Initializer | None
    promote_dtype: PromoteDtype
    keep_rngs: bool
    rngs: Rngs | None
    kernel_metadata: Mapping[str, Any]
    recurrent_kernel_metadata: Mapping[str, Any]
    bias_metadata: Mapping[str, Any]
    use_bias: bool


class DenseCell(RNNCellBase):
    """Base of the cells here, whose carry is arrays of `hidden_features` each."""

    output_dtype: Dtype | None = None  # set by `set_dtypes`
    dtype: Dtype | None
    carry_parts: ClassVar[int] = 1
    in_features: int
    hidden_features: int
    param_dtype: Dtype
    carry_init: Initializer | None
    rngs: RngStream | None

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        dtype: Dtype | None,
        kernel_init: Initializer = initializers.lecun_normal(),
        recurrent_kernel_init: Initializer = orthogonal,
        bias_init: Initializer = initializers.zeros,
        param_dtype: Dtype = jnp.float32,
        carry_init: Initializer | None = None,
        promote_dtype: PromoteDtype = promote_dtype,
        keep_rngs: bool = False,
        rngs: Rngs | None = None,
        kernel_metadata: Mapping[str, Any] = MappingProxyType({}),
        recurrent_kernel_metadata: Mapping[str, Any] = MappingProxyType({}),
        bias_metadata: Mapping[str, Any] = MappingProxyType({}),
        use_bias: bool = True,
    ):
        """Makes the cell.

        Args:
            in_features: size of the last axis of the input.
            hidden_features: size of each array of the carry, and of the output.
            dtype: of the cell.
            kernel_init: initializer of the kernels of the input.
            recurrent_kernel_init: initializer of the kernels of the carry.
            bias_init: initializer of the biases.
            param_dtype: dtype of the parameters and of the first carry.
            carry_init: initializer of the first carry; None is zeros.
            promote_dtype: casts `(inputs, kernel, bias)`.
            keep_rngs: whether to keep a random stream for the first carry.
            rngs: gives the keys of the initializers, from its `params` stream.
            kernel_metadata: metadata of the kernels of the input.
            recurrent_kernel_metadata: metadata of the kernels of the carry.
            bias_metadata: metadata of the biases.
            use_bias: whether there are biases.

        Raises:
            MissingRngError: no `rngs`.
        """
        self.in_features = plain(in_features)
        self.hidden_features = plain(hidden_features)
        self.dtype, self.param_dtype = dtype, param_dtype
        self.carry_init = carry_init
        self.promote_dtype = promote_dtype
        self.rngs = kept_stream(keep_rngs, rngs, type(self).__name__)
        shared = {
            "dtype": dtype,
            "param_dtype": param_dtype,
            "promote_dtype": promote_dtype,
            "rngs": rngs,
        }
        products = Products(
            {"kernel_init": kernel_init, "kernel_metadata": kernel_metadata, **shared},
            {
                "kernel_init": recurrent_kernel_init,
                "kernel_metadata": recurrent_kernel_metadata,
                **shared,
            },
            {
                "use_bias": use_bias,
                "bias_init": bias_init,
                "bias_metadata": bias_metadata,
            },
        )
        self._make_products(products)

    def _make_products(self, products: Products) -> None:
        raise NotImplementedError

    def initialize_carry(
        self,
        input_shape: Sequence[int],
        rngs: Rngs | RngStream | None = None,
        carry_init: Initializer | None = None,
    ) -> Any:
        """Makes the carry of the first step: zeros, unless an initializer says else.

        Args:
            input_shape: shape of the input of a step, `(*batch, in_features)`.
            rngs: gives keys, from its `carry` stream; needed only for an initializer
                that draws.
            carry_init: goes before that of the constructor.

        Returns:
            An array of shape `(*batch, hidden_features)`; for an LSTM two of them.

        Raises:
            MissingRngError: no `rngs` for an initializer that draws.
        """
        stream: Any = self.rngs if rngs is None else rngs
        if isinstance(stream, Rngs):
            stream = stream["carry"]
        init: Any = self.carry_init if carry_init is None else carry_init
        init = initializers.zeros if init is None else init
        parts = []
        for width in self._carry_widths():
            shape = (*input_shape[:-1], width)
            key = None if stream is None else stream()
            try:
                parts.append(init(key, shape, self.param_dtype))
            except TypeError as error:
                if key is not None:
                    raise
                raise MissingRngError(
                    f"The carry of shape {shape} of a {type(self).__name__} starts at "
                    "random and got no rngs",
                    where=module_path(self),
                    remedy="pass rngs=nnx.Rngs(0) to initialize_carry, or to the call "
                    "of the nnx.RNN.",
                ) from error
        return parts[0] if self.carry_parts == 1 else tuple(parts)

    def _carry_widths(self) -> tuple[int, ...]:
        """The size of each array of the carry."""
        return (self.hidden_features,) * self.carry_parts

    @property
    def num_feature_axes(self) -> int:
        """1: all axes but the last are batch."""
        return 1


def check_step(cell: Any, carry: Any, inputs: jax.Array, *widths: int) -> None:
    """Raises a ShapeError where the carry or the input is of another shape.

    Args:
        cell: with `in_features` and `hidden_features`.
        carry: of the last step.
        inputs: of this one.
        *widths: the size of each array of the carry.
    """
    inputs = as_array(inputs)
    check_last_axis(cell, inputs, cell.in_features, "in_features")
    batch = inputs.shape[:-1]
    parts = carry if isinstance(carry, tuple | list) else (carry,)
    shapes = [getattr(part, "shape", None) for part in parts]
    if len(shapes) == len(widths) and all(
        shape and shape[-1] == width and broadcasts(shape[:-1], batch)
        for shape, width in zip(shapes, widths, strict=True)
    ):
        return
    wanted = " and ".join(str((*batch, width)) for width in dict.fromkeys(widths))
    form = f"of shape {wanted} (hidden_features={cell.hidden_features})"
    if len(widths) > 1:
        form = f"of {len(widths)} arrays, each {form}"
    got = ", ".join(map(str, shapes))
    raise ShapeError(
        f"{type(cell).__name__} expects a carry {form}, but got {got}",
        where=module_path(cell),
        remedy="start from cell.initialize_carry(x.shape), where x is the input of "
        "one step.",
    )


def output_dtype(cell: Any) -> Dtype | None:
    """The dtype of what a cell with gates returns."""
    return getattr(cell, "output_dtype", None) or cell.dtype


def widened(carry: Any, other: Any) -> Any:
    """A carry with dtypes no narrower than those of another.

    The carry of a cell may change its dtype in a step, which a scan refuses.
    """

    def widen(part: jax.Array, other: jax.Array) -> jax.Array:
        return part.astype(jnp.promote_types(part.dtype, other.dtype))

    with jax.numpy_dtype_promotion("standard"):
        return jax.tree.map(widen, carry, other)


def draws_carry(cell: Any) -> bool:
    """Whether a cell may use a random stream for its first carry."""
    if getattr(type(cell), "initialize_carry", None) is DenseCell.initialize_carry:
        return cell.carry_init is not None or cell.rngs is not None
    return True


class SimpleCell(DenseCell):
    """A cell that remembers its last output: `h' = tanh(x W + b + h U)`.

    Elman: Finding Structure in Time, https://doi.org/10.1207/s15516709cog1402_1, 1990.

    Attributes: `dense_i` and `dense_h`, the Linear of the input and of the carry.

    Args:
        dtype: dtype of the computation.
        residual: whether to add the carry before the activation.
        activation_fn: the activation.

    The other arguments are those of every cell: `DenseCell`.

    Raises:
        MissingRngError: no `rngs`.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> cell = nnx.SimpleCell(3, 4, rngs=nnx.Rngs(0))
        >>> carry, out = cell(cell.initialize_carry((2, 3)), jnp.ones((2, 3)))
        >>> carry.shape, out.shape
        ((2, 4), (2, 4))
    """

    @with_arguments_of(DenseCell.__init__)
    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        dtype: Dtype = jnp.float32,
        residual: bool = False,
        activation_fn: Callable[..., Any] = tanh,
        **others: Unpack[CellArguments],
    ):
        self.residual, self.activation_fn = residual, activation_fn
        super().__init__(in_features, hidden_features, dtype=dtype, **others)

    def _make_products(self, products: Products) -> None:
        taken, kept, bias = products
        width = self.hidden_features
        self.dense_h = Linear(width, width, use_bias=False, **kept)
        self.dense_i = Linear(self.in_features, width, **taken, **bias)

    def __call__(
        self, carry: jax.Array, inputs: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Does one step.

        Args:
            carry: `(*batch, hidden_features)`.
            inputs: `(*batch, in_features)`.

        Returns:
            The new carry, and the same as output.

        Raises:
            ShapeError: input or carry have another shape.
        """
        check_step(self, carry, inputs, self.hidden_features)
        out = self.dense_i(inputs) + self.dense_h(carry)
        if self.residual:
            # The carry may start in the parameters' dtype.
            with jax.numpy_dtype_promotion("standard"):
                out = out + carry
        out = self.activation_fn(out)
        return out, as_output(out, getattr(self, "output_dtype", None))
