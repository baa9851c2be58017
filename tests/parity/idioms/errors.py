"""What wrong calls of layers, cells, metrics and state raise: the built-in class."""

import jax
import jax.numpy as jnp
import optax

from tests.parity.table import Table

TABLE = Table("errors")
X = jnp.ones((2, 3))


def rngs(nnx):
    return nnx.Rngs(0)


def linear(nnx, n=3, m=4):
    return nnx.Linear(n, m, rngs=nnx.Rngs(0))


def attention(nnx, **options):
    options = {"num_heads": 2, "in_features": 4, "rngs": nnx.Rngs(0), **options}
    return nnx.MultiHeadAttention(**options)


def q(*shape):
    return jnp.ones(shape)


LAYERS = {
    "linear_without_rngs": lambda nnx: nnx.Linear(2, 3),
    "linear_without_features": lambda nnx: nnx.Linear(2, rngs=rngs(nnx)),
    "linear_unknown_option": lambda nnx: nnx.Linear(2, 3, bias=True, rngs=rngs(nnx)),
    "linear_wrong_features": lambda nnx: linear(nnx)(jnp.ones((2, 5))),
    "linear_scalar_input": lambda nnx: linear(nnx)(jnp.array(1.0)),
    "linear_int_rngs": lambda nnx: nnx.Linear(2, 3, rngs=0),
    "linear_key_as_rngs": lambda nnx: nnx.Linear(2, 3, rngs=jax.random.key(0)),
    "linear_of_floats": lambda nnx: nnx.Linear(2.0, 3, rngs=rngs(nnx)),
    "linear_list_input": lambda nnx: linear(nnx)([[1.0, 2.0, 3.0]]).shape,
    "linear_string_input": lambda nnx: linear(nnx)("a"),
    "linear_int_dtype": lambda nnx: nnx.Linear(3, 2, dtype=jnp.int32, rngs=rngs(nnx))(
        X
    ),
    "linear_general_axes": lambda nnx: nnx.LinearGeneral(
        (2, 3), 4, axis=-1, rngs=rngs(nnx)
    ),
    "linear_general_batch": lambda nnx: nnx.LinearGeneral(
        2, 4, axis=-1, batch_axis={1: 3}, rngs=rngs(nnx)
    ),
    "linear_general_wrong_features": lambda nnx: nnx.LinearGeneral(
        3, 4, rngs=rngs(nnx)
    )(jnp.ones((2, 5))),
    "einsum_implicit": lambda nnx: nnx.Einsum("ab,bc", (3, 4), rngs=rngs(nnx)),
    "einsum_three": lambda nnx: nnx.Einsum("ab,bc,cd->ad", (3, 4), rngs=rngs(nnx)),
    "einsum_call_three": lambda nnx: nnx.Einsum("ab,bc->ac", (3, 4), rngs=rngs(nnx))(
        X, "ab,bc,cd->ad"
    ),
    "einsum_none": lambda nnx: nnx.Einsum(None, (3, 4), rngs=rngs(nnx))(X),
    "einsum_wrong_shape": lambda nnx: nnx.Einsum("ab,bc->ac", (5, 4), rngs=rngs(nnx))(
        X
    ),
    "embed_float": lambda nnx: nnx.Embed(4, 2, rngs=rngs(nnx))(X),
    "embed_attend_wrong": lambda nnx: nnx.Embed(4, 2, rngs=rngs(nnx)).attend(X),
    "embed_without_rngs": lambda nnx: nnx.Embed(4, 2),
    "conv_causal_2d": lambda nnx: nnx.Conv(
        3, 4, (2, 2), padding="CAUSAL", rngs=rngs(nnx)
    )(jnp.ones((1, 4, 4, 3))),
    "conv_wrong_mask": lambda nnx: nnx.Conv(
        3, 4, (2,), mask=jnp.ones((1, 3, 4)), rngs=rngs(nnx)
    )(jnp.ones((1, 4, 3))),
    "conv_transpose_wrong_mask": lambda nnx: nnx.ConvTranspose(
        3, 4, (2,), mask=jnp.ones((1, 3, 4)), rngs=rngs(nnx)
    )(jnp.ones((1, 4, 3))),
    "conv_wrong_channels": lambda nnx: nnx.Conv(3, 4, (2,), rngs=rngs(nnx))(
        jnp.ones((1, 4, 5))
    ),
    "conv_transpose_wrong_channels": lambda nnx: nnx.ConvTranspose(
        3, 4, (2,), rngs=rngs(nnx)
    )(jnp.ones((1, 4, 5))),
    "conv_groups": lambda nnx: nnx.Conv(
        3, 4, (2,), feature_group_count=2, rngs=rngs(nnx)
    )(jnp.ones((1, 4, 3))),
    "conv_padding_rank": lambda nnx: nnx.Conv(
        3, 4, (2, 2), padding=((1, 1),), rngs=rngs(nnx)
    )(jnp.ones((1, 4, 4, 3))),
    "conv_padding_type": lambda nnx: nnx.Conv(3, 4, (2,), padding=1.5, rngs=rngs(nnx))(
        jnp.ones((1, 4, 3))
    ),
    "conv_strides_rank": lambda nnx: nnx.Conv(
        3, 4, (2, 2), strides=(1,), rngs=rngs(nnx)
    )(jnp.ones((1, 4, 4, 3))),
    "conv_int_kernel": lambda nnx: nnx.Conv(3, 4, 2, rngs=rngs(nnx)).kernel.shape,
    "conv_low_rank_input": lambda nnx: nnx.Conv(3, 4, (2, 2), rngs=rngs(nnx))(X),
    "pool_unknown_padding": lambda nnx: nnx.max_pool(
        jnp.ones((1, 4, 1)), (2,), padding="X"
    ),
    "pool_of_a_low_rank": lambda nnx: nnx.max_pool(jnp.ones((4,)), (2, 2)),
    "batch_norm_wrong_features": lambda nnx: nnx.BatchNorm(4, rngs=rngs(nnx))(X),
    "batch_norm_without_rngs": lambda nnx: nnx.BatchNorm(4),
    "layer_norm_wrong_features": lambda nnx: nnx.LayerNorm(4, rngs=rngs(nnx))(X),
    "layer_norm_without_rngs": lambda nnx: nnx.LayerNorm(4),
    "rms_norm_wrong_features": lambda nnx: nnx.RMSNorm(4, rngs=rngs(nnx))(X),
    "group_norm_both": lambda nnx: nnx.GroupNorm(
        6, num_groups=2, group_size=3, rngs=rngs(nnx)
    ),
    "group_norm_neither": lambda nnx: nnx.GroupNorm(6, num_groups=None, rngs=rngs(nnx)),
    "group_norm_groups": lambda nnx: nnx.GroupNorm(6, num_groups=4, rngs=rngs(nnx)),
    "group_norm_no_groups": lambda nnx: nnx.GroupNorm(6, num_groups=0, rngs=rngs(nnx)),
    "group_norm_size": lambda nnx: nnx.GroupNorm(
        6, num_groups=None, group_size=4, rngs=rngs(nnx)
    ),
    "group_norm_default_groups": lambda nnx: nnx.GroupNorm(6, rngs=rngs(nnx)),
    "group_norm_wrong_features": lambda nnx: nnx.GroupNorm(
        6, num_groups=2, rngs=rngs(nnx)
    )(X),
    "instance_norm_batch_axis": lambda nnx: nnx.InstanceNorm(
        3, feature_axes=(0, -1), rngs=rngs(nnx)
    )(X),
    "instance_norm_wrong_features": lambda nnx: nnx.InstanceNorm(4, rngs=rngs(nnx))(
        jnp.ones((2, 5, 3))
    ),
    "spectral_norm_matrix": lambda nnx: nnx.SpectralNorm(
        nnx.Conv(3, 4, (2,), rngs=rngs(nnx)),
        error_on_non_matrix=True,
        rngs=rngs(nnx),
    )(jnp.ones((1, 4, 3))),
    "dropout_without_rngs": lambda nnx: nnx.Dropout(0.5)(X),
    "dropout_int_rngs": lambda nnx: nnx.Dropout(0.5, rngs=3),
    "dropout_int_rngs_at_call": lambda nnx: nnx.Dropout(0.5)(X, rngs=3),
    "dropout_key_at_call": lambda nnx: (
        nnx.Dropout(0.5)(X, rngs=jax.random.key(0)).shape
    ),
    "dropout_rate_above_one": lambda nnx: nnx.Dropout(1.5, rngs=rngs(nnx))(X),
    "dropout_missing_stream": lambda nnx: nnx.Dropout(0.5, rngs=nnx.Rngs(params=0)),
    "sequential_of_numbers": lambda nnx: nnx.Sequential(1, 2)(X),
    "sequential_without_input": lambda nnx: nnx.Sequential(linear(nnx))(),
    "lora_not_callable": lambda nnx: nnx.LoRA(3, 2, 3, base_module=5, rngs=rngs(nnx))(
        X
    ),
    "lora_wrong_features": lambda nnx: nnx.LoRA(4, 2, 3, rngs=rngs(nnx))(X),
    "dot_product_ranks": lambda nnx: nnx.dot_product_attention(
        q(2, 3, 1, 4), q(3, 1, 4), q(3, 1, 4)
    ),
    "dot_product_batch": lambda nnx: nnx.dot_product_attention(
        q(2, 3, 1, 4), q(1, 3, 1, 4), q(1, 3, 1, 4)
    ),
    "dot_product_depths": lambda nnx: nnx.dot_product_attention(
        q(2, 3, 1, 4), q(2, 3, 1, 5), q(2, 3, 1, 4)
    ),
    "dot_product_lengths": lambda nnx: nnx.dot_product_attention(
        q(2, 3, 1, 4), q(2, 3, 1, 4), q(2, 5, 1, 4)
    ),
    "dot_product_heads": lambda nnx: nnx.dot_product_attention(
        q(2, 3, 3, 4), q(2, 3, 2, 4), q(2, 3, 2, 4)
    ),
    "dot_product_dropout": lambda nnx: nnx.dot_product_attention(
        q(2, 3, 1, 4),
        q(2, 3, 1, 4),
        q(2, 3, 1, 4),
        dropout_rate=0.5,
        deterministic=False,
    ),
    "attention_heads": lambda nnx: attention(nnx, num_heads=3),
    "attention_kv_heads": lambda nnx: attention(nnx, num_heads=4, num_kv_heads=3),
    "attention_keys": lambda nnx: attention(nnx, decode=False)(
        q(1, 2, 4), None, q(1, 2, 4)
    ),
    "attention_wrong_features": lambda nnx: attention(nnx, decode=False)(q(1, 2, 5)),
    "attention_no_cache": lambda nnx: attention(nnx, decode=True)(q(1, 1, 4)),
    "attention_no_decode": lambda nnx: attention(nnx)(q(1, 2, 4)),
    "attention_no_deterministic": lambda nnx: attention(
        nnx, decode=False, dropout_rate=0.5
    )(q(1, 2, 4)),
    "attention_no_rngs_at_call": lambda nnx: attention(
        nnx, decode=False, dropout_rate=0.5, deterministic=False, keep_rngs=False
    )(q(1, 2, 4)),
    "attention_cache_batch": lambda nnx: nnx.view(
        attention(nnx), max_length=3, decode=True
    ),
    "combine_masks_ranks": lambda nnx: nnx.combine_masks(
        jnp.ones((1, 2, 2)), jnp.ones((2, 2))
    ),
    "combine_no_masks": lambda nnx: nnx.combine_masks(None, None),
    "cell_carry_without_rngs": lambda nnx: (
        nnx.LSTMCell(3, 4, rngs=rngs(nnx), keep_rngs=False)
        .initialize_carry((2, 3))[0]
        .shape
    ),
    "cell_wrong_features": lambda nnx: nnx.LSTMCell(3, 4, rngs=rngs(nnx))(
        (q(2, 4), q(2, 4)), q(2, 5)
    ),
    "cell_wrong_carry": lambda nnx: nnx.GRUCell(3, 4, rngs=rngs(nnx))(q(2, 5), q(2, 3)),
    "rnn_of_no_cell": lambda nnx: nnx.RNN(5)(q(1, 2, 3)),
    "rnn_bad_rngs": lambda nnx: nnx.RNN(nnx.SimpleCell(3, 4, rngs=rngs(nnx)), rngs="a"),
    "rnn_lengths_shape": lambda nnx: nnx.RNN(nnx.SimpleCell(3, 4, rngs=rngs(nnx)))(
        q(2, 5, 3), seq_lengths=jnp.ones((3,), int)
    ),
    "cell_base_call": lambda nnx: nnx.RNNCellBase()(1, 2),
    "cell_base_carry": lambda nnx: nnx.RNNCellBase().initialize_carry((1, 2)),
    "cell_base_axes": lambda nnx: nnx.RNNCellBase().num_feature_axes,
    "promote_dtype_int": lambda nnx: nnx.nn.dtypes.promote_dtype(X, dtype=jnp.int32),
    "canonicalize_int": lambda nnx: nnx.nn.dtypes.canonicalize_dtype(
        jnp.ones(2, int), dtype=jnp.int32
    ),
    "one_hot_float": lambda nnx: nnx.one_hot(X, 3).shape,
    "prelu_shape": lambda nnx: nnx.PReLU()(X),
}

METRICS = {
    "metric_init": lambda nnx: nnx.Metric(),
    "average_without_values": lambda nnx: nnx.metrics.Average().update(),
    "average_other_argname": lambda nnx: nnx.metrics.Average("loss").update(values=X),
    "average_mask_of_number": lambda nnx: nnx.metrics.Average().update(
        values=1.0, mask=jnp.ones(2)
    ),
    "average_mask_shape": lambda nnx: nnx.metrics.Average().update(
        values=X, mask=jnp.ones(5, bool)
    ),
    "average_extra": lambda nnx: nnx.metrics.Average().update(values=X, other=3),
    "welford_without_values": lambda nnx: nnx.metrics.Welford().update(),
    "accuracy_threshold": lambda nnx: nnx.metrics.Accuracy(threshold="a"),
    "accuracy_int_threshold": lambda nnx: nnx.metrics.Accuracy(threshold=1),
    "accuracy_binary_ranks": lambda nnx: nnx.metrics.Accuracy(threshold=0.5).update(
        logits=X, labels=jnp.ones(2, int)
    ),
    "accuracy_ranks": lambda nnx: nnx.metrics.Accuracy().update(
        logits=X, labels=jnp.ones((2, 3), int)
    ),
    "accuracy_float_labels": lambda nnx: nnx.metrics.Accuracy().update(
        logits=X, labels=jnp.ones(2)
    ),
    "accuracy_without_labels": lambda nnx: nnx.metrics.Accuracy().update(logits=X),
    "multi_metric_missing": lambda nnx: nnx.MultiMetric(
        loss=nnx.metrics.Average("loss")
    ).update(x=1.0),
    "ema_of_arrays": lambda nnx: nnx.EMA({"a": jnp.ones(2)}, 0.9),
    "optimizer_without_wrt": lambda nnx: nnx.Optimizer(
        linear(nnx), optax.sgd(0.1)
    ).update(),
    "optimizer_update_without_grads": lambda nnx: nnx.Optimizer(
        linear(nnx), optax.sgd(0.1), wrt=nnx.Param
    ).update(linear(nnx)),
    "optimizer_wrong_grads": lambda nnx: nnx.Optimizer(
        linear(nnx), optax.sgd(0.1), wrt=nnx.Param
    ).update(linear(nnx), {"a": jnp.ones(2)}),
    "optimizer_of_no_tx": lambda nnx: nnx.Optimizer(linear(nnx), 0.1, wrt=nnx.Param),
    "train_state_extra": lambda nnx: nnx.TrainState.create(
        nnx.graphdef(linear(nnx)),
        params=nnx.state(linear(nnx)),
        tx=optax.sgd(0.1),
        other=5,
    ),
}

ROWS = [[1.0, 2.0, 3.0, 4.0]]
PAIR = jnp.ones((1, 3)), jnp.ones((1, 3))

NESTED_LISTS = {
    "linear": lambda nnx: nnx.Linear(4, 2, rngs=rngs(nnx))(ROWS),
    "einsum": lambda nnx: nnx.Einsum("ab,bc->ac", (4, 2), rngs=rngs(nnx))(ROWS),
    "embed": lambda nnx: nnx.Embed(4, 2, rngs=rngs(nnx))([[1, 2]]),
    "attend": lambda nnx: nnx.Embed(3, 4, rngs=rngs(nnx)).attend(ROWS),
    "layer_norm": lambda nnx: nnx.LayerNorm(4, rngs=rngs(nnx))(ROWS),
    "rms_norm": lambda nnx: nnx.RMSNorm(4, rngs=rngs(nnx))(ROWS),
    "lora": lambda nnx: nnx.LoRA(4, 2, 3, rngs=rngs(nnx))(ROWS),
    "lora_linear": lambda nnx: nnx.LoRALinear(4, 3, lora_rank=2, rngs=rngs(nnx))(ROWS),
    "lstm_cell": lambda nnx: nnx.LSTMCell(4, 3, rngs=rngs(nnx))(PAIR, ROWS),
    "simple_cell": lambda nnx: nnx.SimpleCell(4, 3, rngs=rngs(nnx))(PAIR[0], ROWS),
}

STRICT = {
    "einsum_none": "the error says that there is no equation; flax fails on None",
    "conv_groups": "ValueError of the layer; flax fails on an assertion",
    "pool_unknown_padding": "ValueError of the layer; RuntimeError comes from XLA",
    "pool_of_a_low_rank": "ValueError that names the shape; flax fails on an assertion",
    "dropout_rate_above_one": "a rate above 1 is nearly always a mistake and raises",
    "rnn_lengths_shape": "lengths of another number of sequences raise",
    "attention_no_decode": "`decode` that nobody set is False; flax raises",
    "cell_carry_without_rngs": "a carry of zeros needs no rngs; flax raises",
    "optimizer_of_no_tx": "TypeError that says what is expected; flax fails on `init`",
}

TABLE.add_programs(LAYERS, STRICT)
TABLE.add_programs(METRICS, STRICT)
for _name, _program in NESTED_LISTS.items():
    TABLE.add(f"list_into_{_name}", _program, f"A nested list as input of {_name}.")
