"""Families that decode: what their layers are made of, and the rules of each."""

# pyright: reportMissingImports=false

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import transformers
from families.sizes import DECODER, WIDTHS, WORDS, some

import oakum as nnx
from oakum.weights import into

exact_gelu = functools.partial(nnx.gelu, approximate=False)


@dataclasses.dataclass(frozen=True)
class Block:
    """What a decoder's layers are made of.

    Args:
        norm: makes a norm of a width.
        activation: of the MLP.
        gated: whether the MLP has a gate.
        bias: of the MLP, of queries, keys and values, and of the output.
        parallel: whether attention and MLP read the same input.
        after: whether norms stand after attention and MLP: besides, alone, or not.
        window: of each layer.
        rope: of each layer, or None.
        others: for MultiHeadAttention.
    """

    norm: Callable[..., Any]
    activation: Callable[..., Any]
    gated: bool = True
    bias: tuple[bool, bool, bool] = (False, False, False)
    parallel: bool = False
    shared_norm: bool = False
    after: str = ""
    windows: tuple[int | None, ...] = (None, None)
    ropes: tuple[Any, ...] = (None, None)
    inner: int = 48
    heads: int = 4
    kv_heads: int = 2
    depth: int = 8
    width: int = 32
    vocab: int = 96
    scale_embed: float = 1.0
    scale_logits: float = 1.0
    softcap: float | None = None
    tied: bool = False
    head_bias: bool = False
    residual: float = 1.0
    positions: int = 0
    offset: int = 0
    embed_norm: bool = False
    attention: Callable[..., Any] = nnx.MultiHeadAttention
    mlp: Callable[..., Any] | None = None
    others: Any = None


class MLP(nnx.Module):
    def __init__(self, kind: Block, *, rngs: nnx.Rngs):
        make = functools.partial(nnx.Linear, use_bias=kind.bias[0], rngs=rngs)
        self.gate = make(kind.width, kind.inner) if kind.gated else None
        self.up = make(kind.width, kind.inner)
        self.down = make(kind.inner, kind.width)
        self.activation = kind.activation

    def __call__(self, x):
        up = self.up(x)
        hidden = self.activation(up if self.gate is None else self.gate(x))
        return self.down(hidden if self.gate is None else hidden * up)


class Layer(nnx.Module):
    def __init__(self, kind: Block, number: int, *, rngs: nnx.Rngs):
        self.kind = kind
        self.attn = kind.attention(
            kind.heads,
            kind.width,
            kind.heads * kind.depth,
            num_kv_heads=kind.kv_heads,
            use_bias=kind.bias[1],
            out_use_bias=kind.bias[2],
            window=kind.windows[number],
            rope=kind.ropes[number],
            rngs=rngs,
            **(kind.others or {}),
        )
        self.mlp = (kind.mlp or MLP)(kind, rngs=rngs)
        count = {"": 2, "alone": 2, "besides": 4}[kind.after]
        count = 1 if kind.shared_norm else count
        self.norms = [kind.norm(kind.width, rngs=rngs) for _ in range(count)]

    def attend(self, x):
        return self.attn(x, is_causal=True)

    def __call__(self, x):
        norms, scale = self.norms, self.kind.residual
        if self.kind.parallel:
            mlp = self.mlp(norms[-1](x))
            return x + self.attend(norms[0](x)) + mlp
        if self.kind.after == "alone":
            x = x + norms[0](self.attend(x))
            return x + norms[1](self.mlp(x))
        if self.kind.after == "besides":
            x = x + norms[1](self.attend(norms[0](x)))
            return x + norms[3](self.mlp(norms[2](x)))
        x = x + scale * self.attend(norms[0](x))
        return x + scale * self.mlp(norms[1](x))


class Decoder(nnx.Module):
    def __init__(self, kind: Block, *, rngs: nnx.Rngs):
        self.kind = kind
        self.embed = nnx.Embed(kind.vocab, kind.width, rngs=rngs)
        if kind.positions:
            self.positions = nnx.Embed(kind.positions, kind.width, rngs=rngs)
        if kind.embed_norm:
            self.embed_norm = kind.norm(kind.width, rngs=rngs)
        self.layers = [Layer(kind, i, rngs=rngs) for i in range(len(kind.windows))]
        self.norm = kind.norm(kind.width, rngs=rngs)
        self.head = None
        if not kind.tied:
            self.head = nnx.Linear(
                kind.width, kind.vocab, use_bias=kind.head_bias, rngs=rngs
            )

    def __call__(self, tokens):
        x = self.embed(tokens) * self.kind.scale_embed
        if self.kind.positions:
            places = jnp.arange(tokens.shape[1]) + self.kind.offset
            x = x + self.positions(places)[None]
        if self.kind.embed_norm:
            x = self.embed_norm(x)
        for layer in self.layers:
            x = layer(x)
        x = self.norm(x)
        logits = self.embed.attend(x) if self.head is None else self.head(x)
        logits = logits * self.kind.scale_logits
        if self.kind.softcap is not None:
            logits = self.kind.softcap * jnp.tanh(logits / self.kind.softcap)
        return logits


FAMILIES: dict[str, Callable[[], tuple[Any, Any, Any]]] = {}
HEAD = {"lm_head": "head"}
OUTER = {"model.embed_tokens": "embed", "model.norm": "norm"}
PARTS = {"q": "query", "k": "key", "v": "value", "o": "out"}
ATTENTION = {
    f"model.layers.{{i}}.self_attn.{theirs}_proj": f"layers.{{i}}.attn.{ours}"
    for theirs, ours in PARTS.items()
}
GATED = {
    "model.layers.{i}.mlp.gate_proj": "layers.{i}.mlp.gate",
    "model.layers.{i}.mlp.up_proj": "layers.{i}.mlp.up",
    "model.layers.{i}.mlp.down_proj": "layers.{i}.mlp.down",
}
NORMS = {
    "model.layers.{i}.input_layernorm": "layers.{i}.norms.0",
    "model.layers.{i}.post_attention_layernorm": "layers.{i}.norms.1",
}


def norms(*names):
    """Rules of the norms of a block, in order."""
    return {name: f"layers.{{i}}.norms.{number}" for number, name in enumerate(names)}


def joined(layer, attention, heads):
    """Rules of a block where queries, keys and values lie together for each head."""
    parts = [f"layers.{{i}}.attn.{part}" for part in ("query", "key", "value")]
    return {
        f"{layer}.{attention}.query_key_value": into(
            *parts, order="heads", heads=heads
        ),
        f"{layer}.{attention}.dense": "layers.{i}.attn.out",
        f"{layer}.mlp.dense_h_to_4h": "layers.{i}.mlp.up",
        f"{layer}.mlp.dense_4h_to_h": "layers.{i}.mlp.down",
    }


def family(make: Callable[[], tuple[Any, Any, Any]]) -> Any:
    FAMILIES[make.__name__] = make
    return make


def rms(epsilon, **options):
    return functools.partial(nnx.RMSNorm, epsilon=epsilon, **options)


def layer_norm(epsilon=1e-5, **options):
    return functools.partial(
        nnx.LayerNorm, epsilon=epsilon, use_fast_variance=False, **options
    )


def gpt_block(activation, **options):
    """As GPT has it: LayerNorm, an MLP without a gate, and biases in all products."""
    biases = (True, True, True)
    return Block(layer_norm(), activation, gated=False, bias=biases, **options)


@family
def mistral():
    config = transformers.MistralConfig(**DECODER, sliding_window=32, rms_norm_eps=1e-6)
    kind = Block(rms(1e-6), nnx.silu, windows=(32, 32), ropes=(nnx.RoPE(), nnx.RoPE()))
    rules = {**OUTER, **HEAD, **ATTENTION, **GATED, **NORMS}
    return transformers.MistralForCausalLM(config), kind, rules


@family
def qwen2():
    config = transformers.Qwen2Config(**DECODER, tie_word_embeddings=True)
    kind = Block(
        rms(1e-6),
        nnx.silu,
        bias=(False, True, False),
        ropes=(nnx.RoPE(), nnx.RoPE()),
        tied=True,
    )
    tied = {"lm_head.weight": "model.embed_tokens.weight"}
    rules = nnx.weights.Rules({**OUTER, **ATTENTION, **GATED, **NORMS}, tied=tied)
    return transformers.Qwen2ForCausalLM(config), kind, rules


@family
def phi3():
    scaling = dict(
        rope_type="longrope",
        rope_theta=10000.0,
        short_factor=[1.0, 1.1, 1.2, 1.3],
        long_factor=[1.5, 2.0, 3.0, 4.0],
        original_max_position_embeddings=64,
    )
    config = transformers.Phi3Config(
        **DECODER, rope_parameters=scaling, original_max_position_embeddings=64
    )
    longest = dict(scaling, max_position_embeddings=512)
    rope = nnx.RoPE(scaling=longest)
    kind = Block(rms(1e-5), nnx.silu, ropes=(rope, rope))
    attn, mlp = "layers.{i}.attn.", "layers.{i}.mlp."
    rules = {
        **OUTER,
        **HEAD,
        **NORMS,
        "model.layers.{i}.self_attn.qkv_proj": into(
            f"{attn}query", f"{attn}key", f"{attn}value"
        ),
        "model.layers.{i}.self_attn.o_proj": f"{attn}out",
        "model.layers.{i}.mlp.gate_up_proj": into(f"{mlp}gate", f"{mlp}up"),
        "model.layers.{i}.mlp.down_proj": f"{mlp}down",
    }
    return transformers.Phi3ForCausalLM(config), kind, rules


@family
def gemma2():
    config = transformers.Gemma2Config(
        **DECODER, head_dim=16, query_pre_attn_scalar=24, sliding_window=32
    )
    kind = Block(
        rms(1e-6, offset=1.0),
        nnx.gelu,
        depth=16,
        after="besides",
        windows=(32, None),
        ropes=(nnx.RoPE(), nnx.RoPE()),
        scale_embed=math.sqrt(32),
        softcap=30.0,
        tied=True,
        others={"scale": 24**-0.5, "softcap": 50.0},
    )
    rules = {
        **OUTER,
        **ATTENTION,
        **GATED,
        **NORMS,
        "model.layers.{i}.pre_feedforward_layernorm": "layers.{i}.norms.2",
        "model.layers.{i}.post_feedforward_layernorm": "layers.{i}.norms.3",
    }
    return transformers.Gemma2ForCausalLM(config), kind, rules


def whole_norm(depth, rngs):
    """Of all heads together, which OLMo 2 normalizes as one."""
    axes = {"reduction_axes": (-2, -1), "feature_axes": (-2, -1)}
    return nnx.RMSNorm(4 * depth, epsilon=1e-5, **axes, rngs=rngs)


@family
def olmo2():
    sizes = dict(DECODER, num_key_value_heads=4)
    config = transformers.Olmo2Config(**sizes, rms_norm_eps=1e-5)
    rope = nnx.RoPE()
    kind = Block(
        rms(1e-5),
        nnx.silu,
        after="alone",
        kv_heads=4,
        ropes=(rope, rope),
        others={"qk_norm": whole_norm},
    )
    rules = {
        **OUTER,
        **HEAD,
        **ATTENTION,
        **GATED,
        "model.layers.{i}.self_attn.q_norm": "layers.{i}.attn.query_ln",
        "model.layers.{i}.self_attn.k_norm": "layers.{i}.attn.key_ln",
        **norms(
            "model.layers.{i}.post_attention_layernorm",
            "model.layers.{i}.post_feedforward_layernorm",
        ),
    }
    return transformers.Olmo2ForCausalLM(config), kind, rules


@family
def gpt_neox():
    config = transformers.GPTNeoXConfig(**some("num_key_value_heads"))
    rope = nnx.RoPE(fraction=0.25)
    kind = gpt_block(
        exact_gelu,
        parallel=True,
        kv_heads=4,
        ropes=(rope, rope),
    )
    rules = {
        "gpt_neox.embed_in": "embed",
        **norms(
            "gpt_neox.layers.{i}.input_layernorm",
            "gpt_neox.layers.{i}.post_attention_layernorm",
        ),
        **joined("gpt_neox.layers.{i}", "attention", 4),
        "gpt_neox.final_layer_norm": "norm",
        "embed_out": "head",
    }
    return transformers.GPTNeoXForCausalLM(config), kind, rules


@family
def stablelm():
    config = transformers.StableLmConfig(**DECODER, use_qkv_bias=True)
    rope = nnx.RoPE(fraction=0.25)
    kind = Block(layer_norm(), nnx.silu, bias=(False, True, False), ropes=(rope, rope))
    rules = {**OUTER, **HEAD, **ATTENTION, **GATED, **NORMS}
    return transformers.StableLmForCausalLM(config), kind, rules


@family
def falcon():
    sizes = some("num_key_value_heads", "intermediate_size")
    config = transformers.FalconConfig(
        **sizes, new_decoder_architecture=True, num_kv_heads=2, ffn_hidden_size=48
    )
    kind = Block(
        layer_norm(),
        exact_gelu,
        gated=False,
        parallel=True,
        ropes=(nnx.RoPE(), nnx.RoPE()),
        tied=True,
    )
    rules = {
        "transformer.word_embeddings": "embed",
        **norms("transformer.h.{i}.ln_attn", "transformer.h.{i}.ln_mlp"),
        **joined("transformer.h.{i}", "self_attention", 2),
        "transformer.ln_f": "norm",
    }
    return transformers.FalconForCausalLM(config), kind, rules


@family
def cohere():
    config = transformers.CohereConfig(**DECODER, logit_scale=0.25)
    rope = nnx.RoPE(500000.0, neighbours=True)
    kind = Block(
        layer_norm(use_bias=False),
        nnx.silu,
        parallel=True,
        shared_norm=True,
        ropes=(rope, rope),
        tied=True,
        scale_logits=0.25,
    )
    norm = {"model.layers.{i}.input_layernorm": "layers.{i}.norms.0"}
    rules = {**OUTER, **ATTENTION, **GATED, **norm}
    return transformers.CohereForCausalLM(config), kind, rules


@family
def phi():
    config = transformers.PhiConfig(**DECODER)
    rope = nnx.RoPE(fraction=0.5)
    kind = gpt_block(
        nnx.gelu,
        parallel=True,
        shared_norm=True,
        ropes=(rope, rope),
        head_bias=True,
    )
    rules = {
        "model.embed_tokens": "embed",
        "model.final_layernorm": "norm",
        **HEAD,
        "model.layers.{i}.input_layernorm": "layers.{i}.norms.0",
        **{k: v for k, v in ATTENTION.items() if "o_proj" not in k},
        "model.layers.{i}.self_attn.dense": "layers.{i}.attn.out",
        "model.layers.{i}.mlp.fc1": "layers.{i}.mlp.up",
        "model.layers.{i}.mlp.fc2": "layers.{i}.mlp.down",
    }
    return transformers.PhiForCausalLM(config), kind, rules


@family
def opt():
    config = transformers.OPTConfig(
        **WIDTHS,
        **WORDS,
        ffn_dim=48,
        word_embed_proj_dim=32,
        pad_token_id=1,
    )
    kind = gpt_block(
        nnx.relu,
        kv_heads=4,
        positions=302,
        offset=2,
        tied=True,
    )
    base = "model.decoder.layers.{i}."
    rules = {
        "model.decoder.embed_tokens": "embed",
        "model.decoder.embed_positions": "positions",
        "model.decoder.final_layer_norm": "norm",
        **norms(f"{base}self_attn_layer_norm", f"{base}final_layer_norm"),
        f"{base}self_attn.q_proj": "layers.{i}.attn.query",
        f"{base}self_attn.k_proj": "layers.{i}.attn.key",
        f"{base}self_attn.v_proj": "layers.{i}.attn.value",
        f"{base}self_attn.out_proj": "layers.{i}.attn.out",
        f"{base}fc1": "layers.{i}.mlp.up",
        f"{base}fc2": "layers.{i}.mlp.down",
    }
    return transformers.OPTForCausalLM(config), kind, rules
