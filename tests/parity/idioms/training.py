"""Optimizer, ModelAndOptimizer, metrics, EMA, TrainState."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from tests.parity.table import Table

TABLE = Table("training")
idiom, differs = TABLE.idiom, TABLE.differs

X = jnp.array([[0.5, -1.0], [1.5, 2.0], [-0.3, 0.7]])


def make_model(nnx):
    class Model(nnx.Module):
        def __init__(self, rngs):
            self.norm = nnx.BatchNorm(2, rngs=rngs)
            self.first = nnx.Linear(2, 3, rngs=rngs)
            self.second = nnx.Linear(3, 1, rngs=rngs)

        def __call__(self, x):
            return self.second(jnp.tanh(self.first(self.norm(x))))

    return Model(nnx.Rngs(0))


def loss(m, x=X):
    return ((m(x) - 1.0) ** 2).mean()


def trained(nnx, tx, steps=3, wrt=None):
    """The parameters after some steps."""
    model = make_model(nnx)
    wrt = nnx.Param if wrt is None else wrt
    optimizer = nnx.Optimizer(model, tx, wrt=wrt)
    for _ in range(steps):
        grads = nnx.grad(loss, argnums=nnx.DiffState(0, wrt))(model)
        optimizer.update(model, grads)
    return nnx.to_pure_dict(nnx.state(model, nnx.Param)), optimizer.step.value


TRANSFORMS = {
    "sgd": lambda: optax.sgd(0.1),
    "momentum": lambda: optax.sgd(0.1, momentum=0.9, nesterov=True),
    "adam": lambda: optax.adam(1e-2),
    "adamw": lambda: optax.adamw(1e-2, weight_decay=0.1),
    "lion": lambda: optax.lion(1e-3),
    "adafactor": lambda: optax.adafactor(1e-2),
    "rmsprop": lambda: optax.rmsprop(1e-2),
    "clipped": lambda: optax.chain(optax.clip_by_global_norm(0.1), optax.adam(1e-2)),
    "schedule": lambda: optax.adam(optax.cosine_decay_schedule(1e-2, 10)),
    "accumulation": lambda: optax.MultiSteps(optax.sgd(0.1), every_k_schedule=2),
    "weight_decay_mask": lambda: optax.adamw(
        1e-2, mask=lambda params: jax.tree.map(lambda x: x.ndim > 1, params)
    ),
}


def train_program(make):
    return lambda nnx: trained(nnx, make())


for name, make in TRANSFORMS.items():
    TABLE.add(f"optimizer_{name}", train_program(make), f"Three steps of {name}.")


@idiom
def optimizer_state_paths(nnx):
    """The paths and types of the state of an Optimizer."""
    optimizer = nnx.Optimizer(make_model(nnx), optax.adam(1e-2), wrt=nnx.Param)
    flat = nnx.to_flat_state(nnx.state(optimizer))
    return [(path, type(v).__name__, v.value.dtype.name) for path, v in flat]


@idiom
def optimizer_by_path(nnx):
    """`wrt` by path trains a part."""
    return trained(nnx, optax.sgd(0.1), wrt=nnx.PathContains("second"))


@idiom
def optimizer_of_a_union(nnx):
    """`wrt` of a combined filter."""
    filters = nnx.All(nnx.Param, nnx.Not(nnx.PathContains("bias")))
    return trained(nnx, optax.adam(1e-2), wrt=filters)


@idiom
def part_with_the_gradient_of_the_whole(nnx):
    """The gradient of the whole for an optimizer of a part."""
    model = make_model(nnx)
    wrt = nnx.All(nnx.Param, nnx.PathContains("second"))
    optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=wrt)
    optimizer.update(model, nnx.grad(loss)(model))
    return nnx.to_pure_dict(nnx.state(model, nnx.Param))


@idiom
def update_returns_updates(nnx):
    """`Optimizer.update` returns the updates."""
    model = make_model(nnx)
    optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
    updates = optimizer.update(model, nnx.grad(loss)(model))
    return jax.tree.leaves(updates)


@idiom
def update_with_extra_arguments(nnx):
    """Keywords of `update` go to the optax transformation."""
    model = make_model(nnx)
    tx = optax.contrib.reduce_on_plateau(factor=0.5, patience=1)
    optimizer = nnx.Optimizer(model, optax.chain(optax.sgd(0.1), tx), wrt=nnx.Param)
    for _ in range(4):
        optimizer.update(model, nnx.grad(loss)(model), value=jnp.array(1.0))
    return nnx.to_pure_dict(nnx.state(model, nnx.Param))


def compiled_steps(nnx, loss, model, optimizer, count):
    @nnx.jit
    def step(model, optimizer):
        value, grads = nnx.value_and_grad(loss)(model)
        optimizer.update(model, grads)
        return value

    return [step(model, optimizer) for _ in range(count)]


@idiom
def optimizer_in_jit(nnx):
    """The optimizer is updated in a compiled step."""
    model = make_model(nnx)
    optimizer = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)

    values = compiled_steps(nnx, loss, model, optimizer, 4)
    return values, optimizer.step.value, model.norm.mean.value


@idiom
def model_and_optimizer(nnx):
    """`ModelAndOptimizer` holds the model."""
    optimizer = nnx.ModelAndOptimizer(make_model(nnx), optax.sgd(0.1))
    optimizer.update(nnx.grad(loss)(optimizer.model))
    return nnx.to_pure_dict(nnx.state(optimizer.model, nnx.Param))


@differs("both forms of the optimizer run, this is that of flax 0.10; flax wants `wrt`")
def optimizer_that_owns_its_model(nnx):
    """`Optimizer(model, tx)` with `optimizer.model`."""
    optimizer = nnx.Optimizer(make_model(nnx), optax.sgd(0.1))
    optimizer.update(nnx.grad(loss)(optimizer.model))
    return nnx.to_pure_dict(nnx.state(optimizer.model, nnx.Param))


@idiom
def injected_hyperparams(nnx):
    """`optax.inject_hyperparams`, set between steps."""
    model = make_model(nnx)
    tx = optax.inject_hyperparams(optax.sgd)(learning_rate=0.1)
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    optimizer.opt_state.hyperparams["learning_rate"].value = jnp.array(0.5)
    optimizer.update(model, nnx.grad(loss)(model))
    return nnx.to_pure_dict(nnx.state(model, nnx.Param))


@idiom
def injected_hyperparams_assigned(nnx):
    """A hyperparameter is replaced by an array, optax's idiom."""
    model = make_model(nnx)
    tx = optax.inject_hyperparams(optax.sgd)(learning_rate=0.1)
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    optimizer.opt_state.hyperparams["learning_rate"] = jnp.array(0.5)
    optimizer.update(model, nnx.grad(loss)(model))
    return nnx.to_pure_dict(nnx.state(model, nnx.Param))


@idiom
def partition_by_labels(nnx):
    """`optax.multi_transform` with a function that makes labels."""
    labels = lambda params: jax.tree_util.tree_map_with_path(  # noqa: E731
        lambda path, x: "a" if x.ndim > 1 else "b", params
    )
    tx = optax.multi_transform({"a": optax.sgd(0.1), "b": optax.set_to_zero()}, labels)
    return trained(nnx, tx)


@idiom
def optimizer_of_a_shared_param(nnx):
    """A shared Param is updated once."""
    shared = nnx.Param(jnp.ones(2))
    model = nnx.Dict(a=shared, b=shared)
    optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
    optimizer.update(model, nnx.grad(lambda m: (m.a * m.b).sum())(model))
    return model.a.value, model.b.value


@idiom
def optimizer_of_a_state(nnx):
    """optax by hand over a State."""
    model = make_model(nnx)
    tx = optax.adam(1e-2)
    params = nnx.state(model, nnx.Param)
    opt_state = tx.init(params)
    updates, opt_state = tx.update(nnx.grad(loss)(model), opt_state, params)
    nnx.update(model, optax.apply_updates(params, updates))
    return nnx.to_pure_dict(nnx.state(model, nnx.Param))


@idiom
def optimizer_bf16_params(nnx):
    """Parameters in bfloat16 keep their dtype."""
    model = nnx.Linear(2, 1, param_dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(1e-1), wrt=nnx.Param)
    optimizer.update(model, nnx.grad(lambda m: m(X).sum())(model))
    return model.kernel.value


@idiom
def optimizer_of_a_list_of_models(nnx):
    """Several models in a List under one optimizer."""
    models = nnx.List([nnx.Linear(2, 1, rngs=nnx.Rngs(i)) for i in range(2)])
    optimizer = nnx.Optimizer(models, optax.sgd(0.1), wrt=nnx.Param)
    grads = nnx.grad(lambda ms: ms[0](X).sum() + 2 * ms[1](X).sum())(models)
    optimizer.update(models, grads)
    return [m.kernel.value for m in models]


@idiom
def two_optimizers(nnx):
    """Two optimizers over two parts of one model."""
    model = make_model(nnx)
    a = nnx.Optimizer(model.first, optax.sgd(0.1), wrt=nnx.Param)
    b = nnx.Optimizer(model.second, optax.adam(0.1), wrt=nnx.Param)
    grads = nnx.grad(loss)(model)
    a.update(model.first, grads["first"])
    b.update(model.second, grads["second"])
    return nnx.to_pure_dict(nnx.state(model, nnx.Param))


@idiom
def optimizer_subclass(nnx):
    """A subclass of Optimizer, calling `super().update`."""

    class Counting(nnx.Optimizer):
        def __init__(self, model, tx, *, wrt):
            self.calls = nnx.Variable(jnp.array(0))
            super().__init__(model, tx, wrt=wrt)

        def update(self, model, grads, **kwargs):
            self.calls[...] += 1
            super().update(model, grads, **kwargs)

    model = make_model(nnx)
    optimizer = Counting(model, optax.sgd(0.1), wrt=nnx.Param)
    optimizer.update(model, nnx.grad(loss)(model))
    return optimizer.calls.value, optimizer.step.value


@idiom
def train_state(nnx):
    """`nnx.TrainState` of graphdef and parameters."""
    graphdef, params = nnx.split(nnx.Linear(2, 1, rngs=nnx.Rngs(0)))
    state = nnx.TrainState.create(graphdef, params=params, tx=optax.sgd(0.1))
    grads = jax.grad(lambda p: nnx.merge(graphdef, p)(X).sum())(state.params)
    state = state.apply_gradients(grads)
    return state.step, nnx.to_pure_dict(state.params)


@idiom
def optimizer_splits_and_merges(nnx):
    """An optimizer is split and merged, and goes on."""
    model = make_model(nnx)
    optimizer = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)
    optimizer.update(model, nnx.grad(loss)(model))
    again = nnx.merge(*nnx.split(optimizer))
    again.update(model, nnx.grad(loss)(model))
    return again.step.value, nnx.to_pure_dict(nnx.state(model, nnx.Param))


@idiom
def wrong_gradients(nnx):
    """Gradients of another structure raise."""
    model = make_model(nnx)
    optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
    optimizer.update(
        model, nnx.grad(lambda m: m(X).sum())(nnx.Linear(2, 1, rngs=nnx.Rngs(0)))
    )


@differs(
    "an optimizer whose filter selects nothing is nearly always a mistake and raises"
)
def optimizer_of_nothing(nnx):
    """`wrt` that selects nothing."""
    nnx.Optimizer(make_model(nnx), optax.sgd(0.1), wrt=nnx.PathContains("no"))


# -- metrics


@idiom
def average(nnx):
    """`metrics.Average` over batches."""
    m = nnx.metrics.Average()
    m.update(values=jnp.array([1.0, 2.0]))
    m.update(values=jnp.array([6.0]))
    return m.compute()


@idiom
def average_of_another_name(nnx):
    """`Average('loss')` takes its values by that name."""
    m = nnx.metrics.Average("loss")
    m.update(loss=jnp.array([1.0, 2.0]), other=3)
    return m.compute()


@idiom
def average_of_a_number(nnx):
    """`Average` takes numbers."""
    m = nnx.metrics.Average()
    m.update(values=3.0)
    m.update(values=5)
    return m.compute()


@idiom
def average_of_nothing(nnx):
    """`Average` before any value."""
    return nnx.metrics.Average().compute()


@idiom
def average_missing_value(nnx):
    """`Average` without its values."""
    nnx.metrics.Average().update(loss=1.0)


@idiom
def average_with_a_mask(nnx):
    """`Average.update(mask=...)`."""
    m = nnx.metrics.Average()
    m.update(values=jnp.array([1.0, 2.0, 9.0]), mask=jnp.array([True, True, False]))
    return m.compute()


@idiom
def metric_reset(nnx):
    """`reset` starts anew."""
    m = nnx.metrics.Average()
    m.update(values=jnp.array([1.0, 2.0]))
    m.reset()
    m.update(values=jnp.array([4.0]))
    return m.compute()


@idiom
def accuracy(nnx):
    """`metrics.Accuracy` of logits and labels."""
    m = nnx.metrics.Accuracy()
    m.update(logits=jnp.eye(4), labels=jnp.array([0, 1, 0, 3]))
    return m.compute()


@idiom
def accuracy_binary(nnx):
    """`Accuracy(threshold=...)` of binary labels."""
    m = nnx.metrics.Accuracy(threshold=0.5)
    m.update(logits=jnp.array([0.2, 0.7, 0.9]), labels=jnp.array([0, 1, 0]))
    return m.compute()


@idiom
def accuracy_wrong_shapes(nnx):
    """`Accuracy` of shapes that do not fit."""
    nnx.metrics.Accuracy().update(logits=jnp.eye(4), labels=jnp.eye(4))


@idiom
def welford(nnx):
    """`metrics.Welford` gives mean and deviation."""
    m = nnx.metrics.Welford()
    m.update(values=jnp.array([1.0, 2.0, 4.0]))
    m.update(values=jnp.array([3.0, 7.0]))
    out = m.compute()
    return out.mean, out.standard_deviation, out.standard_error_of_mean


@idiom
def multi_metric(nnx):
    """`MultiMetric` updates, computes and resets all."""
    m = nnx.MultiMetric(
        accuracy=nnx.metrics.Accuracy(), loss=nnx.metrics.Average("loss")
    )
    m.update(logits=jnp.eye(2), labels=jnp.array([0, 0]), loss=jnp.array(3.0))
    first = m.compute()
    m.reset()
    m.update(logits=jnp.eye(2), labels=jnp.array([0, 1]), loss=jnp.array(1.0))
    return first, m.compute(), m.accuracy.compute()


@differs("a metric that would hide a method is refused")
def multi_metric_names(nnx):
    """A metric named like a method of MultiMetric."""
    nnx.MultiMetric(update=nnx.metrics.Average())


@idiom
def metrics_in_jit(nnx):
    """Metrics are updated in a compiled function."""
    m = nnx.MultiMetric(loss=nnx.metrics.Average("loss"))
    step = nnx.jit(lambda m, x: m.update(loss=x))
    for value in (1.0, 2.0, 6.0):
        step(m, jnp.array(value))
    return m.compute()


@idiom
def metric_state(nnx):
    """The paths of the state of metrics."""
    m = nnx.MultiMetric(a=nnx.metrics.Average(), b=nnx.metrics.Welford())
    return [(path, type(v).__name__) for path, v in nnx.to_flat_state(nnx.state(m))]


@idiom
def custom_metric(nnx):
    """A Metric of the user's."""

    class Largest(nnx.Metric):
        def __init__(self):
            self.value = nnx.metrics.MetricState(jnp.array(-np.inf))

        def reset(self):
            self.value.value = jnp.array(-np.inf)

        def update(self, *, values, **_):
            self.value.value = jnp.maximum(self.value.value, values.max())

        def compute(self):
            return self.value.value

    m = nnx.MultiMetric(largest=Largest())
    m.update(values=jnp.array([1.0, 5.0]))
    return m.compute()


@idiom
def metric_split(nnx):
    """`Metric.split` is `nnx.split`."""
    return len(nnx.metrics.Average().split())


@idiom
def exponential_average(nnx):
    """`nnx.EMA` of parameters."""
    model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
    ema = nnx.EMA(model, 0.9)
    model.kernel.value = model.kernel.value * 0
    ema.update(model)
    averaged = ema.apply_to(model)
    return averaged.kernel[...], model.kernel.value


@idiom
def exponential_average_of_some(nnx):
    """`EMA(only=...)`."""
    model = make_model(nnx)
    ema = nnx.EMA(nnx.state(model, nnx.Param), 0.5, only=nnx.PathContains("second"))
    ema.update(jax.tree.map(jnp.zeros_like, nnx.state(model, nnx.Param)))
    return [path for path, _ in nnx.to_flat_state(nnx.state(ema))]
