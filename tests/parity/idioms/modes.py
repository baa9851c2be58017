"""Flags and contexts that choose a mode in flax: here they are taken and ignored."""

import jax
import jax.numpy as jnp

from tests.parity.table import Table

TABLE = Table("modes")
idiom, differs = TABLE.idiom, TABLE.differs

X = jnp.ones((3, 2))
MODES = {"graph": True, "graph_updates": True}
TREE = {"graph": False, "graph_updates": False}


def make_linear(nnx):
    return nnx.Linear(2, 2, rngs=nnx.Rngs(0))


CALLS = {
    "split": lambda nnx, flags: len(nnx.split(make_linear(nnx), **flags)),
    "merge": lambda nnx, flags: nnx.merge(*nnx.split(make_linear(nnx))).bias.value,
    "state": lambda nnx, flags: nnx.state(make_linear(nnx), **flags)["bias"].value,
    "clone": lambda nnx, flags: nnx.clone(make_linear(nnx), **flags).bias.value,
    "map": lambda nnx, flags: (
        nnx.map(lambda p, v: v, make_linear(nnx), **flags).bias.value
    ),
    "iter_modules": lambda nnx, flags: len(
        list(nnx.iter_modules(make_linear(nnx), **flags))
    ),
}
TRANSFORMS = {
    "jit": lambda nnx, flags: nnx.jit(lambda m, x: m(x), **flags)(make_linear(nnx), X),
    "grad": lambda nnx, flags: nnx.grad(lambda m, x: m(x).sum(), argnums=1, **flags)(
        make_linear(nnx), X
    ),
    "value_and_grad": lambda nnx, flags: nnx.value_and_grad(lambda x: x.sum(), **flags)(
        X
    ),
    "vmap": lambda nnx, flags: nnx.vmap(lambda x: x * 2, **flags)(X),
    "scan": lambda nnx, flags: nnx.scan(lambda c, x: (c + x, c), **flags)(X[0], X),
    "remat": lambda nnx, flags: nnx.remat(lambda m, x: m(x), **flags)(
        make_linear(nnx), X
    ),
    "cond": lambda nnx, flags: nnx.cond(True, lambda x: x, lambda x: -x, X, **flags),
    "switch": lambda nnx, flags: nnx.switch(0, [lambda x: x], X, **flags),
    "while_loop": lambda nnx, flags: nnx.while_loop(
        lambda x: (x < 3).all(), lambda x: x + 1, X, **flags
    ),
    "fori_loop": lambda nnx, flags: nnx.fori_loop(0, 2, lambda i, x: x + i, X, **flags),
    "eval_shape": lambda nnx, flags: nnx.eval_shape(lambda x: x, X, **flags),
}


def called(call, flags):
    return lambda nnx: call(nnx, flags)


# In tree mode the constructor is not given objects by reference, so only functions of
# arrays and reads are compared there.
for name, call in TRANSFORMS.items():
    TABLE.add(
        f"{name}_in_graph_mode", called(call, MODES), f"`{name}(graph=True, ...)`."
    )
    TABLE.add(
        f"{name}_in_tree_mode", called(call, TREE), f"`{name}(graph=False, ...)`."
    )
for name, call in CALLS.items():
    flags = {"graph": True}
    TABLE.add(f"{name}_in_graph_mode", called(call, flags), f"`{name}(graph=True)`.")


def make_scaled(nnx):
    class Model(nnx.Module):
        def __init__(self):
            self.w = nnx.Param(jnp.arange(2.0))
            self.mean = nnx.BatchStat(jnp.ones(2))
            self.scale = jnp.float32(2)
            self.name = "model"

        def __call__(self, x):
            self.mean[...] = self.mean[...] + x
            return (self.w * self.scale * x).sum()

    return Model()


@idiom
def grad_in_tree_mode_is_an_object(nnx):
    """`grad(graph=False)` of a model: an object with the gradient of all its floats."""
    model = make_scaled(nnx)
    loss, grads = nnx.value_and_grad(lambda m, x: m(x), graph=False)(model, 3.0)
    new = jax.tree.map(lambda p, g: p - 0.1 * g, model, grads)
    kind = type(grads) is type(model), grads.name
    held = grads.w.get_value(), grads.mean.get_value(), grads.scale
    return kind, loss, held, new.w.get_value(), new.scale, model.mean.get_value()


@idiom
def gradients_in_tree_mode_of_several(nnx):
    """`graph_updates=False`, with a model and a number."""
    grads = nnx.grad(lambda m, x: m(x), argnums=(0, 1), graph_updates=False)(
        make_scaled(nnx), 3.0
    )
    return grads[0].scale, grads[1]


@idiom
def scan_of_a_shared_model_in_tree_mode(nnx):
    """A Variable that all steps share (axis None) is handed on, as in a loop."""
    model = make_scaled(nnx)

    def step(model, carry, x):
        return carry + model(x), model.mean.get_value()

    axes = {"in_axes": (None, nnx.Carry, 0), "out_axes": (nnx.Carry, 0)}
    carry, means = nnx.scan(step, **axes, graph=False)(model, 0.0, jnp.arange(3.0))
    return carry, means, model.mean.get_value()


@idiom
def context_of_graph_mode(nnx):
    """`with nnx.set_graph_mode(True):` around a program."""
    with nnx.set_graph_mode(True), nnx.set_graph_updates(True):
        return nnx.jit(lambda m, x: m(x))(make_linear(nnx), X)


@idiom
def variable_flags(nnx):
    """`hijax=False` and `ref=False` of a Variable."""
    return nnx.Param(jnp.ones(2), hijax=False, ref=False).value


@idiom
def variable_flags_are_no_metadata(nnx):
    """`eager_sharding=False` of a Variable."""
    return nnx.Param(jnp.ones(2), eager_sharding=False, out_sharding=("a",)).value


@idiom
def eager_sharding_context(nnx):
    """`use_eager_sharding(False)` lets names stand without a mesh."""
    with nnx.use_eager_sharding(False):
        v = nnx.Param(jnp.ones(2), out_sharding=("a",))
    return v.value, v.get_metadata("out_sharding")


@idiom
def using_eager_sharding(nnx):
    """`using_eager_sharding()` tells the state of the flag."""
    with nnx.use_eager_sharding(False):
        return nnx.using_eager_sharding()


@idiom
def variable_defaults(nnx):
    """`var_defaults` names the flags of Variables."""
    flags = nnx.var_defaults()
    return dict(flags)["hijax"], flags.hijax, flags.ref
