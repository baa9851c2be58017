"""Decoders with experts: Mixtral, GPT-OSS."""

# pyright: reportMissingImports=false

import functools

import jax
import jax.numpy as jnp
import transformers
from families.block import ATTENTION, HEAD, NORMS, OUTER, Block, family, rms
from families.sizes import DECODER, scaled_rope

import oakum as nnx
from oakum.weights import into


class Experts(nnx.Module):
    """Every expert on every token, of which the best ones count: plain, not quick."""

    def __init__(self, count, best, inner, biased=False):
        self.router = nnx.Linear(32, count, use_bias=biased, rngs=nnx.Rngs(0))
        shapes = {"gate": (32, inner), "up": (32, inner), "down": (inner, 32)}
        for name, shape in shapes.items():
            setattr(self, name, nnx.Param(jnp.zeros((count, *shape))))
            if biased:
                bias = nnx.Param(jnp.zeros((count, shape[1])))
                setattr(self, f"{name}_bias", bias)
        self.best, self.biased = best, biased

    def hidden(self, gate, up):
        return nnx.silu(gate) * up

    def __call__(self, x):
        def each(name, x, spec):
            out = jnp.einsum(spec, x, getattr(self, name).value)
            bias = getattr(self, f"{name}_bias").value if self.biased else None
            return out if bias is None else out + bias

        scores, chosen = jax.lax.top_k(self.router(x), self.best)
        shares = nnx.softmax(scores)
        hidden = self.hidden(
            each("gate", x, "bsw,ewi->bsei"), each("up", x, "bsw,ewi->bsei")
        )
        out = each("down", hidden, "bsei,eiw->bsew")
        taken = jnp.take_along_axis(out, chosen[..., None], 2)
        return (taken * shares[..., None]).sum(2)


class ClampedExperts(Experts):
    def hidden(self, gate, up):
        gate, up = jnp.minimum(gate, 7.0), jnp.clip(up, -7.0, 7.0)
        return (up + 1) * gate * nnx.sigmoid(1.702 * gate)


class SinkAttention(nnx.MultiHeadAttention):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.sinks = nnx.Param(jnp.zeros(self.num_heads))

    def __call__(self, x, is_causal):
        query, key, value = self.query(x), self.key(x), self.value(x)
        turn = functools.partial(turned, self.rope)
        out = nnx.dot_product_attention(
            turn(query),
            turn(key),
            value,
            is_causal=True,
            window=self.window,
            sinks=self.sinks.value,
        )
        return self.out(out)


def turned(rope, x):
    return rope(x.swapaxes(1, 2)).swapaxes(1, 2)


@family
def gpt_oss():
    yarn = scaled_rope("yarn", 4.0, theta=150000.0)
    yarn.update(beta_fast=32.0, beta_slow=1.0, truncate=False)
    config = transformers.GptOssConfig(
        **DECODER,
        head_dim=8,
        num_local_experts=4,
        num_experts_per_tok=2,
        sliding_window=32,
        rope_parameters=yarn,
        attn_implementation="eager",
    )
    rope = nnx.RoPE(150000.0, scaling=dict(yarn, max_position_embeddings=512))
    kind = Block(
        rms(1e-5),
        nnx.silu,
        bias=(False, True, True),
        windows=(32, None),
        ropes=(rope, rope),
        attention=SinkAttention,
        mlp=lambda kind, rngs: ClampedExperts(4, 2, 48, True),
    )
    mlp = "model.layers.{i}.mlp"
    both = ("layers.{i}.mlp.gate", "layers.{i}.mlp.up")
    rules = {
        **OUTER,
        **HEAD,
        **ATTENTION,
        **NORMS,
        "model.layers.{i}.self_attn.sinks": "layers.{i}.attn.sinks",
        f"{mlp}.router": "layers.{i}.mlp.router",
        f"{mlp}.experts.gate_up_proj": into(*both, order="alternate", axis=-1),
        f"{mlp}.experts.gate_up_proj_bias": into(
            *(f"{name}_bias" for name in both), order="alternate", axis=-1
        ),
        f"{mlp}.experts.down_proj": "layers.{i}.mlp.down",
        f"{mlp}.experts.down_proj_bias": "layers.{i}.mlp.down_bias",
    }
    return transformers.GptOssForCausalLM(config), kind, rules


@family
def mixtral():
    config = transformers.MixtralConfig(**DECODER, num_local_experts=4)
    rope = nnx.RoPE(1e6)
    kind = Block(
        rms(1e-5),
        nnx.silu,
        ropes=(rope, rope),
        mlp=lambda kind, rngs: Experts(4, 2, 48),
    )
    moe = "model.layers.{i}.block_sparse_moe"
    rules = {
        **OUTER,
        **HEAD,
        **ATTENTION,
        **NORMS,
        f"{moe}.gate": "layers.{i}.mlp.router",
    }
    for theirs, ours in (("w1", "gate"), ("w3", "up"), ("w2", "down")):
        name = f"{moe}.experts.{{e}}.{theirs}.weight"
        rules[name] = into(f"layers.{{i}}.mlp.{ours}", transpose=True)
    return transformers.MixtralForCausalLM(config), kind, rules
