"""custom_vjp: its derivative is the one that was given, and state is kept."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from oakum.errors import ArgumentError, StructureError
from tests.models import JITS, holds_tracer, snapshot


class Model(nnx.Module):
    """A weight, a buffer of a float dtype, a count, and a random stream."""

    def __init__(self, value: float = 2.0):
        self.w = nnx.Param(jnp.full(3, value))
        self.stat = nnx.BatchStat(jnp.zeros(()))
        self.count = nnx.Variable(jnp.zeros((), jnp.int32))
        self.rngs = nnx.Rngs(0)


def count(model: Any, step: int = 1) -> None:
    model.count.value = model.count.value + jnp.full((), step, jnp.int32)


def make(**options: Any) -> Any:
    """w * x, whose given derivatives are 10 and 100 times the true ones."""

    @nnx.custom_vjp(**options)
    def times(m, x):
        count(m)
        return m.w.value * x

    def fwd(m, x):
        count(m, 5)
        return m.w.value * x, (m.w.value, x)

    def bwd(residuals, g):
        w, x = residuals
        _, y_g = g
        return nnx.State({"w": nnx.Param(10 * x * y_g)}), (100 * w * y_g).sum()

    times.defvjp(fwd, bwd)
    return times


X = jnp.asarray(3.0)


# -- the given derivative


def by_grad(f, model, x):
    return nnx.grad(lambda m, x: f(m, x).sum(), argnums=(0, 1))(model, x)


def by_pull(f, model, x):
    y, pull = nnx.vjp(f, model, x)
    grads, x_grad = pull(jnp.ones_like(y))
    return nnx.state(grads, nnx.Param), x_grad


def through_jit(f, model, x):
    return by_grad(nnx.jit(f), model, x)


def through_remat(f, model, x):
    return by_grad(nnx.remat(lambda m, x: f(m, x)), model, x)


def through_cond(f, model, x):
    return by_grad(lambda m, x: nnx.cond(x > 0, f, f, m, x), model, x)


def by_jax_grad(f, model, x):
    graph, params, rest = nnx.split(model, nnx.Param, ...)

    def loss(params, x):
        return f(nnx.merge(graph, params, rest, copy=True), x).sum()

    return jax.grad(loss, argnums=(0, 1))(params, x)


WAYS = {
    f.__name__: f
    for f in (by_grad, by_pull, through_jit, through_remat, through_cond, by_jax_grad)
}


@pytest.mark.parametrize("wrap", JITS)
@pytest.mark.parametrize("name", WAYS)
def test_derivative_is_the_given_one(name, wrap):
    model = Model()
    grads, x_grad = wrap(lambda m, x: WAYS[name](make(), m, x))(model, X)
    assert list(grads) == ["w"]
    assert grads["w"].value.tolist() == [30.0] * 3
    assert float(x_grad) == 600.0
    assert not holds_tracer(model)


def test_without_derivative_the_function_itself_runs():
    model = Model()
    assert make()(model, X).tolist() == [6.0] * 3
    assert int(model.count.value) == 1
    nnx.jit(make())(model, X)
    assert int(model.count.value) == 2


def test_state_is_that_of_fwd_where_it_is_differentiated():
    model = Model()
    for way in (by_grad, by_pull, through_jit):
        before = int(model.count.value)
        way(make(), model, X)
        assert int(model.count.value) == before + 5


def test_pull_is_given_under_vmap():
    _, pull = nnx.vjp(make(), Model(), X)
    grads, x_grad = jax.vmap(pull)(jnp.eye(3))
    assert grads.w.value.tolist() == (30 * jnp.eye(3)).tolist()
    assert x_grad.tolist() == [200.0] * 3


def test_inside_vmap_over_models():
    models = nnx.vmap(lambda value: Model(value))(jnp.array([2.0, 4.0]))
    times = make()

    def grads(m, x):
        return nnx.grad(lambda m, x: times(m, x).sum(), argnums=(0, 1))(m, x)

    grads, x_grad = nnx.vmap(grads, in_axes=(0, None))(models, X)
    assert grads["w"].value.tolist() == [[30.0] * 3] * 2
    assert x_grad.tolist() == [600.0, 1200.0]
    assert models.count.value.tolist() == [5, 5]


@pytest.mark.parametrize("wrap", JITS)
def test_inside_scan_over_steps(wrap):
    times = make()

    def loss(model, xs):
        def step(model, x):
            return model, times(model, x).sum()

        return nnx.scan(step)(model, xs)[1].sum()

    model = Model()
    grads, x_grads = wrap(nnx.grad(loss, argnums=(0, 1)))(model, jnp.array([1.0, 3.0]))
    assert grads["w"].value.tolist() == [40.0] * 3
    assert x_grads.tolist() == [600.0, 600.0]
    assert int(model.count.value) == 10


def test_shared_variable_gets_its_cotangent_once():
    @nnx.custom_vjp
    def f(m):
        return m.w.value.sum()

    model = Model()
    model.again = model.w
    f.defvjp(
        lambda m: (m.w.value.sum(), None),
        lambda _, g: (nnx.State({"again": nnx.Param(jnp.full(3, 7.0))}),),
    )
    assert nnx.grad(f)(model)["again"].value.tolist() == [7.0] * 3


def test_model_among_the_residuals():
    @nnx.custom_vjp
    def f(m, x):
        return (m.w.value * x).sum()

    def bwd(residuals, g):
        m, x = residuals
        (m_g, x_g), y_g = g
        assert x_g is None
        m_g["w"].value = m.w.value + x * y_g
        return m_g, None

    f.defvjp(lambda m, x: (f(m, x), (m, x)), bwd)
    grads, x_grad = nnx.grad(f, argnums=(0, 1))(Model(), X)
    assert grads["w"].value.tolist() == [5.0] * 3
    assert float(x_grad) == 0.0


def test_pytree_value_and_pytree_argument():
    @nnx.custom_vjp
    def f(tree):
        return {"y": tree["m"].w.value * tree["x"], "z": tree["x"]}

    def bwd(_, g):
        _, value_g = g
        state = nnx.State({"w": nnx.Param(value_g["y"])})
        return ({"m": state, "x": value_g["z"] * 9},)

    f.defvjp(lambda tree: (f(tree), None), bwd)
    grads = nnx.grad(lambda t: f(t)["y"].sum() + f(t)["z"])({"m": Model(), "x": X})
    assert grads["m"]["w"].value.tolist() == [1.0] * 3
    assert float(grads["x"]) == 9.0


# -- the cotangent of updated state


def test_cotangent_of_updated_state_reaches_bwd():
    @nnx.custom_vjp
    def f(m, x):
        m.stat.value = m.stat.value + x * x
        return x

    def bwd(x, g):
        (m_g, _), y_g = g
        return m_g, y_g + 1000 * m_g["stat"].value

    f.defvjp(lambda m, x: (f(m, x), x), bwd)

    def loss(x, model):
        y = f(model, x)
        return y + 2 * model.stat.value

    model = Model()
    assert float(nnx.grad(loss)(X, model)) == 2001.0
    assert float(model.stat.value) == 9.0


def test_the_cotangent_of_the_update_may_be_given_back_for_a_model_with_an_array():
    @nnx.custom_vjp
    def step(m, x):
        m.w.value, m.table = m.w.value * x, m.table + x
        return (m.w.value * m.table).sum()

    step.defvjp(lambda m, x: (step(m, x), x), lambda x, g: (g[0][0], g[1] * x))
    model = Model()
    model.table = jnp.ones(3)
    value, grads = nnx.value_and_grad(step, argnums=(0, 1))(model, jnp.array(3.0))
    assert (value, grads[1], model.table[0]) == (72.0, 3.0, 4.0)
    assert grads[0]["w"].value.tolist() == [0.0, 0.0, 0.0]


def test_cotangent_of_integers_is_left_out():
    @nnx.custom_vjp
    def f(m, n, x):
        return x * n

    def bwd(residuals, g):
        (m_g, _, _), y_g = g
        assert sorted(m_g) == ["stat", "w"]
        return m_g, None, y_g * 7

    f.defvjp(lambda m, n, x: (f(m, n, x), None), bwd)
    assert float(nnx.grad(f, argnums=2)(Model(), jnp.array(2), X)) == 7.0


# -- nondiff_argnums


def powers(nondiff_argnums):
    """x ** n with the derivative n * x, so that it is seen which n came."""

    @nnx.custom_vjp(nondiff_argnums=nondiff_argnums)
    def power(m, x, n):
        assert isinstance(n, int)
        return (m.w.value * x**n).sum()

    def bwd(n, residuals, g):
        assert isinstance(n, int)
        return nnx.State({}), n * residuals * g[1]

    power.defvjp(lambda m, x, n: (power(m, x, n), x), bwd)
    return power


@pytest.mark.parametrize("numbers", [(2,), (-1,)], ids=["positive", "negative"])
def test_nondiff_argument_stays_a_number_and_comes_first_in_bwd(numbers):
    grads = nnx.grad(lambda m, x: powers(numbers)(m, x, 4), argnums=(0, 1))
    m_grad, x_grad = nnx.jit(grads)(Model(), X)
    assert m_grad["w"].value.tolist() == [0.0] * 3
    assert float(x_grad) == 12.0


def test_diff_state_drops_what_it_does_not_select():
    wrt = nnx.DiffState(0, nnx.BatchStat)
    grads, x_grad = by_grad(make(nondiff_argnums=(wrt,)), Model(), X)
    assert grads["w"].value.tolist() == [0.0] * 3
    assert float(x_grad) == 600.0


def test_diff_state_keeps_what_it_selects():
    wrt = nnx.DiffState(0, nnx.Param)
    grads, _ = by_grad(make(nondiff_argnums=(wrt,)), Model(), X)
    assert grads["w"].value.tolist() == [30.0] * 3


# -- state


@pytest.mark.parametrize("wrap", JITS)
def test_rngs_advance_once_in_each_of_fun_and_fwd(wrap):
    @nnx.custom_vjp
    def noisy(m, x):
        return m.rngs.normal(()) * x

    noisy.defvjp(lambda m, x: (noisy(m, x), None), lambda _, g: (None, g[1]))
    model, plain = Model(), Model()
    both = nnx.value_and_grad(noisy, argnums=1)
    values = [wrap(noisy)(model, X), wrap(both)(model, X)[0]]
    expected = [plain.rngs.normal(()) * X for _ in range(2)]
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    assert snapshot(model) == snapshot(plain)


def test_fun_and_fwd_may_write_different_variables():
    @nnx.custom_vjp
    def f(m, x):
        m.stat.value = m.stat.value + 1
        return x

    def fwd(m, x):
        count(m)
        return x, None

    f.defvjp(fwd, lambda _, g: (None, g[1]))
    model = Model()
    f(model, X)
    assert (float(model.stat.value), int(model.count.value)) == (1.0, 0)
    nnx.jit(nnx.grad(f, argnums=1))(model, X)
    assert (float(model.stat.value), int(model.count.value)) == (1.0, 1)


def test_function_without_arrays_among_its_arguments():
    @nnx.custom_vjp
    def f(m):
        return m.w.value.sum()

    f.defvjp(
        lambda m: (f(m), None),
        lambda _, g: (nnx.State({"w": nnx.Param(jnp.full(3, 8.0) * g[1])}),),
    )
    assert nnx.grad(lambda m: 2 * f(m))(Model())["w"].value.tolist() == [16.0] * 3


# -- forms


def test_keyword_and_default_arguments():
    @nnx.custom_vjp
    def f(m, x, scale=2.0):
        return (m.w.value * x * scale).sum()

    f.defvjp(
        lambda m, x, scale: (f(m, x, scale), scale),
        lambda scale, g: (None, scale * g[1], None),
    )
    model = Model()
    assert float(f(model, x=X)) == 36.0
    assert float(nnx.grad(lambda x: f(model, x=x))(X)) == 2.0
    assert float(nnx.grad(lambda x: f(m=model, x=x, scale=5.0))(X)) == 5.0
    assert float(nnx.grad(lambda x: f(model, x))(X)) == 2.0


@pytest.mark.parametrize("numbers", [(1,), (-1,)], ids=["positive", "negative"])
def test_nondiff_argument_may_be_left_to_its_default(numbers):
    clip = nnx.custom_vjp(
        lambda x, limit=1.0: jnp.clip(x, -limit, limit), nondiff_argnums=numbers
    )
    clip.defvjp(
        lambda x, limit: (jnp.clip(x, -limit, limit), None),
        lambda limit, _, g: (limit * g[1],),
    )
    x = jnp.asarray(4.0)
    assert [float(clip(x)), float(clip(x, 2.0)), float(clip(x, limit=3.0))] == [1, 2, 3]
    assert float(nnx.grad(clip)(x)) == 1.0
    assert float(nnx.grad(lambda x: clip(x, limit=3.0))(x)) == 3.0


def test_an_argument_by_keyword_alone_is_refused():
    def f(x, *, scale=2.0):
        return x * scale

    scaled = nnx.custom_vjp(f)
    scaled.defvjp(lambda x: (x, None), lambda _, g: (7 * g[1],))
    assert float(nnx.grad(scaled)(X)) == 7.0
    message = "f takes scale by keyword alone.*\n.*leave out the `\\*`"
    with pytest.raises(ArgumentError, match=message):
        scaled(X, scale=3.0)


class WithMethod(nnx.Module):
    def __init__(self):
        self.w = nnx.Param(jnp.full(3, 2.0))

    @nnx.custom_vjp
    def times(self, x):
        """What it says."""
        return self.w.value * x

    def times_fwd(self, x):
        return self.w.value * x, x

    def times_bwd(residuals, g):  # type: ignore[reportSelfClsParameterName]
        return nnx.State({"w": nnx.Param(residuals * g[1] * 10)}), None

    times.defvjp(times_fwd, times_bwd)


def test_as_method():
    model = WithMethod()
    assert model.times(X).tolist() == [6.0] * 3
    assert WithMethod.times.__doc__ == "What it says."
    grads = nnx.grad(lambda m: m.times(X).sum())(model)
    assert grads["w"].value.tolist() == [30.0] * 3


def test_symbolic_zeros_are_handed_to_bwd():
    seen = []

    @nnx.custom_vjp
    def f(m, x):
        return m.w.value * x, x * 2

    def bwd(x, g):
        seen.append(type(g[1][1]).__name__)
        return nnx.State({"w": nnx.Param(x * g[1][0] * 10)}), None

    f.defvjp(lambda m, x: (f(m, x), x), bwd, symbolic_zeros=True)
    grads = nnx.grad(lambda m: f(m, X)[0].sum())(Model())
    assert grads["w"].value.tolist() == [30.0] * 3
    assert seen == ["SymbolicZero"]


# -- errors: each names what it met, and nothing changes


def returning(result: Any) -> Any:
    """A function whose bwd returns the result."""

    @nnx.custom_vjp
    def f(m, x):
        count(m)
        return (m.w.value * x).sum()

    def fwd(m, x):
        count(m)
        return (m.w.value * x).sum(), None

    f.defvjp(fwd, lambda _, g: result)
    return f


def doing(change: Any) -> Any:
    """A function that does something with the model, and returns that."""

    @nnx.custom_vjp
    def f(m, x):
        count(m)
        return change(m)

    f.defvjp(lambda m, x: (f(m, x), None), lambda _, g: (None, None))
    return f


def bad_fwd() -> Any:
    f = returning((None, None))
    f.defvjp(lambda m, x: x, lambda _, g: (None, None))
    return f


def param(n: int) -> nnx.Param:
    return nnx.Param(jnp.ones(n))


ERRORS: dict[str, tuple[Any, type[Exception], str]] = {
    "no_tuple": (
        lambda: returning(None),
        ArgumentError,
        "bwd returned NoneType.*\n.*tu",
    ),
    "too_few": (lambda: returning((None,)), ArgumentError, "1 cotangents for 2 arg"),
    "too_many": (lambda: returning((None,) * 3), ArgumentError, "3 cotangents for 2"),
    "path": (
        lambda: returning((nnx.State({"v": param(3)}), None)),
        StructureError,
        r"cotangent of argument 0 has paths that the argument lacks: v\n",
    ),
    "shape": (
        lambda: returning((nnx.State({"w": param(4)}), None)),
        StructureError,
        r"cotangent of argument 0\.w has shape \(4,\), expected \(3,\)",
    ),
    "array_shape": (
        lambda: returning((None, jnp.ones(2))),
        StructureError,
        r"cotangent of argument 1 has shape \(2,\), expected \(\)",
    ),
    "form": (
        lambda: returning(({"w": jnp.ones(3)}, None)),
        ArgumentError,
        r"cotangent of argument 0 has another form.*\n.*nnx\.State",
    ),
    "fwd_no_pair": (bad_fwd, ArgumentError, r"fwd returned .*\n.*\(value, residuals\)"),
    "object": (lambda: doing(lambda m: m), ArgumentError, "returns an object"),
    "variable": (lambda: doing(lambda m: [m.w]), ArgumentError, "returns an object"),
}


@pytest.mark.parametrize("wrap", JITS)
@pytest.mark.parametrize("name", ERRORS)
def test_errors(name, wrap):
    make_function, error, text = ERRORS[name]
    model, f = Model(), make_function()
    before = snapshot(model)
    with pytest.raises(error, match=text):
        wrap(nnx.grad(f, argnums=(0, 1)))(model, X)
    assert snapshot(model) == before


@pytest.mark.parametrize("name", ["object", "variable"])
def test_errors_without_derivative(name):
    make_function, error, text = ERRORS[name]
    model = Model()
    before = snapshot(model)
    with pytest.raises(error, match=text):
        make_function()(model, X)
    assert snapshot(model) == before


def test_function_without_derivative_says_what_to_call():
    @nnx.custom_vjp
    def lonely(x):
        return x

    with pytest.raises(ArgumentError, match=r"lonely.*\n.*lonely\.defvjp\(fwd, bwd\)"):
        lonely(X)


def test_an_argument_named_twice_is_refused():
    with pytest.raises(ArgumentError, match=r"twice: \[1, 1\]"):
        nnx.custom_vjp(lambda m, x: x, nondiff_argnums=(1, nnx.DiffState(1, ...)))


def test_write_to_captured_state_is_an_error_where_it_would_leak():
    model = Model()

    @nnx.custom_vjp
    def f(x):
        count(model)
        return x

    f.defvjp(lambda x: (f(x), None), lambda _, g: (g[1],))
    for call in (nnx.jit(f), nnx.jit(nnx.grad(f)), nnx.grad(nnx.remat(f))):
        with pytest.raises(nnx.TraceContextError, match="count"):
            call(X)
    assert int(model.count.value) == 0


EDITS = {
    "attribute": (lambda m: setattr(m, "name", "x"), lambda m: m.name == "x"),
    "bare_array": (
        lambda m: setattr(m, "last", m.w.value * 2),
        lambda m: m.last.tolist() == [4.0] * 3,
    ),
    "new_variable": (
        lambda m: m.sow(nnx.Intermediate, "h", m.w.value),
        lambda m: m.h.value[0].tolist() == [2.0] * 3,
    ),
}


@pytest.mark.parametrize("wrap", JITS)
@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("differentiated", [True, False])
def test_an_edit_of_the_structure_is_kept(name, wrap, differentiated):
    edit, check = EDITS[name]

    def f(m, x):
        edit(m)
        return (m.w.value * x).sum()

    function = nnx.custom_vjp(f)
    function.defvjp(lambda m, x: (f(m, x), None), lambda residuals, g: (None, None))
    model = Model()
    wrap(nnx.grad(function) if differentiated else function)(model, X)
    assert check(model)


PLAIN_EDITS = {
    "list": lambda m: m.rows.append(jnp.ones(2)),
    "item": lambda m: m.rows.__setitem__(0, jnp.ones(2)),
    "dict": lambda m: m.table.__setitem__("a", jnp.ones(2)),
}


@pytest.mark.parametrize("wrap", [lambda f: f, nnx.grad], ids=["eager", "grad"])
@pytest.mark.parametrize("edit", PLAIN_EDITS)
def test_a_captured_list_is_edited_where_nothing_is_traced(edit, wrap):
    model, expected = nnx.Module(), nnx.Module()
    for each in (model, expected):
        each.rows, each.table = [jnp.zeros(2)], {"a": jnp.zeros(2)}

    @nnx.custom_vjp
    def f(x):
        PLAIN_EDITS[edit](model)
        return x

    f.defvjp(lambda x: (f(x), None), lambda _, g: (g[1],))
    wrap(f)(1.0)
    PLAIN_EDITS[edit](expected)
    same = jax.tree.map(lambda a, b: (a == b).all(), model, expected)
    assert all(jax.tree.leaves(same))
