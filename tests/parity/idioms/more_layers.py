"""Layers that take others, keep state of their own, or are used in several ways."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.parity.idioms.layers import all_state, example
from tests.parity.table import Table

TABLE = Table("more_layers")
idiom, differs = TABLE.idiom, TABLE.differs

X = np.random.default_rng(1).standard_normal((4, 3)).astype(np.float32)


@idiom
def prelu(nnx):
    """`PReLU` has one slope and no Rngs."""
    layer = nnx.PReLU(0.2)
    return all_state(nnx, layer), layer(X)


@idiom
def prelu_bf16(nnx):
    """`PReLU` in bfloat16."""
    return nnx.PReLU(dtype=jnp.bfloat16, param_dtype=jnp.bfloat16)(X)


@idiom
def embed_attend(nnx):
    """`Embed.attend` multiplies by the table."""
    return nnx.Embed(5, 3, rngs=nnx.Rngs(0)).attend(jnp.asarray(X))


@idiom
def embed_of_one_token(nnx):
    """`Embed` of a table of one row broadcasts."""
    return nnx.Embed(1, 3, rngs=nnx.Rngs(0))(jnp.zeros((2, 2), jnp.int32))


@idiom
def embed_of_floats(nnx):
    """`Embed` refuses floats."""
    nnx.Embed(5, 3, rngs=nnx.Rngs(0))(jnp.ones(2))


@idiom
def conv_mask(nnx):
    """`Conv(mask=...)` multiplies the kernel."""
    mask = jnp.arange(36.0).reshape(3, 3, 4) % 2
    layer = nnx.Conv(3, 4, 3, mask=mask, rngs=nnx.Rngs(0))
    return layer(example((2, 6, 3)))


@idiom
def kernel_metadata(nnx):
    """`kernel_metadata` and `bias_metadata` are metadata of the Params."""
    layer = nnx.Linear(
        2, 3, kernel_metadata={"tag": "k"}, bias_metadata={"tag": "b"}, rngs=nnx.Rngs(0)
    )
    return layer.kernel.tag, layer.bias.tag


@idiom
def custom_initializers(nnx):
    """`kernel_init` and `bias_init`."""
    layer = nnx.Linear(
        3, 2, kernel_init=nnx.initializers.constant(2.0),
        bias_init=jax.nn.initializers.normal(), rngs=nnx.Rngs(0),
    )  # fmt: skip
    return layer.kernel.value, layer.bias.value


@idiom
def custom_dot_general(nnx):
    """`dot_general` and `promote_dtype` are replaced."""
    calls = []

    def dot_general(*args, **kwargs):
        calls.append(len(args))
        return jax.lax.dot_general(*args, **kwargs)

    layer = nnx.Linear(3, 2, dot_general=dot_general, rngs=nnx.Rngs(0))
    return layer(X), calls


@idiom
def own_promote_dtype(nnx):
    """A `promote_dtype` of the user's."""
    seen = []

    def promote(args, *, dtype=None, **kwargs):
        seen.append(len(args))
        return tuple(None if a is None else a.astype(jnp.float16) for a in args)

    return nnx.Linear(3, 2, promote_dtype=promote, rngs=nnx.Rngs(0))(X), seen


@idiom
def attributes_of_a_layer(nnx):
    """Layers keep the arguments they were made with."""
    a = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    b = nnx.Conv(3, 4, (3,), rngs=nnx.Rngs(0))
    c = nnx.BatchNorm(3, rngs=nnx.Rngs(0))
    return (
        [a.in_features, a.out_features, a.use_bias, a.dtype, a.param_dtype],
        [b.kernel_size, b.strides, b.padding, b.feature_group_count, b.kernel_shape],
        [c.num_features, c.momentum, c.epsilon, c.axis, c.use_running_average],
    )


@idiom
def bias_of_no_bias(nnx):
    """`layer.bias` is None where there is none."""
    return nnx.Linear(3, 2, use_bias=False, rngs=nnx.Rngs(0)).bias


@idiom
def default_kernel_init(nnx):
    """`nnx.nn.linear.default_kernel_init` is the default of the layers."""
    init = nnx.nn.linear.default_kernel_init
    return init(jax.random.key(0), (2, 3), jnp.float32)


@idiom
def promote_dtype_function(nnx):
    """`nnx.nn.dtypes.promote_dtype` and `canonicalize_dtype`."""
    a, b = nnx.nn.dtypes.promote_dtype((jnp.ones(2), jnp.ones(2, jnp.bfloat16)))
    return a.dtype, b.dtype, nnx.nn.dtypes.canonicalize_dtype(jnp.ones(2), None)


@idiom
def wrong_feature_size(nnx):
    """An input of another size raises."""
    nnx.Linear(3, 2, rngs=nnx.Rngs(0))(jnp.ones((2, 5)))


@idiom
def missing_rngs(nnx):
    """A layer with Params needs `rngs`."""
    nnx.Linear(3, 2)


@idiom
def bidirectional(nnx):
    """`Bidirectional` joins two RNNs."""
    rngs = nnx.Rngs(0)
    forward = nnx.RNN(nnx.GRUCell(3, 4, rngs=rngs), rngs=rngs)
    backward = nnx.RNN(nnx.GRUCell(3, 4, rngs=rngs), rngs=rngs)
    layer = nnx.Bidirectional(forward, backward, rngs=rngs)
    return layer(example((2, 5, 3)))


@idiom
def bidirectional_options(nnx):
    """`Bidirectional` with a way to merge, and carries."""
    rngs = nnx.Rngs(0)
    rnns = [nnx.RNN(nnx.LSTMCell(3, 4, rngs=rngs), rngs=rngs) for _ in range(2)]
    layer = nnx.Bidirectional(
        *rnns, merge_fn=lambda a, b: a + b, return_carry=True, rngs=rngs
    )
    return layer(example((2, 5, 3)), seq_lengths=jnp.array([3, 5]))


@idiom
def rnn_given_a_carry(nnx):
    """`initial_carry` of an RNN."""
    rngs = nnx.Rngs(0)
    rnn = nnx.RNN(nnx.GRUCell(3, 4, rngs=rngs), rngs=rngs)
    return rnn(example((2, 5, 3)), initial_carry=jnp.ones((2, 4)))


@idiom
def custom_cell(nnx):
    """A cell of the user's in `RNN`."""

    class Cell(nnx.RNNCellBase):
        def __init__(self, rngs):
            self.linear = nnx.Linear(3, 3, rngs=rngs)

        def initialize_carry(self, input_shape, rngs=None, carry_init=None):
            return jnp.zeros(input_shape)

        def __call__(self, carry, inputs):
            carry = jnp.tanh(self.linear(inputs) + carry)
            return carry, carry * 2

        @property
        def num_feature_axes(self):
            return 1

    return nnx.RNN(Cell(nnx.Rngs(0)), rngs=nnx.Rngs(0))(example((2, 5, 3)))


@idiom
def cell_with_dropout(nnx):
    """Recurrent dropout: one mask for all steps, by `broadcast_rngs`."""

    class Cell(nnx.RNNCellBase):
        def __init__(self, rngs):
            self.dropout = nnx.Dropout(0.5, rngs=rngs)

        def initialize_carry(self, input_shape, rngs=None, carry_init=None):
            return jnp.zeros(input_shape)

        def __call__(self, carry, inputs):
            carry = self.dropout(inputs) + carry
            return carry, carry

        @property
        def num_feature_axes(self):
            return 1

    rnn = nnx.RNN(Cell(nnx.Rngs(0)), broadcast_rngs="dropout", rngs=nnx.Rngs(0))
    return rnn(jnp.ones((1, 4, 6)))


@idiom
def carry_init_of_a_cell(nnx):
    """`carry_init` of a cell."""
    cell = nnx.LSTMCell(3, 4, carry_init=nnx.initializers.ones_init(), rngs=nnx.Rngs(0))
    return cell.initialize_carry((2, 3), nnx.Rngs(0))


@idiom
def decode_attention(nnx):
    """`decode=True` step by step over a cache."""
    layer = nnx.MultiHeadAttention(2, 4, decode=True, rngs=nnx.Rngs(0))
    layer.init_cache((1, 3, 4))
    x = example((1, 3, 4))
    outs = [layer(x[:, i : i + 1]) for i in range(3)]
    return outs, layer.cache_index.value, layer.cached_key.value


@idiom
def decode_without_a_cache(nnx):
    """`decode=True` without `init_cache`."""
    layer = nnx.MultiHeadAttention(2, 4, decode=True, rngs=nnx.Rngs(0))
    layer(example((1, 1, 4)))


@idiom
def attention_needs_decode(nnx):
    """Attention of three inputs, with a mask."""
    layer = nnx.MultiHeadAttention(2, 4, decode=False, rngs=nnx.Rngs(0))
    q, kv = example((1, 3, 4)), example((1, 5, 4))
    mask = nnx.make_attention_mask(jnp.ones((1, 3)), jnp.arange(5.0)[None] < 4)
    return layer(q, kv), layer(q, kv, kv, mask=mask)


@idiom
def attention_sows_weights(nnx):
    """`sow_weights=True` of attention."""
    layer = nnx.MultiHeadAttention(2, 4, decode=False, rngs=nnx.Rngs(0))
    layer(example((1, 3, 4)), sow_weights=True)
    return [path for path, _ in nnx.to_flat_state(nnx.state(layer, nnx.Intermediate))]


@idiom
def attention_heads_do_not_divide(nnx):
    """Features that the heads do not divide."""
    nnx.MultiHeadAttention(3, 4, decode=False, rngs=nnx.Rngs(0))


@differs("the view makes its cache; flax fails on the cache that is None")
def attention_set_view(nnx):
    """`nnx.view` of attention sets `decode` and `deterministic`."""
    layer = nnx.MultiHeadAttention(2, 4, decode=False, rngs=nnx.Rngs(0))
    shown = nnx.view(layer, decode=True, deterministic=True, batch_size=1, max_length=3)
    return shown.decode, layer.decode, shown.cached_key.value.shape


@idiom
def rope(nnx):
    """`RoPE` turns queries and keys."""
    layer = nnx.RoPE(embedding_size=4, max_seq_len=8)
    out = layer(example((1, 3, 2, 4)))
    return out


@idiom
def attention_with_rope(nnx):
    """`dot_product_attention_with_rope`."""
    rope = nnx.RoPE(embedding_size=4, max_seq_len=8)
    q = example((1, 3, 2, 4))
    return nnx.dot_product_attention_with_rope(q, q, q, rope=rope)


@idiom
def lora_with_a_base(nnx):
    """`LoRA` around a layer."""
    rngs = nnx.Rngs(0)
    base = nnx.Linear(3, 4, rngs=rngs)
    layer = nnx.LoRA(3, 2, 4, base_module=base, rngs=rngs)
    layer.lora_b.value = jnp.ones((2, 4))
    return layer(X), [
        path for path, _ in nnx.to_flat_state(nnx.state(layer, nnx.LoRAParam))
    ]


@idiom
def lora_param_type(nnx):
    """`lora_param_type` is another Variable type."""

    class Adapter(nnx.Param):
        pass

    layer = nnx.LoRA(3, 2, 4, lora_param_type=Adapter, rngs=nnx.Rngs(0))
    return len(nnx.to_flat_state(nnx.state(layer, Adapter)))


@idiom
def lora_trains_alone(nnx):
    """Gradients of the LoRAParams alone."""
    layer = nnx.LoRALinear(3, 4, lora_rank=2, rngs=nnx.Rngs(0))
    f = nnx.grad(lambda m: m(X).sum(), argnums=nnx.DiffState(0, nnx.LoRAParam))
    return nnx.to_pure_dict(f(layer))


def normalized(nnx, kind, **options):
    return kind(nnx.Linear(3, 4, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1), **options)


def params_after_a_call(nnx, layer):
    layer(X)
    flat = nnx.to_flat_state(nnx.state(layer, nnx.Param))
    return {path: v.value for path, v in flat}


NORMALIZED = "Params stay as they are, as in the papers and Linen; flax overwrites them"


@differs(NORMALIZED)
def spectral_norm_params(nnx):
    """`SpectralNorm` and the Params of its layer."""
    return params_after_a_call(nnx, normalized(nnx, nnx.SpectralNorm))


@idiom
def spectral_norm_output(nnx):
    """`SpectralNorm` computes with the normalized kernel."""
    layer = normalized(nnx, nnx.SpectralNorm, n_steps=5)
    return layer(X), layer(X, update_stats=False).shape


@differs(NORMALIZED + "; its scales are Params, which train")
def weight_norm_params(nnx):
    """`WeightNorm` and the Params of its layer."""
    return params_after_a_call(nnx, normalized(nnx, nnx.WeightNorm))


@idiom
def weight_norm_output(nnx):
    """`WeightNorm` computes with the normalized kernel."""
    return normalized(nnx, nnx.WeightNorm)(X)


@idiom
def weight_norm_options(nnx):
    """`WeightNorm` without scale, of other axes."""
    layer = nnx.WeightNorm(
        nnx.Linear(3, 4, rngs=nnx.Rngs(0)), use_scale=False, feature_axes=None,
        rngs=nnx.Rngs(1),
    )  # fmt: skip
    return layer(X)


@idiom
def batch_norm_mask(nnx):
    """BatchNorm takes a mask at the call."""
    layer = nnx.BatchNorm(3, rngs=nnx.Rngs(0))
    out = layer(jnp.asarray(X), mask=jnp.array([[True], [True], [False], [True]]))
    return out, layer.mean.value, layer.var.value


@idiom
def layer_norm_mask(nnx):
    """LayerNorm takes a mask at the call."""
    layer = nnx.LayerNorm(3, rngs=nnx.Rngs(0))
    return layer(jnp.asarray(X), mask=jnp.array([[True, True, False]]))


@idiom
def batch_norm_flag_at_call(nnx):
    """`use_running_average` at the call."""
    layer = nnx.BatchNorm(3, rngs=nnx.Rngs(0))
    return layer(X, use_running_average=True), layer.mean.value


@idiom
def batch_norm_momentum_over_calls(nnx):
    """Statistics over several calls."""
    layer = nnx.BatchNorm(3, momentum=0.9, rngs=nnx.Rngs(0))
    for i in range(3):
        layer(X * i)
    return layer.mean.value, layer.var.value


@idiom
def dropout_call_flags(nnx):
    """`deterministic` at the call of Dropout."""
    layer = nnx.Dropout(0.5, rngs=nnx.Rngs(0))
    return layer(X, deterministic=True), layer(X, deterministic=False)


@idiom
def group_norm_that_does_not_divide(nnx):
    """Groups that do not divide the features."""
    nnx.GroupNorm(6, num_groups=4, rngs=nnx.Rngs(0))


@idiom
def lora_of_rank_text(nnx):
    """`Einsum` with a string of the call."""
    layer = nnx.Einsum("ab,bc->ac", (3, 4), (4,), rngs=nnx.Rngs(0))
    return layer(X, "xb,bc->xc")


@idiom
def wrong_einsum(nnx):
    """An einsum string of one operand."""
    nnx.Einsum("ab->ba", (3, 4), rngs=nnx.Rngs(0))


@idiom
def conv_wrong_channels(nnx):
    """A convolution of another number of channels."""
    nnx.Conv(3, 4, 3, rngs=nnx.Rngs(0))(jnp.ones((1, 6, 5)))


@differs("ValueError of the layer; RuntimeError comes from XLA's parser")
def conv_bad_padding(nnx):
    """A padding that is not known."""
    nnx.Conv(3, 4, 3, padding="SOME", rngs=nnx.Rngs(0))(jnp.ones((1, 6, 3)))


@idiom
def out_sharding_of_a_call(nnx):
    """`out_sharding` at the call of Linear and Embed."""
    layer = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    return layer(jnp.asarray(X), out_sharding=None)


@idiom
def numpy_inputs(nnx):
    """Layers take NumPy arrays and lists of numbers."""
    layer = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    return layer(X), layer(X.astype(np.float64)).dtype


@idiom
def integers_into_linear(nnx):
    """Integers are promoted."""
    return nnx.Linear(3, 2, rngs=nnx.Rngs(0))(jnp.ones((1, 3), jnp.int32))


@idiom
def complex_linear(nnx):
    """Complex parameters."""
    layer = nnx.Linear(3, 2, param_dtype=jnp.complex64, rngs=nnx.Rngs(0))
    return layer(X)
