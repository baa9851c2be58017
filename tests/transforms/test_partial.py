"""jit_partial and cached_partial: arguments given once, updated in place."""

from __future__ import annotations

import jax.numpy as jnp
import pytest

import oakum as nnx
from oakum.errors import ArgumentError
from tests.models import Counting, Pair

COUNT: list[int] = []


def advance(model, x):
    COUNT.append(1)
    model.advance()
    return model.step.value * x


FORMS = {
    "cached": lambda model: nnx.cached_partial(nnx.jit(advance), model),
    "jit": lambda model: nnx.jit_partial(advance, model),
    "donate": lambda model: nnx.jit_partial(advance, model, donate_argnums=0),
    "all": lambda model: (lambda f: lambda x: f())(nnx.jit_partial(advance, model, 1)),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_model_is_updated_and_traced_once_over_100_calls(form):
    COUNT.clear()
    model = Counting()
    step = FORMS[form](model)
    assert [int(step(1)) for _ in range(100)] == list(range(1, 101))
    assert model.agrees()
    assert len(COUNT) == 1


@pytest.mark.parametrize("form", FORMS)
def test_a_structure_that_changes_between_calls_is_seen(form):
    model = Counting()
    step = FORMS[form](model)
    step(1)
    model.layers.append(nnx.Param(model.step.value.astype(jnp.float32)))
    step(1)
    assert model.layers[-1].value.tolist() == 2.0


def test_positions_of_options_count_in_the_function():
    power = nnx.jit_partial(lambda m, n, x: m.a.value * x**n, Pair(), static_argnums=1)
    assert power(2, 3.0).tolist() == [9.0] * 3
    keyword = nnx.jit_partial(
        lambda m, *, n: m.a.value * n, Pair(), static_argnames="n"
    )
    assert keyword(n=2).tolist() == [2.0] * 3


def test_a_static_argument_that_is_a_module_is_named():
    step = nnx.jit_partial(lambda m: m.a.value, Pair(), static_argnums=0)
    with pytest.raises(
        ArgumentError, match=r"(?s)0 of <lambda> is static.*Pair.*leave"
    ):
        step()


def test_bound_function_is_lowered_and_compiled_for_the_rest():
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    call = nnx.jit_partial(lambda m, x: m(x), model, graph_updates=False)
    compiled = call.lower(jnp.ones((1, 2))).compile()
    assert compiled(jnp.ones((1, 2))).shape == (1, 3)
    assert call.eval_shape(jnp.ones((1, 2))).shape == (1, 3)


def test_jitted_fn_counts_the_traces():
    f = nnx.jit(lambda m, x: m(x))
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    for rows in (1, 1, 2):
        f(model, jnp.ones((rows, 2)))
    assert f.jitted_fn._cache_size() == 2
    assert "dot_general" in f.jitted_fn.lower(model, jnp.ones((1, 2))).as_text()
