"""T5: attention without a scale, positions as a bias that the first layer has."""

# pyright: reportMissingImports=false

import math

import jax.numpy as jnp
import transformers
from families.block import family, rms

import oakum as nnx


class T5Attention(nnx.Module):
    """Without a scale; the bias by distance is the first layer's."""

    def __init__(self, first):
        self.attn = nnx.MultiHeadAttention(
            4, 32, 32, use_bias=False, scale=1.0, rngs=nnx.Rngs(0)
        )
        self.bias = nnx.Embed(32, 4, rngs=nnx.Rngs(0)) if first else None


def t5_buckets(size, both_ways):
    distance = jnp.arange(size)[None] - jnp.arange(size)[:, None]
    count = 16 if both_ways else 32
    start = jnp.where(both_ways & (distance > 0), count, 0)
    distance = jnp.abs(distance) if both_ways else jnp.maximum(-distance, 0)
    exact = count // 2
    ratio = jnp.log(jnp.maximum(distance, 1) / exact) / math.log(128 / exact)
    far = jnp.minimum(exact + (ratio * (count - exact)).astype(jnp.int32), count - 1)
    return start + jnp.where(distance < exact, distance, far)


class T5Layer(nnx.Module):
    def __init__(self, first, decodes):
        self.attention = T5Attention(first)
        self.cross = T5Attention(False) if decodes else None
        self.norms = [rms(1e-6)(32, rngs=nnx.Rngs(0)) for _ in range(2 + decodes)]
        self.up = nnx.Linear(32, 48, use_bias=False, rngs=nnx.Rngs(0))
        self.gate = nnx.Linear(32, 48, use_bias=False, rngs=nnx.Rngs(0))
        self.down = nnx.Linear(48, 32, use_bias=False, rngs=nnx.Rngs(0))

    def __call__(self, x, bias, memory=None):
        def attend(attn, x, y, bias, causal):
            query, key, value = attn.query(x), attn.key(y), attn.value(y)
            mixed = nnx.dot_product_attention(
                query, key, value, bias=bias, scale=1.0, is_causal=causal
            )
            return attn.out(mixed)

        y = self.norms[0](x)
        x = x + attend(self.attention.attn, y, y, bias, memory is not None)
        if self.cross is not None:
            y = self.norms[1](x)
            x = x + attend(self.cross.attn, y, memory, None, False)
        y = self.norms[-1](x)
        return x + self.down(nnx.gelu(self.gate(y)) * self.up(y))


class T5Stack(nnx.Module):
    def __init__(self, decodes):
        self.layers = [T5Layer(i == 0, decodes) for i in range(2)]
        self.norm = rms(1e-6)(32, rngs=nnx.Rngs(0))

    def __call__(self, x, memory=None):
        bias = self.layers[0].attention.bias(t5_buckets(x.shape[1], memory is None))
        for layer in self.layers:
            x = layer(x, bias.transpose(2, 0, 1)[None], memory)
        return self.norm(x)


class T5(nnx.Module):
    def __init__(self):
        self.embed = nnx.Embed(96, 32, rngs=nnx.Rngs(0))
        self.encoder, self.decoder = T5Stack(False), T5Stack(True)

    def __call__(self, tokens, target):
        memory = self.encoder(self.embed(tokens))
        x = self.decoder(self.embed(target), memory)
        return self.embed.attend(x / math.sqrt(32))


@family
def t5():
    sizes = dict(d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4)
    config = transformers.T5Config(
        **sizes,
        vocab_size=96,
        feed_forward_proj="gated-gelu",
        decoder_start_token_id=0,
    )
    rules = {"shared": "embed"}
    for side in ("encoder", "decoder"):
        block, layer = f"{side}.block.{{i}}.layer", f"{side}.layers.{{i}}"
        names = {"q": "query", "k": "key", "v": "value", "o": "out"}
        for a, b in names.items():
            rules[f"{block}.0.SelfAttention.{a}"] = f"{layer}.attention.attn.{b}"
        bias = f"{layer}.attention.bias"
        rules[f"{block}.0.SelfAttention.relative_attention_bias"] = bias
        last = 2 if side == "decoder" else 1
        if side == "decoder":
            for a, b in names.items():
                rules[f"{block}.1.EncDecAttention.{a}"] = f"{layer}.cross.attn.{b}"
        mlp = f"{block}.{last}.DenseReluDense"
        rules |= {f"{mlp}.wi_0": f"{layer}.gate", f"{mlp}.wi_1": f"{layer}.up"}
        rules[f"{mlp}.wo"] = f"{layer}.down"
        rules[f"{block}.{{j}}.layer_norm"] = f"{layer}.norms.{{j}}"
        rules[f"{side}.final_layer_norm"] = f"{side}.norm"
    return transformers.T5ForConditionalGeneration(config), T5, rules
