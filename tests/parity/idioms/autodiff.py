"""grad, value_and_grad, vjp, jvp, custom_vjp, and JAX's own derivatives of objects."""

import functools

import jax
import jax.numpy as jnp

from tests.parity.table import Table

TABLE = Table("autodiff")
idiom, differs = TABLE.idiom, TABLE.differs

X = jnp.arange(6.0).reshape(3, 2)


def make_linear(nnx):
    return nnx.Linear(2, 2, rngs=nnx.Rngs(0))


def loss(m, x=X):
    return (m(x) ** 2).mean()


def make_norm(nnx):
    rngs = nnx.Rngs(0)
    return nnx.Sequential(nnx.Linear(2, 2, rngs=rngs), nnx.BatchNorm(2, rngs=rngs))


@idiom
def grad_of_a_model(nnx):
    """`grad` gives a State of the Params."""
    grads = nnx.grad(loss)(make_linear(nnx))
    return type(grads).__name__, nnx.to_pure_dict(grads)


@idiom
def grad_types(nnx):
    """The gradient of a Param is a Param in the State."""
    grads = nnx.grad(loss)(make_linear(nnx))
    return type(grads["kernel"]).__name__, grads.kernel.value.shape


@idiom
def value_and_grad(nnx):
    """`value_and_grad` gives both, and updates statistics."""
    m = make_norm(nnx)
    value, grads = nnx.value_and_grad(loss)(m)
    return value, nnx.to_pure_dict(grads), m.layers[1].mean.value


@idiom
def only_params_by_default(nnx):
    """Only Params have gradients by default."""
    return sorted(nnx.to_pure_dict(nnx.grad(loss)(make_norm(nnx)))["layers"][1])


@idiom
def has_aux(nnx):
    """`has_aux` passes further results on."""
    grads, aux = nnx.grad(lambda m: (loss(m), {"a": m(X)}), has_aux=True)(
        make_linear(nnx)
    )
    (value, aux2), _ = nnx.value_and_grad(lambda m: (loss(m), 3), has_aux=True)(
        make_linear(nnx)
    )
    return nnx.to_pure_dict(grads), aux, value, aux2


@idiom
def argnums_of_several(nnx):
    """`argnums` of several arguments."""
    f = nnx.grad(lambda a, b: loss(a) + loss(b) ** 2, argnums=(0, 1))
    return [nnx.to_pure_dict(g) for g in f(make_linear(nnx), make_linear(nnx))]


@idiom
def argnums_of_an_array(nnx):
    """`argnums` of an array beside a model."""
    return nnx.grad(loss, argnums=1)(make_linear(nnx), X)


@idiom
def argnums_negative(nnx):
    """A negative argnum counts from the end."""
    return nnx.grad(loss, argnums=-1)(make_linear(nnx), X)


@idiom
def argnums_mixed(nnx):
    """Model and array at once."""
    a, b = nnx.grad(loss, argnums=(0, 1))(make_linear(nnx), X)
    return nnx.to_pure_dict(a), b


@idiom
def diff_state_by_filter(nnx):
    """`DiffState` selects by a filter."""
    f = nnx.grad(loss, argnums=nnx.DiffState(0, nnx.PathContains("bias")))
    return nnx.to_pure_dict(f(make_linear(nnx)))


@idiom
def diff_state_of_another_type(nnx):
    """`DiffState` of a type that is no Param."""

    class Special(nnx.Variable):
        pass

    m = nnx.Dict(a=Special(jnp.ones(2)), b=nnx.Param(jnp.ones(2)))
    f = nnx.grad(lambda m: (m.a * m.b).sum(), argnums=nnx.DiffState(0, Special))
    return nnx.to_pure_dict(f(m))


@idiom
def diff_states_of_two(nnx):
    """`DiffState` for each of two arguments."""
    f = nnx.grad(
        lambda a, b: loss(a) * loss(b),
        argnums=(
            nnx.DiffState(0, nnx.PathContains("bias")),
            nnx.DiffState(1, nnx.Param),
        ),
    )
    return [nnx.to_pure_dict(g) for g in f(make_linear(nnx), make_linear(nnx))]


@idiom
def grad_of_a_dict_of_models(nnx):
    """Models inside of containers."""
    ms = {"a": make_linear(nnx), "b": [make_linear(nnx)]}
    grads = nnx.grad(lambda ms: loss(ms["a"]) + loss(ms["b"][0]))(ms)
    return type(grads).__name__, grads["a"]["kernel"][...], grads["b"][0]["bias"][...]


@idiom
def grad_of_arrays(nnx):
    """Plain arrays and dicts of them, as `jax.grad`."""
    return nnx.grad(lambda p: (p["a"] ** 2).sum() + p["b"])(
        {"a": X, "b": jnp.array(2.0)}
    )


@idiom
def grad_of_a_variable(nnx):
    """A Variable that is the argument, whatever its type."""
    grads = nnx.grad(lambda v: (v**2).sum())(nnx.Param(jnp.ones(2)))
    return type(grads).__name__, grads.value


@idiom
def grad_of_a_variable_of_another_type(nnx):
    """A BatchStat that is the argument."""
    return nnx.grad(lambda v: (v.value**2).sum())(nnx.BatchStat(jnp.ones(2))).value


@idiom
def grad_of_variables_in_a_dict(nnx):
    """Variables in a plain dict."""
    grads = nnx.grad(lambda d: (d["a"] * d["b"]).sum())(
        {"a": nnx.Param(jnp.ones(2)), "b": nnx.Variable(jnp.full(2, 3.0))}
    )
    return sorted(grads), [v[...] for v in grads.values()]


@idiom
def grad_of_a_state(nnx):
    """`nnx.grad` of a function of a State."""
    graphdef, params = nnx.split(make_linear(nnx))
    grads = nnx.grad(lambda p: loss(nnx.merge(graphdef, p)))(params)
    return type(grads).__name__, nnx.to_pure_dict(grads)


@idiom
def jax_grad_of_a_state(nnx):
    """`jax.value_and_grad` of a function of a State."""
    graphdef, params = nnx.split(make_linear(nnx))
    value, grads = jax.value_and_grad(lambda p: loss(nnx.merge(graphdef, p)))(params)
    return value, nnx.to_pure_dict(grads)


@idiom
def grad_with_shared_params(nnx):
    """A shared Param has one gradient, of both uses."""
    shared = nnx.Param(jnp.ones(2))
    m = nnx.Dict(a=shared, b=shared)
    return nnx.to_pure_dict(nnx.grad(lambda m: (m.a * m.b).sum())(m))


@idiom
def grad_twice_of_one_variable(nnx):
    """One Variable at two places of a plain dict."""
    v = nnx.Param(jnp.ones(2))
    grads = nnx.grad(lambda d: (d["a"] * 2 + d["b"] * 3).sum())({"a": v, "b": v})
    return sorted(grads), [jax.tree.leaves(g) for g in grads.values()]


@idiom
def grad_with_keyword(nnx):
    """Further arguments by keyword."""
    return nnx.to_pure_dict(nnx.grad(loss)(make_linear(nnx), x=X * 2))


@idiom
def second_order(nnx):
    """`grad` of a function of `grad`."""

    def penalty(m):
        grads = nnx.grad(loss)(m)
        return sum((g**2).sum() for g in jax.tree.leaves(grads))

    return nnx.to_pure_dict(nnx.grad(penalty)(make_linear(nnx)))


@idiom
def grad_of_dropout(nnx):
    """Streams advance in `grad`."""
    m = nnx.Dropout(0.5, rngs=nnx.Rngs(0))
    grads = nnx.grad(lambda m, x: m(x).sum(), argnums=1)(m, jnp.ones(8))
    return grads, m.rngs.count.value


@idiom
def grad_with_nothing_to_differentiate(nnx):
    """A captured write inside `grad` raises."""
    m = make_norm(nnx)
    nnx.grad(lambda x: m(x).sum())(X)


@idiom
def grad_of_integers(nnx):
    """`allow_int` is passed on; without it integers raise."""
    f = nnx.grad(lambda n, x: x.sum() * 1.0, argnums=0)
    f(jnp.array(1), X)


@idiom
def grad_of_integers_allowed(nnx):
    """`allow_int=True`."""
    f = nnx.grad(lambda n, x: x.sum() * 1.0, argnums=0, allow_int=True)
    return f(jnp.array(1), X).dtype.name


@idiom
def holomorphic(nnx):
    """`holomorphic=True` of complex values."""
    return nnx.grad(lambda z: (z**2).sum(), holomorphic=True)(jnp.ones(2) * 1j)


@idiom
def loss_that_is_no_scalar(nnx):
    """A function that gives no scalar raises."""
    nnx.grad(lambda m: m(X))(make_linear(nnx))


@idiom
def as_decorator(nnx):
    """`@nnx.grad` and `@nnx.value_and_grad(has_aux=True)`."""

    @nnx.value_and_grad(has_aux=True)
    def f(m):
        return loss(m), m(X).sum()

    (value, aux), grads = f(make_linear(nnx))
    return value, aux, nnx.to_pure_dict(grads)


@idiom
def perturbation_gradient(nnx):
    """The gradient of a Perturbation is that of the activation."""

    class Tapped(nnx.Linear):
        def __call__(self, x):
            return (self.perturb("tap", super().__call__(x)) ** 2).sum()

    m = Tapped(2, 2, rngs=nnx.Rngs(0))
    m(X)
    f = nnx.grad(lambda m: m(X), argnums=nnx.DiffState(0, nnx.Perturbation))
    return nnx.to_pure_dict(f(m))


@idiom
def vjp_of_a_model(nnx):
    """`vjp` gives results and a function of cotangents."""
    m = make_norm(nnx)
    out, pull = nnx.vjp(lambda m, x: m(x), m, X, graph_updates=False)
    dm, dx = pull(jnp.ones_like(out))
    return out, type(dm).__name__, dm.layers[0].kernel[...], dx, m.layers[1].mean.value


@differs("derives objects of any kind; flax wants `graph_updates=False`")
def vjp_in_the_default_mode(nnx):
    """`vjp` without a flag for a mode."""
    out, pull = nnx.vjp(jnp.sin, X)
    return out, pull(jnp.ones_like(X))


@idiom
def vjp_of_arrays(nnx):
    """`vjp` of arrays, with aux."""
    out, pull, aux = nnx.vjp(lambda x: (x**2, x), X, has_aux=True, graph_updates=False)
    return out, pull(jnp.ones_like(X)), aux


@idiom
def jvp_of_arrays(nnx):
    """`jvp` of arrays."""
    return nnx.jvp(jnp.sin, (X,), (jnp.ones_like(X),), graph_updates=False)


@idiom
def jvp_of_a_model(nnx):
    """`jvp` of a model, along a model of tangents."""
    m = make_linear(nnx)
    tangent = jax.tree.map(jnp.ones_like, m)
    run = nnx.jvp(lambda m, x: m(x), graph_updates=False)
    return run((m, X), (tangent, jnp.zeros_like(X)))


@differs("derives objects of any kind; flax wants `graph_updates=False`")
def jvp_in_the_default_mode(nnx):
    """`jvp` without a flag for a mode."""
    return nnx.jvp(jnp.sin, (X,), (X,))


@idiom
def custom_vjp_of_arrays(nnx):
    """`custom_vjp` of arrays."""

    @nnx.custom_vjp
    def f(x):
        return jnp.sin(x)

    f.defvjp(lambda x: (f(x), x), lambda x, g: (g[1] * 100.0,))
    return jax.grad(lambda x: f(x).sum())(X), f(X)


@idiom
def custom_vjp_of_a_model(nnx):
    """`custom_vjp` of a model: its cotangent is a State."""

    @nnx.custom_vjp
    def f(m, x):
        return m(x)

    def forward(m, x):
        return f(m, x), (m, x)

    def backward(residuals, g):
        (m_updates, _), _ = g
        _, x = residuals
        grads = jax.tree.map(lambda v: v * 0 + 7.0, m_updates)
        return grads, x * 0

    f.defvjp(forward, backward)
    grads = nnx.grad(lambda m: f(m, X).sum())(make_linear(nnx))
    return nnx.to_pure_dict(grads)


@idiom
def custom_vjp_that_writes(nnx):
    """`custom_vjp` of a function that writes state."""
    m = nnx.Dict(n=nnx.Variable(jnp.array(0)), w=nnx.Param(jnp.ones(2)))

    @nnx.custom_vjp
    def f(m, x):
        m.n[...] += 1
        return m.w * x

    def forward(m, x):
        return f(m, x), (m, x)

    def backward(residuals, g):
        (m_updates, _), out_g = g
        return jax.tree.map(jnp.ones_like, m_updates), out_g * 2

    f.defvjp(forward, backward)
    dx = nnx.grad(lambda m, x: f(m, x).sum(), argnums=1)(m, jnp.ones(2))
    return dx, m.n.value


@idiom
def custom_vjp_nondiff(nnx):
    """`nondiff_argnums` of `custom_vjp`."""

    @functools.partial(nnx.custom_vjp, nondiff_argnums=(0,))
    def f(n, x):
        return x * n

    f.defvjp(lambda n, x: (x * n, None), lambda n, res, g: (g[1] * n * 10,))
    return jax.grad(lambda x: f(3, x).sum())(X)


@idiom
def jax_hessian_of_a_model(nnx):
    """`jax.hessian` of a function of a State."""
    graphdef, params = nnx.split(nnx.Linear(1, 1, rngs=nnx.Rngs(0)))
    hessian = jax.hessian(lambda p: loss(nnx.merge(graphdef, p), X[:, :1]))(params)
    return jax.tree.leaves(hessian)


@idiom
def jacobians_of_a_pure_dict(nnx):
    """`jax.jacfwd` and `jax.jacrev` of a function of arrays."""
    m = make_linear(nnx)
    f = lambda x: m(x)  # noqa: E731
    return jax.jacfwd(f)(X[0]), jax.jacrev(f)(X[0])


@idiom
def forward_over_reverse(nnx):
    """A Hessian-vector product by `jax.jvp` of `jax.grad`."""
    graphdef, params = nnx.split(make_linear(nnx))
    f = jax.grad(lambda p: loss(nnx.merge(graphdef, p)))
    tangent = jax.tree.map(jnp.ones_like, params)
    _, hvp = jax.jvp(f, (params,), (tangent,))
    return nnx.to_pure_dict(hvp)


@idiom
def jax_jvp_that_returns_a_state(nnx):
    """`jax.jvp` of a function that returns a State."""
    params = nnx.state(make_linear(nnx))
    out, tangent = jax.jvp(lambda p: jax.tree.map(jnp.sin, p), (params,), (params,))
    return nnx.to_pure_dict(out), nnx.to_pure_dict(tangent)


@idiom
def gradient_clip_by_tree_map(nnx):
    """Gradients are mapped and reduced by `jax.tree`."""
    grads = nnx.grad(loss)(make_linear(nnx))
    norm = jnp.sqrt(sum((g**2).sum() for g in jax.tree.leaves(grads)))
    return norm, nnx.to_pure_dict(jax.tree.map(lambda g: g / norm, grads))


@idiom
def gradient_sums(nnx):
    """Gradients of two batches are added."""
    m = make_linear(nnx)
    a, b = nnx.grad(loss)(m), nnx.grad(loss)(m, X * 2)
    return nnx.to_pure_dict(jax.tree.map(jnp.add, a, b))


@idiom
def gradient_step_by_hand(nnx):
    """SGD by hand over States."""
    m = make_linear(nnx)
    grads = nnx.grad(loss)(m)
    params = nnx.state(m, nnx.Param)
    nnx.update(m, jax.tree.map(lambda p, g: p - 0.1 * g, params, grads))
    return m.kernel.value


@idiom
def stop_gradient_of_a_variable(nnx):
    """`jax.lax.stop_gradient` takes a Variable's value."""
    m = make_linear(nnx)
    f = lambda m: (X @ jax.lax.stop_gradient(m.kernel.value) + m.bias).sum()  # noqa: E731
    return nnx.to_pure_dict(nnx.grad(f)(m))


@differs("a filter that selects nothing is nearly always a mistake and raises")
def filter_that_selects_nothing(nnx):
    """`DiffState` with a filter that selects nothing."""
    f = nnx.grad(loss, argnums=nnx.DiffState(0, nnx.PathContains("no")))
    return nnx.to_pure_dict(f(make_linear(nnx)))


@idiom
def linearize_by_jax(nnx):
    """`jax.linearize` of a model's call."""
    m = make_linear(nnx)
    out, push = jax.linearize(lambda x: m(x), X)
    return out, push(jnp.ones_like(X))


@idiom
def grad_of_a_method(nnx):
    """A loss that calls a method of the model by its class."""
    linear = type(make_linear(nnx))
    return nnx.to_pure_dict(
        nnx.grad(lambda m: linear.__call__(m, X).sum())(make_linear(nnx))
    )
