"""Optimizers, metrics and EMA in detail: kinds of `wrt`, wrappers of optax, masks."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from tests.parity.idioms.training import compiled_steps
from tests.parity.table import Table

TABLE = Table("more_training")
X = jnp.linspace(-1.0, 1.0, 6).reshape(3, 2)
Y = jnp.ones((3, 1))


def net(nnx):
    class Net(nnx.Module):
        def __init__(self, rngs):
            self.first = nnx.Linear(2, 3, rngs=rngs)
            self.norm = nnx.LayerNorm(3, rngs=rngs)
            self.seen = nnx.BatchStat(jnp.array(2.0))
            self.last = nnx.Linear(3, 1, rngs=rngs)

        def __call__(self, x):
            return self.last(nnx.tanh(self.norm(self.first(x)))) * self.seen

    return Net(nnx.Rngs(0))


def loss(model, x=X, y=Y):
    return ((model(x) - y) ** 2).mean()


def params(nnx, model):
    return nnx.to_pure_dict(nnx.state(model, nnx.Param))


def trained(nnx, tx, wrt=None, steps=3, argnums=None, **options):
    model = net(nnx)
    wrt = nnx.Param if wrt is None else wrt
    optimizer = nnx.Optimizer(model, tx, wrt=wrt)
    argnums = nnx.DiffState(0, wrt) if argnums is None else argnums

    for _ in range(steps):
        grads = nnx.grad(loss, argnums=argnums)(model)
        optimizer.update(model, grads, **options)
    return params(nnx, model), optimizer.step.get_value()


def jitted(nnx, tx):
    model = net(nnx)
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    values = compiled_steps(nnx, loss, model, optimizer, 3)
    return values, params(nnx, model)


def slots(nnx, tx):
    optimizer = nnx.Optimizer(net(nnx), tx, wrt=nnx.Param)
    return [
        (path, type(v).__name__) for path, v in nnx.to_flat_state(nnx.state(optimizer))
    ]


def line_search(nnx):
    model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
    tx = optax.chain(
        optax.sgd(1.0), optax.scale_by_backtracking_linesearch(max_backtracking_steps=5)
    )
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    graphdef, state = nnx.split(model)

    def value_fn(state):
        return loss(nnx.merge(graphdef, state, copy=True))

    value, grads = jax.value_and_grad(value_fn)(state)
    optimizer.update(model, grads, grad=grads, value=value, value_fn=value_fn)
    return params(nnx, model)


def lbfgs(nnx):
    model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.lbfgs(), wrt=nnx.Param)
    graphdef = nnx.graphdef(model)

    def value_fn(state):
        return loss(nnx.merge(graphdef, state, copy=True))

    for _ in range(2):
        value, grads = jax.value_and_grad(value_fn)(nnx.state(model))
        optimizer.update(model, grads, grad=grads, value=value, value_fn=value_fn)
    return params(nnx, model)


def inject(nnx):
    model = net(nnx)
    tx = optax.inject_hyperparams(optax.adam)(learning_rate=0.1)
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    optimizer.opt_state.hyperparams["learning_rate"][...] = 0.5
    optimizer.update(model, nnx.grad(loss)(model))
    return params(nnx, model), optimizer.opt_state.hyperparams["learning_rate"][...]


def masked(nnx):
    mask = {
        "first": {"bias": False, "kernel": True},
        "last": {"bias": False, "kernel": True},
        "norm": {"bias": False, "scale": False},
    }
    tx = optax.chain(optax.add_decayed_weights(0.1, mask=mask), optax.sgd(0.1))
    return trained(nnx, tx)


def masked_by_function(nnx):
    def mask(tree):
        return jax.tree.map(lambda x: x.ndim > 1, tree)

    return trained(nnx, optax.adamw(0.1, mask=mask))


def multi_transform(nnx):
    labels = {"first": "a", "last": "b", "norm": "b"}
    tx = optax.multi_transform({"a": optax.sgd(0.1), "b": optax.adam(0.1)}, labels)
    return trained(nnx, tx)


def multi_transform_by_function(nnx):
    def labels(tree):
        return jax.tree_util.tree_map_with_path(
            lambda path, _: "a" if "first" in str(path[0]) else "b", tree
        )

    tx = optax.multi_transform({"a": optax.sgd(0.1), "b": optax.adam(0.1)}, labels)
    return trained(nnx, tx)


def own_optimizer(nnx):
    class Own(nnx.Optimizer):
        def update(self, model, grads, **kwargs):
            grads = jax.tree.map(lambda g: g * 2, grads)
            super().update(model, grads, **kwargs)
            self.last = nnx.data(jnp.array(1))

    model = net(nnx)
    optimizer = Own(model, optax.sgd(0.1), wrt=nnx.Param)
    optimizer.update(model, nnx.grad(loss)(model))
    return params(nnx, model), optimizer.last


def model_and_optimizer(nnx):
    optimizer = nnx.ModelAndOptimizer(net(nnx), optax.adam(0.1))
    grads = nnx.grad(loss)(optimizer.model)
    optimizer.update(grads)
    return params(nnx, optimizer.model), optimizer.step.get_value()


def split_optimizer(nnx):
    model = net(nnx)
    optimizer = nnx.Optimizer(model, optax.adam(0.1), wrt=nnx.Param)
    graphdef, state = nnx.split((model, optimizer))

    @jax.jit
    def step(state):
        model, optimizer = nnx.merge(graphdef, state)
        optimizer.update(model, nnx.grad(loss)(model))
        return nnx.state((model, optimizer))

    state = step(step(state))
    nnx.update((model, optimizer), state)
    return params(nnx, model), optimizer.step.get_value()


def frozen_by_filter(nnx):
    wrt = nnx.All(nnx.Param, nnx.PathContains("last"))
    return trained(nnx, optax.sgd(0.1), wrt)


def grads_as_dict(nnx):
    model = net(nnx)
    optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
    grads = nnx.to_pure_dict(nnx.grad(loss)(model))
    optimizer.update(model, grads)
    return params(nnx, model)


def bfloat16_params(nnx):
    model = nnx.Linear(2, 1, param_dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(0.1), wrt=nnx.Param)
    optimizer.update(model, nnx.grad(lambda m: m(X).sum())(model))
    return params(nnx, model), [x.dtype for x in jax.tree.leaves(optimizer.opt_state)]


def metric(nnx, make, *updates):
    one = make(nnx.metrics)
    for update in updates:
        one.update(**update)
    return one.compute()


def multi_metric(nnx):
    m = nnx.MultiMetric(
        accuracy=nnx.metrics.Accuracy(),
        loss=nnx.metrics.Average("loss"),
        spread=nnx.metrics.Welford("loss"),
    )
    logits = jnp.array([[1.0, 2.0], [3.0, 1.0]])
    m.update(logits=logits, labels=jnp.array([1, 1]), loss=jnp.array([1.0, 3.0]))
    first = m.compute()
    m.reset()
    m.update(logits=logits, labels=jnp.array([1, 0]), loss=jnp.array([1.0]))
    second = m.compute()
    flat = [first["accuracy"], first["loss"], *vars_of(first["spread"])]
    return flat, second["accuracy"], second["loss"]


def vars_of(statistics):
    return (
        statistics.mean,
        statistics.standard_error_of_mean,
        statistics.standard_deviation,
    )


def own_metric(nnx):
    class Total(nnx.Metric):
        def __init__(self):
            self.total = nnx.metrics.MetricState(jnp.array(0.0))

        def reset(self):
            self.total[...] = jnp.array(0.0)

        def update(self, *, values, **_):
            self.total[...] += values.sum()

        def compute(self):
            return self.total[...]

    m = nnx.MultiMetric(total=Total())

    @nnx.jit
    def step(m, x):
        m.update(values=x)

    step(m, X + 1)
    step(m, X + 1)
    return m.compute(), m.total.compute()


def metric_splits(nnx):
    m = nnx.metrics.Average()
    m.update(values=X)
    graphdef, state = m.split()
    again = nnx.merge(graphdef, state)
    return again.compute(), [type(v).__name__ for _, v in nnx.to_flat_state(state)]


def ema_of_a_model(nnx):
    model = net(nnx)
    ema = nnx.EMA(model, decay=0.5, only=nnx.Param)
    nnx.update(model, jax.tree.map(lambda x: x * 2, nnx.state(model, nnx.Param)))
    ema.update(model)
    return params(nnx, ema.apply_to(model)), params(nnx, model)


def train_state(nnx):
    model = net(nnx)
    graphdef, state, rest = nnx.split(model, nnx.Param, ...)

    class State(nnx.TrainState):
        other: nnx.State  # pyright: ignore[reportInvalidTypeForm]

    ts = State.create(graphdef, params=state, tx=optax.adam(0.1), other=rest)

    @jax.jit
    def step(ts):
        def f(params):
            return loss(nnx.merge(ts.graphdef, params, ts.other, copy=True))

        return ts.apply_gradients(jax.grad(f)(ts.params))

    ts = step(step(ts))
    return ts.step, nnx.to_pure_dict(ts.params)


V = jnp.array([1.0, 2.0, 4.0])
PROGRAMS = {
    "sgd": lambda nnx: trained(nnx, optax.sgd(0.1)),
    "sgd_momentum": lambda nnx: trained(
        nnx, optax.sgd(0.1, momentum=0.9, nesterov=True)
    ),
    "adamw": lambda nnx: trained(nnx, optax.adamw(0.01)),
    "lion": lambda nnx: trained(nnx, optax.lion(0.01)),
    "adafactor": lambda nnx: trained(nnx, optax.adafactor(0.01)),
    "schedule": lambda nnx: trained(
        nnx, optax.adam(optax.cosine_decay_schedule(0.1, 10))
    ),
    "chain_clip": lambda nnx: trained(
        nnx, optax.chain(optax.clip_by_global_norm(0.1), optax.adam(0.1))
    ),
    "multi_steps": lambda nnx: trained(
        nnx, optax.MultiSteps(optax.adam(0.1), every_k_schedule=2), steps=4
    ),
    "multi_steps_jitted": lambda nnx: jitted(
        nnx, optax.MultiSteps(optax.sgd(0.1), every_k_schedule=2)
    ),
    "apply_if_finite": lambda nnx: trained(
        nnx, optax.apply_if_finite(optax.sgd(0.1), 3)
    ),
    "lookahead": lambda nnx: trained(nnx, optax.masked(optax.sgd(0.1), True)),
    "schedule_free": lambda nnx: (
        trained(nnx, optax.contrib.schedule_free_adamw(0.1, warmup_steps=2))
        if hasattr(optax, "contrib")
        else None
    ),
    "ema_of_updates": lambda nnx: trained(
        nnx, optax.chain(optax.sgd(0.1), optax.ema(0.9))
    ),
    "noise": lambda nnx: trained(nnx, optax.noisy_sgd(0.1)),
    "plateau": lambda nnx: trained(
        nnx,
        optax.chain(optax.sgd(0.1), optax.contrib.reduce_on_plateau(patience=1)),
        value=jnp.array(1.0),
    ),
    "identity": lambda nnx: trained(nnx, optax.identity(), steps=1),
    "jitted_adam": lambda nnx: jitted(nnx, optax.adam(0.1)),
    "slots_of_adam": lambda nnx: slots(nnx, optax.adam(0.1)),
    "slots_of_chain": lambda nnx: slots(
        nnx, optax.chain(optax.clip(1.0), optax.sgd(0.1, momentum=0.9))
    ),
    "slots_of_multi_steps": lambda nnx: slots(
        nnx, optax.MultiSteps(optax.adam(0.1), 2)
    ),
    "slots_of_inject": lambda nnx: slots(
        nnx, optax.inject_hyperparams(optax.adam)(learning_rate=0.1)
    ),
    "slots_of_factored": lambda nnx: slots(nnx, optax.adafactor(0.1)),
    "line_search": line_search,
    "lbfgs": lbfgs,
    "inject": inject,
    "masked": masked,
    "masked_by_function": masked_by_function,
    "multi_transform": multi_transform,
    "multi_transform_by_function": multi_transform_by_function,
    "own_optimizer": own_optimizer,
    "model_and_optimizer": model_and_optimizer,
    "split_optimizer": split_optimizer,
    "frozen_by_filter": frozen_by_filter,
    "wrt_path": lambda nnx: trained(nnx, optax.sgd(0.1), nnx.PathContains("kernel")),
    "wrt_callable": lambda nnx: trained(
        nnx, optax.sgd(0.1), lambda path, v: "bias" in path
    ),
    "wrt_any": lambda nnx: trained(
        nnx, optax.sgd(0.1), nnx.Any(nnx.PathContains("first"), "last")
    ),
    "wrt_list": lambda nnx: trained(
        nnx, optax.sgd(0.1), (nnx.PathContains("first"), nnx.PathContains("last"))
    ),
    "wrt_batch_stat_too": lambda nnx: trained(
        nnx, optax.sgd(0.1), (nnx.Param, nnx.BatchStat)
    ),
    "grads_as_dict": grads_as_dict,
    "bfloat16_params": bfloat16_params,
    "average": lambda nnx: metric(
        nnx, lambda m: m.Average(), {"values": V}, {"values": V[:1]}
    ),
    "average_of_nothing": lambda nnx: metric(nnx, lambda m: m.Average()),
    "average_of_numbers": lambda nnx: metric(
        nnx, lambda m: m.Average(), {"values": 1.0}, {"values": 4}
    ),
    "average_of_ints": lambda nnx: metric(
        nnx, lambda m: m.Average(), {"values": jnp.array([1, 2])}
    ),
    "average_of_numpy": lambda nnx: metric(
        nnx, lambda m: m.Average(), {"values": np.array([1.0, 2.0])}
    ),
    "average_of_bfloat16": lambda nnx: metric(
        nnx, lambda m: m.Average(), {"values": V.astype(jnp.bfloat16)}
    ),
    "average_named": lambda nnx: metric(
        nnx, lambda m: m.Average("x"), {"x": V, "y": 3}
    ),
    "average_masked": lambda nnx: metric(
        nnx,
        lambda m: m.Average(),
        {"values": V, "mask": jnp.array([True, False, True])},
    ),
    "welford": lambda nnx: vars_of(
        metric(nnx, lambda m: m.Welford(), {"values": V}, {"values": V[:2]})
    ),
    "welford_of_numbers": lambda nnx: vars_of(
        metric(nnx, lambda m: m.Welford(), {"values": 1.0}, {"values": 4.0})
    ),
    "welford_once": lambda nnx: vars_of(
        metric(nnx, lambda m: m.Welford(), {"values": 2.0})
    ),
    "accuracy": lambda nnx: metric(
        nnx,
        lambda m: m.Accuracy(),
        {"logits": jnp.eye(3), "labels": jnp.array([0, 1, 1])},
    ),
    "accuracy_binary": lambda nnx: metric(
        nnx,
        lambda m: m.Accuracy(threshold=0.5),
        {"logits": V / 4, "labels": jnp.array([0, 1, 1])},
    ),
    "accuracy_of_batches": lambda nnx: metric(
        nnx,
        lambda m: m.Accuracy(),
        {"logits": jnp.ones((2, 3, 4)), "labels": jnp.zeros((2, 3), int)},
    ),
    "accuracy_int64_labels": lambda nnx: metric(
        nnx,
        lambda m: m.Accuracy(),
        {"logits": jnp.eye(3), "labels": np.array([0, 1, 1])},
    ),
    "accuracy_uint8_labels": lambda nnx: metric(
        nnx,
        lambda m: m.Accuracy(),
        {"logits": jnp.eye(3), "labels": jnp.array([0, 1, 1], jnp.uint8)},
    ),
    "multi_metric": multi_metric,
    "own_metric": own_metric,
    "metric_splits": metric_splits,
    "ema_of_a_model": ema_of_a_model,
    "train_state": train_state,
}

REASONS = {
    "masked": "masks may be plain dicts of names; flax wants its own State",
    "multi_transform": "labels may be plain dicts of names; flax wants its own State",
    "grads_as_dict": "gradients may be plain dicts of names; flax wants its own State",
}
TABLE.add_programs(PROGRAMS, REASONS)
