"""BatchNorm: normalization of each channel over the batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import jax
import jax.numpy as jnp

from ..._arguments import with_arguments_of
from ..._compat import EAGER, tracing
from ..._objects import BatchStat, Variable, module_path
from ...errors import ArgumentValueError
from ...sharding import lying_as
from .._compute import Settings, compute
from .._params import no_variable, plain, size_error, value_of
from ._checks import check_mask
from ._norm import Norm, NormArguments
from ._normalize import (
    NormOptions,
    count_of_elements,
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
    count: jax.Array | None,
    momentum: float | None,
    unbiased: bool,
    options: NormOptions,
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    """Normalizes by the statistics of the batch, and averages them into `stats`.

    Args:
        using: the dtypes of the layer.
        x: `(...)`, with the channels on the feature axis.
        mean: running mean; here for the dtype alone, in which it has a say.
        variance: likewise.
        scale: `(num_features,)` or None.
        bias: `(num_features,)` or None.
        stats: running mean and variance, `(num_features,)`.
        mask: which elements count, broadcastable to `x`.
        count: how many batches there were before, where `momentum` is None.
        momentum: weight of the running statistics; None weighs all batches alike.
        unbiased: whether the running variance has Bessel's correction.
        options: as the layer has them.

    Returns:
        The normalized array, and the new running mean and variance.
    """
    batch = mean_and_variance(using, x, mask, options)
    new = batch
    with jax.numpy_dtype_promotion("standard"):
        if unbiased:
            number = count_of_elements(x, mask, options)
            new = batch[0], batch[1] * (number / jnp.maximum(number - 1, 1))
        kept: Any = momentum if count is None else count / (count + 1)
        averaged = tuple(
            kept * old + (1 - kept) * value.reshape(old.shape)
            for old, value in zip(stats, new, strict=True)
        )
    return normalize(using, x, *batch, scale, bias, options), averaged


class BatchNorm(Norm):
    """Normalizes each channel by its mean and variance over the batch.

    Ioffe, Szegedy: Batch Normalization, https://arxiv.org/abs/1502.03167, 2015. The
    running variance is that of the batch without Bessel's correction, which the paper
    and PyTorch apply, unless `unbiased_variance` asks for it.

    While training (`model.train()`), each call normalizes by the statistics of its
    input and averages them into `mean` and `var`; afterwards (`model.eval()`), these
    are used.

    Attributes: `mean` and `var`, each a BatchStat of shape `(num_features,)`, float32;
    `scale` and `bias`, each a Param of that shape or None; `count`, a BatchStat, the
    number of batches so far, int32, or None where they are not counted.

    Args:
        use_running_average: whether to normalize by `mean` and `var`.
        axis: axis of the channels; a tuple of one, too.
        momentum: weight of the running statistics in each average, PyTorch's is 1 less
            that; None takes the plain average over all batches, and counts them.
        unbiased_variance: whether the running variance has Bessel's correction, for
            statistics that stay those of PyTorch in further training.
        count_batches: whether batches are counted though the average does not need it,
            as PyTorch counts them (`num_batches_tracked`).

    The other arguments are those of every normalization: `Norm`.

    Raises:
        MissingRngError: no `rngs` for an initializer that draws.
        ArgumentValueError: `axis` holds several.

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
        axis: int | Sequence[int] = -1,
        momentum: float | None = 0.99,
        epsilon: float = 1e-5,
        unbiased_variance: bool = False,
        count_batches: bool = False,
        **others: Unpack[NormArguments],
    ):
        shape = (num_features,)
        self.mean = BatchStat(jnp.zeros(shape, jnp.float32))
        self.var = BatchStat(jnp.ones(shape, jnp.float32))
        super().__init__(num_features, epsilon=epsilon, **others)
        self.use_running_average = use_running_average
        self.axis = axis
        _axis_of(self)  # raises where there are several
        self.momentum = plain(momentum)
        self.unbiased_variance = unbiased_variance
        self.count = None
        if momentum is None or count_batches:
            self.count = BatchStat(jnp.zeros((), jnp.int32))

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
        axis, ndim = _axis_of(self), x.ndim
        if not -ndim <= axis < ndim or x.shape[axis] != self.num_features:
            raise _input_error(self, x)
        check_mask(self, x, mask)
        if use_running_average is None:
            use_running_average = _uses_running_average(self)
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
        counted = getattr(self, "count", None)
        count = counted if self.momentum is None else None
        unbiased = getattr(self, "unbiased_variance", False)
        out, (mean, var) = compute(
            batch_norm_train,
            self,
            *arrays,
            others=(stats, mask, None if count is None else count.value),
            options=(self.momentum, unbiased, options),
            compiled=compiled,
        )
        # The features may be split where the statistics are not.
        self.mean.value = lying_as(mean, stats[0])
        self.var.value = lying_as(var, stats[1])
        if counted is not None:
            counted.value += 1
        return out


def _uses_running_average(layer: BatchNorm) -> bool:
    if layer.use_running_average is None:
        raise ArgumentValueError(
            "BatchNorm does not know which statistics to use: "
            "use_running_average is None",
            where=module_path(layer),
            remedy="call model.train() or model.eval(), or pass "
            "use_running_average=True or False to the call or the constructor.",
        )
    return layer.use_running_average


def _axis_of(layer: BatchNorm) -> int:
    axis = layer.axis
    if isinstance(axis, int):
        return axis
    if len(axis) != 1:
        raise ArgumentValueError(
            f"BatchNorm has running statistics along one axis, got axis={axis!r}",
            where=module_path(layer),
            remedy="give the axis of the channels alone, or reshape the input so that "
            "they are one axis.",
        )
    return axis[0]


def _input_error(layer: BatchNorm, x: jax.Array) -> Exception:
    axis = _axis_of(layer)
    return size_error(
        layer,
        x,
        axis=axis,
        expected=layer.num_features,
        got=x.shape[axis] if -x.ndim <= axis < x.ndim else None,
        argument="num_features",
    )
