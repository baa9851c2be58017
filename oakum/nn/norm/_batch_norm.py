"""BatchNorm: normalization of each channel over the batch."""

from __future__ import annotations

from typing import Unpack

import jax
import jax.numpy as jnp

from ..._arguments import with_arguments_of
from ..._compat import EAGER, tracing
from ..._objects import BatchStat, Variable, module_path
from ...errors import ArgumentValueError
from .._compute import Settings, compute
from .._params import no_variable, plain, size_error, value_of
from ._checks import check_mask
from ._norm import Norm, NormArguments
from ._normalize import (
    NormOptions,
    mean_and_variance,
    norm_options,
    normalize,
)


def batch_norm_train(
    using: Settings,
    x: jax.Array,
    mean: jax.Array,
    variance: jax.Array,
    scale: jax.Array | None,
    bias: jax.Array | None,
    stats: tuple[jax.Array, jax.Array],
    mask: jax.Array | None,
    momentum: float,
    options: NormOptions,
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    """Normalizes by the statistics of the batch, and averages them into `stats`.

    Args:
        using: the dtypes of the layer.
        x: `(...)`, with the channels on the feature axis.
        mean: running mean in the dtype of the computation, which is not needed.
        variance: likewise.
        scale: `(num_features,)` or None.
        bias: `(num_features,)` or None.
        stats: running mean and variance, `(num_features,)`.
        mask: which elements count, broadcastable to `x`.
        momentum: weight of the running statistics.
        options: as the layer has them.

    Returns:
        The normalized array, and the new running mean and variance.
    """
    batch = mean_and_variance(using, x, mask, options)
    with jax.numpy_dtype_promotion("standard"):
        averaged = tuple(
            momentum * old + (1 - momentum) * new.reshape(old.shape)
            for old, new in zip(stats, batch, strict=True)
        )
    return normalize(using, x, *batch, scale, bias, options), averaged


class BatchNorm(Norm):
    """Normalizes each channel by its mean and variance over the batch.

    Ioffe, Szegedy: Batch Normalization, https://arxiv.org/abs/1502.03167, 2015. The
    running variance is that of the batch without Bessel's correction, which the paper
    applies.

    While training (`model.train()`), each call normalizes by the statistics of its
    input and averages them into `mean` and `var`; afterwards (`model.eval()`), these
    are used.

    Attributes: `mean` and `var`, each a BatchStat of shape `(num_features,)`, float32;
    `scale` and `bias`, each a Param of that shape or None.

    Args:
        use_running_average: whether to normalize by `mean` and `var`.
        axis: axis of the channels.
        momentum: weight of the running statistics in each average.

    The other arguments are those of every normalization: `Norm`.

    Raises:
        MissingRngError: no `rngs` for an initializer that draws.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> layer = nnx.BatchNorm(1, momentum=0.5)
        >>> layer(jnp.array([[1.0], [3.0]])).round(3).ravel(), layer.mean.value
        (Array([-1.,  1.], dtype=float32), Array([1.], dtype=float32))
    """

    @with_arguments_of(Norm.__init__)
    def __init__(
        self,
        num_features: int,
        *,
        use_running_average: bool | None = False,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-5,
        **others: Unpack[NormArguments],
    ):
        shape = (num_features,)
        self.mean = BatchStat(jnp.zeros(shape, jnp.float32))
        self.var = BatchStat(jnp.ones(shape, jnp.float32))
        super().__init__(num_features, epsilon=epsilon, **others)
        self.use_running_average = use_running_average
        self.axis = axis
        self.momentum = plain(momentum)

    def set_view(self, use_running_average: bool | None = None) -> None:
        """Sets the mode, for `nnx.view`.

        Args:
            use_running_average: whether the statistics are those of earlier batches;
                None leaves it.
        """
        if use_running_average is not None:
            self.use_running_average = use_running_average

    def __call__(
        self,
        x: jax.Array,
        use_running_average: bool | None = None,
        *,
        mask: jax.Array | None = None,
    ) -> jax.Array:
        """Normalizes the input, and while training updates the running statistics.

        Args:
            x: any shape with `num_features` at `axis`.
            use_running_average: takes precedence over that of the constructor.
            mask: `bool`, which elements count for the statistics; broadcastable to `x`.

        Returns:
            An array of the shape of `x`.

        Raises:
            ShapeError: `axis` of the input is not `num_features`, or the mask does not
                fit.
            ArgumentValueError: `use_running_average` is given neither here nor before.
        """
        axis, ndim = self.axis, x.ndim
        if not -ndim <= axis < ndim or x.shape[axis] != self.num_features:
            raise self._input_error(x)
        check_mask(self, x, mask)
        if use_running_average is None:
            use_running_average = self._uses_running_average()
        channels = axis % ndim
        rest = tuple(i for i in range(ndim) if i != channels)
        options = norm_options(self, rest, channels)
        stats = value_of(self, "mean"), value_of(self, "var")
        arrays = (x, *stats, value_of(self, "scale"), value_of(self, "bias"))
        # Not outside of a trace: there the numbers are those of flax to the last bit,
        # which a product and a sum in one program are not.
        compiled = tracing.value is not EAGER
        if use_running_average:
            return compute(
                normalize, self, *arrays, options=(options,), compiled=compiled
            )
        for name in ("mean", "var"):
            if not isinstance(getattr(self, name), Variable):
                raise no_variable(self, name, "BatchStat")
        out, (mean, var) = compute(
            batch_norm_train,
            self,
            *arrays,
            others=(stats, mask),
            options=(self.momentum, options),
            compiled=compiled,
        )
        self.mean.value = mean
        self.var.value = var
        return out

    def _uses_running_average(self) -> bool:
        if self.use_running_average is None:
            raise ArgumentValueError(
                "BatchNorm does not know which statistics to use: "
                "use_running_average is None",
                where=module_path(self),
                remedy="call model.train() or model.eval(), or pass "
                "use_running_average=True or False to the call or the constructor.",
            )
        return self.use_running_average

    def _input_error(self, x: jax.Array) -> Exception:
        return size_error(
            self,
            x,
            axis=self.axis,
            expected=self.num_features,
            got=x.shape[self.axis] if -x.ndim <= self.axis < x.ndim else None,
            argument="num_features",
        )
