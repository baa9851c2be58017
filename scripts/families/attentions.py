"""Decoders whose attention, or what stands for it, is another: Mamba, BLOOM,
DeepSeek-V3."""

# pyright: reportMissingImports=false

import functools

import jax
import jax.numpy as jnp
import transformers
from families.block import (
    GATED,
    HEAD,
    NORMS,
    OUTER,
    Block,
    family,
    gpt_block,
    joined,
    norms,
    outer,
    rms,
)
from families.experts import turned
from families.sizes import DECODER

import oakum as nnx


class Mixer(nnx.Module):
    """Selective state spaces; Gu, Dao: Mamba, https://arxiv.org/abs/2312.00752."""

    def __init__(self):
        linear = functools.partial(nnx.Linear, use_bias=False, rngs=nnx.Rngs(0))
        self.in_proj = linear(32, 128)
        self.conv1d = nnx.Conv(
            64, 64, 4, padding="CAUSAL", feature_group_count=64, rngs=nnx.Rngs(0)
        )
        self.x_proj, self.out_proj = linear(64, 2 + 2 * 8), linear(64, 32)
        self.dt_proj = nnx.Linear(2, 64, rngs=nnx.Rngs(0))
        self.A_log = nnx.Param(jnp.zeros((64, 8)))
        self.D = nnx.Param(jnp.zeros(64))

    def __call__(self, x):
        x, gate = jnp.split(self.in_proj(x), 2, -1)
        x = nnx.silu(self.conv1d(x))  # (batch, seq, inner)
        step, into_state, out_of = jnp.split(self.x_proj(x), [2, 10], -1)
        step = nnx.softplus(self.dt_proj(step))
        decay = jnp.exp(step[..., None] * -jnp.exp(self.A_log.value))
        added = step[..., None] * into_state[..., None, :] * x[..., None]

        def one(state, inputs):
            decay, added, out_of = inputs
            state = decay * state + added
            return state, (state * out_of[:, None]).sum(-1)

        moved = [jnp.moveaxis(a, 1, 0) for a in (decay, added, out_of)]
        _, y = jax.lax.scan(one, jnp.zeros((len(x), 64, 8)), tuple(moved))
        y = jnp.moveaxis(y, 0, 1) + x * self.D.value
        return self.out_proj(y * nnx.silu(gate))


class Mamba(nnx.Module):
    def __init__(self):
        self.embeddings = nnx.Embed(96, 32, rngs=nnx.Rngs(0))
        self.layers = [
            nnx.Dict(norm=rms(1e-5)(32, rngs=nnx.Rngs(0)), mixer=Mixer())
            for _ in range(2)
        ]
        self.norm_f = rms(1e-5)(32, rngs=nnx.Rngs(0))

    def __call__(self, tokens):
        x = self.embeddings(tokens)
        for layer in self.layers:
            x = x + layer.mixer(layer.norm(x))
        return self.embeddings.attend(self.norm_f(x))


@family
def mamba():
    config = transformers.MambaConfig(
        vocab_size=96, hidden_size=32, state_size=8, num_hidden_layers=2, expand=2
    )
    return transformers.MambaForCausalLM(config), Mamba, {"backbone": ""}


class AlibiAttention(nnx.MultiHeadAttention):
    """Press et al.: Train Short, Test Long, https://arxiv.org/abs/2108.12409."""

    def __call__(self, x, is_causal):
        slopes = 2.0 ** (-8.0 * jnp.arange(1, self.num_heads + 1) / self.num_heads)
        bias = slopes[:, None, None] * jnp.arange(x.shape[1], dtype=x.dtype)
        out = nnx.dot_product_attention(
            self.query(x), self.key(x), self.value(x), bias=bias[None], is_causal=True
        )
        return self.out(out)


@family
def bloom():
    config = transformers.BloomConfig(
        vocab_size=96, hidden_size=32, n_layer=2, n_head=4
    )
    kind = gpt_block(
        nnx.gelu,
        kv_heads=4,
        inner=128,
        tied=True,
        embed_norm=True,
        attention=AlibiAttention,
    )
    layer = "transformer.h.{i}"
    rules = {
        **outer("transformer", "word_embeddings", "ln_f"),
        "transformer.word_embeddings_layernorm": "embed_norm",
        **norms(f"{layer}.input_layernorm", f"{layer}.post_attention_layernorm"),
        **joined(layer, "self_attention", 4),
    }
    return transformers.BloomForCausalLM(config), kind, rules


class LatentAttention(nnx.Module):
    """Of DeepSeek-V2: https://arxiv.org/abs/2405.04434, 2024; keys from few numbers."""

    def __init__(self, *sizes, rope, rngs, **others):
        linear = functools.partial(nnx.Linear, use_bias=False, rngs=rngs)
        self.q_a_proj, self.q_a_layernorm = linear(32, 12), rms(1e-6)(12, rngs=rngs)
        self.q_b_proj = linear(12, 4 * 12)
        self.kv_a_proj_with_mqa = linear(32, 16 + 4)
        self.kv_a_layernorm = rms(1e-6)(16, rngs=rngs)
        self.kv_b_proj = linear(16, 4 * (8 + 8))
        self.o_proj = linear(4 * 8, 32)
        self.rope = rope

    def __call__(self, x, is_causal):
        lead = x.shape[:2]
        query = self.q_b_proj(self.q_a_layernorm(self.q_a_proj(x)))
        query = query.reshape(*lead, 4, 12)
        few, turning = jnp.split(self.kv_a_proj_with_mqa(x), [16], -1)
        both = self.kv_b_proj(self.kv_a_layernorm(few)).reshape(*lead, 4, 16)
        key, value = jnp.split(both, 2, -1)
        turning = turned(self.rope, turning[:, :, None])
        turning = jnp.broadcast_to(turning, (*lead, 4, 4))
        key = jnp.concatenate([key, turning], -1)
        plain, turning = jnp.split(query, [8], -1)
        query = jnp.concatenate([plain, turned(self.rope, turning)], -1)
        out = nnx.dot_product_attention(query, key, value, is_causal=True)
        return self.o_proj(out.reshape(*lead, 32))


@family
def deepseek_v3():
    sizes = dict(DECODER, num_key_value_heads=4)
    config = transformers.DeepseekV3Config(
        **sizes,
        q_lora_rank=12,
        kv_lora_rank=16,
        qk_nope_head_dim=8,
        qk_rope_head_dim=4,
        v_head_dim=8,
        first_k_dense_replace=2,
        n_routed_experts=4,
        n_group=1,
        topk_group=1,
        num_experts_per_tok=2,
    )
    rope = nnx.RoPE(neighbours=True)
    kind = Block(rms(1e-6), nnx.silu, ropes=(rope, rope), attention=LatentAttention)
    attn = {"model.layers.{i}.self_attn": "layers.{i}.attn"}
    rules = {**OUTER, **HEAD, **GATED, **NORMS, **attn}
    return transformers.DeepseekV3ForCausalLM(config), kind, rules
