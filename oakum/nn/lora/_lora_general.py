"""LoRALinearGeneral: a LinearGeneral with a learned change of low rank."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from ...errors import ArgumentError
from .._sharding_notes import sharding_explained
from ..linear._linear_general import LinearGeneral, mapped_axes
from ._lora import LoRA


class LoRALinearGeneral(LinearGeneral):
    """A LinearGeneral with a LoRA added to it, and otherwise its state.

    The LoRA maps the input axes joined to one to the output axes joined to another.

    Hu et al.: LoRA, https://arxiv.org/abs/2106.09685, 2021.

    Attributes: `kernel` and `bias`, those of `base`; `lora`.

    Args:
        base: the layer, whose Variables and configuration this one takes over; without
            `batch_axis`.
        lora: a LoRA between as many features as all input and output axes have.

    Raises:
        ArgumentError: `base` has a kernel for each index of its `batch_axis`.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> base = nnx.LinearGeneral(8, (2, 4), rngs=nnx.Rngs(0))
        >>> lora = nnx.LoRA(8, 2, 2 * 4, rngs=nnx.Rngs(1))
        >>> layer = nnx.LoRALinearGeneral(base, lora)
        >>> layer.kernel is base.kernel, layer(jnp.ones((3, 8))).shape
        (True, (3, 2, 4))
    """

    def __init__(self, base: LinearGeneral, lora: LoRA):
        if base.batch_axis:
            raise ArgumentError(
                f"A LinearGeneral with batch_axis={dict(base.batch_axis)} has several "
                "kernels, and a LoRA adds to one",
                remedy="stack layers without it by nnx.vmap or nnx.Repeat.",
            )
        self.__setstate__(base.__getstate__())
        self.lora = lora

    def __call__(self, inputs: jax.Array, out_sharding: Any = None) -> jax.Array:
        """Applies the LinearGeneral and the change.

        Args:
            inputs: any shape with `in_features` at `axis`.
            out_sharding: sharding of what the LinearGeneral returns, for a mesh with
                explicit axes.

        Returns:
            An array of shape `(*rest, *out_features)`, where rest are the axes of the
            input that are not mapped.

        Raises:
            ShapeError: the mapped axes are not `in_features`.
        """
        out = super().__call__(inputs, out_sharding=out_sharding)
        axes = mapped_axes(self, inputs)
        x = jnp.moveaxis(inputs, axes, range(-len(axes), 0))  # (*rest, *in_features)
        rest = x.shape[: -len(axes)]
        with sharding_explained(self):
            change = self.lora(x.reshape(*rest, math.prod(self.in_features)))
            change = change.reshape(*rest, *self.out_features)
        with jax.numpy_dtype_promotion("standard"):
            return out + change
