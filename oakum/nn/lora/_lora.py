"""LoRA: a learned change of low rank on top of a layer that may stay frozen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp

from ..._objects import Module, Param, Variable, module_path
from ..._rngs import Rngs
from ..._typing import Dtype, Initializer
from ...errors import ArgumentError, ShapeError
from .. import initializers
from .._compute import Settings, compute
from .._dtypes import PromoteDtype, promote_dtype
from .._params import (
    as_array,
    broadcasts,
    check_last_axis,
    param_maker,
    plain,
    value_of,
)
from ..linear._linear import Linear


class LoRAParam(Param):
    """A parameter of a LoRA, so that a filter can select these alone.

    Example:
        >>> import oakum as nnx
        >>> layer = nnx.LoRALinear(3, 4, lora_rank=2, rngs=nnx.Rngs(0))
        >>> [path for path, _ in nnx.to_flat_state(nnx.state(layer, nnx.LoRAParam))]
        [('lora', 'lora_a'), ('lora', 'lora_b')]
    """


def low_rank(
    using: Settings, x: jax.Array, a: jax.Array, b: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """`x @ a @ b`, and `x` in the dtype of the computation."""
    inner = using.multiply(x, a).astype(x.dtype)
    return using.multiply(inner, b), x


class LoRA(Module):
    """A linear map of low rank, added to what a base module returns.

    Hu, Shen, Wallis, Allen-Zhu, Li, Wang, Wang, Chen: LoRA: Low-Rank Adaptation of
    Large Language Models, https://arxiv.org/abs/2106.09685, 2021. Without its factor
    alpha / r.

    Attributes: `lora_a` of shape `(in_features, lora_rank)` and `lora_b` of shape
    `(lora_rank, out_features)`, each of `lora_param_type`; `base_module`.

    Args:
        in_features: size of the last axis of the input.
        lora_rank: rank of the map.
        out_features: size of the last axis of the output.
        base_module: a layer or function to whose output the map is added; None for
            none.
        dtype: dtype of the computation; None infers it from input and parameters.
        param_dtype: dtype of the parameters.
        a_initializer: initializer of `lora_a`.
        b_initializer: initializer of `lora_b`; zeros, so that training starts from the
            base module.
        lora_param_type: type of the parameters, to select them by.
        promote_dtype: casts `(inputs, lora_a, lora_b)`.
        rngs: gives the keys of the initializers, from its `params` stream.
        a_metadata: metadata of `lora_a`.
        b_metadata: metadata of `lora_b`.

    Raises:
        ArgumentError: `base_module` cannot be called.
        MissingRngError: no `rngs` for an initializer that draws.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> base = nnx.Linear(3, 4, rngs=nnx.Rngs(0))
        >>> layer = nnx.LoRA(3, 2, 4, base_module=base, rngs=nnx.Rngs(1))
        >>> x = jnp.ones((2, 3))
        >>> bool((layer(x) == base(x)).all())
        True
    """

    output_dtype: Dtype | None = None  # set by `set_dtypes`
    preferred_element_type: Dtype | None = None  # likewise
    precision: Any = None  # no choice of its own

    def __init__(
        self,
        in_features: int,
        lora_rank: int,
        out_features: int,
        *,
        base_module: Callable[..., Any] | None = None,
        dtype: Dtype | None = None,
        param_dtype: Dtype = jnp.float32,
        a_initializer: Initializer = initializers.he_uniform(),
        b_initializer: Initializer = initializers.zeros,
        lora_param_type: type[Variable] = LoRAParam,
        promote_dtype: PromoteDtype = promote_dtype,
        rngs: Rngs | None = None,
        a_metadata: Mapping[str, Any] = MappingProxyType({}),
        b_metadata: Mapping[str, Any] = MappingProxyType({}),
    ):
        if base_module is not None and not callable(base_module):
            raise ArgumentError(
                f"base_module of a LoRA cannot be called: {base_module!r:.80}",
                remedy="pass a layer or a function, such as base_module=linear.",
            )
        self.in_features, self.out_features = plain(in_features), plain(out_features)
        self.dtype, self.param_dtype = dtype, param_dtype
        self.lora_param_type, self.base_module = lora_param_type, base_module
        self.promote_dtype = promote_dtype
        make = param_maker(self, rngs, param_dtype, lora_param_type)
        self.lora_a = make(
            "lora_a", a_initializer, (self.in_features, plain(lora_rank)), a_metadata
        )
        self.lora_b = make(
            "lora_b", b_initializer, (plain(lora_rank), self.out_features), b_metadata
        )

    def __call__(self, x: jax.Array, **kwargs: Any) -> jax.Array:
        """Applies the map.

        Args:
            x: `(..., in_features)`.
            **kwargs: for the base module.

        Returns:
            An array of shape `(..., out_features)`.

        Raises:
            ShapeError: the last axis is not `in_features`, or the base module returns
                another shape.
        """
        a, b, x = value_of(self, "lora_a"), value_of(self, "lora_b"), as_array(x)
        check_last_axis(self, x, a.shape[0], "in_features")
        out, x = compute(low_rank, self, x, a, b, product=jnp.matmul)
        if self.base_module is None:
            return out
        base = self.base_module(x, **kwargs)
        if not (broadcasts(base.shape, out.shape) or broadcasts(out.shape, base.shape)):
            raise ShapeError(
                f"LoRA with out_features={self.out_features} expects shape {out.shape} "
                f"of its base_module, but that returns shape {base.shape}",
                where=module_path(self),
                remedy="build it with out_features of the base_module, "
                f"{(1, *base.shape)[-1]}.",
            )
        # The base may compute in another dtype; the sum is of the wider.
        with jax.numpy_dtype_promotion("standard"):
            return out + base


class LoRALinear(Linear):
    """A Linear with a LoRA added to it, and otherwise the state of a Linear.

    Hu et al.: LoRA, https://arxiv.org/abs/2106.09685, 2021.

    Attributes: `kernel` and `bias`, as those of a Linear; `lora`, a LoRA.

    Args:
        in_features: size of the last axis of the input.
        out_features: size of the last axis of the output.
        lora_rank: rank of the change.
        lora_dtype: dtype in which the change is computed; None infers it.
        lora_param_dtype: dtype of its parameters.
        a_initializer: initializer of `lora.lora_a`.
        b_initializer: initializer of `lora.lora_b`.
        lora_param_type: type of its parameters, to select them by.
        lora_promote_dtype: casts `(inputs, lora_a, lora_b)`.
        rngs: gives the keys of the initializers: first those of the Linear.
        a_metadata: metadata of `lora.lora_a`.
        b_metadata: metadata of `lora.lora_b`.
        **kwargs: further arguments of the Linear.

    Raises:
        MissingRngError: no `rngs` for an initializer that draws.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> layer = nnx.LoRALinear(3, 4, lora_rank=2, rngs=nnx.Rngs(0))
        >>> layer.lora.lora_a.shape, layer(jnp.ones((2, 3))).shape
        ((3, 2), (2, 4))
        >>> wrt = nnx.LoRAParam  # trains the change alone
        >>> grads = nnx.grad(lambda m: m(jnp.ones(3)).sum(), argnums=nnx.DiffState(
        ...     0, wrt))(layer)
        >>> list(grads)
        ['lora']
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        lora_rank: int,
        lora_dtype: Dtype | None = None,
        lora_param_dtype: Dtype = jnp.float32,
        a_initializer: Initializer = initializers.he_uniform(),
        b_initializer: Initializer = initializers.zeros,
        lora_param_type: type[Variable] = LoRAParam,
        lora_promote_dtype: PromoteDtype = promote_dtype,
        rngs: Rngs | None = None,
        a_metadata: Mapping[str, Any] = MappingProxyType({}),
        b_metadata: Mapping[str, Any] = MappingProxyType({}),
        **kwargs: Any,
    ):
        super().__init__(in_features, out_features, rngs=rngs, **kwargs)
        of_a: Any = {"a_initializer": a_initializer, "a_metadata": a_metadata}
        of_b: Any = {"b_initializer": b_initializer, "b_metadata": b_metadata}
        self.lora = LoRA(
            in_features,
            lora_rank,
            out_features,
            dtype=lora_dtype,
            param_dtype=lora_param_dtype,
            promote_dtype=lora_promote_dtype,
            lora_param_type=lora_param_type,
            rngs=rngs,
            **of_a,
            **of_b,
        )

    def __call__(self, x: jax.Array, out_sharding: Any = None) -> jax.Array:
        """Applies the Linear and the change.

        Args:
            x: `(..., in_features)`.
            out_sharding: sharding of what the Linear returns, for a mesh with explicit
                axes.

        Returns:
            An array of shape `(..., out_features)`.

        Raises:
            ShapeError: the last axis is not `in_features`.
        """
        out = super().__call__(x, out_sharding=out_sharding)
        change = self.lora(x)
        with jax.numpy_dtype_promotion("standard"):
            return out + change
