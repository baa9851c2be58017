"""What public programs do around a model: surgery, ensembles, targets, rollouts."""

import copy
import dataclasses
import functools
import inspect
import operator
import pickle
import re

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax

from tests.parity.models import make_mlp, make_stack
from tests.parity.table import Table

TABLE = Table("practice")
idiom, differs = TABLE.idiom, TABLE.differs
X = jnp.arange(6.0).reshape(3, 2) / 5


def make_pair(nnx, seed=0):
    rngs = nnx.Rngs(seed)
    return nnx.Sequential(
        nnx.Linear(2, 3, rngs=rngs), jnp.tanh, nnx.Linear(3, 1, rngs=rngs)
    )


def loss_of(model):
    return jnp.mean(model(X) ** 2)


def pure(nnx, node, *filters):
    return nnx.to_pure_dict(nnx.state(node, *filters))


@idiom
def update_asks_for_a_model(nnx):
    """`inspect.signature` tells whether `update` takes the model."""
    optimizer = nnx.Optimizer(make_pair(nnx), optax.sgd(0.1), wrt=nnx.Param)
    return list(inspect.signature(optimizer.update).parameters)[:2]


@idiom
def soft_update_of_a_target(nnx):
    """A target network that follows, by `jax.tree.map` over two States."""
    online, target = make_pair(nnx, 0), make_pair(nnx, 1)
    mixed = jax.tree.map(
        lambda new, old: 0.1 * new + 0.9 * old,
        nnx.state(online, nnx.Param),
        nnx.state(target, nnx.Param),
    )
    nnx.update(target, mixed)
    return pure(nnx, target)


@idiom
def soft_update_by_optax(nnx):
    """`optax.incremental_update` of States, inside `jit`."""

    @nnx.jit
    def follow(online, target):
        new = nnx.state(online, nnx.Param)
        nnx.update(
            target, optax.incremental_update(new, nnx.state(target, nnx.Param), 0.1)
        )

    online, target = make_pair(nnx, 0), make_pair(nnx, 1)
    follow(online, target)
    return pure(nnx, target)


@idiom
def norm_of_a_state(nnx):
    """`optax.global_norm` and `jax.tree.reduce` of a State of gradients."""
    grads = nnx.grad(loss_of)(make_pair(nnx))
    total = jax.tree.reduce(operator.add, jax.tree.map(lambda g: (g**2).sum(), grads))
    return optax.global_norm(grads), jnp.sqrt(total)


@idiom
def one_vector_of_parameters(nnx):
    """`ravel_pytree` of a State, and back through `merge`."""
    graphdef, params, rest = nnx.split(make_pair(nnx), nnx.Param, ...)
    flat, unravel = jax.flatten_util.ravel_pytree(params)
    return flat, nnx.merge(graphdef, unravel(flat * 2), rest)(X)


@idiom
def hessian_vector_product(nnx):
    """`jax.jvp` of a gradient, in the parameters of a split model."""
    graphdef, params, rest = nnx.split(make_pair(nnx), nnx.Param, ...)
    gradient = jax.grad(lambda p: loss_of(nnx.merge(graphdef, p, rest)))
    return nnx.to_pure_dict(jax.jvp(gradient, (params,), (params,))[1])


@idiom
def noise_on_each_leaf(nnx):
    """A key for each leaf of a State, by its flattened form."""
    params = nnx.state(make_pair(nnx), nnx.Param)
    leaves, treedef = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(0), len(leaves))
    noisy = [
        v + jax.random.normal(k, v.shape) for v, k in zip(leaves, keys, strict=True)
    ]
    return nnx.to_pure_dict(jax.tree.unflatten(treedef, noisy))


@idiom
def population_by_states(nnx):
    """States stacked leaf by leaf, evaluated by `jax.vmap` of `merge`."""
    models = [make_pair(nnx, seed) for seed in range(3)]
    graphdef = nnx.graphdef(models[0])
    states = jax.tree.map(lambda *v: jnp.stack(v), *map(nnx.state, models))
    return jax.vmap(lambda s: nnx.merge(graphdef, s)(X))(states)


@idiom
def best_of_a_population(nnx):
    """One member, taken out of a stacked State by its index."""
    stack = make_stack(nnx)
    graphdef, states = nnx.split(stack)
    best = nnx.merge(graphdef, jax.tree.map(operator.itemgetter(1), states))
    return best(X)


@idiom
def linear_replaced_by_lora(nnx):
    """Each Linear of a model gives way to a LoRALinear around it."""
    model = make_mlp(nnx)
    rngs = nnx.Rngs(1)
    for name in ("first", "second"):
        old = getattr(model, name)
        new = nnx.LoRA(old.in_features, 2, old.out_features, base_module=old, rngs=rngs)
        setattr(model, name, new)
    paths = [".".join(map(str, p)) for p, _ in nnx.to_flat_state(nnx.state(model))]
    return sorted(paths), pure(nnx, model, nnx.LoRAParam)


@idiom
def parameters_by_regular_expression(nnx):
    """A filter of the user's own: a pattern on the joined path."""

    def named(pattern):
        return lambda path, value: bool(re.search(pattern, "/".join(map(str, path))))

    model = make_mlp(nnx)
    return (
        pure(nnx, model, named("first/.*kernel")),
        pure(nnx, model, nnx.All(nnx.Param, nnx.Not(named("bias")))),
    )


@idiom
def parameters_frozen_by_type(nnx):
    """Params that become Variables of another type are no longer trained."""

    class Frozen(nnx.Variable):
        pass

    model = make_pair(nnx)
    first = model.layers[0]
    first.kernel = Frozen(first.kernel[...])
    return pure(nnx, model, Frozen), nnx.to_pure_dict(nnx.grad(loss_of)(model))


@idiom
def labels_for_multi_transform(nnx):
    """`optax.multi_transform` by labels made from the paths of a State."""
    params = nnx.state(make_pair(nnx), nnx.Param)
    labels = jax.tree_util.tree_map_with_path(
        lambda path, _: "slow" if "bias" in jax.tree_util.keystr(path) else "fast",
        params,
    )
    tx = optax.multi_transform({"slow": optax.sgd(0.0), "fast": optax.sgd(1.0)}, labels)
    updates, _ = tx.update(params, tx.init(params), params)
    return nnx.to_pure_dict(updates)


@idiom
def decay_mask_by_rank(nnx):
    """A mask that is a function of the parameters."""
    model = make_pair(nnx)
    mask = functools.partial(jax.tree.map, lambda p: p.ndim > 1)
    tx = optax.adamw(1e-1, weight_decay=0.5, mask=mask)
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    optimizer.update(model, nnx.grad(loss_of)(model))
    return pure(nnx, model)


@idiom
def rollout_by_lax_scan(nnx):
    """`jax.lax.scan` over a carry of (State, key), merged in each step."""
    graphdef, state = nnx.split(make_pair(nnx))

    def step(carry, _):
        state, key = carry
        key, now = jax.random.split(key)
        model = nnx.merge(graphdef, state)
        out = model(jax.random.normal(now, (2,)))
        return (nnx.state(model), key), out

    (state, _), outs = jax.lax.scan(step, (state, jax.random.key(0)), None, 3)
    return outs, nnx.to_pure_dict(state)


@idiom
def epochs_by_lax_scan(nnx):
    """Training in one scan: model and optimizer are split together, and updated."""
    model = make_pair(nnx)
    optimizer = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)
    graphdef, state = nnx.split((model, optimizer))

    def step(state, _):
        model, optimizer = nnx.merge(graphdef, state)
        loss, grads = nnx.value_and_grad(loss_of)(model)
        optimizer.update(model, grads)
        return nnx.state((model, optimizer)), loss

    state, losses = jax.lax.scan(step, state, None, 3)
    nnx.update((model, optimizer), state)
    return losses, pure(nnx, model), optimizer.step[...]


@idiom
def sums_of_gradients(nnx):
    """Gradients of several batches added up, then one step."""
    model = make_pair(nnx)
    optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
    total = jax.tree.map(jnp.zeros_like, nnx.state(model, nnx.Param))
    for x in (X, X + 1):
        grads = nnx.grad(lambda m, x: m(x).sum())(model, x)
        total = jax.tree.map(operator.add, total, grads)
    optimizer.update(model, jax.tree.map(lambda g: g / 2, total))
    return pure(nnx, model)


@idiom
def gradients_per_example(nnx):
    """`nnx.vmap` of `nnx.grad`: a gradient for each row, the model shared."""
    one = nnx.grad(lambda model, x: model(x).sum())
    return nnx.to_pure_dict(
        nnx.vmap(one, in_axes=(None, 0), out_axes=0)(make_pair(nnx), X)
    )


@idiom
def straight_through(nnx):
    """A rounding whose gradient is one, inside a module."""

    class Rounded(nnx.Module):
        def __init__(self):
            self.w = nnx.Param(jnp.array([0.4, 1.6]))

        def __call__(self):
            w = self.w[...]
            return w + jax.lax.stop_gradient(jnp.round(w) - w)

    return Rounded()(), nnx.grad(lambda m: (m() * 3).sum())(Rounded()).w[...]


@idiom
def running_statistics(nnx):
    """Mean and variance of what a module has seen, in Variables of its own type."""

    class Seen(nnx.Variable):
        pass

    class Normalizer(nnx.Module):
        def __init__(self):
            self.count, self.mean = Seen(jnp.array(0.0)), Seen(jnp.zeros(2))
            self.m2 = Seen(jnp.zeros(2))

        def __call__(self, x):
            self.count[...] += x.shape[0]
            delta = x - self.mean[...]
            self.mean[...] += delta.sum(0) / self.count[...]
            self.m2[...] += (delta * (x - self.mean[...])).sum(0)
            return (x - self.mean) / jnp.sqrt(self.m2 / self.count + 1e-6)

    model = Normalizer()
    step = nnx.jit(lambda model, x: model(x))
    return step(model, X), step(model, X + 1), pure(nnx, model, Seen)


@idiom
def memory_reset_by_filter(nnx):
    """State of one type is set back, the rest stays."""
    model = make_mlp(nnx)
    model.norm(jnp.ones((4, 3)))
    zeros = jax.tree.map(jnp.zeros_like, nnx.state(model, nnx.BatchStat))
    nnx.update(model, zeros)
    return pure(nnx, model, nnx.BatchStat)


@idiom
def flags_by_loop(nnx):
    """`iter_modules` finds what has a flag, which is set by hand."""
    model = make_mlp(nnx)
    for _, module in nnx.iter_modules(model):
        if hasattr(module, "deterministic"):
            module.deterministic = True
        if hasattr(module, "use_running_average"):
            module.use_running_average = True
    return model.dropout.deterministic, model.norm(jnp.ones((2, 3)))


@idiom
def modules_by_type(nnx):
    """The layers of a kind, with their paths."""
    found = [
        ("/".join(map(str, path)), module.kernel.shape)
        for path, module in nnx.iter_modules(make_mlp(nnx))
        if isinstance(module, nnx.Linear)
    ]
    return sorted(found)


@idiom
def copies_are_apart(nnx):
    """`copy.deepcopy`, `pickle` and `clone` each give a model of their own."""
    model = make_pair(nnx)
    pickled = pickle.loads(pickle.dumps(nnx.state(model)))
    others = copy.deepcopy(model), nnx.clone(model)
    model.layers[0].bias[...] += 1
    return [other(X) for other in others], nnx.to_pure_dict(pickled)


@idiom
def configuration_in_a_dataclass(nnx):
    """A frozen dataclass as configuration, with types and functions in it."""

    @dataclasses.dataclass(frozen=True)
    class Config:
        width: int = 3
        dtype: type = jnp.bfloat16
        activation: object = jnp.tanh

    class Model(nnx.Module):
        def __init__(self, config, rngs):
            self.config = config
            self.layer = nnx.Linear(2, config.width, dtype=config.dtype, rngs=rngs)

        def __call__(self, x):
            return self.config.activation(self.layer(x))

    model = Model(Config(), nnx.Rngs(0))
    again = nnx.merge(*nnx.split(model))
    return nnx.jit(lambda m, x: m(x))(again, X), again.config.width


@idiom
def weights_from_numpy(nnx):
    """A flat dict of NumPy arrays, loaded by path into an abstract model."""
    abstract = nnx.eval_shape(lambda: make_mlp(nnx))
    flat = dict(nnx.to_flat_state(nnx.state(abstract, nnx.Param)))
    for path, leaf in flat.items():
        flat[path] = leaf.replace(np.full(leaf.shape, len(path), np.float32))
    return nnx.to_pure_dict(nnx.from_flat_state(flat))


@idiom
def heads_in_a_dict(nnx):
    """A head for each task in a dict, chosen by name outside of the trace."""

    class Tasks(nnx.Module):
        def __init__(self, rngs):
            names = ("a", "b")
            self.heads = nnx.Dict({n: nnx.Linear(2, 1, rngs=rngs) for n in names})

        def __call__(self, x, task):
            return self.heads[task](x)

    run = nnx.jit(lambda m, x, task: m(x, task), static_argnames="task")
    model = Tasks(nnx.Rngs(0))
    return run(model, X, task="a"), run(model, X, task="b")


@idiom
def layer_chosen_by_index(nnx):
    """`nnx.switch` among the layers of a List."""
    rngs = nnx.Rngs(0)
    layers = nnx.List([nnx.Linear(2, 1, rngs=rngs) for _ in range(3)])

    def branch(i):
        return lambda layers, x: layers[i](x)

    return [nnx.switch(i, [branch(k) for k in range(3)], layers, X) for i in range(3)]


@idiom
def early_stop_in_a_while_loop(nnx):
    """A model trained in `nnx.while_loop` until its loss is small."""

    def body(carry):
        model, step, _ = carry
        loss, grads = nnx.value_and_grad(loss_of)(model)
        params = nnx.state(model, nnx.Param)
        nnx.update(model, jax.tree.map(lambda p, g: p - 0.3 * g, params, grads))
        return model, step + 1, loss

    def unfinished(carry):
        return (carry[1] < 5) & (carry[2] > 1e-3)

    start = make_pair(nnx), jnp.array(0), jnp.array(jnp.inf)
    model, step, loss = nnx.while_loop(unfinished, body, start)
    return step, loss, pure(nnx, model)


@idiom
def averaged_metrics_of_an_epoch(nnx):
    """A MultiMetric over batches inside `jit`, read and reset between epochs."""
    metrics = nnx.MultiMetric(
        loss=nnx.metrics.Average("loss"), accuracy=nnx.metrics.Accuracy()
    )

    @nnx.jit
    def evaluate(metrics, logits, labels):
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        metrics.update(loss=loss, logits=logits, labels=labels)

    epochs = []
    for shift in (0, 1):
        for labels in (jnp.array([0, 1, 1]), jnp.array([1, 1, 0])):
            evaluate(metrics, X + shift, labels)
        epochs.append(metrics.compute())
        metrics.reset()
    return epochs


@idiom
def masked_gradient_by_zeroing(nnx):
    """Gradients of some paths are set to zero in a flat State."""
    model = make_pair(nnx)
    flat = nnx.to_flat_state(nnx.grad(loss_of)(model))
    kept = [
        (path, leaf.replace(leaf[...] * (path[-1] == "kernel"))) for path, leaf in flat
    ]
    optimizer = nnx.Optimizer(model, optax.sgd(1.0), wrt=nnx.Param)
    optimizer.update(model, nnx.from_flat_state(kept))
    return pure(nnx, model)
