"""Metrics: closed forms, agreement with flax, use under transforms, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx

RNG = np.random.default_rng(0)
LOGITS = jnp.asarray(RNG.normal(size=(16, 3)), jnp.float32)
LABELS = jnp.asarray(RNG.integers(0, 3, 16), jnp.int32)
BINARY = jnp.asarray(RNG.normal(size=16), jnp.float32)
SIGNS = jnp.asarray(RNG.integers(0, 2, 16), jnp.int32)
VALUES = jnp.asarray(RNG.normal(3.0, 2.0, (4, 4)), jnp.float32)
MASK = jnp.asarray(RNG.integers(0, 2, (4, 4)), bool)


def make_multi(lib):
    return lib.MultiMetric(
        accuracy=lib.metrics.Accuracy(), loss=lib.metrics.Average(argname="loss")
    )


# name, how it is made from a library, batches
TABLE = [
    ("average", lambda lib: lib.metrics.Average(), [{"values": VALUES}] * 2),
    (
        "average of halves",
        lambda lib: lib.metrics.Average("loss"),
        [{"loss": VALUES.astype(jnp.bfloat16)}, {"loss": VALUES.astype(jnp.float16)}],
    ),
    ("average of ints", lambda lib: lib.metrics.Average(), [{"values": LABELS}]),
    ("average of bools", lambda lib: lib.metrics.Average(), [{"values": MASK}]),
    ("average of numpy", lambda lib: lib.metrics.Average(), [{"values": np.ones(3)}]),
    (
        "average of numbers",
        lambda lib: lib.metrics.Average(),
        [{"values": 1.5}, {"values": 4}],
    ),
    (
        "masked average",
        lambda lib: lib.metrics.Average(),
        [{"values": VALUES, "mask": MASK}, {"values": VALUES}],
    ),
    (
        "welford",
        lambda lib: lib.metrics.Welford(),
        [{"values": VALUES}, {"values": 3.0}, {"values": 7}, {"values": VALUES * 2}],
    ),
    (
        "accuracy",
        lambda lib: lib.metrics.Accuracy(),
        [{"logits": LOGITS, "labels": LABELS, "other": 1}],
    ),
    (
        "masked accuracy",
        lambda lib: lib.metrics.Accuracy(),
        [{"logits": LOGITS, "labels": LABELS, "mask": SIGNS}],
    ),
    (
        "binary accuracy",
        lambda lib: lib.metrics.Accuracy(threshold=0.25),
        [{"logits": BINARY, "labels": SIGNS}],
    ),
    (
        "multi",
        make_multi,
        [{"logits": LOGITS, "labels": LABELS, "loss": VALUES}] * 2,
    ),
    (
        "multi with masks",
        make_multi,
        [
            {
                "logits": LOGITS,
                "labels": LABELS,
                "loss": VALUES,
                "mask": {"accuracy": SIGNS, "loss": MASK},
            }
        ],
    ),
    ("nothing", lambda lib: lib.metrics.Average(), []),
]
IDS = [row[0] for row in TABLE]


def _numbers(result):
    if isinstance(result, dict):
        return [float(result[name]) for name in sorted(result)]
    if hasattr(result, "standard_deviation"):
        names = ("mean", "standard_error_of_mean", "standard_deviation")
        return [float(getattr(result, name)) for name in names]
    return [float(result)]


@pytest.mark.peer
@pytest.mark.parametrize(("name", "make", "batches"), TABLE, ids=IDS)
def test_the_measure_is_that_of_flax(name, make, batches):
    flax_nnx = pytest.importorskip("flax.nnx")
    ours, theirs = make(nnx), make(flax_nnx)
    with (
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
    ):
        for batch in batches:
            theirs.update(**batch)
        expected = _numbers(theirs.compute())
    for batch in batches:
        ours.update(**batch)
    tolerance = 1e-2 if "halves" in name else 2e-6
    np.testing.assert_allclose(_numbers(ours.compute()), expected, rtol=tolerance)


@pytest.mark.parametrize(("name", "make", "batches"), TABLE, ids=IDS)
def test_jit_changes_nothing(name, make, batches):
    @nnx.jit
    def step(metric, batch):
        metric.update(**batch)

    eager, compiled = make(nnx), make(nnx)
    for batch in batches:
        if "number" in name:  # traced, a number is an array
            batch = jax.tree.map(jnp.asarray, batch)
        eager.update(**batch)
        step(compiled, batch)
    np.testing.assert_allclose(
        _numbers(compiled.compute()), _numbers(eager.compute()), rtol=1e-6
    )


@pytest.mark.parametrize(("name", "make", "batches"), TABLE, ids=IDS)
def test_reset_forgets_everything(name, make, batches):
    used, fresh = make(nnx), make(nnx)
    for batch in batches:
        used.update(**batch)
    used.reset()
    jax.tree.map(np.testing.assert_array_equal, nnx.state(used), nnx.state(fresh))
    assert nnx.graphdef(used) is nnx.graphdef(fresh)
    dtypes = [v.dtype for v in jax.tree.leaves(used)]
    assert dtypes == [v.dtype for v in jax.tree.leaves(fresh)]


@pytest.mark.parametrize(("name", "make", "batches"), TABLE, ids=IDS)
def test_the_state_is_of_one_type(name, make, batches):
    graphdef, state = make(nnx).split(nnx.metrics.MetricState)
    assert graphdef.num_leaves == len(jax.tree.leaves(state)) > 0


def test_a_step_is_traced_once_over_updates_and_resets():
    traces = []

    @nnx.jit
    def step(metric):
        traces.append(1)
        metric.update(logits=LOGITS, labels=LABELS, loss=VALUES)

    metric = make_multi(nnx)
    for _ in range(3):
        step(metric)
        metric.reset()
    assert len(traces) == 1


def test_welford_does_not_cancel():
    metric = nnx.metrics.Welford()
    values = np.arange(1000, dtype=np.float32) % 7 + 10_000
    for chunk in values.reshape(10, 100):
        metric.update(values=jnp.asarray(chunk))
    statistics = metric.compute()
    np.testing.assert_allclose(
        statistics.mean, values.mean(dtype=np.float64), rtol=1e-6
    )
    np.testing.assert_allclose(
        statistics.standard_deviation, values.std(dtype=np.float64), rtol=1e-3
    )


def test_welford_counts_what_the_mask_says():
    masked, plain = nnx.metrics.Welford(), nnx.metrics.Welford()
    masked.update(values=VALUES, mask=jnp.zeros_like(MASK))
    masked.update(values=VALUES, mask=MASK)
    plain.update(values=VALUES[MASK])
    np.testing.assert_allclose(
        _numbers(masked.compute()), _numbers(plain.compute()), rtol=1e-6
    )


def test_a_mask_of_fewer_columns_counts_each_value():
    metric = nnx.metrics.Average()
    metric.update(values=jnp.ones((2, 3)), mask=jnp.array([[1], [0]]))
    assert float(metric.compute()) == 1.0


def test_what_is_masked_out_may_be_nan():
    metric = nnx.metrics.Average()
    metric.update(values=jnp.array([2.0, jnp.nan]), mask=jnp.array([True, False]))
    assert float(metric.compute()) == 2.0


def test_statistics_are_a_pytree():
    statistics = nnx.metrics.Statistics(jnp.ones(()), jnp.ones(()), jnp.zeros(()))
    doubled = jax.tree.map(lambda x: x + x, statistics)
    assert _numbers(doubled) == [2.0, 2.0, 0.0]


def test_metrics_stay_in_order():
    assert list(make_multi(nnx).compute()) == ["accuracy", "loss"]


@pytest.mark.parametrize("method", ["reset", "update", "compute"])
def test_the_base_says_what_to_override(method):
    class Half(nnx.Metric):
        def __init__(self):
            pass

    with pytest.raises(NotImplementedError, match=rf"override `{method}\(\)`"):
        getattr(Half(), method)()


def test_the_base_is_abstract():
    with pytest.raises(NotImplementedError, match="__init__"):
        nnx.Metric()


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (
            lambda: nnx.metrics.Average().update(loss=1.0),
            TypeError,
            "'values', got: loss",
        ),
        (lambda: nnx.metrics.Welford("x").update(), TypeError, "'x', got: none"),
        (
            lambda: nnx.metrics.Average().update(values=1.0, mask=MASK),
            ValueError,
            "should be a jax array, got 1.0",
        ),
        (
            lambda: nnx.metrics.Accuracy(threshold=1),
            TypeError,
            "to be a float, got int",
        ),
        (
            lambda: nnx.metrics.Accuracy().update(logits=BINARY, labels=LABELS),
            ValueError,
            r"labels.ndim\+1, got logits of shape \(16,\)",
        ),
        (
            lambda: nnx.metrics.Accuracy(0.5).update(logits=LOGITS, labels=LABELS),
            ValueError,
            r"For binary .* of shape \(16, 3\)",
        ),
        (
            lambda: nnx.metrics.Accuracy().update(logits=LOGITS, labels=BINARY),
            ValueError,
            r"got float32\n.*astype",
        ),
        (
            lambda: nnx.MultiMetric(update=nnx.metrics.Average()),
            TypeError,
            "methods of the names update",
        ),
        (
            lambda: make_multi(nnx).update(loss=VALUES, mask={"los": MASK}),
            ValueError,
            r"masks for \['los'\].*\['accuracy', 'loss'\]",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_use_is_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_modules_have_the_names_that_flax_has():
    assert nnx.metrics.MultiMetric is nnx.MultiMetric
    assert nnx.metrics.Metric is nnx.Metric
    assert nnx.optimizer.Optimizer is nnx.Optimizer
    assert nnx.optimizer.ModelAndOptimizer is nnx.ModelAndOptimizer
    assert nnx.optimizer.OptState is nnx.OptState
