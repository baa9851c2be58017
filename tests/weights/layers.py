"""Every layer of PyTorch with weights, and how it is written here: one table.

`scripts/torch_layers.py` runs the left side with PyTorch and stores what it computes;
`test_layers.py` runs the right side; `scripts/layer_table.py` writes the table into
docs/moving/torch_layers.md. What the right side names beside `nnx`, `jax`, `functools`
and `rngs` is in `recipes.py`.
"""

import dataclasses
from typing import Any

IMAGE, WAVE, SEQ = (2, 4, 9, 8), (2, 4, 9), (2, 5, 4)
PATH = {"*_l0": "cell"}
BOTH = {"*_l0": "forward_rnn.cell", "*_l0_reverse": "backward_rnn.cell"}
STACK = {
    "*_l{i}": "layers.{i}.forward_rnn.cell",
    "*_l{i}_reverse": "layers.{i}.backward_rnn.cell",
}
BIAS_KV = {"bias_k": "attention_fn.bias_k", "bias_v": "attention_fn.bias_v"}


@dataclasses.dataclass(frozen=True)
class Row:
    """A layer of both.

    Args:
        torch: an expression of PyTorch.
        ours: one of ours; several are several ways to write it.
        shape: of the input; None is that of tokens.
        note: what else is to be known.
        rules: names of the file and paths of the model.
        last: whether the channels are the last axis here, and the second there.
        inputs: what the layer is called with, of the input `x`.
        one_way: why what is saved is another file than what was loaded, though it
            means the same.
    """

    torch: str
    ours: str | tuple[str, ...]
    shape: tuple[int, ...] | None
    note: str = ""
    rules: Any = None
    last: bool = False
    inputs: str = "x"
    one_way: str = ""


def ways(row: Row) -> tuple[str, ...]:
    """The ways in which a layer is written here."""
    return (row.ours,) if isinstance(row.ours, str) else row.ours


ADDED = "both biases are added up into one"
NORM = "`use_fast_variance=False` is as exact as PyTorch where means are large"
LINEAR = {
    "linear": Row("nn.Linear(4, 3)", "nnx.Linear(4, 3, rngs=rngs)", (2, 4)),
    "linear_square": Row(
        "nn.Linear(4, 4, bias=False)",
        (
            "nnx.Linear(4, 4, use_bias=False, rngs=rngs)",
            "nnx.LinearGeneral(4, 4, use_bias=False, rngs=rngs)",
        ),
        (2, 4),
        "the Conv1D of transformers has `(in, out)`: `into(path, transpose=False)`; "
        "after flattened images `into(path, channels_first=(channels, height, width))`",
    ),
    "bilinear": Row("nn.Bilinear(4, 4, 3)", "Bilinear(4, 4, 3)", (2, 4), inputs="x, x"),
    "embedding": Row("nn.Embedding(7, 4)", "nnx.Embed(7, 4, rngs=rngs)", None),
    "embedding_padding": Row(
        "nn.Embedding(7, 4, padding_idx=2)",
        "nnx.Embed(7, 4, padding_idx=2, rngs=rngs)",
        None,
        "the row gets no gradient",
    ),
    "embedding_bag": Row(
        "nn.EmbeddingBag(7, 4)", "EmbeddingBag(7, 4, rngs=rngs)", None, inputs="x[None]"
    ),
}
CONV = {
    "conv1d": Row(
        "nn.Conv1d(4, 6, 3, stride=2, padding=1)",
        "nnx.Conv(4, 6, 3, strides=2, padding=1, rngs=rngs)",
        WAVE,
        "padding in numbers: `'SAME'` is another one where the stride is not 1",
    ),
    "conv2d": Row(
        "nn.Conv2d(4, 6, (3, 2), stride=2, padding=(1, 0), groups=2)",
        "nnx.Conv(4, 6, (3, 2), strides=2, padding=(1, 0), feature_group_count=2, "
        "rngs=rngs)",
        IMAGE,
    ),
    "conv2d_depthwise": Row(
        "nn.Conv2d(4, 8, 3, groups=4, dilation=2)",
        "nnx.Conv(4, 8, (3, 3), padding='VALID', kernel_dilation=2, "
        "feature_group_count=4, rngs=rngs)",
        IMAGE,
    ),
    "conv3d": Row(
        "nn.Conv3d(2, 3, (2, 3, 1), padding='same')",
        "nnx.Conv(2, 3, (2, 3, 1), padding='SAME', rngs=rngs)",
        (1, 2, 4, 5, 6),
    ),
    "conv_transpose1d": Row(
        "nn.ConvTranspose1d(4, 3, 3, stride=2)",
        "nnx.ConvTranspose(4, 3, 3, 2, padding='VALID', rngs=rngs)",
        (2, 4, 5),
    ),
    "conv_transpose2d": Row(
        "nn.ConvTranspose2d(4, 3, 3, stride=2, padding=1, output_padding=1)",
        "nnx.ConvTranspose(4, 3, (3, 3), 2, padding=[(1, 2), (1, 2)], rngs=rngs)",
        (2, 4, 5, 4),
        "padding `(d(k - 1) - p, d(k - 1) - p + output_padding)`, also where negative",
    ),
    "conv_transpose3d": Row(
        "nn.ConvTranspose3d(2, 3, (2, 3, 1))",
        "nnx.ConvTranspose(2, 3, (2, 3, 1), padding='VALID', transpose_kernel=True, "
        "rngs=rngs)",
        (1, 2, 3, 4, 2),
    ),
    "conv1d_circular": Row(
        "nn.Conv1d(4, 3, 3, padding=3, padding_mode='circular')",
        "nnx.Conv(4, 3, 3, padding=3, padding_mode='circular', rngs=rngs)",
        WAVE,
    ),
    "conv1d_reflect": Row(
        "nn.Conv1d(4, 3, 3, stride=2, padding=4, padding_mode='reflect')",
        "nnx.Conv(4, 3, 3, 2, padding=4, padding_mode='reflect', rngs=rngs)",
        WAVE,
    ),
    "conv1d_replicate": Row(
        "nn.Conv1d(4, 3, 2, padding=4, padding_mode='replicate')",
        "nnx.Conv(4, 3, 2, padding=4, padding_mode='replicate', rngs=rngs)",
        WAVE,
    ),
    "conv1d_same_reflect": Row(
        "nn.Conv1d(4, 3, 4, padding='same', padding_mode='reflect')",
        "nnx.Conv(4, 3, 4, padding_mode='reflect', rngs=rngs)",
        WAVE,
    ),
    "conv2d_reflect": Row(
        "nn.Conv2d(4, 3, (3, 5), padding=(2, 1), padding_mode='reflect')",
        "nnx.Conv(4, 3, (3, 5), padding=(2, 1), padding_mode='reflect', rngs=rngs)",
        IMAGE,
    ),
    "conv_transpose2d_groups": Row(
        "nn.ConvTranspose2d(4, 6, (3, 2), stride=(2, 3), padding=1, output_padding=1, "
        "groups=2)",
        (
            "nnx.ConvTranspose(4, 6, (3, 2), (2, 3), padding=[(1, 2), (0, 1)], "
            "feature_group_count=2, rngs=rngs)",
            "nnx.ConvTranspose(4, 6, (3, 2), (2, 3), padding=[(1, 2), (0, 1)], "
            "feature_group_count=2, transpose_kernel=True, rngs=rngs)",
        ),
        (2, 4, 5, 4),
    ),
    "conv_transpose1d_depthwise": Row(
        "nn.ConvTranspose1d(4, 4, 5, stride=2, dilation=2, groups=4, bias=False)",
        "nnx.ConvTranspose(4, 4, 5, 2, padding='VALID', kernel_dilation=2, "
        "feature_group_count=4, use_bias=False, rngs=rngs)",
        (2, 4, 5),
    ),
}
CONV = {name: dataclasses.replace(row, last=True) for name, row in CONV.items()}
EXACT = "epsilon=1e-5, use_fast_variance=False, rngs=rngs)"
NORMS = {
    "layer_norm": Row("nn.LayerNorm(8)", f"nnx.LayerNorm(8, {EXACT}", (3, 8), NORM),
    "layer_norm_axes": Row(
        "nn.LayerNorm((3, 8))",
        f"nnx.LayerNorm(24, reduction_axes=(-2, -1), feature_axes=(-2, -1), {EXACT}",
        (2, 3, 8),
        one_way="two axes are one here",
    ),
    "large_mean": Row("nn.LayerNorm(64)", f"nnx.LayerNorm(64, {EXACT}", (3, 64)),
    "group_norm": Row(
        "nn.GroupNorm(2, 4)",
        f"nnx.GroupNorm(4, num_groups=2, {EXACT}",
        IMAGE,
        last=True,
    ),
    "instance_norm": Row(
        "nn.InstanceNorm2d(4, affine=True)",
        f"nnx.InstanceNorm(4, {EXACT}",
        IMAGE,
        last=True,
    ),
    "rms_norm": Row(
        "nn.RMSNorm(8, eps=1e-6)",
        "nnx.RMSNorm(8, epsilon=1e-6, rngs=rngs)",
        (3, 8),
        "without `eps`, PyTorch takes 1.2e-7; a file that holds what is added to 1: "
        "`offset=1`",
    ),
    "batch_norm": Row(
        "nn.BatchNorm2d(4, momentum=0.1)",
        f"nnx.BatchNorm(4, momentum=0.9, unbiased_variance=True, {EXACT}",
        IMAGE,
        "the momentum is the share that is kept; `momentum=None` averages all",
        last=True,
    ),
    "weight_norm": Row(
        "weight_norm(nn.Linear(4, 3))",
        "nnx.WeightNorm(nnx.Linear(4, 3, rngs=rngs), rngs=rngs)",
        (2, 4),
        "`weight_g` and `weight_v` of older files are found too",
    ),
    "weight_norm_conv": Row(
        "weight_norm(nn.Conv1d(4, 3, 3))",
        "nnx.WeightNorm(nnx.Conv(4, 3, 3, padding='VALID', rngs=rngs), rngs=rngs)",
        (2, 4, 5),
        last=True,
    ),
    "weight_norm_axis": Row(
        "weight_norm(nn.Conv1d(4, 4, 3, groups=2), dim=2)",
        "nnx.WeightNorm(nnx.Conv(4, 4, 3, padding='VALID', feature_group_count=2, "
        "rngs=rngs), feature_axes=0, rngs=rngs)",
        (2, 4, 5),
        last=True,
    ),
    "weight_norm_transpose": Row(
        "weight_norm(nn.ConvTranspose1d(4, 3, 4, stride=2))",
        "nnx.WeightNorm(nnx.ConvTranspose(4, 3, 4, 2, padding='VALID', rngs=rngs), "
        "feature_axes=-2, rngs=rngs)",
        (2, 4, 5),
        "its axis 0 is that of the inputs",
        last=True,
    ),
    "spectral_norm": Row(
        "spectral_norm(nn.Linear(4, 3))",
        "nnx.SpectralNorm(nnx.Linear(4, 3, rngs=rngs), keep_v=True, "
        "update_stats=False, rngs=rngs)",
        (2, 4),
    ),
    "spectral_norm_conv": Row(
        "spectral_norm(nn.Conv1d(4, 3, 3))",
        "nnx.SpectralNorm(nnx.Conv(4, 3, 3, padding='VALID', rngs=rngs), keep_v=True, "
        "update_stats=False, rngs=rngs)",
        (2, 4, 5),
        last=True,
    ),
}
ATTENTION = {
    "attention": Row(
        "nn.MultiheadAttention(8, 2, batch_first=True)",
        "nnx.MultiHeadAttention(2, 8, rngs=rngs)",
        (2, 5, 8),
        "a mask of PyTorch is True where one may **not** look",
        inputs="x, x, x",
    ),
    "attention_apart": Row(
        "nn.MultiheadAttention(8, 2, kdim=6, vdim=6, batch_first=True)",
        "nnx.MultiHeadAttention(2, 8, in_kv_features=6, rngs=rngs)",
        (2, 5, 8),
        inputs="x, x[..., :6], x[..., :6]",
    ),
    "attention_three": Row(
        "nn.MultiheadAttention(8, 2, kdim=6, vdim=5, batch_first=True)",
        "nnx.MultiHeadAttention(2, 8, in_kv_features=6, in_v_features=5, rngs=rngs)",
        (2, 5, 8),
        inputs="x, x[..., :6], x[..., :5]",
    ),
    "attention_zero": Row(
        "nn.MultiheadAttention(8, 2, add_zero_attn=True, batch_first=True)",
        "nnx.MultiHeadAttention(2, 8, attention_fn=functools.partial("
        "nnx.dot_product_attention, sinks=(0.0, 0.0)), rngs=rngs)",
        (2, 5, 8),
        "a key of zeros is a sink of logit 0, one for each head",
        inputs="x, x, x",
    ),
    "attention_bias_kv": Row(
        "nn.MultiheadAttention(8, 2, add_bias_kv=True, batch_first=True)",
        "nnx.MultiHeadAttention(2, 8, attention_fn=BiasKV(8), rngs=rngs)",
        (2, 5, 8),
        rules=BIAS_KV,
        inputs="x, x, x",
    ),
    "encoder_layer": Row(
        "nn.TransformerEncoderLayer(8, 2, 6, batch_first=True)",
        "TransformerEncoderLayer(8, 2, 6, rngs=rngs)",
        (2, 5, 8),
    ),
    "encoder_layer_first": Row(
        "nn.TransformerEncoderLayer(8, 2, 6, batch_first=True, norm_first=True)",
        "TransformerEncoderLayer(8, 2, 6, norm_first=True, rngs=rngs)",
        (2, 5, 8),
    ),
    "decoder_layer": Row(
        "nn.TransformerDecoderLayer(8, 2, 6, batch_first=True)",
        "TransformerDecoderLayer(8, 2, 6, rngs=rngs)",
        (2, 5, 8),
        inputs="x, 2 * x",
    ),
}
CELL = "nnx.OptimizedLSTMCell"
RECURRENT = {
    "lstm": Row(
        "nn.LSTM(4, 3, num_layers=2, batch_first=True)",
        (
            f"nnx.Sequential(rnn({CELL}, 4, 3), rnn({CELL}, 3, 3))",
            "nnx.Sequential(rnn(nnx.LSTMCell, 4, 3), rnn(nnx.LSTMCell, 3, 3))",
        ),
        SEQ,
        rules={"*_l{i}": "layers.{i}.cell"},
        one_way=ADDED,
    ),
    "lstm_both": Row(
        "nn.LSTM(4, 3, bidirectional=True, batch_first=True)",
        f"bidirectional({CELL}, 4, 3)",
        SEQ,
        rules=BOTH,
        one_way=ADDED,
    ),
    "lstm_projection": Row(
        "nn.LSTM(4, 5, proj_size=3, batch_first=True)",
        f"rnn({CELL}, 4, 5, projection_features=3)",
        SEQ,
        rules=PATH,
        one_way=ADDED,
    ),
    "lstm_without_bias": Row(
        "nn.LSTM(4, 3, bias=False, batch_first=True)",
        (
            f"rnn({CELL}, 4, 3, use_bias=False)",
            "rnn(nnx.LSTMCell, 4, 3, use_bias=False)",
        ),
        SEQ,
        rules=PATH,
    ),
    "gru_without_bias": Row(
        "nn.GRU(4, 3, bias=False)",
        "nnx.RNN(nnx.GRUCell(4, 3, use_bias=False, rngs=rngs), time_major=True)",
        (5, 2, 4),
        "without `batch_first=True` the sequence is the first axis: `time_major=True`",
        rules=PATH,
    ),
    "rnn_without_bias": Row(
        "nn.RNN(4, 3, bias=False, batch_first=True)",
        "rnn(nnx.SimpleCell, 4, 3, use_bias=False)",
        SEQ,
        rules=PATH,
    ),
    "gru": Row(
        "nn.GRU(4, 3, batch_first=True)", "rnn(nnx.GRUCell, 4, 3)", SEQ, rules=PATH
    ),
    "gru_stack": Row(
        "nn.GRU(4, 3, num_layers=2, bidirectional=True, batch_first=True)",
        "nnx.Sequential(bidirectional(nnx.GRUCell, 4, 3), "
        "bidirectional(nnx.GRUCell, 6, 3))",
        SEQ,
        rules=STACK,
    ),
    "rnn": Row(
        "nn.RNN(4, 3, batch_first=True)",
        "rnn(nnx.SimpleCell, 4, 3)",
        SEQ,
        rules=PATH,
        one_way=ADDED,
    ),
    "rnn_relu": Row(
        "nn.RNN(4, 3, nonlinearity='relu', batch_first=True)",
        "rnn(nnx.SimpleCell, 4, 3, activation_fn=nnx.relu)",
        SEQ,
        rules=PATH,
        one_way=ADDED,
    ),
    "lstm_cell": Row(
        "nn.LSTMCell(4, 3)",
        (f"{CELL}(4, 3, rngs=rngs)", "nnx.LSTMCell(4, 3, rngs=rngs)"),
        (2, 4),
        "the carry is `(c, h)` here and `(h, c)` there",
        inputs="(0 * x[:, :3], 0 * x[:, :3]), x",
        one_way=ADDED,
    ),
    "gru_cell": Row(
        "nn.GRUCell(4, 3)",
        "nnx.GRUCell(4, 3, rngs=rngs)",
        (2, 4),
        "with its recurrent bias, which the GRU of flax.nnx lacks",
        inputs="0 * x[:, :3], x",
    ),
    "rnn_cell": Row(
        "nn.RNNCell(4, 3)",
        "nnx.SimpleCell(4, 3, rngs=rngs)",
        (2, 4),
        inputs="0 * x[:, :3], x",
        one_way=ADDED,
    ),
}
ACTIVATIONS = {
    "prelu": Row("nn.PReLU()", "nnx.PReLU()", (3, 4)),
    "prelu_channels": Row("nn.PReLU(4)", "nnx.PReLU(num_features=4)", (3, 4)),
    "gelu": Row(
        "nn.GELU()",
        "lambda x: nnx.gelu(x, approximate=False)",
        (3, 4),
        "`nnx.gelu` alone is the tanh form",
    ),
    "gelu_tanh": Row("nn.GELU(approximate='tanh')", "nnx.gelu", (3, 4)),
    "silu": Row("nn.SiLU()", "nnx.silu", (3, 4)),
    "elu": Row("nn.ELU()", "nnx.elu", (3, 4)),
    "selu": Row("nn.SELU()", "nnx.selu", (3, 4)),
    "celu": Row("nn.CELU()", "nnx.celu", (3, 4)),
    "leaky_relu": Row("nn.LeakyReLU()", "nnx.leaky_relu", (3, 4)),
    "relu6": Row("nn.ReLU6()", "nnx.relu6", (3, 4)),
    "hardswish": Row("nn.Hardswish()", "nnx.hard_swish", (3, 4)),
    "hardsigmoid": Row("nn.Hardsigmoid()", "nnx.hard_sigmoid", (3, 4)),
    "hardtanh": Row("nn.Hardtanh()", "nnx.hard_tanh", (3, 4)),
    "softplus": Row("nn.Softplus()", "nnx.softplus", (3, 4)),
    "softsign": Row("nn.Softsign()", "nnx.soft_sign", (3, 4)),
    "log_sigmoid": Row("nn.LogSigmoid()", "nnx.log_sigmoid", (3, 4)),
    "mish": Row("nn.Mish()", "jax.nn.mish", (3, 4)),
    "glu": Row("nn.GLU()", "nnx.glu", (3, 4)),
    "softmax": Row("nn.Softmax(-1)", "nnx.softmax", (3, 4)),
}
POOLS = {
    "max_pool": Row(
        "nn.MaxPool1d(3, 2, padding=1)",
        "lambda x: nnx.max_pool(x, (3,), 2, 1)",
        (1, 2, 10),
    ),
    "max_pool_ceil": Row(
        "nn.MaxPool1d(3, 2, padding=1, ceil_mode=True)",
        "lambda x: nnx.max_pool(x, (3,), 2, 1, ceil_mode=True)",
        (1, 2, 10),
    ),
    "max_pool_ceil_whole": Row(
        "nn.MaxPool1d(2, 4, padding=1, ceil_mode=True)",
        "lambda x: nnx.max_pool(x, (2,), 4, 1, ceil_mode=True)",
        (1, 2, 10),
    ),
    "avg_pool": Row(
        "nn.AvgPool1d(3, 2, padding=1)",
        "lambda x: nnx.avg_pool(x, (3,), 2, 1)",
        (1, 2, 10),
    ),
    "avg_pool_ceil": Row(
        "nn.AvgPool1d(3, 2, padding=1, ceil_mode=True)",
        "lambda x: nnx.avg_pool(x, (3,), 2, 1, ceil_mode=True)",
        (1, 2, 10),
    ),
    "avg_pool_ceil_inside": Row(
        "nn.AvgPool1d(4, 3, padding=2, ceil_mode=True, count_include_pad=False)",
        "lambda x: nnx.avg_pool(x, (4,), 3, 2, False, ceil_mode=True)",
        (1, 2, 10),
    ),
    "adaptive_avg_pool": Row(
        "nn.AdaptiveAvgPool1d(4)",
        "lambda x: nnx.adaptive_avg_pool(x, 4)",
        (1, 2, 10),
    ),
    "adaptive_max_pool": Row(
        "nn.AdaptiveMaxPool1d(4)",
        "lambda x: nnx.adaptive_max_pool(x, 4)",
        (1, 2, 10),
    ),
    "adaptive_avg_pool_more": Row(
        "nn.AdaptiveAvgPool1d(14)",
        "lambda x: nnx.adaptive_avg_pool(x, 14)",
        (1, 2, 10),
    ),
}
POOLS = {name: dataclasses.replace(row, last=True) for name, row in POOLS.items()}
SECTIONS = {
    "Linear maps and embeddings": LINEAR,
    "Convolutions": CONV,
    "Norms": NORMS,
    "Attention": ATTENTION,
    "Recurrent layers": RECURRENT,
    "Activations": ACTIVATIONS,
    "Pools": POOLS,
}
ROWS = {name: row for rows in SECTIONS.values() for name, row in rows.items()}

# What has no counterpart, and what to do instead.
ABSENT = {
    "AdaptiveLogSoftmaxWithLoss": "`log_softmax` of a Linear for each cluster",
    "Transformer": (
        "a list of each of the two layers above, and a norm after it; rules give the "
        "names, as in `'encoder.layers.{i}': 'encoder.{i}'`"
    ),
    "TransformerEncoder, TransformerDecoder": "likewise",
    "LayerNorm(bias=False), Linear(bias=False), …": "`use_bias=False`",
    "SyncBatchNorm, LazyLinear, …": "as the layer without the first word",
    "LinearCrossEntropyLoss": "a Linear, and the loss of its output",
    "ParameterList, ParameterDict": "a list, a dict",
    "quantized layers": "a Param of integers, and the scale that is beside it",
}
