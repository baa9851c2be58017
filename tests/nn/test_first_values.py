"""First values are those of the initializer, however its program is compiled."""

import os
import subprocess
import sys
from unittest.mock import Mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from oakum.nn import _first_values
from oakum.nn._first_values import first_value
from tests.models import count_events

INITS = {
    "lecun_normal": nnx.initializers.lecun_normal(),
    "he_uniform": nnx.initializers.he_uniform(),
    "embedding": nnx.initializers.variance_scaling(1.0, "fan_in", "normal", out_axis=0),
    "normal": nnx.initializers.normal(0.02),
    "truncated_normal": nnx.initializers.truncated_normal(0.5, lower=-1.0, upper=3.0),
    "uniform": nnx.initializers.uniform(0.3),
}


@pytest.fixture(autouse=True)
def whatever_the_compiler(monkeypatch):
    # The tests have compiler flags of their own, which no options are to override.
    monkeypatch.setattr(_first_values, "quick_options", lambda platform: {})


def differing(shape, dtype, names=INITS):
    """The initializers whose values have other bits."""
    found = []
    for name in names:
        init, key = INITS[name], jax.random.key(len(name))
        wanted = np.asarray(init(key, shape, dtype))
        value = np.asarray(first_value(init, key, shape, dtype))
        if value.dtype != dtype or value.tobytes() != wanted.tobytes():
            found.append(name)
    return found


def test_values_are_those_of_the_initializer_bit_for_bit():
    assert differing((3, 7, 5), jnp.float32) == []
    assert differing((9, 7), jnp.bfloat16, ["lecun_normal", "uniform"]) == []


def test_values_are_the_same_with_the_options_of_the_compiler():
    script = (
        "from tests.nn import test_first_values as t\n"
        "assert t._first_values.quick_options('cpu')\n"
        "assert t.differing((64, 33), 'float32') == []\n"
        "assert len(t._first_values._programs) == len(t.INITS)"
    )
    env = os.environ | {"XLA_FLAGS": ""}
    subprocess.run([sys.executable, "-c", script], env=env, check=True)


def test_equal_initializers_share_a_program():
    def kept(init):
        before = len(_first_values._programs)
        first_value(init, jax.random.key(0), (2, 3), jnp.float32)
        return len(_first_values._programs) - before

    assert kept(nnx.initializers.normal(0.125)) == 1
    assert kept(nnx.initializers.normal(0.125)) == 0
    assert kept(nnx.initializers.normal(0.25)) == 1


@pytest.mark.parametrize("error", [AttributeError, ImportError])
def test_on_a_jax_of_another_form_the_initializer_is_called(error, monkeypatch):
    fails = Mock(side_effect=error("another JAX"))
    monkeypatch.setattr(_first_values, "quick_function", fails)
    init, key = nnx.initializers.normal(0.0625), jax.random.key(0)
    value = first_value(init, key, (2, 3), jnp.float32)
    assert (value == init(key, (2, 3), jnp.float32)).all()
    assert fails.call_count == 1


def test_settings_of_jax_are_heeded():
    init, key = INITS["normal"], jax.random.key(0)
    first_value(init, key, (2, 3), jnp.float32)
    with jax.threefry_partitionable(False):
        found = first_value(init, key, (2, 3), jnp.float32)
        assert (found == init(key, (2, 3), jnp.float32)).all()


@pytest.mark.parametrize(
    "init",
    [
        nnx.initializers.orthogonal(),
        nnx.initializers.zeros,
        nnx.initializers.normal(jnp.array(0.5)),
        lambda key, shape, dtype: jnp.full(shape, 2, dtype),
    ],
)
def test_other_initializers_are_called_as_they_are(init):
    key, before = jax.random.key(0), len(_first_values._programs)
    wanted = init(key, (4, 4), jnp.float32)
    assert (first_value(init, key, (4, 4), jnp.float32) == wanted).all()
    assert len(_first_values._programs) == before


def test_in_a_trace_the_program_is_the_callers():
    init, key = INITS["normal"], jax.random.key(0)
    jaxpr = jax.make_jaxpr(lambda key: first_value(init, key, (2,), jnp.float32))(key)
    assert "name=init" not in str(jaxpr)
    batch = jax.vmap(lambda key: first_value(init, key, (2,), jnp.float32))
    assert batch(jax.random.split(key, 3)).shape == (3, 2)


def test_under_a_mesh_and_without_compilation_it_is_called_as_it_is():
    init, key = INITS["normal"], jax.random.key(0)
    mesh = jax.make_mesh((1,), ("x",))

    def calls(frame, event):
        return event == "call" and frame.f_code is init.__code__

    def first():
        first_value(init, key, (2, 3), jnp.float32)

    first()
    assert count_events(calls, first) == 0
    with jax.set_mesh(mesh):
        assert count_events(calls, first) == 1
    with jax.disable_jit():
        assert count_events(calls, first) == 1


def test_a_random_initializer_without_a_key_says_what_it_lacks():
    with pytest.raises(nnx.errors.MissingRngError, match="pass rngs"):
        nnx.Linear(2, 3, kernel_init=INITS["normal"])
