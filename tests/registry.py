"""One row for each layer, with which `conformance/` runs its tests.

A new layer gets at least one row here; `conformance/test_layers.py` fails otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

import oakum as nnx

F32, BF16 = jnp.float32, jnp.bfloat16


@dataclass(frozen=True)
class Row:
    """A layer, and what it is given.

    Attributes:
        id: name of the test case.
        make: builds the layer from its streams.
        shape: shape of the input.
        dtype: dtype of the input.
        out_dtype: dtype of the output; that of the input by default.
    """

    id: str
    make: Callable[[nnx.Rngs], Any]
    shape: tuple[int, ...]
    dtype: Any = F32
    out_dtype: Any = None

    @property
    def expected_dtype(self) -> Any:
        return self.dtype if self.out_dtype is None else self.out_dtype

    def layer(self) -> Any:
        return self.make(nnx.Rngs(0))

    def inputs(self, seed: int = 0) -> jax.Array:
        key = jax.random.key(seed)
        if jnp.issubdtype(self.dtype, jnp.integer):
            return jax.random.randint(key, self.shape, 0, 4, self.dtype)
        return jax.random.normal(key, self.shape, self.dtype)


def _both(id: str, make: Callable[..., Any], shape: tuple[int, ...]) -> list[Row]:
    """The layer in float32, and with its computation and parameters in bfloat16."""
    half = {"dtype": BF16, "param_dtype": BF16}
    return [
        Row(id, lambda rngs: make(rngs=rngs), shape),
        Row(f"{id}-bfloat16", lambda rngs: make(rngs=rngs, **half), shape, BF16),
    ]


def _conv(id: str, shape: tuple[int, ...], *args: Any, **options: Any) -> list[Row]:
    return _both(id, lambda **given: nnx.Conv(*args, **options, **given), shape)


def _embed(dtype: Any) -> Callable[[nnx.Rngs], Any]:
    return lambda rngs: nnx.Embed(5, 3, param_dtype=dtype, rngs=rngs)


def _lora_linear_general(**given: Any) -> Any:
    base = nnx.LinearGeneral((3, 4), (2, 5), axis=(-2, -1), **given)
    return nnx.LoRALinearGeneral(base, nnx.LoRA(3 * 4, 2, 2 * 5, **given))


def _weight_norm(**given: Any) -> Any:
    layer = nnx.Sequential(
        nnx.Linear(3, 4, **given), nnx.Dropout(0.5, rngs=nnx.Rngs(1))
    )
    return nnx.WeightNorm(layer, **given)


def _spectral_norm(**given: Any) -> Any:
    return nnx.SpectralNorm(nnx.Conv(3, 4, 2, **given), **given)


def _attention(id: str, **options: Any) -> list[Row]:
    return _both(
        id,
        lambda **given: nnx.MultiHeadAttention(2, 4, decode=False, **options, **given),
        (2, 3, 4),
    )


def _rope(rngs: nnx.Rngs) -> Any:
    return nnx.RoPE(embedding_size=4, max_seq_len=5)


def _mlp(rngs: nnx.Rngs) -> Any:
    return nnx.Sequential(
        nnx.Linear(3, 4, rngs=rngs),
        nnx.relu,
        nnx.Dropout(0.5, rngs=rngs),
        nnx.Linear(4, 2, rngs=rngs),
    )


def _drop(rngs: nnx.Rngs) -> Any:
    return nnx.Dropout(0.5, rngs=rngs)


class Step(nnx.Module):
    """The first step of a cell, as a layer."""

    def __init__(self, cell: Any):
        self.cell = cell

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.cell(self.cell.initialize_carry(x.shape), x)[1]


def _cell(id: str, kind: str, **options: Any) -> list[Row]:
    def make(**given: Any) -> Any:
        return Step(getattr(nnx, kind)(3, 4, **options, **given))

    return _both(id, make, (2, 3))


def _bidirectional(**given: Any) -> Any:
    return nnx.Bidirectional(
        nnx.RNN(nnx.OptimizedLSTMCell(3, 4, **given)),
        nnx.RNN(nnx.SimpleCell(3, 4, **given)),
    )


ROWS: list[Row] = [
    *_both("linear", lambda **given: nnx.Linear(3, 4, **given), (2, 3)),
    *_both(
        "linear-no-bias",
        lambda **given: nnx.Linear(3, 4, use_bias=False, **given),
        (2, 5, 3),
    ),
    *_both(
        "linear-general",
        lambda **given: nnx.LinearGeneral((2, 3), (4, 5), axis=(-2, -1), **given),
        (4, 2, 3),
    ),
    *_both(
        "linear-general-batch",
        lambda **given: nnx.LinearGeneral(3, 4, batch_axis={0: 2}, **given),
        (2, 5, 3),
    ),
    *_both(
        "einsum",
        lambda **given: nnx.Einsum("bta,hac->bthc", (2, 3, 4), (2, 4), **given),
        (2, 5, 3),
    ),
    *_conv("conv-1d", (2, 8, 3), 3, 4, 3),
    *_conv("conv-2d", (2, 6, 6, 4), 4, 4, (3, 3), 2, feature_group_count=2),
    *_conv("conv-causal", (2, 8, 3), 3, 4, 3, padding="CAUSAL", kernel_dilation=2),
    *_conv("conv-mask", (2, 6, 3), 3, 4, 2, mask=jnp.ones((2, 3, 4), BF16)),
    *_both(
        "conv-transpose",
        lambda **given: nnx.ConvTranspose(3, 4, (3, 2), (2, 1), **given),
        (2, 4, 5, 3),
    ),
    *_both(
        "conv-transpose-circular",
        lambda **given: nnx.ConvTranspose(
            3, 4, 3, 2, padding="CIRCULAR", mask=jnp.ones((3, 3, 4), BF16), **given
        ),
        (2, 5, 3),
    ),
    Row("embed", _embed(F32), (2, 3), jnp.int32, F32),
    Row("embed-bfloat16", _embed(BF16), (2, 3), jnp.int32, BF16),
    Row(
        "batch-norm",
        lambda rngs: nnx.BatchNorm(4, momentum=0.9, rngs=rngs),
        (6, 4),
    ),
    Row(
        "batch-norm-bfloat16",
        lambda rngs: nnx.BatchNorm(4, dtype=BF16, param_dtype=BF16, rngs=rngs),
        (2, 5, 4),
        BF16,
    ),
    *_attention("attention"),
    *_attention("attention-groups", qkv_features=32, num_kv_heads=1, normalize_qk=True),
    *_attention("attention-dropout", dropout_rate=0.5, deterministic=False),
    Row("rope", _rope, (2, 3, 4)),
    Row("rope-bfloat16", _rope, (2, 3, 4), BF16),
    *_both("layer-norm", lambda **given: nnx.LayerNorm(4, **given), (3, 4)),
    *_both("rms-norm", lambda **given: nnx.RMSNorm(4, **given), (3, 4)),
    *_both("group-norm", lambda **given: nnx.GroupNorm(4, 2, **given), (2, 5, 4)),
    *_both("instance-norm", lambda **given: nnx.InstanceNorm(4, **given), (2, 5, 4)),
    *_both("weight-norm", _weight_norm, (2, 3)),
    *_both("spectral-norm", _spectral_norm, (2, 5, 3)),
    *_both(
        "lora",
        # With the default, the output is 0, and so is the gradient of its square.
        lambda **given: nnx.LoRA(
            3, 2, 4, b_initializer=nnx.initializers.normal(), **given
        ),
        (2, 3),
    ),
    *_both(
        "lora-linear",
        lambda **given: nnx.LoRALinear(
            3,
            4,
            lora_rank=2,
            lora_dtype=given.get("dtype"),
            lora_param_dtype=given.get("param_dtype", F32),
            **given,
        ),
        (2, 3),
    ),
    *_both("lora-linear-general", _lora_linear_general, (2, 3, 4)),
    *_cell("simple-cell", "SimpleCell", residual=True),
    *_cell("gru-cell", "GRUCell"),
    *_cell("lstm-cell", "LSTMCell"),
    *_cell("optimized-lstm-cell", "OptimizedLSTMCell"),
    *_both("rnn", lambda **given: nnx.RNN(nnx.GRUCell(3, 4, **given)), (2, 5, 3)),
    *_both("bidirectional", _bidirectional, (2, 5, 3)),
    Row("dropout", _drop, (4, 5)),
    Row("dropout-bfloat16", _drop, (4, 5), BF16),
    Row("prelu", lambda rngs: nnx.PReLU(), (3, 4)),
    Row("prelu-bfloat16", lambda rngs: nnx.PReLU(param_dtype=BF16), (3, 4), BF16),
    Row("sequential", _mlp, (2, 3)),
    *_both("repeat", lambda **given: nnx.Repeat(nnx.Linear, 2, 3, 3, **given), (2, 3)),
]
