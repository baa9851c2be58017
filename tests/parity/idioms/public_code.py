"""What public code does that no other table has: subclasses, keywords, stand-ins."""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax

from tests.parity.models import make_mlp
from tests.parity.table import Table

TABLE = Table("public_code")
idiom = TABLE.idiom
X = jnp.arange(6.0).reshape(3, 2) / 5
IMAGE = jnp.linspace(-1.0, 1.0, 32).reshape(1, 4, 4, 2)
ZEROS = jnp.zeros((3, 3))


def linear(nnx, size=3, seed=0):
    return nnx.Linear(2, size, rngs=nnx.Rngs(seed))


def loss(model, x, scale=2.0):
    return (model(x) ** 2).mean() * scale


def pure(nnx, node):
    return nnx.to_pure_dict(nnx.state(node))


# -- the argument of a gradient, by keyword

BY_KEYWORD = {
    "all": (0, {"model": linear, "x": X}, 0),
    "some": (0, {"x": X}, 1),
    "of_the_second": (1, {"x": X}, 1),
    "from_the_end": (-1, {"x": X, "scale": 3.0}, 1),
    "a_default": (2, {"x": X}, 1),
    "the_last_default": (-1, {}, 2),
}


def _by_keyword(argnums, named, positional):
    def program(nnx):
        given = {k: v(nnx) if callable(v) else v for k, v in named.items()}
        args = (linear(nnx), X)[:positional]
        found = nnx.grad(loss, argnums=argnums)(*args, **given)
        return found if isinstance(found, jax.Array) else nnx.to_pure_dict(found)

    return program


TABLE.add_programs(
    {f"grad_by_keyword_{name}": _by_keyword(*row) for name, row in BY_KEYWORD.items()}
)


# -- layers applied to an object that has their attributes

STANDING_IN = {
    "Linear": (lambda nnx, rngs: nnx.Linear(2, 3, rngs=rngs), (X,)),
    "LinearGeneral": (lambda nnx, rngs: nnx.LinearGeneral(2, (2, 3), rngs=rngs), (X,)),
    "Embed": (lambda nnx, rngs: nnx.Embed(4, 3, rngs=rngs), (jnp.arange(3),)),
    "Conv": (lambda nnx, rngs: nnx.Conv(2, 3, (2, 2), rngs=rngs), (IMAGE,)),
    "ConvTranspose": (
        lambda nnx, rngs: nnx.ConvTranspose(2, 3, (2, 2), rngs=rngs),
        (IMAGE,),
    ),
    "RMSNorm": (lambda nnx, rngs: nnx.RMSNorm(2, rngs=rngs), (X,)),
    "GroupNorm": (lambda nnx, rngs: nnx.GroupNorm(2, 1, rngs=rngs), (X,)),
    "BatchNorm": (lambda nnx, rngs: nnx.BatchNorm(2, rngs=rngs), (X,)),
    "PReLU": (lambda nnx, rngs: nnx.PReLU(), (X - 1,)),
    "LoRA": (lambda nnx, rngs: nnx.LoRA(2, 2, 3, rngs=rngs), (X,)),
    "Dropout": (lambda nnx, rngs: nnx.Dropout(0.5, rngs=rngs), (X,)),
    "GRUCell": (lambda nnx, rngs: nnx.GRUCell(2, 3, rngs=rngs), (ZEROS, X)),
    "LSTMCell": (lambda nnx, rngs: nnx.LSTMCell(2, 3, rngs=rngs), ((ZEROS, ZEROS), X)),
}


def _standing_in(make, inputs):
    def program(nnx):
        layer = make(nnx, nnx.Rngs(0))
        other = types.SimpleNamespace(**vars(layer))
        return type(layer).__call__(other, *inputs)

    return program


TABLE.add_programs(
    {f"{name}_of_another": _standing_in(*row) for name, row in STANDING_IN.items()}
)


# -- subclasses


@idiom
def another_class_for_a_layer(nnx):
    """`model.__class__ = Other` before and after a compiled call."""

    class Doubled(nnx.Linear):
        def __call__(self, x):
            return super().__call__(x) * 2

    model = linear(nnx)
    run = nnx.jit(lambda model, x: model(x))
    first = run(model, X)
    model.__class__ = Doubled
    return first, run(model, X), model(X)


@idiom
def average_of_a_model_as_an_optimizer(nnx):
    """An Optimizer whose `update` follows another model by `optax.ema`."""

    class Average(nnx.Optimizer):
        def __init__(self, model, tx):
            super().__init__(model, tx, wrt=[nnx.Param, nnx.BatchStat])

        def update(self, model, followed):
            self.step.value += 1
            state = optax.EmaState(count=self.step, ema=nnx.state(model, self.wrt))
            _, new = self.tx.update(nnx.state(followed, self.wrt), state)
            nnx.update(model, new.ema)

    model, followed = linear(nnx), linear(nnx, seed=1)
    average = Average(model, optax.ema(0.9))
    average.update(model, followed)
    return pure(nnx, model), average.step[...]


@idiom
def gradients_added_up_in_an_optimizer(nnx):
    """An Optimizer that keeps a tree of sums between its updates."""

    class Accumulating(nnx.Optimizer):
        def __init__(self, model, tx, every):
            super().__init__(model, tx, wrt=nnx.Param)
            self.every, self.sums, self.count = every, nnx.data(None), 0

        def update(self, model, grads):
            if self.sums is None:
                self.sums = nnx.data(jax.tree.map(jnp.zeros_like, grads))
            self.sums = nnx.data(jax.tree.map(jnp.add, self.sums, grads))
            self.count += 1
            if self.count == self.every:
                super().update(model, self.sums)
                self.sums, self.count = nnx.data(None), 0

    model = linear(nnx)
    optimizer = Accumulating(model, optax.adam(0.1), 2)
    for _ in range(4):
        optimizer.update(model, nnx.grad(loss)(model, X))
    return pure(nnx, model), optimizer.step[...]


@idiom
def one_optimizer_of_several_models(nnx):
    """`super().__init__` and `super().update` under `vmap`, over stacked models."""

    @nnx.split_rngs(splits=3)
    @nnx.vmap
    def make(rngs):
        return nnx.Linear(2, 3, rngs=rngs)

    class Stacked(nnx.Optimizer):
        def __init__(self, models, tx):
            @nnx.vmap(in_axes=(0, 0, None))
            def begin(self, model, tx):
                super().__init__(model, tx, wrt=nnx.Param)

            begin(self, models, tx)

        def update(self, models, grads):
            @nnx.vmap
            def step(self, model, grads):
                super().update(model, grads)

            step(self, models, grads)

    models = make(nnx.Rngs(0))
    optimizer = Stacked(models, optax.adam(0.1))
    each = nnx.vmap(nnx.grad(loss), in_axes=(0, None))
    optimizer.update(models, each(models, X))
    return pure(nnx, models), optimizer.step[...]


@idiom
def metric_that_binds_its_sums_anew(nnx):
    """`self.total = self.total + x`: the attribute is an array from then on."""

    class Masked(nnx.Metric):
        def __init__(self):
            self.reset()

        def reset(self):
            self.count = nnx.metrics.MetricState(jnp.array(0.0))
            self.total = nnx.metrics.MetricState(jnp.array(0.0))

        def update(self, *, mask, values):
            self.total = self.total + jnp.sum(mask * values)
            self.count = self.count + jnp.sum(mask)

        def compute(self):
            return self.total / self.count

    metric = Masked()
    metric.update(mask=jnp.array([1.0, 0.0]), values=jnp.array([3.0, 4.0]))
    found = metric.compute()
    metric.reset()
    return found, type(metric.total).__name__


# -- modules in jax's own transforms, and states


@idiom
def stacked_modules_in_jax(nnx):
    """Modules stacked by `jax.tree.map`, in `jax.vmap` and `jax.lax.scan`."""
    models = [linear(nnx, 2, seed) for seed in range(3)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *models)
    each = jax.vmap(lambda model, x: model(x), in_axes=(0, None))(stacked, X)
    return each, jax.lax.scan(lambda x, model: (model(x), None), X, stacked)[0]


@idiom
def while_loop_of_a_flag_and_a_module(nnx):
    """The condition is the first item of the carry; the module comes back itself."""
    model = linear(nnx, 2)

    def body(carry):
        _, count, model, x = carry
        return count < 2, count + 1, model, model(x)

    start = (jnp.array(True), jnp.array(0), model, X)
    go, count, after, x = nnx.while_loop(lambda carry: carry[0], body, start)
    return go, count, x, after is model


@idiom
def decay_by_the_shape_of_a_weight(nnx):
    """`map_state` makes the mask of a weight decay."""
    model = make_mlp(nnx)
    params = nnx.state(model, nnx.Param)
    mask = nnx.map_state(lambda path, v: v[...].ndim == 2, params)
    tx = optax.adamw(0.1, weight_decay=0.5, mask=mask)
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    optimizer.update(model, jax.tree.map(jnp.zeros_like, params))
    return nnx.to_pure_dict(nnx.state(model, nnx.Param))


@idiom
def merge_of_numpy_arrays(nnx):
    """A plain dict of NumPy arrays stands for a State."""
    graphdef, state = nnx.split(linear(nnx))
    return nnx.merge(graphdef, jax.tree.map(np.asarray, state.to_pure_dict()))(X)


KEPT = {
    "merged": lambda nnx, graphdef, params, x: nnx.merge(graphdef, params)(x),
    "applied": lambda nnx, graphdef, params, x: graphdef.apply(params)(x)[0],
    "hashed": lambda nnx, graphdef, params, x: x * (hash(graphdef) == hash(graphdef)),
}


def _structure_kept(use):
    def program(nnx):
        class Fast(nnx.Module):
            def __init__(self, graphdef):
                self.graphdef = graphdef

            def __call__(self, params, xs):
                def body(params, x):
                    return params, use(nnx, self.graphdef, params, x)

                return nnx.jit(lambda xs: jax.lax.scan(body, params, xs)[1])(xs)

        # Layers of this class alone, so that nobody has asked for its structure.
        inner = type("Inner", (nnx.Linear,), {})(2, 3, rngs=nnx.Rngs(0))
        graphdef, params = nnx.graphdef(inner), nnx.state(inner)
        return nnx.jit(lambda m, p, xs: m(p, xs))(Fast(graphdef), params, X)

    return program


TABLE.add_programs(
    {f"graphdef_of_a_module_{name}": _structure_kept(use) for name, use in KEPT.items()}
)


# -- errors


@idiom
def dropout_of_integers(nnx):
    """An integer input is refused."""
    return nnx.Dropout(0.5, rngs=nnx.Rngs(0))(jnp.ones(4, jnp.int32))


@idiom
def cotangents_of_another_form(nnx):
    """`bwd` of a `custom_vjp` returns two cotangents for one argument."""

    @functools.partial(nnx.custom_vjp, nondiff_argnums=(0,))
    def scaled(scale, x):
        return x * scale

    scaled.defvjp(lambda scale, x: (scaled(scale, x), x), lambda scale, x, g: (x, x))
    return nnx.grad(lambda x: scaled(3, x).sum())(X)
