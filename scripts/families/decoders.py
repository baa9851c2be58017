"""Families that decode, most of them Llama or GPT with a few parts of their own."""

# pyright: reportMissingImports=false

import math

import transformers
from families.block import (
    ATTENTION,
    GATED,
    HEAD,
    NORMS,
    OUTER,
    Block,
    exact_gelu,
    family,
    gpt_block,
    joined,
    layer_norm,
    mlp,
    norms,
    outer,
    projections,
    rms,
)
from families.sizes import DECODER, WIDTHS, WORDS, some

import oakum as nnx
from oakum.weights import into


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
    layer = "gpt_neox.layers.{i}"
    rules = outer("gpt_neox", "embed_in", "final_layer_norm") | {"embed_out": "head"}
    rules |= norms(f"{layer}.input_layernorm", f"{layer}.post_attention_layernorm")
    rules |= joined(layer, "attention", 4)
    return transformers.GPTNeoXForCausalLM(config), kind, rules


@family
def gptj():
    config = transformers.GPTJConfig(
        vocab_size=96, n_embd=32, n_layer=2, n_head=4, rotary_dim=4, n_positions=300
    )
    rope = nnx.RoPE(fraction=0.5, neighbours=True)
    kind = Block(
        layer_norm(),
        nnx.gelu,
        gated=False,
        bias=(True, False, False),
        parallel=True,
        shared_norm=True,
        kv_heads=4,
        inner=128,
        ropes=(rope, rope),
        head_bias=True,
    )
    layer = "transformer.h.{i}"
    rules = {**outer("transformer", "wte", "ln_f"), **HEAD, **norms(f"{layer}.ln_1")}
    rules |= projections(f"{layer}.attn") | mlp(f"{layer}.mlp", "fc_in", "fc_out")
    return transformers.GPTJForCausalLM(config), kind, rules


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
    layer = "transformer.h.{i}"
    rules = outer("transformer", "word_embeddings", "ln_f")
    rules |= norms(f"{layer}.ln_attn", f"{layer}.ln_mlp")
    rules |= joined(layer, "self_attention", 2)
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
    norm = norms("model.layers.{i}.input_layernorm")
    rules = {**OUTER, **ATTENTION, **GATED, **norm}
    return transformers.CohereForCausalLM(config), kind, rules


@family
def phi():
    config = transformers.PhiConfig(**DECODER)
    rope = nnx.RoPE(fraction=0.5)
    kind = gpt_block(
        nnx.gelu, parallel=True, shared_norm=True, ropes=(rope, rope), head_bias=True
    )
    layer, names = "model.layers.{i}", ("q_proj", "k_proj", "v_proj", "dense")
    rules = {**outer("model", "embed_tokens", "final_layernorm"), **HEAD}
    rules |= norms(f"{layer}.input_layernorm") | mlp(f"{layer}.mlp", "fc1", "fc2")
    rules |= projections(f"{layer}.self_attn", names=names)
    return transformers.PhiForCausalLM(config), kind, rules


@family
def opt():
    config = transformers.OPTConfig(
        **WIDTHS, **WORDS, ffn_dim=48, word_embed_proj_dim=32, pad_token_id=1
    )
    kind = gpt_block(nnx.relu, kv_heads=4, positions=302, offset=2, tied=True)
    layer = "model.decoder.layers.{i}"
    rules = {
        **outer("model.decoder", "embed_tokens", "final_layer_norm"),
        "model.decoder.embed_positions": "positions",
        **norms(f"{layer}.self_attn_layer_norm", f"{layer}.final_layer_norm"),
    }
    rules |= projections(f"{layer}.self_attn") | mlp(layer, "fc1", "fc2")
    return transformers.OPTForCausalLM(config), kind, rules
