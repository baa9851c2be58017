"""SpectralNorm: a layer whose kernels stretch no input by more than 1."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ..._graph import Path, leaves
from ..._objects import BatchStat, Module, Param
from ..._rngs import Rngs
from ..._typing import Dtype
from ...errors import ArgumentValueError, MissingRngError
from .. import initializers
from .._dtypes import canonicalize_dtype
from .._params import plain
from .._sharding_notes import sharding_explained
from ._reweigh import call_with
from ._weight_norm import check_kept, l2_normalize, missing_parameter


@functools.partial(jax.jit, static_argnums=(2, 3, 4))
def spectral_norm(
    weight: jax.Array, u: jax.Array, n_steps: int, epsilon: float, dtype: Any
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`weight` divided by its largest singular value, `u` and that value.

    Args:
        weight: `(..., features)`, taken as a matrix of its last axis and the rest.
        u: `(1, features)`, the singular vector as it was found so far.
        n_steps: number of steps of power iteration.
        epsilon: added to squared lengths.
        dtype: dtype to round the weight to; None infers it.
    """
    matrix = weight.reshape(-1, weight.shape[-1])
    # The statistics may be in float32 where the weight is in half precision.
    with jax.numpy_dtype_promotion("standard"):
        v = u_new = u
        for _ in range(n_steps):
            v = l2_normalize(u_new @ matrix.T, None, epsilon)
            u_new = l2_normalize(v @ matrix, None, epsilon)
        u_new, v = lax.stop_gradient((u_new, v))
        sigma = (v @ matrix @ u_new.T)[0, 0]
        out = matrix / jnp.where(sigma != 0, sigma, 1)
    dtype = canonicalize_dtype(out, u_new, v, sigma, dtype=dtype)
    out = jnp.asarray(out.reshape(weight.shape), dtype)
    return out.astype(weight.dtype), u_new.astype(u.dtype), sigma


@functools.partial(jax.jit, static_argnums=(3, 4, 5))
def spectral_norm_of_both(
    weight: jax.Array,
    u: jax.Array,
    v: jax.Array,
    n_steps: int,
    epsilon: float,
    dtype: Any,
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """`weight` divided by `v @ matrix @ u.T`, then `u`, `v` and that value.

    Args:
        weight, u, epsilon, dtype: as for `spectral_norm`.
        v: `(1, rest)`, the other singular vector.
        n_steps: number of steps of power iteration, none where both stay.
    """
    matrix = weight.reshape(-1, weight.shape[-1])
    with jax.numpy_dtype_promotion("standard"):
        for _ in range(n_steps):
            u = l2_normalize(v @ matrix, None, epsilon).astype(u.dtype)
            v = l2_normalize(u @ matrix.T, None, epsilon).astype(v.dtype)
        u, v = lax.stop_gradient((u, v))
        sigma = (v @ matrix @ u.T)[0, 0]
        out = matrix / jnp.where(sigma != 0, sigma, 1)
    dtype = canonicalize_dtype(out, u, v, sigma, dtype=dtype)
    out = jnp.asarray(out.reshape(weight.shape), dtype)
    return out.astype(weight.dtype), u, v, sigma


class SpectralNorm(Module):
    """Calls a layer with parameters whose largest singular value is 1.

    Miyato, Kataoka, Koyama, Yoshida: Spectral Normalization for Generative Adversarial
    Networks, https://arxiv.org/abs/1802.05957, 2018. The parameters of the layer stay
    as they are; while training, the statistics alone are written, and after
    `model.eval()`, or with `update_stats=False`, nothing is.

    The singular value is approximated by power iteration, a few steps in each call
    from where the last call stopped. A parameter of more than two axes is taken as a
    matrix of its last axis and the rest; one of fewer is left as it is.

    Attributes: `layer_instance`; `batch_stats`, for the path of each such parameter a
    BatchStat `(*path, 'u')` of shape `(1, features)`, and `(*path, 'sigma')` of shape
    `()`.

    Args:
        layer_instance: the layer, of one argument.
        n_steps: steps of power iteration in each call.
        epsilon: added to squared lengths, so that zeros do not divide by 0.
        dtype: dtype that the normalized parameters are rounded to; None infers it.
        param_dtype: dtype of the statistics.
        error_on_non_matrix: whether to refuse parameters of more than two axes.
        update_stats: whether to store statistics.
        rngs: gives the keys of `u`, from its `params` stream.
        keep_v: whether to keep the other singular vector too, as the BatchStat
            `(*path, 'v')` of shape `(1, rest)`. Then steps are taken only where
            statistics are stored, as in PyTorch, and else both are used as they are.

    Raises:
        ArgumentValueError: a parameter of more than two axes, if these are refused.
        MissingRngError: no `rngs`.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> rngs = nnx.Rngs(0)
        >>> linear = nnx.Linear(3, 2, rngs=rngs)
        >>> layer = nnx.SpectralNorm(linear, n_steps=30, rngs=rngs)
        >>> jnp.linalg.norm(layer(jnp.eye(3)), 2).round(3)
        Array(1., dtype=float32)
    """

    def __init__(
        self,
        layer_instance: Any,
        *,
        n_steps: int = 1,
        epsilon: float = 1e-12,
        dtype: Dtype | None = None,
        param_dtype: Dtype = jnp.float32,
        error_on_non_matrix: bool = False,
        update_stats: bool = True,
        rngs: Rngs | None = None,
        keep_v: bool = False,
    ):
        self.keep_v = keep_v
        self.layer_instance = layer_instance
        self.n_steps = plain(n_steps)
        self.epsilon = plain(epsilon)
        self.dtype = dtype
        self.param_dtype = param_dtype
        self.error_on_non_matrix = error_on_non_matrix
        # The name that model.train() and model.eval() set.
        self.use_running_average = not update_stats
        stats: dict[Path, BatchStat] = {}
        for path, param in self._selected():
            if rngs is None:
                raise MissingRngError(
                    f"SpectralNorm starts at random for {_text(path)} of shape "
                    f"{param.shape} and got no rngs",
                    remedy="pass rngs=nnx.Rngs(0) to the layer.",
                )
            u = initializers.normal()(rngs.params(), (1, param.shape[-1]), param_dtype)
            stats[*path, "u"] = BatchStat(u)
            stats[*path, "sigma"] = BatchStat(jnp.ones((), param_dtype))
            if keep_v:
                rest = (1, param.size // param.shape[-1])
                v = initializers.normal()(rngs.params(), rest, param_dtype)
                stats[*path, "v"] = BatchStat(v)
        self.batch_stats = stats

    def __call__(self, x: Any, update_stats: bool | None = None) -> Any:
        """Calls the layer with normalized parameters.

        Args:
            x: its input.
            update_stats: whether to store statistics; takes precedence over that of the
                constructor.

        Returns:
            What it returns.

        Raises:
            ArgumentValueError: it has a parameter of more than two axes, if these are
                refused.
            StructureError: it has a parameter that it had not before, or has lost one.
        """
        if update_stats is None:
            update_stats = not self.use_running_average
        values, selected = {}, self._selected()
        if self.n_steps > 0:
            check_kept(self, [path[:-1] for path in self.batch_stats], selected)
        for path, param in selected:
            if (*path, "u") not in self.batch_stats:
                raise missing_parameter(self, path)
            with sharding_explained(self):
                values[path] = self._normalized(path, param, update_stats)
        return call_with(self.layer_instance, values, x)

    def _normalized(self, path: Path, param: Param, update_stats: bool) -> jax.Array:
        """The parameter to call the layer with."""
        names = ("u", "v", "sigma") if self.keep_v else ("u", "sigma")
        stored = [self.batch_stats[*path, name] for name in names]
        vectors = [stat.value for stat in stored[:-1]]
        options = (self.epsilon, self.dtype)
        if self.keep_v:
            steps = self.n_steps if update_stats else 0
            out, *found = spectral_norm_of_both(param.value, *vectors, steps, *options)
        else:
            out, *found = spectral_norm(param.value, *vectors, self.n_steps, *options)
        if update_stats:
            for stat, value in zip(stored, found, strict=True):
                stat.value = value.astype(stat.dtype)
        return out

    def _selected(self) -> list[tuple[Path, Param]]:
        """The parameters that are normalized, with their paths."""
        found = [
            (path, leaf)
            for path, leaf in leaves(self.layer_instance)
            if isinstance(leaf, Param) and leaf.ndim > 1 and self.n_steps > 0
        ]
        for path, param in found:
            if param.ndim > 2 and self.error_on_non_matrix:
                raise ArgumentValueError(
                    f"SpectralNorm refuses {_text(path)} of shape {param.shape}, which "
                    "is no matrix, as error_on_non_matrix=True",
                    remedy="pass error_on_non_matrix=False to take it as a matrix of "
                    "its last axis and the rest.",
                )
        return found


def _text(path: Path) -> str:
    return ".".join(map(str, path))
