"""A layer asks for random numbers only where something is random."""

import jax
import jax.numpy as jnp
import pytest

import oakum as nnx
from tests.registry import ROWS

ZEROS = nnx.initializers.zeros_init()
KERNEL = {"kernel_init": ZEROS}
CELL = {"kernel_init": ZEROS, "recurrent_kernel_init": ZEROS}
MADE = {
    "linear-general": lambda: nnx.LinearGeneral(3, 4, **KERNEL),
    "einsum": lambda: nnx.Einsum("...a,ab->...b", (3, 4), (4,), **KERNEL),
    "conv-transpose": lambda: nnx.ConvTranspose(3, 4, 1, **KERNEL),
    "instance-norm": lambda: nnx.InstanceNorm(3),
    "weight-norm": lambda: nnx.WeightNorm(nnx.Linear(3, 4, **KERNEL)),
    "attention": lambda: nnx.MultiHeadAttention(3, 3, decode=False, **KERNEL),
    "attention-qk": lambda: nnx.MultiHeadAttention(1, 3, normalize_qk=True, **KERNEL),
    "lora": lambda: nnx.LoRA(3, 2, 4, a_initializer=ZEROS),
    "lora-linear": lambda: nnx.LoRALinear(
        3, 4, lora_rank=2, a_initializer=ZEROS, **KERNEL
    ),
    "simple-cell": lambda: nnx.RNN(nnx.SimpleCell(3, 4, **CELL)),
    "gru-cell": lambda: nnx.RNN(nnx.GRUCell(3, 4, **CELL)),
    "lstm-cell": lambda: nnx.RNN(nnx.LSTMCell(3, 4, **CELL)),
    "optimized-lstm-cell": lambda: nnx.RNN(nnx.OptimizedLSTMCell(3, 4, **CELL)),
    "bidirectional": lambda: nnx.Bidirectional(
        nnx.RNN(nnx.GRUCell(3, 4, **CELL)), nnx.RNN(nnx.GRUCell(3, 4, **CELL))
    ),
    "prelu": lambda: nnx.PReLU(),
    "rope": lambda: nnx.RoPE(),
    "dropout-none": lambda: nnx.Dropout(0.0),
    "dropout-all": lambda: nnx.Dropout(1.0),
    "dropout-off": lambda: nnx.Dropout(0.5, deterministic=True),
}
# Of the layers of the registry, those that drop.
DROPS = {"dropout", "sequential", "weight-norm", "attention-dropout"}
DRAWS = {"random_bits", "random_unwrap", "random_wrap", "random_fold_in"}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_rngs_may_be_left_out_where_nothing_starts_at_random(make):
    x = jax.ShapeDtypeStruct((2, 6, 3 + (make is MADE["rope"])), jnp.float32)
    assert nnx.eval_shape(lambda x: make()(x), x).shape[:2] == (2, 6)


@pytest.mark.parametrize(
    "row", [row for row in ROWS if "bfloat16" not in row.id], ids=lambda row: row.id
)
def test_a_call_draws_only_where_something_is_dropped(row):
    layer = nnx.eval_shape(row.layer)
    x = jax.ShapeDtypeStruct(row.shape, row.dtype)
    text = str(nnx.make_jaxpr(lambda layer, x: layer(x))(layer, x))
    drops = row.id in DROPS
    assert any(name in text for name in DRAWS) == drops
    assert bool(jax.tree.leaves(nnx.state(layer, nnx.RngState))) == drops
