"""NumPy arrays of configuration, edited in place: JAX keeps casts of 64 bits."""

from __future__ import annotations

import re
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx

X = jnp.ones(3)


class Model(nnx.Module):
    def __init__(self, table: np.ndarray):
        self.w = nnx.Param(X, table=table, nested={"table": table})
        self.static = nnx.static(table)
        self.config = types.SimpleNamespace(table=table)
        self.function = lambda x: x * table


READS = {
    "metadata": lambda m, x: x * m.w.table,
    "nested metadata": lambda m, x: x * m.w.get_metadata("nested")["table"],
    "static": lambda m, x: x * m.static,
    "an object": lambda m, x: x * m.config.table,
    "a closure": lambda m, x: m.function(x),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("way", READS)
def test_an_edit_in_place_is_seen_by_all_that_was_compiled(way, dtype):
    table = np.ones(3, dtype)
    model, read = Model(table), READS[way]
    steps = [nnx.jit(lambda m, x: read(m, x)), nnx.jit(lambda m, x: read(m, x) * 2)]
    for value in (1, 5, 7):
        table[:] = value
        for _ in "12":
            found = [step(model, X)[0].item() for step in steps]
            assert found == [value, 2 * value]


def test_a_program_of_jax_that_keeps_the_old_values_is_told_of():
    table = np.ones(3)
    model, step = Model(table), nnx.jit(READS["an object"])
    step(model, X)
    constant = jax.jit(lambda x: x * table)
    constant(X)
    table[:] = 5
    wrong = r"NumPy array of float64.*JAX goes on with.*\[1., 1., 1.\]"
    with pytest.warns(nnx.StaleStateWarning, match=f"(?s){wrong}.*new array in its"):
        step(model, X)
    assert re.search("float32", str(nnx.jit(READS["an object"])(model, X).dtype))


def test_metadata_of_a_captured_variable_is_seen_where_its_value_is_not_read():
    variable = nnx.Param(X, scale=1.0)
    reads = [
        nnx.jit(lambda x: x * variable.scale),
        nnx.jit(lambda x: x * variable.get_metadata("scale")),
        nnx.jit(lambda x: x * (9 if variable.has_metadata("other") else 1)),
    ]
    assert [read(X)[0] for read in reads] == [1.0, 1.0, 1.0]
    variable.set_metadata(scale=9.0, other=True)
    assert [read(X)[0] for read in reads] == [9.0, 9.0, 9.0]
