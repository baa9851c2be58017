"""cond, switch, while_loop and fori_loop over objects, States and arrays."""

import jax
import jax.numpy as jnp
import optax

from tests.parity.models import make_counter
from tests.parity.table import Table

TABLE = Table("control")
idiom, differs = TABLE.idiom, TABLE.differs


def make_bare(nnx):
    class Bare(nnx.Pytree):
        def __init__(self):
            self.x = jnp.zeros(2)

    return Bare()


@idiom
def cond_of_arrays(nnx):
    """`cond` of arrays, both ways."""
    f = lambda p, x: nnx.cond(p, lambda x: x + 1, lambda x: x - 1, x)  # noqa: E731
    return f(True, jnp.ones(2)), f(jnp.array(False), jnp.ones(2))


@idiom
def cond_updates(nnx):
    """A branch that writes updates the object, the other leaves it."""
    m = make_counter(nnx)

    def run(flag):
        return nnx.cond(flag, lambda m, x: m(x), lambda m, x: x, m, jnp.ones(2))

    return run(jnp.array(True)), run(jnp.array(False)), run(jnp.array(True)), m.n.value


@idiom
def cond_without_operands(nnx):
    """Branches that close over arrays."""
    x = jnp.ones(2)
    return nnx.cond(jnp.array(True), lambda: x * 2, lambda: x)


@idiom
def cond_of_none(nnx):
    """Branches that return nothing."""
    m = make_counter(nnx)

    def add(m):
        m.n[...] += 5

    nnx.cond(jnp.array(True), add, lambda m: None, m)
    return m.n.value


@idiom
def cond_in_jit(nnx):
    """`cond` inside `jit`."""
    m = make_counter(nnx)

    @nnx.jit
    def f(m, flag):
        return nnx.cond(flag, lambda m: m(1.0), lambda m: m(2.0) * 1.0, m)

    return f(m, True), f(m, False), m.n.value


@idiom
def cond_of_a_train_flag(nnx):
    """A branch that draws random numbers."""
    m = nnx.Dropout(0.5, rngs=nnx.Rngs(0))
    run = lambda flag: nnx.cond(flag, lambda m, x: m(x), lambda m, x: x, m, jnp.ones(6))  # noqa: E731
    return run(True), run(False), m.rngs.count.value


@idiom
def cond_branches_of_other_types(nnx):
    """Branches of unequal dtypes raise."""
    nnx.cond(jnp.array(True), lambda x: x, lambda x: x.astype(jnp.int32), jnp.ones(2))


@idiom
def cond_keyword_like_jax(nnx):
    """`cond` of several operands."""
    return nnx.cond(
        True, lambda a, b: a + b, lambda a, b: a - b, jnp.ones(2), jnp.ones(2)
    )


@idiom
def cond_with_bare_arrays(nnx):
    """A Pytree with bare arrays, written in a branch."""
    bare = make_bare(nnx)

    def write(bare):
        bare.x = bare.x + 1.0

    nnx.cond(jnp.array(True), write, lambda bare: None, bare)
    return bare.x


@idiom
def switch_updates(nnx):
    """`switch` picks a branch, which may write."""
    m = make_counter(nnx)
    branches = [lambda m, x: x, lambda m, x: m(x), lambda m, x: m(x) * 3]
    outs = [nnx.switch(i, branches, m, jnp.ones(2)) for i in range(3)]
    return outs, m.n.value


@idiom
def switch_clamps(nnx):
    """An index out of range is clamped."""
    branches = [lambda x: x, lambda x: x * 10]
    return nnx.switch(7, branches, jnp.ones(2)), nnx.switch(-3, branches, jnp.ones(2))


@idiom
def switch_of_layers(nnx):
    """Branches for each of several layers."""
    rngs = nnx.Rngs(0)
    layers = nnx.List([nnx.Linear(2, 2, rngs=rngs) for _ in range(3)])

    @nnx.jit
    def f(layers, i, x):
        branches = [lambda ls, x, n=n: ls[n](x) for n in range(3)]
        return nnx.switch(i, branches, layers, x)

    return [f(layers, i, jnp.ones((1, 2))) for i in range(3)]


@idiom
def switch_without_branches(nnx):
    """No branches raise."""
    nnx.switch(0, [], jnp.ones(2))


@idiom
def while_of_arrays(nnx):
    """`while_loop` of arrays."""
    return nnx.while_loop(lambda x: (x < 10).all(), lambda x: x * 2, jnp.ones(2))


@idiom
def while_of_an_object(nnx):
    """`while_loop` whose carry is an object, updated in place."""
    m = make_counter(nnx)

    def body(carry):
        m, x = carry
        return m, m(x) + 1

    m2, x = nnx.while_loop(lambda c: c[0].n.value < 4, body, (m, jnp.ones(2)))
    return m2 is m, x, m.n.value


@idiom
def while_with_dropout(nnx):
    """Streams advance in a loop."""
    rngs = nnx.Rngs(0)

    def body(carry):
        rngs, x = carry
        return rngs, x + rngs.uniform(()) + 0.5

    _, x = nnx.while_loop(lambda c: c[1] < 3, body, (rngs, jnp.array(0.0)))
    return x, rngs.default.count.value


@differs("a State that the body makes anew is carried, as in the other loops")
def while_of_a_state(nnx):
    """A carry that is a State which the body makes anew."""
    state = nnx.state(nnx.Linear(2, 2, rngs=nnx.Rngs(0)))

    def body(carry):
        i, state = carry
        return i + 1, jax.tree.map(lambda x: x * 2, state)

    _, state = nnx.while_loop(lambda c: c[0] < 2, body, (jnp.array(0), state))
    return nnx.to_pure_dict(state)


@idiom
def while_changes_structure(nnx):
    """A body that gives the carry another structure raises."""
    nnx.while_loop(lambda c: True, lambda c: (c, c), jnp.ones(2))


@idiom
def fori_of_arrays(nnx):
    """`fori_loop` of arrays."""
    return nnx.fori_loop(0, 3, lambda i, x: x + i, jnp.ones(2))


@idiom
def fori_of_an_object(nnx):
    """`fori_loop` whose carry is an object."""
    m = make_counter(nnx)

    def body(i, carry):
        m, x = carry
        return m, m(x) + i

    _, x = nnx.fori_loop(0, 3, body, (m, jnp.ones(2)))
    return x, m.n.value


@idiom
def fori_of_the_object_alone(nnx):
    """The object is the whole carry."""
    m = make_counter(nnx)

    def body(i, m):
        m.n[...] += i
        return m

    return nnx.fori_loop(0, 4, body, m) is m, m.n.value


@idiom
def fori_of_a_state(nnx):
    """A State of sums as carry, made anew in each step."""
    m = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
    zeros = jax.tree.map(jnp.zeros_like, nnx.state(m, nnx.Param))

    def body(i, carry):
        m, total = carry
        grads = nnx.grad(lambda m: m(jnp.ones((1, 2))).sum())(m)
        return m, jax.tree.map(jnp.add, total, grads)

    _, total = nnx.fori_loop(0, 3, body, (m, zeros))
    return nnx.to_pure_dict(total)


@idiom
def fori_unroll(nnx):
    """`fori_loop(unroll=...)`."""
    return nnx.fori_loop(0, 4, lambda i, x: x * 2, jnp.ones(2), unroll=2)


@idiom
def fori_of_training_steps(nnx):
    """A training loop as one compiled loop."""
    model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)

    @nnx.jit
    def train(model, optimizer, x):
        def body(i, carry):
            model, optimizer = carry
            grads = nnx.grad(lambda m: (m(x) ** 2).mean())(model)
            optimizer.update(model, grads)
            return model, optimizer

        nnx.fori_loop(0, 3, body, (model, optimizer))

    train(model, optimizer, jnp.ones((2, 2)))
    return model.kernel.value, optimizer.step.value


@idiom
def fori_of_bare_arrays(nnx):
    """A Pytree with bare arrays as carry."""
    bare = make_bare(nnx)

    def body(i, bare):
        bare.x = bare.x + 1.0
        return bare

    return nnx.fori_loop(0, 3, body, bare).x, bare.x


@idiom
def scan_of_bare_arrays(nnx):
    """A Pytree with bare arrays as carry of `scan`."""
    bare = make_bare(nnx)

    def body(bare, x):
        bare.x = bare.x + x
        return bare, bare.x * 1

    bare2, ys = nnx.scan(body)(bare, jnp.arange(6.0).reshape(3, 2))
    return bare2.x, ys


@idiom
def loop_over_a_weak_carry(nnx):
    """A weakly typed carry."""
    return nnx.fori_loop(0, 3, lambda i, x: x * 2.0, 1.0)


@idiom
def loop_with_a_dict_of_models(nnx):
    """A dict of objects and arrays as carry."""
    carry = {"m": make_counter(nnx), "x": jnp.ones(2)}
    body = lambda i, c: {"m": c["m"], "x": c["m"](c["x"])}  # noqa: E731
    out = nnx.fori_loop(0, 2, body, carry)
    return out["x"], carry["m"].n.value


@idiom
def captured_write_in_a_loop(nnx):
    """A write to a captured object in a loop raises."""
    m = make_counter(nnx)
    nnx.fori_loop(0, 2, lambda i, x: m(x), jnp.ones(2))


@idiom
def jax_cond_over_split(nnx):
    """`jax.lax.cond` over split state."""
    m = make_counter(nnx)
    graphdef, state = nnx.split(m)

    def step(state):
        m = nnx.merge(graphdef, state)
        m(1.0)
        return nnx.state(m)

    out = jax.lax.cond(jnp.array(True), step, lambda s: s, state)
    return nnx.to_pure_dict(out)
