"""Metrics: sums kept in Variables, from which a measure over many batches is computed.

The usual sequence of calls, `update` as often as there are batches:

    metrics = nnx.MultiMetric(
        accuracy=nnx.metrics.Accuracy(), loss=nnx.metrics.Average()
    )
    metrics.update(logits=logits, labels=labels, values=loss)   # inside nnx.jit too
    metrics.compute()                                           # {'accuracy': ..., ...}
    metrics.reset()
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from .._objects import Pytree, Variable
from .._state import split
from ..errors import ArgumentError, ArgumentValueError, ShapeError


class MetricState(Variable):
    """State of a metric."""

    __slots__ = ()


class Metric(Pytree):
    """Base of metrics: `reset`, `update` and `compute` are for subclasses to define.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> class Largest(nnx.Metric):
        ...     def __init__(self):
        ...         self.best = nnx.metrics.MetricState(jnp.array(-jnp.inf))
        ...     def reset(self):
        ...         self.best[...] = jnp.array(-jnp.inf)
        ...     def update(self, *, values, **_):
        ...         self.best[...] = jnp.maximum(self.best[...], values.max())
        ...     def compute(self):
        ...         return self.best[...]
        >>> largest = Largest()
        >>> largest.update(values=jnp.array([1.0, 3.0]))
        >>> float(largest.compute())
        3.0
    """

    def __init__(self) -> None:
        raise NotImplementedError("Must override `__init__()` method.")

    def reset(self) -> None:
        """Forgets all updates."""
        raise NotImplementedError("Must override `reset()` method.")

    def update(self, **kwargs: Any) -> None:
        """Takes in a batch."""
        raise NotImplementedError("Must override `update()` method.")

    def compute(self) -> Any:
        """The measure over all updates since the last reset."""
        raise NotImplementedError("Must override `compute()` method.")

    def split(self, *filters: Any) -> Any:
        """As `nnx.split`: the structure, and the state by filter."""
        return split(self, *filters)


class Average(Metric):
    """The mean of all values.

    Args:
        argname: the name under which `update` takes the values.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> loss = nnx.metrics.Average()
        >>> loss.update(values=jnp.array([1.0, 2.0, 3.0, 4.0]))
        >>> loss.update(values=6.5)
        >>> float(loss.compute())
        3.299999952316284
    """

    def __init__(self, argname: str = "values"):
        self.argname = argname
        self.total = MetricState(jnp.zeros((), jnp.float32))
        self.count = MetricState(jnp.zeros((), jnp.int32))

    def reset(self) -> None:
        """Forgets all updates; until the next one the mean is NaN."""
        self.total.set_value(jnp.zeros((), jnp.float32))
        self.count.set_value(jnp.zeros((), jnp.int32))

    def update(self, mask: Any = None, **kwargs: Any) -> None:
        """Takes in a batch of values.

        Args:
            mask: what each value counts, 0 or 1, of a shape that broadcasts with the
                values'. Values that count 0 may be NaN.
            **kwargs: the values under the metric's `argname`, `(...)` of any real dtype
                or a number; other names are ignored.

        Raises:
            ArgumentError: there is no such name.
            ArgumentValueError: a mask comes with a single number.
        """
        values, mask = _values(self, kwargs, mask)
        total, count = _total_and_count(values, mask)
        self.total.set_value(self.total.get_value() + total)
        self.count.set_value(self.count.get_value() + count)

    def compute(self) -> jax.Array:
        """The mean, `()` float32."""
        return self.total.get_value() / self.count.get_value().astype(jnp.float32)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Statistics:
    """What `Welford` computes.

    Args:
        mean: the mean, `()` float32.
        standard_error_of_mean: the deviation over the root of the count, `()` float32.
        standard_deviation: of the population, `()` float32.
    """

    mean: jax.Array
    standard_error_of_mean: jax.Array
    standard_deviation: jax.Array


class Welford(Metric):
    """Mean and deviation of all values, in one pass and without cancellation.

    B. P. Welford, "Note on a Method for Calculating Corrected Sums of Squares and
    Products", Technometrics 4(3), 1962, https://doi.org/10.1080/00401706.1962.10490022.
    Batches are merged by the formula of T. F. Chan, G. H. Golub and R. J. LeVeque,
    "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979,
    http://i.stanford.edu/pub/cstr/reports/cs/tr/79/773/CS-TR-79-773.pdf.

    Args:
        argname: the name under which `update` takes the values.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> loss = nnx.metrics.Welford()
        >>> loss.update(values=jnp.array([1.0, 2.0]))
        >>> loss.update(values=jnp.array([3.0, 4.0]))
        >>> statistics = loss.compute()
        >>> float(statistics.mean), float(statistics.standard_deviation)
        (2.5, 1.1180340051651)
    """

    def __init__(self, argname: str = "values"):
        self.argname = argname
        self.count = MetricState(jnp.zeros((), jnp.int32))
        self.mean = MetricState(jnp.zeros((), jnp.float32))
        self.m2 = MetricState(jnp.zeros((), jnp.float32))

    def reset(self) -> None:
        """Forgets all updates."""
        self.count.set_value(jnp.zeros((), jnp.int32))
        self.mean.set_value(jnp.zeros((), jnp.float32))
        self.m2.set_value(jnp.zeros((), jnp.float32))

    def update(self, mask: Any = None, **kwargs: Any) -> None:
        """Takes in a batch of values.

        Args:
            mask: as for `Average.update`.
            **kwargs: the values under the metric's `argname`, `(...)` of any real dtype
                or a number; other names are ignored.

        Raises:
            ArgumentError: there is no such name.
            ArgumentValueError: a mask comes with a single number.
        """
        values, mask = _values(self, kwargs, mask)
        values = jnp.asarray(values).astype(jnp.float32)
        total, count = _total_and_count(values, mask)
        new = jnp.float32(count)
        # A batch of which nothing counts divides nought by one, and adds nought.
        mean = total / jnp.maximum(new, 1.0)
        squares, _ = _total_and_count(jnp.square(values - mean), mask)
        old = self.count.get_value().astype(jnp.float32)
        both = jnp.maximum(old + new, 1.0)
        delta = mean - self.mean.get_value()
        self.count.set_value(self.count.get_value() + count)
        self.mean.set_value(self.mean.get_value() + delta * new / both)
        added = squares + delta * delta * new * old / both
        self.m2.set_value(self.m2.get_value() + added)

    def compute(self) -> Statistics:
        """The `Statistics` of all values."""
        count = self.count.get_value().astype(jnp.float32)
        deviation = jnp.sqrt(self.m2.get_value() / count)
        return Statistics(
            mean=self.mean.get_value(),
            standard_error_of_mean=deviation / jnp.sqrt(count),
            standard_deviation=deviation,
        )


class Accuracy(Average):
    """The share of right predictions.

    Args:
        threshold: for two classes, the least logit that counts as a positive; left out,
            the largest logit along the last axis is the predicted class.
        *args, **kwargs: as for `Average`.

    Raises:
        ArgumentError: the threshold is no float.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> accuracy = nnx.metrics.Accuracy()
        >>> logits = jnp.array([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0]])
        >>> accuracy.update(logits=logits, labels=jnp.array([0, 1, 1]))
        >>> float(accuracy.compute())
        0.6666666865348816
    """

    def __init__(self, threshold: float | None = None, *args: Any, **kwargs: Any):
        if threshold is not None and not isinstance(threshold, float):
            raise ArgumentError(
                f"Expected threshold to be a float, got {type(threshold).__name__}",
                remedy="nnx.metrics.Accuracy(threshold=0.5).",
            )
        self.threshold = threshold
        super().__init__(*args, **kwargs)

    def update(  # type: ignore[override]
        self, *, logits: Any, labels: Any, mask: Any = None, **_: Any
    ) -> None:
        """Takes in a batch of predictions.

        Args:
            logits: `(..., classes)`, or `(...)` where there is a threshold.
            labels: the right classes, `(...)` int32 or int64.
            mask: what each prediction counts, 0 or 1, of a shape that broadcasts with
                the labels'.

        Raises:
            ShapeError: the numbers of dimensions do not fit.
            ArgumentValueError: the labels are of another dtype.
        """
        logits, labels = jnp.asarray(logits), jnp.asarray(labels)
        binary = self.threshold is not None
        if logits.ndim != labels.ndim + (not binary):
            rule = "labels.ndim" if binary else "labels.ndim+1"
            raise ShapeError(
                f"For {'binary' if binary else 'multi-class'} classification, expected "
                f"logits.ndim=={rule}, got logits of shape {logits.shape} and labels "
                f"of shape {labels.shape}",
                remedy="give the class of each prediction as labels; a threshold, "
                "Accuracy(threshold=0.5), is for logits without an axis of classes.",
            )
        if labels.dtype not in (jnp.int32, jnp.int64):
            raise ArgumentValueError(
                f"Expected labels.dtype==jnp.int32, got {labels.dtype}",
                remedy="labels.astype(jnp.int32)",
            )
        if binary:
            right = (logits >= self.threshold) == (labels > 0)
        else:
            right = logits.argmax(axis=-1) == labels.astype(jnp.int32)
        super().update(**{self.argname: right}, mask=mask)


class MultiMetric(Metric):
    """Several metrics by name, updated in one call.

    Args:
        **metrics: the metrics; each becomes an attribute.

    Raises:
        ArgumentError: a metric has the name of a method.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> metrics = nnx.MultiMetric(
        ...     accuracy=nnx.metrics.Accuracy(), loss=nnx.metrics.Average())
        >>> losses = jnp.array([0.5, 1.5])
        >>> metrics.update(logits=jnp.eye(2), labels=jnp.array([0, 1]), values=losses)
        >>> {name: float(value) for name, value in metrics.compute().items()}
        {'accuracy': 1.0, 'loss': 1.0}
    """

    if TYPE_CHECKING:  # the metrics themselves

        def __getattr__(self, name: str) -> Any: ...

    def __init__(self, **metrics: Metric):
        taken = sorted(name for name in metrics if hasattr(type(self), name))
        if taken:
            raise ArgumentError(
                f"A MultiMetric has methods of the names {', '.join(taken)}",
                remedy="call the metrics by other names.",
            )
        self._metric_names = tuple(metrics)
        for name, metric in metrics.items():
            setattr(self, name, metric)

    def reset(self) -> None:
        """Resets every metric."""
        for name in self._metric_names:
            getattr(self, name).reset()

    def update(self, **updates: Any) -> None:
        """Updates every metric.

        Args:
            **updates: passed on to each metric, which takes what it knows. A `mask` may
                be a dict from the name of a metric to its mask.

        Raises:
            ArgumentValueError: a mask is for a metric that is not there.
        """
        mask = updates.pop("mask", None)
        masks = (
            mask if isinstance(mask, dict) else dict.fromkeys(self._metric_names, mask)
        )
        unknown = [name for name in masks if name not in self._metric_names]
        if unknown:
            raise ArgumentValueError(
                f"There are masks for {unknown}, and there are metrics "
                f"{list(self._metric_names)}",
                remedy="mask={'accuracy': mask}, by the names of the metrics.",
            )
        for name in self._metric_names:
            own = masks.get(name)
            extra = {} if own is None else {"mask": own}
            getattr(self, name).update(**updates, **extra)

    def compute(self) -> dict[str, Any]:
        """The measure of every metric, by name."""
        return {name: getattr(self, name).compute() for name in self._metric_names}


def _values(metric: Any, kwargs: dict[str, Any], mask: Any) -> tuple[Any, Any]:
    """The values that a metric is to take in, and their mask as an array."""
    name = metric.argname
    if name not in kwargs:
        raise ArgumentError(
            f"Expected keyword argument '{name}', got: {', '.join(kwargs) or 'none'}",
            remedy=f"{type(metric).__name__.lower()}.update({name}=...), or another "
            f"argname: {type(metric).__name__}(argname='loss').",
        )
    values = kwargs[name]
    if mask is not None and isinstance(values, int | float):
        raise ArgumentValueError(
            f"If mask is provided, {name} should be a jax array, got {values!r}",
            remedy="leave a number that is not to count out of the updates.",
        )
    return values, None if mask is None else jnp.asarray(mask)


def _total_and_count(
    values: Any, mask: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    """The sum, `()` float32, and how many values it is of, `()` int32."""
    values = jnp.asarray(values)
    # Whole numbers are summed as such, small floats in float32: neither loses digits.
    wide = jnp.float32 if jnp.issubdtype(values.dtype, jnp.floating) else None
    if mask is None:
        total = jnp.sum(values, dtype=wide)
        return total.astype(jnp.float32), jnp.array(values.size, jnp.int32)
    shape = jnp.broadcast_shapes(values.shape, mask.shape)
    values = jnp.broadcast_to(values, shape)
    mask = jnp.broadcast_to(mask, shape)
    product = values * mask.astype(values.dtype)
    product = jnp.where(mask.astype(bool), product, jnp.zeros_like(product))
    total = jnp.sum(product, dtype=wide)
    return total.astype(jnp.float32), jnp.sum(mask).astype(jnp.int32)
