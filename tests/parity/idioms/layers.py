"""Layers: parameters and outputs of every layer, with its options and dtypes.

A row gives the arguments of the constructor and the shape of the input. Its outcome is
the whole state (paths, types, values), the output, and the state after the call.
"""

import jax
import jax.numpy as jnp
import numpy as np

from tests.parity.table import Table

TABLE = Table("layers")

BF16 = {"dtype": jnp.bfloat16}
HALF = {"dtype": jnp.bfloat16, "param_dtype": jnp.bfloat16}
F16 = {"dtype": jnp.float16}


def example(shape, dtype=jnp.float32):
    """A fixed input: numbers for floats, small indices for integers."""
    draw = np.random.default_rng(0)
    if jnp.issubdtype(dtype, jnp.integer):
        return jnp.asarray(draw.integers(0, 4, shape), dtype)
    return jnp.asarray(draw.standard_normal(shape), dtype)


def all_state(nnx, layer):
    flat = nnx.to_flat_state(nnx.state(layer))
    return {path: [type(v).__name__, v.value] for path, v in flat}


def layer_program(name, args, options, shape, dtype=jnp.float32, call=None):
    """A program that makes a layer, calls it, and gives states and output."""

    def program(nnx):
        layer = getattr(nnx, name)(*args, **options, rngs=nnx.Rngs(0))
        before = all_state(nnx, layer)
        out = layer(example(shape, dtype), **(call or {}))
        return before, out, all_state(nnx, layer)

    return program


# name of the row: constructor, arguments, options, shape of the input
ROWS = {
    "linear": ("Linear", (3, 4), {}, (2, 3)),
    "linear_without_bias": ("Linear", (3, 4), {"use_bias": False}, (2, 3)),
    "linear_bf16": ("Linear", (3, 4), BF16, (2, 3)),
    "linear_half_params": ("Linear", (3, 4), HALF, (2, 3)),
    "linear_precision": ("Linear", (3, 4), {"precision": "highest"}, (5, 2, 3)),
    "linear_accumulates": (
        "Linear",
        (3, 4),
        {**BF16, "preferred_element_type": jnp.float32},
        (2, 3),
    ),
    "linear_of_a_vector": ("Linear", (3, 4), {}, (3,)),
    "linear_general": ("LinearGeneral", (3, 4), {}, (2, 3)),
    "linear_general_of_axes": (
        "LinearGeneral",
        ((2, 3), (4, 5)),
        {"axis": (-2, -1)},
        (6, 2, 3),
    ),
    "linear_general_first_axis": ("LinearGeneral", (2, 4), {"axis": 0}, (2, 3)),
    "linear_general_batch_axis": (
        "LinearGeneral",
        (3, 4),
        {"batch_axis": {0: 2}},
        (2, 5, 3),
    ),
    "linear_general_bf16": ("LinearGeneral", (3, (2, 2)), BF16, (2, 3)),
    "linear_general_numpy_axis": (
        "LinearGeneral",
        ((2, 3), 4),
        {"axis": np.array([-2, -1])},
        (6, 2, 3),
    ),
    "einsum": ("Einsum", ("ab,bc->ac", (3, 4), (4,)), {}, (2, 3)),
    "einsum_without_bias": ("Einsum", ("bta,ahd->bthd", (3, 2, 4)), {}, (2, 5, 3)),
    "einsum_int_bias": ("Einsum", ("ab,bc->ac", (3, 4), 4), {}, (2, 3)),
    "einsum_ellipsis": ("Einsum", ("...b,bc->...c", (3, 4), (4,)), HALF, (2, 5, 3)),
    "embed_bf16": ("Embed", (5, 3), BF16, (2, 4), jnp.int32),
    "embed": ("Embed", (5, 3), {}, (2, 4), jnp.int32),
    "conv_1d": ("Conv", (3, 4, 3), {}, (2, 8, 3)),
    "conv_2d": ("Conv", (3, 4, (3, 3)), {}, (2, 8, 8, 3)),
    "conv_2d_int_kernel": ("Conv", (3, 4, (3,)), {"strides": 2}, (2, 8, 3)),
    "conv_3d": ("Conv", (2, 3, (2, 2, 2)), {}, (1, 4, 4, 4, 2)),
    "conv_valid": ("Conv", (3, 4, (3, 3)), {"padding": "VALID"}, (2, 8, 8, 3)),
    "conv_circular": ("Conv", (3, 4, (3, 3)), {"padding": "CIRCULAR"}, (1, 6, 6, 3)),
    "conv_causal": ("Conv", (3, 4, (3,)), {"padding": "CAUSAL"}, (2, 8, 3)),
    "conv_int_padding": ("Conv", (3, 4, (3, 3)), {"padding": 1}, (1, 6, 6, 3)),
    "conv_pairs": (
        "Conv",
        (3, 4, (3, 3)),
        {"padding": ((1, 2), (0, 1)), "strides": (2, 1)},
        (1, 6, 6, 3),
    ),
    "conv_reflect": ("Conv", (3, 4, (3, 3)), {"padding": "REFLECT"}, (1, 6, 6, 3)),
    "conv_dilation": (
        "Conv",
        (3, 4, (3, 3)),
        {"kernel_dilation": 2, "input_dilation": 2, "padding": 1},
        (1, 6, 6, 3),
    ),
    "conv_groups": (
        "Conv",
        (4, 4, (3, 3)),
        {"feature_group_count": 2, "use_bias": False},
        (1, 6, 6, 4),
    ),
    "conv_bf16": ("Conv", (3, 4, (3, 3)), BF16, (1, 6, 6, 3)),
    "conv_no_batch": ("Conv", (3, 4, (3, 3)), {}, (6, 6, 3)),
    "conv_two_batches": ("Conv", (3, 4, (3,)), {}, (2, 2, 6, 3)),
    "conv_transpose_1d": ("ConvTranspose", (3, 4, 3), {}, (2, 8, 3)),
    "conv_transpose_2d": (
        "ConvTranspose",
        (3, 4, (3, 3)),
        {"strides": (2, 2)},
        (1, 4, 4, 3),
    ),
    "conv_transpose_valid": (
        "ConvTranspose",
        (3, 4, (3, 3)),
        {"padding": "VALID", "transpose_kernel": False},
        (1, 4, 4, 3),
    ),
    "conv_transpose_kernel": (
        "ConvTranspose",
        (3, 4, (3, 3)),
        {"transpose_kernel": True, "strides": 2},
        (1, 4, 4, 3),
    ),
    "conv_transpose_circular": (
        "ConvTranspose",
        (3, 4, (3,)),
        {"padding": "CIRCULAR", "strides": 2},
        (1, 4, 3),
    ),
    "conv_transpose_bf16": ("ConvTranspose", (3, 4, (2,)), HALF, (1, 4, 3)),
    "batch_norm": ("BatchNorm", (3,), {}, (8, 3)),
    "batch_norm_eval": ("BatchNorm", (3,), {"use_running_average": True}, (8, 3)),
    "batch_norm_momentum": (
        "BatchNorm",
        (3,),
        {"momentum": 0.5, "epsilon": 1e-3},
        (8, 3),
    ),
    "batch_norm_axis": ("BatchNorm", (4,), {"axis": 1}, (8, 4, 3)),
    "batch_norm_plain": (
        "BatchNorm",
        (3,),
        {"use_bias": False, "use_scale": False},
        (8, 3),
    ),
    "batch_norm_slow": ("BatchNorm", (3,), {"use_fast_variance": False}, (8, 3)),
    "batch_norm_bf16": ("BatchNorm", (3,), BF16, (8, 3), jnp.bfloat16),
    "layer_norm": ("LayerNorm", (3,), {}, (4, 3)),
    "layer_norm_axes": (
        "LayerNorm",
        (3,),
        {"reduction_axes": (-2, -1), "feature_axes": -1},
        (2, 4, 3),
    ),
    "layer_norm_plain": (
        "LayerNorm",
        (3,),
        {"use_bias": False, "use_scale": False},
        (4, 3),
    ),
    "layer_norm_bf16": ("LayerNorm", (3,), BF16, (4, 3), jnp.bfloat16),
    "layer_norm_half": ("LayerNorm", (3,), HALF, (4, 3)),
    "rms_norm": ("RMSNorm", (3,), {}, (4, 3)),
    "rms_norm_bf16": ("RMSNorm", (3,), BF16, (4, 3), jnp.bfloat16),
    "rms_norm_without_scale": ("RMSNorm", (3,), {"use_scale": False}, (4, 3)),
    "group_norm": ("GroupNorm", (8,), {"num_groups": 2}, (2, 4, 8)),
    "group_norm_size": (
        "GroupNorm",
        (8,),
        {"num_groups": None, "group_size": 4},
        (2, 4, 8),
    ),
    "group_norm_bf16": ("GroupNorm", (8,), {"num_groups": 4, **BF16}, (2, 4, 8)),
    "instance_norm": ("InstanceNorm", (3,), {}, (2, 6, 3)),
    "instance_norm_bf16": ("InstanceNorm", (3,), HALF, (2, 6, 3)),
    "dropout": ("Dropout", (0.5,), {}, (4, 6)),
    "dropout_rate_zero": ("Dropout", (0.0,), {}, (4, 6)),
    "dropout_rate_one": ("Dropout", (1.0,), {}, (4, 6)),
    "dropout_broadcast": ("Dropout", (0.5,), {"broadcast_dims": (0,)}, (4, 6)),
    "dropout_deterministic": ("Dropout", (0.5,), {"deterministic": True}, (4, 6)),
    "dropout_bf16": ("Dropout", (0.3,), {}, (4, 6), jnp.bfloat16),
    "lora": ("LoRA", (3, 2, 4), {}, (5, 3)),
    "lora_bf16": ("LoRA", (3, 2, 4), BF16, (5, 3)),
    "lora_linear": ("LoRALinear", (3, 4), {"lora_rank": 2}, (5, 3)),
    "attention": ("MultiHeadAttention", (2, 4), {"decode": False}, (2, 5, 4)),
    "attention_sizes": (
        "MultiHeadAttention",
        (2, 4, 8, 6),
        {"decode": False, "use_bias": False},
        (2, 5, 4),
    ),
    "attention_normalized": (
        "MultiHeadAttention",
        (2, 4),
        {"decode": False, "normalize_qk": True},
        (2, 5, 4),
    ),
    "attention_groups": (
        "MultiHeadAttention",
        (4, 8),
        {"decode": False, "num_kv_heads": 2},
        (2, 5, 8),
    ),
    "attention_dropout": (
        "MultiHeadAttention",
        (2, 4),
        {"decode": False, "dropout_rate": 0.5, "deterministic": False},
        (2, 5, 4),
    ),
    "attention_bf16": (
        "MultiHeadAttention",
        (2, 4),
        {"decode": False, **HALF},
        (2, 5, 4),
    ),
}
CELLS = {
    "simple_cell": ("SimpleCell", {}),
    "simple_cell_residual": ("SimpleCell", {"residual": True}),
    "simple_cell_bf16": ("SimpleCell", BF16),
    "gru_cell": ("GRUCell", {}),
    "gru_cell_bf16": ("GRUCell", BF16),
    "gru_cell_half": ("GRUCell", HALF),
    "lstm_cell": ("LSTMCell", {}),
    "lstm_cell_bf16": ("LSTMCell", BF16),
    "lstm_cell_half": ("LSTMCell", HALF),
    "optimized_lstm_cell": ("OptimizedLSTMCell", {}),
    "optimized_lstm_cell_bf16": ("OptimizedLSTMCell", BF16),
    "lstm_cell_keeps_rngs": ("LSTMCell", {"keep_rngs": True}),
}


OUTPUT_DTYPE = "`dtype` is that of the output; flax's carry makes it float32"
REASONS = {
    "lstm_cell_bf16": OUTPUT_DTYPE,
    "optimized_lstm_cell_bf16": OUTPUT_DTYPE,
    "rnn_bf16": OUTPUT_DTYPE,
    "pool_of_ints": "a number stands for every axis; flax wants a tuple",
}
RECURRENT_BIAS = "has the recurrent bias of Linen and PyTorch, at zero; an option"


def cell_program(name, options):
    """A cell: one step from its first carry."""

    def program(nnx):
        cell = getattr(nnx, name)(3, 4, **options, rngs=nnx.Rngs(0))
        carry = cell.initialize_carry((2, 3), nnx.Rngs(1))
        new, out = cell(carry, example((2, 3)))
        return all_state(nnx, cell), carry, new, out, cell.num_feature_axes

    return program


def rnn_program(name, options, rnn_options, call=None):
    """An RNN over a cell."""

    def program(nnx):
        cell = getattr(nnx, name)(3, 4, **options, rngs=nnx.Rngs(0))
        rnn = nnx.RNN(cell, **rnn_options, rngs=nnx.Rngs(1))
        return all_state(nnx, rnn), rnn(example((2, 5, 3)), **(call or {}))

    return program


RNNS = {
    "rnn": ("GRUCell", {}, {}),
    "rnn_with_carry": ("LSTMCell", {}, {"return_carry": True}),
    "rnn_reverse": ("GRUCell", {}, {"reverse": True}),
    "rnn_reverse_in_order": ("GRUCell", {}, {"reverse": True, "keep_order": True}),
    "rnn_unrolled": ("SimpleCell", {}, {"unroll": 2}),
    "rnn_time_major": ("SimpleCell", {}, {"time_major": True}),
    "rnn_bf16": ("LSTMCell", BF16, {"return_carry": True}),
    "rnn_lengths": (
        "GRUCell",
        {},
        {"return_carry": True},
        {"seq_lengths": jnp.array([3, 5])},
    ),
    "rnn_reverse_lengths": (
        "LSTMCell",
        {},
        {"reverse": True, "keep_order": True},
        {"seq_lengths": jnp.array([2, 4])},
    ),
    "rnn_options_at_call": (
        "GRUCell",
        {},
        {},
        {"return_carry": True, "reverse": True},
    ),
}

for key, row in ROWS.items():
    fact = f"`{row[0]}` with {', '.join(row[2]) or 'its defaults'}."
    TABLE.add(key, layer_program(*row), fact)
for key, (name, options) in CELLS.items():
    fact = f"One step of `{name}` with {', '.join(options) or 'its defaults'}."
    reason = RECURRENT_BIAS if name == "GRUCell" else REASONS.get(key, "")
    TABLE.add(key, cell_program(name, options), fact, reason)
for key, row in RNNS.items():
    options = [*row[2], *(row[3] if row[3:] else ())]
    fact = f"`RNN` of {row[0]}, {', '.join(options) or 'plain'}."
    reason = RECURRENT_BIAS if row[0] == "GRUCell" else REASONS.get(key, "")
    TABLE.add(key, rnn_program(*row), fact, reason)


def function_program(name, *args, **options):
    def program(nnx):
        return getattr(nnx, name)(*(a() if callable(a) else a for a in args), **options)

    return program


def x():
    return example((3, 4)) * 4


ACTIVATIONS = [
    "celu", "elu", "gelu", "glu", "hard_sigmoid", "hard_silu", "hard_swish",
    "hard_tanh", "leaky_relu", "log_sigmoid", "log_softmax", "logsumexp", "relu",
    "relu6", "selu", "sigmoid", "silu", "soft_sign", "softmax", "softplus",
    "standardize", "swish", "tanh", "identity",
]  # fmt: skip
for name in ACTIVATIONS:
    TABLE.add(name, function_program(name, x), f"The function `{name}`.")
FUNCTIONS = {
    "gelu_exact": ("gelu", (x,), {"approximate": False}),
    "one_hot": ("one_hot", (jnp.array([0, 2, 1]), 4), {"dtype": jnp.bfloat16}),
    "softmax_where": ("softmax", (x,), {"axis": 0, "where": jnp.eye(3, 4) > 0}),
    "causal_mask": ("make_causal_mask", (jnp.ones((2, 4)),), {}),
    "causal_mask_dtype": (
        "make_causal_mask",
        (jnp.ones((2, 4)),),
        {"dtype": bool, "extra_batch_dims": 1},
    ),
    "attention_mask": ("make_attention_mask", (jnp.ones((2, 3)), jnp.ones((2, 4))), {}),
    "combined_masks": ("combine_masks", (jnp.ones((2, 2)), None, jnp.eye(2)), {}),
    "avg_pool": (
        "avg_pool",
        (lambda: example((1, 6, 6, 2)), (2, 2)),
        {"strides": (2, 2)},
    ),
    "avg_pool_same": (
        "avg_pool",
        (lambda: example((1, 5, 5, 2)), (2, 2)),
        {"padding": "SAME", "count_include_pad": False},
    ),
    "max_pool": (
        "max_pool",
        (lambda: example((1, 6, 6, 2)), (2, 2)),
        {"padding": "SAME"},
    ),
    "max_pool_pairs": (
        "max_pool",
        (lambda: example((1, 6, 6, 2)), (3, 3)),
        {"padding": ((1, 1), (0, 1)), "strides": (2, 1)},
    ),
    "max_pool_no_batch": ("max_pool", (lambda: example((6, 6, 2)), (2, 2)), {}),
    "min_pool": ("min_pool", (lambda: example((1, 6, 2)), (2,)), {"strides": (2,)}),
    "pool_of_ints": (
        "max_pool",
        (lambda: example((1, 6, 6, 2)), (2, 2)),
        {"strides": 2, "padding": 1},
    ),
    "dot_product_attention": (
        "dot_product_attention",
        [lambda: example((2, 5, 2, 4))] * 3,
        {},
    ),
    "dot_product_attention_causal": (
        "dot_product_attention",
        [lambda: example((2, 5, 2, 4))] * 3,
        {"is_causal": True},
    ),
    "dot_product_attention_masked": (
        "dot_product_attention",
        [lambda: example((1, 3, 2, 4))] * 3,
        {"mask": jnp.tril(jnp.ones((1, 1, 3, 3))), "bias": jnp.ones((1, 1, 3, 3))},
    ),
    "dot_product_attention_dropout": (
        "dot_product_attention",
        [lambda: example((1, 3, 2, 4))] * 3,
        {
            "dropout_rng": jax.random.key(0),
            "dropout_rate": 0.5,
            "deterministic": False,
            "broadcast_dropout": False,
        },
    ),
    "dot_product_attention_bf16": (
        "dot_product_attention",
        [lambda: example((1, 3, 2, 4), jnp.bfloat16)] * 3,
        {},
    ),
}
for key, (name, args, options) in FUNCTIONS.items():
    fact = f"`{name}` with {', '.join(options) or 'its defaults'}."
    reason = REASONS.get(key, "")
    TABLE.add(key, function_program(name, *args, **options), fact, reason)

INITIALIZERS = [
    "constant", "delta_orthogonal", "glorot_normal", "glorot_uniform", "he_normal",
    "he_uniform", "kaiming_normal", "kaiming_uniform", "lecun_normal", "lecun_uniform",
    "normal", "ones_init", "orthogonal", "truncated_normal", "uniform",
    "variance_scaling", "xavier_normal", "xavier_uniform", "zeros_init",
]  # fmt: skip
INITIALIZER_ARGS = {
    "constant": (2.0,),
    "variance_scaling": (1.0, "fan_in", "normal"),
}


def initializer_program(name):
    def program(nnx):
        make = getattr(nnx.initializers, name)
        init = make(*INITIALIZER_ARGS.get(name, ()))
        return init(jax.random.key(0), (3, 4, 4), jnp.float32)

    return program


for name in INITIALIZERS:
    TABLE.add(f"init_{name}", initializer_program(name), f"`initializers.{name}`.")
