"""Recurrent cells: the dtype of their output, and the recurrent bias of the GRU."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx

CELLS = ["SimpleCell", "GRUCell", "LSTMCell", "OptimizedLSTMCell"]
X = jnp.linspace(-1.0, 1.0, 6).reshape(2, 3)


@pytest.mark.parametrize("param_dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("kind", CELLS)
def test_the_output_has_the_dtype_of_the_cell(kind, dtype, param_dtype):
    cell = getattr(nnx, kind)(
        3, 4, dtype=dtype, param_dtype=param_dtype, rngs=nnx.Rngs(0)
    )
    _, out = cell(cell.initialize_carry(X.shape), X.astype(dtype))
    assert out.dtype == dtype
    over_time = nnx.RNN(cell)(X[None].astype(dtype))
    assert over_time.dtype == dtype


def test_the_recurrent_bias_of_a_gru_is_within_the_reset_gate():
    cell = nnx.GRUCell(3, 4, rngs=nnx.Rngs(0))
    cell.dense_h.bias.value = jnp.linspace(-1.0, 1.0, 12)
    h = jnp.ones((2, 4))
    i, u = cell.dense_i(X), cell.dense_h(h)
    r, z = (jax.nn.sigmoid(i[:, k : k + 4] + u[:, k : k + 4]) for k in (0, 4))
    n = jnp.tanh(i[:, 8:] + r * u[:, 8:])
    expected = (1 - z) * n + z * h
    np.testing.assert_allclose(cell(h, X)[1], expected, rtol=1e-6)


def test_a_gru_without_recurrent_bias_starts_as_one_with_it():
    rngs, others = nnx.Rngs(0), nnx.Rngs(0)
    init = nnx.initializers.normal(1.0)
    with_it = nnx.GRUCell(3, 4, bias_init=init, rngs=rngs)
    without = nnx.GRUCell(3, 4, bias_init=init, recurrent_bias=False, rngs=others)
    assert without.dense_h.bias is None
    np.testing.assert_array_equal(
        with_it(jnp.ones((2, 4)), X)[1], without(jnp.ones((2, 4)), X)[1]
    )
    assert rngs.default.count.value == others.default.count.value


FLAX_GRU = {
    "strict": lambda cell, state, path: nnx.update(cell, state, strict=True),
    "merge": lambda cell, state, path: nnx.merge(nnx.graphdef(cell), state),
    "load": lambda cell, state, path: nnx.load(path, model=cell),
}


@pytest.mark.parametrize("way", FLAX_GRU)
def test_a_gru_that_flax_saved_says_how_to_build_the_cell(way, tmp_path):
    theirs = nnx.GRUCell(2, 3, recurrent_bias=False, rngs=nnx.Rngs(0))
    path = tmp_path / "gru.safetensors"
    nnx.save(path, model=theirs)
    cell = nnx.GRUCell(2, 3, rngs=nnx.Rngs(1))
    with pytest.raises(ValueError, match=r"dense_h\.bias(.|\n)*recurrent_bias=False"):
        FLAX_GRU[way](cell, nnx.state(theirs), path)


def test_the_state_of_a_flax_gru_leaves_the_recurrent_bias_as_it_is():
    theirs = nnx.GRUCell(2, 3, recurrent_bias=False, rngs=nnx.Rngs(0))
    cell = nnx.GRUCell(2, 3, rngs=nnx.Rngs(1))
    nnx.update(cell, nnx.state(theirs))
    x, carry = jnp.ones((1, 2)), jnp.ones((1, 3))
    assert cell(carry, x)[1].tolist() == theirs(carry, x)[1].tolist()
