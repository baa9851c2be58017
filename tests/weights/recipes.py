"""Layers of PyTorch that are written with layers of ours, under the same names."""

import jax.numpy as jnp

import oakum as nnx


def rnn(cell, *sizes, **options):
    """One layer of nn.LSTM, nn.GRU or nn.RNN."""
    rngs = nnx.Rngs(0)
    return nnx.RNN(cell(*sizes, **options, rngs=rngs), rngs=rngs)


def bidirectional(cell, *sizes):
    """One with bidirectional=True."""
    return nnx.Bidirectional(rnn(cell, *sizes), rnn(cell, *sizes), rngs=nnx.Rngs(0))


def layer_norm(width, rngs):
    return nnx.LayerNorm(width, epsilon=1e-5, use_fast_variance=False, rngs=rngs)


class TransformerEncoderLayer(nnx.Module):
    def __init__(self, width, heads, inner, norm_first=False, *, rngs):
        self.self_attn = nnx.MultiHeadAttention(heads, width, rngs=rngs)
        self.linear1 = nnx.Linear(width, inner, rngs=rngs)
        self.linear2 = nnx.Linear(inner, width, rngs=rngs)
        self.norm1, self.norm2 = layer_norm(width, rngs), layer_norm(width, rngs)
        self.norm_first = norm_first

    def mlp(self, x):
        return self.linear2(nnx.relu(self.linear1(x)))

    def __call__(self, x, mask=None):
        if self.norm_first:
            x = x + self.self_attn(self.norm1(x), mask=mask)
            return x + self.mlp(self.norm2(x))
        x = self.norm1(x + self.self_attn(x, mask=mask))
        return self.norm2(x + self.mlp(x))


class TransformerDecoderLayer(nnx.Module):
    def __init__(self, width, heads, inner, *, rngs):
        self.self_attn = nnx.MultiHeadAttention(heads, width, rngs=rngs)
        self.multihead_attn = nnx.MultiHeadAttention(heads, width, rngs=rngs)
        self.linear1 = nnx.Linear(width, inner, rngs=rngs)
        self.linear2 = nnx.Linear(inner, width, rngs=rngs)
        self.norm1, self.norm2 = layer_norm(width, rngs), layer_norm(width, rngs)
        self.norm3 = layer_norm(width, rngs)

    def __call__(self, x, memory, mask=None):
        x = self.norm1(x + self.self_attn(x, mask=mask))
        x = self.norm2(x + self.multihead_attn(x, memory))
        return self.norm3(x + self.linear2(nnx.relu(self.linear1(x))))


class BiasKV(nnx.Module):
    """The attention of add_bias_kv=True: a key and a value more, which are learned."""

    def __init__(self, width):
        self.bias_k = nnx.Param(jnp.zeros((1, 1, width)))
        self.bias_v = nnx.Param(jnp.zeros((1, 1, width)))

    def __call__(self, query, key, value, mask=None, **options):
        def longer(x, bias):
            one = jnp.broadcast_to(bias.reshape(x.shape[-2:]), x[..., :1, :, :].shape)
            return jnp.concatenate([x, one], -3)

        if mask is not None:
            widths = [(0, 0)] * (mask.ndim - 1) + [(0, 1)]
            mask = jnp.pad(mask, widths, constant_values=True)
        key, value = longer(key, self.bias_k), longer(value, self.bias_v)
        return nnx.dot_product_attention(query, key, value, mask=mask, **options)


class EmbeddingBag(nnx.Embed):
    def __call__(self, tokens):
        return super().__call__(tokens).mean(-2)  # or sum, or max


class Bilinear(nnx.Module):
    def __init__(self, left, right, out):
        self.weight = nnx.Param(jnp.zeros((out, left, right)))
        self.bias = nnx.Param(jnp.zeros(out))

    def __call__(self, x, y):
        out = jnp.einsum("...i,oij,...j->...o", x, self.weight.value, y)
        return out + self.bias.reshape((1,) * (out.ndim - 1) + (-1,))
