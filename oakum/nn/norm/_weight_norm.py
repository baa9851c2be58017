"""WeightNorm: a layer whose kernels have columns of a length of their own."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ..._graph import Path, leaves
from ..._objects import Module, Param
from ..._rngs import Rngs
from ..._state import PathContains, to_predicate
from ..._typing import Dtype, Initializer
from ...errors import FilterError, StructureError
from .. import initializers
from .._dtypes import PromoteDtype, canonicalize_dtype, promote_dtype
from .._params import make_late_param, plain
from ._normalize import Axes, canonicalize_axes
from ._reweigh import call_with


def l2_normalize(
    x: jax.Array, axes: tuple[int, ...] | None, epsilon: float
) -> jax.Array:
    """`x` divided by its length over `axes`, None for all."""
    return x * lax.rsqrt((x * x).sum(axes, keepdims=True) + epsilon)


@functools.partial(jax.jit, static_argnums=(2, 3, 4))
def weight_norm(
    weight: jax.Array,
    scale: jax.Array | None,
    feature_axes: tuple[int, ...],
    epsilon: float,
    dtype: Any,
) -> jax.Array:
    """`weight` with length `scale`, or 1, at each index along the feature axes."""
    rest = tuple(axis for axis in range(weight.ndim) if axis not in feature_axes)
    dtype = canonicalize_dtype(weight, scale, dtype=dtype)
    out = l2_normalize(weight, rest, epsilon)
    if scale is not None:
        shape = [
            size if axis in feature_axes else 1
            for axis, size in enumerate(weight.shape)
        ]
        # The weight may be in half precision, and its scale not.
        with jax.numpy_dtype_promotion("standard"):
            out = out * scale.reshape(shape)
    return jnp.asarray(out, dtype)


class WeightNorm(Module):
    """Calls a layer with kernels whose columns have a learned length.

    Salimans, Kingma: Weight Normalization, https://arxiv.org/abs/1602.07868, 2016. The
    kernels of the layer, from which the normalized ones are computed, stay as they are.

    Attributes: `layer_instance`; `scales`, for the path of each normalized parameter a
    Param with the sizes of its feature axes, or None.

    Args:
        layer_instance: the layer.
        feature_axes: axes of a parameter at whose indices it has a length each; None
            gives it one length as a whole.
        use_scale: whether to learn the lengths; otherwise they are 1.
        scale_init: initializer of the lengths.
        epsilon: added to the squared length, so that zeros do not divide by 0.
        dtype: dtype of the normalized parameters; None infers it from these and the
            lengths.
        param_dtype: dtype of the lengths.
        variable_filter: which parameters of the layer to normalize.
        promote_dtype: accepted for flax.nnx programs, without effect.
        rngs: needed only for an initializer that draws.

    Raises:
        FilterError: `variable_filter` selects no parameter.
        MissingRngError: no `rngs` for an initializer that draws.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> rngs = nnx.Rngs(0)
        >>> layer = nnx.WeightNorm(nnx.Linear(3, 2, rngs=rngs), rngs=rngs)
        >>> jnp.linalg.norm(layer(jnp.eye(3)), axis=0).round(3)
        Array([1., 1.], dtype=float32)
    """

    def __init__(
        self,
        layer_instance: Any,
        *,
        feature_axes: Axes | None = -1,
        use_scale: bool = True,
        scale_init: Initializer = initializers.ones,
        epsilon: float = 1e-12,
        dtype: Dtype | None = None,
        param_dtype: Dtype = jnp.float32,
        variable_filter: Any = PathContains("kernel"),
        promote_dtype: PromoteDtype = promote_dtype,
        rngs: Rngs | None = None,
    ):
        self.layer_instance = layer_instance
        self.feature_axes = () if feature_axes is None else plain(feature_axes)
        self.use_scale = use_scale
        self.scale_init = scale_init
        self.epsilon = plain(epsilon)
        self.dtype = dtype
        self.param_dtype = param_dtype
        self.variable_filter = to_predicate(variable_filter)
        self.promote_dtype = promote_dtype
        selected = self._selected()
        if not selected:
            found = [".".join(map(str, path)) for path, _ in leaves(layer_instance)]
            raise FilterError(
                f"variable_filter={variable_filter!r} of a WeightNorm selects no Param "
                f"of the {type(layer_instance).__name__}, which has: "
                f"{', '.join(found) or 'none'}",
                remedy="pass variable_filter=nnx.PathContains('kernel'), or another "
                "filter that selects what to normalize.",
            )
        self.scales = None
        if use_scale:
            self.scales = {
                path: self._make_scale(param, rngs) for path, param in selected
            }

    def __call__(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Calls the layer with normalized parameters.

        Args:
            x: its input.
            *args: further arguments for it.
            **kwargs: further arguments for it.

        Returns:
            What it returns.

        Raises:
            StructureError: it has a parameter that it had not before, or has lost one.
        """
        selected = self._selected()
        check_kept(self, self.scales or (), selected)
        values = {
            path: weight_norm(
                param.value,
                self._scale(path),
                canonicalize_axes(self.feature_axes, param.ndim),
                self.epsilon,
                self.dtype,
            )
            for path, param in selected
        }
        return call_with(self.layer_instance, values, x, *args, **kwargs)

    def _selected(self) -> list[tuple[Path, Param]]:
        return [
            (path, leaf)
            for path, leaf in leaves(self.layer_instance)
            if isinstance(leaf, Param) and self.variable_filter(path, leaf)
        ]

    def _make_scale(self, param: Param, rngs: Rngs | None) -> Param:
        axes = canonicalize_axes(self.feature_axes, param.ndim)
        shape = tuple(param.shape[axis] for axis in axes)
        given = (shape, self.param_dtype, {}, "WeightNorm.scales")
        return make_late_param(self.scale_init, rngs, *given)

    def _scale(self, path: Path) -> jax.Array | None:
        if self.scales is None:
            return None
        if path not in self.scales:
            raise missing_parameter(self, path)
        return self.scales[path].value


def check_kept(wrapper: Any, known: Iterable[Path], params: list) -> None:
    """Raises a StructureError where a parameter of a wrapped layer is one no more."""
    for path in set(known).difference([path for path, _ in params]):
        kind, name = type(wrapper).__name__, ".".join(map(str, path))
        raise StructureError(
            f"The {type(wrapper.layer_instance).__name__} in a {kind} has no Param "
            f"{name}, which it had when it was wrapped",
            remedy=f"write layer.{name}[...] = array, which keeps the Param, or change "
            f"the layer first, and then wrap it: nnx.{kind}(layer, rngs=...)",
        )


def missing_parameter(wrapper: Any, path: Path) -> StructureError:
    """The error for a parameter that a wrapped layer has got since it was wrapped."""
    kind = type(wrapper).__name__
    return StructureError(
        f"The {type(wrapper.layer_instance).__name__} in a {kind} has a parameter "
        f"{'.'.join(map(str, path))} that it had not when it was wrapped",
        remedy=f"change the layer first, and then wrap it: nnx.{kind}(layer, rngs=...)",
    )
