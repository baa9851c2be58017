"""Recorded values: sow, perturb, capture, taps, under transforms."""

import jax
import jax.numpy as jnp

from tests.parity.table import Table

TABLE = Table("more_capture")
idiom, differs = TABLE.idiom, TABLE.differs
X = jnp.arange(6.0).reshape(3, 2)


def deep(nnx):
    class Inner(nnx.Module):
        def __init__(self, rngs):
            self.l = nnx.Linear(2, 2, rngs=rngs)

        def __call__(self, x):
            y = self.l(x)
            self.sow(nnx.Intermediate, "h", y)
            return self.perturb("p", y)

    class Outer(nnx.Module):
        def __init__(self, rngs):
            self.layers = nnx.List([Inner(rngs), Inner(rngs)])

        def __call__(self, x):
            for layer in self.layers:
                x = layer(x)
            self.sow(nnx.Intermediate, "out", x)
            return x

        def twice(self, x):
            return self(x) * 2

    return Outer(nnx.Rngs(0))


def paths(nnx, state):
    return [
        (
            ".".join(map(str, p)),
            type(v).__name__,
            jax.tree.map(jnp.shape, v.get_value()),
        )
        for p, v in nnx.to_flat_state(state)
    ]


@idiom
def sown(nnx):
    """What a call sows, in place."""
    m = deep(nnx)
    m(X)
    m(X)
    return paths(nnx, nnx.state(m, nnx.Intermediate))


@idiom
def sown_then_popped(nnx):
    """`pop` takes it out again."""
    m = deep(nnx)
    m(X)
    first = paths(nnx, nnx.pop(m, nnx.Intermediate))
    return first, paths(nnx, nnx.state(m, nnx.Intermediate))


@idiom
def captured(nnx):
    """`nnx.capture` gives the result and what was recorded."""
    m = deep(nnx)
    m(X)  # perturbations are made
    nnx.pop(m, nnx.Intermediate)
    out, found = nnx.capture(m, nnx.Intermediate)(X)
    return out, paths(nnx, found), paths(nnx, nnx.state(m, nnx.Intermediate))


@idiom
def captured_of_a_method(nnx):
    """`capture` of a bound method."""
    m = deep(nnx)
    out, found = nnx.capture(m.twice, nnx.Intermediate)(X)
    return out, paths(nnx, found)


@idiom
def captured_of_a_function(nnx):
    """`capture` of a function that takes the model."""
    m = deep(nnx)
    out, found = nnx.capture(lambda m, x: m(x) * 3, nnx.Intermediate)(m, X)
    return out, paths(nnx, found)


@idiom
def captured_of_several(nnx):
    """`capture` of several types gives a State for each."""
    m = deep(nnx)
    out = nnx.capture(m, nnx.Perturbation, nnx.Intermediate)(X)
    return len(out), [paths(nnx, found) for found in out[1:]]


@idiom
def captured_with_init(nnx):
    """`init` gives the State in which to record."""
    m = deep(nnx)
    _, first = nnx.capture(m, nnx.Perturbation)(X)
    ones = jax.tree.map(jnp.ones_like, first)
    out, found = nnx.capture(m, nnx.Perturbation, init=ones)(X)
    return out, paths(nnx, found)


@idiom
def gradient_of_perturbations(nnx):
    """The gradient at perturbations, with `capture` and `init`."""
    m = deep(nnx)
    _, perturbations = nnx.capture(m, nnx.Perturbation)(X)

    def loss(model, perturbations):
        out = nnx.capture(model, nnx.Perturbation, init=perturbations)(X)[0]
        return (out**2).sum()

    grads = nnx.grad(loss, argnums=1)(m, perturbations)
    return nnx.to_pure_dict(grads)


@idiom
def gradient_of_perturbations_in_place(nnx):
    """The gradient at perturbations that the model holds."""
    m = deep(nnx)
    m(X)
    wrt = nnx.DiffState(0, nnx.Perturbation)
    grads = nnx.grad(lambda m: (m(X) ** 2).sum(), argnums=wrt)(m)
    return nnx.to_pure_dict(grads)


@idiom
def gradients_of_both(nnx):
    """One call of `grad` for Params and perturbations."""
    m = deep(nnx)
    m(X)
    wrt = nnx.DiffState(0, (nnx.Param, nnx.Perturbation))
    grads = nnx.grad(lambda m: (m(X) ** 2).sum(), argnums=wrt)(m)
    params, taps = nnx.split_state(grads, nnx.Param, nnx.Perturbation)
    return nnx.to_pure_dict(params), nnx.to_pure_dict(taps)


@idiom
def captured_in_jit(nnx):
    """`capture` inside of `jit`."""
    m = deep(nnx)

    @nnx.jit
    def f(m, x):
        out, found = nnx.capture(m, nnx.Intermediate)(x)
        return out, found

    out, found = f(m, X)
    return out, paths(nnx, found), paths(nnx, nnx.state(m, nnx.Intermediate))


@idiom
def sown_in_jit(nnx):
    """`sow` inside of `jit`."""
    m = deep(nnx)
    f = nnx.jit(lambda m, x: m(x))
    f(m, X)
    f(m, X)
    return paths(nnx, nnx.state(m, nnx.Intermediate))


@idiom
def sown_in_grad(nnx):
    """`sow` inside of `grad`."""
    m = deep(nnx)
    m(X)
    nnx.pop(m, nnx.Intermediate)
    nnx.grad(lambda m, x: m(x).sum())(m, X)
    return paths(nnx, nnx.state(m, nnx.Intermediate))


@idiom
def captured_in_vmap(nnx):
    """`capture` inside of `vmap`."""
    m = deep(nnx)

    @nnx.vmap(in_axes=(None, 0))
    def f(m, x):
        _, found = nnx.capture(m, nnx.Intermediate)(x)
        return found

    return paths(nnx, f(m, X))


@idiom
def captured_in_scan(nnx):
    """`capture` inside of a step of `scan`."""
    m = deep(nnx)

    @nnx.scan(in_axes=(nnx.Carry, None, 0), out_axes=(nnx.Carry, 0))
    def f(carry, m, x):
        out, found = nnx.capture(m, nnx.Intermediate)(x)
        return carry + out.sum(), found

    total, found = f(jnp.array(0.0), m, X)
    return total, paths(nnx, found)


@idiom
def sow_returns(nnx):
    """`sow` tells whether it recorded."""
    m = nnx.Module()
    return m.sow(nnx.Intermediate, "a", 1), m.sow("other", "b", 2)


@idiom
def own_kind(nnx):
    """A kind of one's own, recorded and captured."""

    class Seen(nnx.Variable):
        pass

    class Model(nnx.Module):
        def __call__(self, x):
            self.sow(Seen, "x", x)
            self.sow(nnx.Intermediate, "y", x)
            return x

    m = Model()
    _out, found = nnx.capture(m, Seen)(X)
    return paths(nnx, found), paths(nnx, nnx.state(m))


@idiom
def capture_nothing(nnx):
    """A function that records nothing."""
    out, found = nnx.capture(nnx.Linear(2, 2, rngs=nnx.Rngs(0)), nnx.Intermediate)(X)
    return out, paths(nnx, found)


@idiom
def capture_without_types(nnx):
    """`capture` without any type."""
    return nnx.capture(deep(nnx))(X)


@differs("a function that gets no model records nothing, nearly always a mistake")
def capture_of_a_plain_function(nnx):
    """A function without any model."""
    return nnx.capture(lambda x: x * 2, nnx.Intermediate)(X)


@idiom
def perturb_in_eval_shape(nnx):
    """Perturbations made on shapes alone."""
    m = deep(nnx)

    def init():
        m = deep(nnx)
        m(X)
        return m

    m = nnx.eval_shape(init)
    return [
        (p, v.get_value().shape)
        for p, v in nnx.to_flat_state(nnx.state(m, nnx.Perturbation))
    ]


@idiom
def perturb_of_another_kind(nnx):
    """`variable_type` of `perturb`."""
    m = nnx.Module()
    out = m.perturb("p", X, nnx.Cache)
    return out, type(m.p).__name__


@idiom
def sow_in_a_deep_copy(nnx):
    """A clone records by itself."""
    m = deep(nnx)
    n = nnx.clone(m)
    n(X)
    return paths(nnx, nnx.state(m, nnx.Intermediate)), len(
        paths(nnx, nnx.state(n, nnx.Intermediate))
    )


def occupied(nnx):
    class Model(nnx.Module):
        def __init__(self):
            self.w = nnx.Param(X)

        def features(self, x):
            self.sow(nnx.Intermediate, "features", x)
            self.sow(nnx.Intermediate, "w", x + 1)
            self.sow(nnx.Cache, "twice", x + 2)
            self.sow(nnx.Intermediate, "twice", x + 3)
            return x * self.w

        def __call__(self, x):
            return self.features(self.features(x))

    return Model()


@idiom
def capture_under_the_name_of_a_method(nnx):
    """Records of `capture` stand beside methods and attributes of their name."""
    model = occupied(nnx)
    _, seen = nnx.capture(model, nnx.Intermediate)(X)
    _, both, cache = nnx.capture(model, nnx.Intermediate, nnx.Cache)(X)
    return (
        {k: v.get_value() for k, v in seen.items()},
        {k: v.get_value() for k, v in cache.items()},
        sorted(both),
        sorted(k for k in vars(model) if not k.startswith("_")),
    )


def perturbed(nnx):
    class Model(nnx.Module):
        def __init__(self):
            self.w = nnx.Param(jnp.arange(4.0))

        def __call__(self, x):
            y = jnp.dot(self.perturb("hidden", x), self.w)
            self.sow(nnx.Intermediate, "y", y)
            return y

    return Model()


@idiom
def perturbations_of_a_batch(nnx):
    """Records of a model that is merged under `vmap`, then gradients of each row."""

    @nnx.capture(nnx.Perturbation)
    def first(model, x):
        graphdef, kept, params = nnx.split(model, nnx.Intermediate, nnx.Param)

        def run(kept, params, x):
            return nnx.merge(graphdef, kept, params)(x)

        return nnx.vmap(run, in_axes=(0, None, 0))(kept, params, x)

    @nnx.jit
    def step(model, x):
        _, start = first(model, x)

        def of_row(model, start, x):
            def loss(model, start, x):
                return nnx.capture(model, nnx.Intermediate, init=start)(x)

            differentiate = nnx.grad(loss, argnums=(0, 1), has_aux=True)
            (_, grads), seen = differentiate(model, start, x)
            return nnx.merge_state(grads, seen)

        return nnx.vmap(of_row, in_axes=(None, 0, 0))(model, start, x)

    state = step(perturbed(nnx), jnp.ones((3, 4)))
    return state["hidden"].get_value(), state["y"].get_value()


@idiom
def gradients_where_one_argument_has_none(nnx):
    """A model without Params beside an argument that has a gradient."""
    grads = nnx.grad(lambda m, x: x**2, argnums=(0, 1))(nnx.Module(), 3.0)
    return len(grads[0]), grads[1]
