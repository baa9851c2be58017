"""jit_partial, cached_partial, remat, checkify, make_jaxpr, and jit within others."""

import functools

import jax
import jax.experimental.checkify as ck
import jax.numpy as jnp

from tests.parity.models import make_counter
from tests.parity.table import Table

TABLE = Table("compiled")
idiom, differs = TABLE.idiom, TABLE.differs


@idiom
def jit_partial(nnx):
    """`jit_partial` binds objects."""
    m = make_counter(nnx)
    f = nnx.jit_partial(lambda m, x: m(x), m, graph=False, graph_updates=False)
    return f(jnp.ones(2)), f(jnp.ones(2)), m.n.value


@idiom
def jit_partial_compiled(nnx):
    """`jit_partial(...).lower().compile()`."""
    m = make_counter(nnx)
    f = nnx.jit_partial(lambda m, x: m(x), m, graph_updates=False)
    return f.lower(jnp.ones(2)).compile()(jnp.ones(2)), m.n.value


@differs("binds objects of any kind; flax wants `graph_updates=False`")
def jit_partial_in_the_default_mode(nnx):
    """`jit_partial` without a flag for a mode."""
    m = make_counter(nnx)
    return nnx.jit_partial(lambda m, x: m(x), m)(jnp.ones(2)), m.n.value


@idiom
def cached_partial(nnx):
    """`cached_partial` of a jitted function."""
    m = make_counter(nnx)
    f = nnx.cached_partial(nnx.jit(lambda m, x: m(x)), m)
    return f(jnp.ones(2)), f(jnp.ones(2)), m.n.value


@idiom
def functools_partial(nnx):
    """`nnx.jit` of a `functools.partial` of a static value."""
    f = nnx.jit(functools.partial(lambda n, m: m.w * n, 3))
    return f(make_counter(nnx))


@idiom
def remat_plain(nnx):
    """`nnx.remat` computes the same, gradients too."""
    m = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    f = nnx.remat(lambda m, x: jnp.sin(m(x)))
    grads = nnx.grad(lambda m: f(m, jnp.ones((1, 2))).sum())(m)
    return f(m, jnp.ones((1, 2))), nnx.to_pure_dict(grads)


@idiom
def remat_updates(nnx):
    """State written inside `remat` is kept."""
    m = make_counter(nnx)
    out = nnx.remat(lambda m, x: m(x))(m, jnp.ones(2))
    return out, m.n.value


@idiom
def remat_as_method(nnx):
    """`@nnx.remat` on a method, with a policy."""

    class Block(nnx.Module):
        def __init__(self, rngs):
            self.linear = nnx.Linear(2, 2, rngs=rngs)

        @nnx.remat(policy=jax.checkpoint_policies.dots_saveable)
        def __call__(self, x):
            return jnp.sin(self.linear(x))

    block = Block(nnx.Rngs(0))
    grads = nnx.grad(lambda m: m(jnp.ones((1, 2))).sum())(block)
    return nnx.to_pure_dict(grads)


@idiom
def remat_static(nnx):
    """`remat(static_argnums=...)`, and the static argument by keyword."""
    m = make_counter(nnx)

    @nnx.remat(static_argnums=(2,))
    def f(m, x, flag):
        return m(x) if flag else x

    return f(m, jnp.ones(2), True), f(m, jnp.ones(2), False), m.n.value


@idiom
def remat_of_dropout(nnx):
    """Dropout in `remat` draws once."""
    m = nnx.Dropout(0.5, rngs=nnx.Rngs(0))
    return nnx.remat(lambda m, x: m(x))(m, jnp.ones(6)), m.rngs.count.value


@idiom
def checkify(nnx):
    """`checkify` gives error and result, and updates the object."""
    m = make_counter(nnx)

    def f(m, x):
        ck.check(jnp.all(x > 0), "must be positive")
        return m(x)

    error, out = nnx.checkify(f)(m, jnp.ones(2))
    return error.get(), out, m.n.value


@idiom
def checkify_finds(nnx):
    """`checkify` reports a failed check."""

    def f(m, x):
        ck.check(jnp.all(x > 0), "must be positive")
        return m(x)

    error, _ = nnx.jit(nnx.checkify(f))(make_counter(nnx), -jnp.ones(2))
    return "must be positive" in error.get()


@idiom
def make_jaxpr(nnx):
    """`make_jaxpr` of a function of a model."""
    m = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    make = nnx.make_jaxpr(lambda m, x: m(x), graph_updates=False)
    return "dot_general" in str(make(m, jnp.ones((1, 2))))


@idiom
def eval_shape_leaves_the_argument(nnx):
    """`eval_shape` of a function that writes leaves values as they are."""
    m = make_counter(nnx)
    out = nnx.eval_shape(lambda m, x: m(x), m, jnp.ones(2))
    return out, isinstance(m.w.value, jax.Array)


@idiom
def jit_of_jit(nnx):
    """A jitted function inside another."""
    inner = nnx.jit(lambda m, x: m(x))
    m = make_counter(nnx)
    return nnx.jit(lambda m, x: inner(m, x) + inner(m, x))(m, jnp.ones(2)), m.n.value


@idiom
def jit_in_grad(nnx):
    """A jitted function inside `grad`."""
    f = nnx.jit(lambda m, x: m(x))
    m = make_counter(nnx)
    grads = nnx.grad(lambda m: f(m, jnp.ones(2)).sum())(m)
    return nnx.to_pure_dict(grads), m.n.value


@idiom
def in_and_out_shardings(nnx):
    """`in_shardings` and `out_shardings` are taken."""
    mesh = jax.make_mesh((1,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = jax.sharding.NamedSharding(mesh, jax.P())
    f = nnx.jit(lambda x: x * 2, in_shardings=sharding, out_shardings=sharding)
    return f(jnp.ones(2))


@idiom
def state_sharding_of_jit(nnx):
    """`StateSharding` gives shardings by filter."""
    mesh = jax.make_mesh((2,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
    named = functools.partial(jax.sharding.NamedSharding, mesh)
    shardings = nnx.StateSharding(
        {nnx.PathContains("kernel"): named(jax.P(None, "x")), ...: named(jax.P())}
    )

    @nnx.jit(out_shardings=shardings)
    def make():
        return nnx.Linear(2, 4, rngs=nnx.Rngs(0))

    m = make()
    return m.kernel.value.sharding, m.bias.value.sharding, m.kernel.value
