"""Gemma 3 for text, with the weights of Hugging Face: read them, train, decode.

Gemma Team: Gemma 3 Technical Report, https://arxiv.org/abs/2503.19786, 2025. Most
layers look at a window alone, and turn positions by other angles than the others.

    model = load('folder')  # with config.json and model.safetensors
    logits = model(tokens)
    tokens = nnx.generate(model, tokens, model.init_caches(1, 200), 100)
"""

import math

import jax
import jax.numpy as jnp
import parts

import oakum as nnx


def norm(size: int, config: dict, rngs: nnx.Rngs) -> nnx.RMSNorm:
    # Gemma multiplies with 1 + w, and its files hold w.
    return nnx.RMSNorm(size, epsilon=config["rms_norm_eps"], offset=1.0, rngs=rngs)


class Attention(nnx.Module):
    def __init__(self, config: dict, kind: str, *, rngs: nnx.Rngs):
        width, heads = config["hidden_size"], config["num_attention_heads"]
        kv_heads, depth = config["num_key_value_heads"], config["head_dim"]
        bias = config.get("attention_bias", False)

        def project(heads):
            return nnx.LinearGeneral(width, (heads, depth), use_bias=bias, rngs=rngs)

        self.query, self.key, self.value = map(project, (heads, kv_heads, kv_heads))
        self.query_norm = norm(depth, config, rngs)
        self.key_norm = norm(depth, config, rngs)
        self.out = nnx.LinearGeneral(
            (heads, depth), width, axis=(-2, -1), use_bias=bias, rngs=rngs
        )
        self.rope = parts.rope(config, kind, theta=1e6)
        self.window = config["sliding_window"] if kind == parts.LOCAL else None
        self.scale = config["query_pre_attn_scalar"] ** -0.5
        # A config may have attn_logit_softcapping, which transformers leaves aside too.

    def __call__(self, x, positions, mask, cache=None):
        query, key = self.query_norm(self.query(x)), self.key_norm(self.key(x))
        query, key = [
            parts.turned(self.rope, heads, positions) for heads in (query, key)
        ]
        value, options = self.value(x), {"scale": self.scale, "window": self.window}
        return self.out(parts.attend(query, key, value, mask, cache, **options))


class Block(nnx.Module):
    def __init__(self, config: dict, kind: str, *, rngs: nnx.Rngs):
        width, inner = config["hidden_size"], config["intermediate_size"]
        self.norms = [norm(width, config, rngs) for _ in range(4)]
        self.attention = Attention(config, kind, rngs=rngs)
        self.gate = nnx.Linear(width, inner, use_bias=False, rngs=rngs)
        self.up = nnx.Linear(width, inner, use_bias=False, rngs=rngs)
        self.down = nnx.Linear(inner, width, use_bias=False, rngs=rngs)
        self.activation = parts.activation(config["hidden_activation"])

    def __call__(self, x, positions, mask, cache=None):
        before, after, before_mlp, after_mlp = self.norms
        x = x + after(self.attention(before(x), positions, mask, cache))
        hidden = before_mlp(x)
        hidden = self.activation(self.gate(hidden)) * self.up(hidden)
        return x + after_mlp(self.down(hidden))


class Gemma3(nnx.Module):
    weights = nnx.weights.Rules(
        {
            "model.embed_tokens": "embed",
            "model.layers.{i}.input_layernorm": "blocks.{i}.norms.0",
            "model.layers.{i}.post_attention_layernorm": "blocks.{i}.norms.1",
            "model.layers.{i}.pre_feedforward_layernorm": "blocks.{i}.norms.2",
            "model.layers.{i}.post_feedforward_layernorm": "blocks.{i}.norms.3",
            "model.layers.{i}.self_attn.q_proj": "blocks.{i}.attention.query",
            "model.layers.{i}.self_attn.k_proj": "blocks.{i}.attention.key",
            "model.layers.{i}.self_attn.v_proj": "blocks.{i}.attention.value",
            "model.layers.{i}.self_attn.q_norm": "blocks.{i}.attention.query_norm",
            "model.layers.{i}.self_attn.k_norm": "blocks.{i}.attention.key_norm",
            "model.layers.{i}.self_attn.o_proj": "blocks.{i}.attention.out",
            "model.layers.{i}.mlp.gate_proj": "blocks.{i}.gate",
            "model.layers.{i}.mlp.up_proj": "blocks.{i}.up",
            "model.layers.{i}.mlp.down_proj": "blocks.{i}.down",
            "model.norm": "norm",
            "lm_head": "head",
        },
        tied={"lm_head.weight": "model.embed_tokens.weight"},
    )
    families = ("gemma3_text",)

    def __init__(self, config: dict, *, rngs: nnx.Rngs):
        kinds = parts.layer_kinds(config)
        parts.expect(config, use_bidirectional_attention=False)
        width, vocab = config["hidden_size"], config["vocab_size"]
        self.embed = nnx.Embed(vocab, width, rngs=rngs)
        self.blocks = [Block(config, kind, rngs=rngs) for kind in kinds]
        self.norm = norm(width, config, rngs)
        self.head = None
        if not config.get("tie_word_embeddings", True):
            self.head = nnx.Linear(width, vocab, use_bias=False, rngs=rngs)
        self.softcap = config.get("final_logit_softcapping")

    def __call__(self, tokens, caches=None, positions=None, mask=None) -> jax.Array:
        """Logits of the next token, `(batch, seq, vocab)`; `mask` as attention's."""
        x = self.embed(tokens)  # (batch, seq, width)
        x = x * jnp.asarray(math.sqrt(x.shape[-1]), x.dtype)
        if positions is None:
            positions = parts.next_positions(tokens, caches)
        for i, block in enumerate(self.blocks):
            x = block(x, positions, mask, None if caches is None else caches[i])
        x = self.norm(x)
        logits = self.embed.attend(x) if self.head is None else self.head(x)
        if self.softcap is not None:
            logits = self.softcap * jnp.tanh(logits / self.softcap)
        return logits

    def init_caches(self, batch: int, length: int) -> list[nnx.KVCache]:
        return parts.make_caches(self.blocks, batch, length)


def load(folder: str) -> Gemma3:
    """The model of a folder from Hugging Face, with its weights."""
    return parts.from_folder(Gemma3, folder)
