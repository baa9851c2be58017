"""Random nested programs mean what their pure twins mean.

100 programs by default; `OAKUM_FUZZ=2000` (`make fuzz`) asks for more.
"""

from __future__ import annotations

import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings

import oakum as nnx
from tests.fuzz.programs import SIZE, Tiny, programs, pure_state, run, run_pure
from tests.models import holds_tracer

EXAMPLES = int(os.environ.get("OAKUM_FUZZ", "100"))
X = jnp.linspace(-0.5, 1.0, SIZE)


@pytest.fixture(autouse=True, scope="module")
def quick_compilation():
    """Most programs are compiled to be run once."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def assert_close(got: Any, expected: Any) -> None:
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


def of_twin(twin: Any, model: Tiny) -> Any:
    """What the twin gives; a program that JAX itself cannot run says nothing.

    (JAX 0.10 fails to differentiate `cond` of which one branch has a custom_vjp.)
    """
    try:
        return twin(pure_state(model), X)
    except ValueError as error:
        assume("too many values to unpack" not in str(error))
        raise


@settings(
    max_examples=-(-EXAMPLES // 3),
    deadline=None,
    derandomize="OAKUM_FUZZ" not in os.environ,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
@given(program=programs(depth=4))
def test_a_program_means_what_its_pure_twin_means(program):
    expected = of_twin(jax.jit(lambda s, x: run_pure(program, s, x)), Tiny())
    eager: Any = lambda m, x: run(program, m, x)  # noqa: E731
    for step in (eager, nnx.jit(eager), nnx.jit(nnx.jit(eager))):
        model = Tiny()
        y = step(model, X)
        assert not holds_tracer(model)
        assert_close((pure_state(model), y), expected)


@settings(
    max_examples=max(EXAMPLES // 2, 1),
    deadline=None,
    derandomize="OAKUM_FUZZ" not in os.environ,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
@given(program=programs(depth=3, loops=False))
def test_its_gradient_is_that_of_the_twin(program):
    model = Tiny()

    def twin(state: Any, x: Any) -> Any:
        def loss(w: Any, x: Any) -> Any:
            new, y = run_pure(program, state | {"w": w}, x)
            return y.sum(), new

        return jax.grad(loss, argnums=(0, 1), has_aux=True)(state["w"], x)

    expected, new = of_twin(jax.jit(twin), model)
    gradient = nnx.jit(nnx.grad(lambda m, x: run(program, m, x).sum(), argnums=(0, 1)))
    grads, x_grad = gradient(model, X)
    assert_close((grads.w.value, x_grad), expected)
    assert_close(pure_state(model), new)


@pytest.mark.parametrize("loops", [False, True])
def test_the_programs_nest_every_transform(loops):
    """The generator reaches what it is for."""
    names: set[str] = set()

    def collect(program: Any) -> None:
        for operation in program:
            if isinstance(operation, tuple):
                names.add(operation[0])
                for inner in operation[1:]:
                    collect(inner)

    @settings(max_examples=300, derandomize=True, database=None, deadline=None)
    @given(programs(depth=3, loops=loops))
    def generate(program):
        collect(program)

    generate()
    assert ("while_loop" in names) == loops
    assert {"jit", "grad", "vmap", "scan", "remat", "cond", "fori_loop"} <= names
    assert {"custom_vjp", "vmap_shared"} <= names
