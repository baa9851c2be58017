"""Llama, with the weights of Hugging Face: read them, train, decode.

Touvron et al.: LLaMA, https://arxiv.org/abs/2302.13971, 2023; with the rotary scaling
of Llama 3.1. Mistral's and Qwen2's files fit as well, where no window is used.

    model = load('folder')  # with config.json and model.safetensors
    logits = model(tokens)
    tokens = nnx.generate(model, tokens, model.init_caches(1, 200), 100)
"""

import jax
from parts import attend, from_folder, next_positions, turned

import oakum as nnx


class Attention(nnx.Module):
    def __init__(self, config: dict, *, rngs: nnx.Rngs):
        width, heads = config["hidden_size"], config["num_attention_heads"]
        kv_heads = config.get("num_key_value_heads") or heads
        depth = config.get("head_dim") or width // heads
        bias = config.get("attention_bias", False)

        def project(heads):
            return nnx.LinearGeneral(width, (heads, depth), use_bias=bias, rngs=rngs)

        self.query, self.key, self.value = map(project, (heads, kv_heads, kv_heads))
        self.out = nnx.LinearGeneral(
            (heads, depth), width, axis=(-2, -1), use_bias=bias, rngs=rngs
        )
        scaling = config.get("rope_parameters") or config.get("rope_scaling") or {}
        longest = config["max_position_embeddings"]
        self.rope = nnx.RoPE(
            scaling.get("rope_theta") or config.get("rope_theta", 10000.0),
            scaling={"max_position_embeddings": longest, **scaling},
        )

    def __call__(self, x, positions, mask, cache=None):
        query = turned(self.rope, self.query(x), positions)
        key = turned(self.rope, self.key(x), positions)
        return self.out(attend(query, key, self.value(x), mask, cache))


class MLP(nnx.Module):
    def __init__(self, config: dict, *, rngs: nnx.Rngs):
        width, inner = config["hidden_size"], config["intermediate_size"]
        bias = config.get("mlp_bias", False)
        self.gate = nnx.Linear(width, inner, use_bias=bias, rngs=rngs)
        self.up = nnx.Linear(width, inner, use_bias=bias, rngs=rngs)
        self.down = nnx.Linear(inner, width, use_bias=bias, rngs=rngs)
        self.activation = {"silu": nnx.silu}[config["hidden_act"]]

    def __call__(self, x):
        return self.down(self.activation(self.gate(x)) * self.up(x))


class Block(nnx.Module):
    def __init__(self, config: dict, attention, mlp, *, rngs: nnx.Rngs):
        width, epsilon = config["hidden_size"], config["rms_norm_eps"]
        self.attention_norm = nnx.RMSNorm(width, epsilon=epsilon, rngs=rngs)
        self.attention = attention(config, rngs=rngs)
        self.mlp_norm = nnx.RMSNorm(width, epsilon=epsilon, rngs=rngs)
        self.mlp = mlp(config, rngs=rngs)

    def __call__(self, x, positions, mask, cache=None):
        x = x + self.attention(self.attention_norm(x), positions, mask, cache)
        return x + self.mlp(self.mlp_norm(x))


ATTENTION = {
    "model.embed_tokens": "embed",
    "model.layers.{i}.input_layernorm": "blocks.{i}.attention_norm",
    "model.layers.{i}.self_attn.q_proj": "blocks.{i}.attention.query",
    "model.layers.{i}.self_attn.k_proj": "blocks.{i}.attention.key",
    "model.layers.{i}.self_attn.v_proj": "blocks.{i}.attention.value",
    "model.layers.{i}.self_attn.o_proj": "blocks.{i}.attention.out",
    "model.layers.{i}.post_attention_layernorm": "blocks.{i}.mlp_norm",
    "model.norm": "norm",
    "lm_head": "head",
}
GATED = {
    "model.layers.{i}.mlp.gate_proj": "blocks.{i}.mlp.gate",
    "model.layers.{i}.mlp.up_proj": "blocks.{i}.mlp.up",
    "model.layers.{i}.mlp.down_proj": "blocks.{i}.mlp.down",
}
TIED = {"lm_head.weight": "model.embed_tokens.weight"}


class Llama(nnx.Module):
    """The model; `stacked` makes its blocks one `Repeat`, of which one is compiled."""

    parts = Attention, MLP  # of each block
    weights = nnx.weights.Rules({**ATTENTION, **GATED}, tied=TIED)

    def __init__(self, config: dict, *, stacked: bool = False, rngs: nnx.Rngs):
        width, layers = config["hidden_size"], config["num_hidden_layers"]
        self.embed = nnx.Embed(config["vocab_size"], width, rngs=rngs)
        if stacked:
            self.blocks = nnx.Repeat(Block, layers, config, *self.parts, rngs=rngs)
        else:
            self.blocks = [Block(config, *self.parts, rngs=rngs) for _ in range(layers)]
        self.norm = nnx.RMSNorm(width, epsilon=config["rms_norm_eps"], rngs=rngs)
        self.head = None
        if not config.get("tie_word_embeddings", False):
            vocab = config["vocab_size"]
            self.head = nnx.Linear(width, vocab, use_bias=False, rngs=rngs)

    def __call__(self, tokens, caches=None, positions=None, mask=None) -> jax.Array:
        """Logits of the next token, `(batch, seq, vocab)`; `mask` as attention's."""
        x = self.embed(tokens)  # (batch, seq, width)
        if positions is None:
            positions = next_positions(tokens, caches)
        if isinstance(self.blocks, nnx.Repeat):
            x = self.blocks(x, positions, mask, caches)
        else:
            for i, block in enumerate(self.blocks):
                x = block(x, positions, mask, None if caches is None else caches[i])
        x = self.norm(x)
        return self.embed.attend(x) if self.head is None else self.head(x)

    def init_caches(self, batch: int, length: int) -> list[nnx.KVCache] | nnx.Repeat:
        """A cache for each layer, stacked as the blocks are."""
        stacked = isinstance(self.blocks, nnx.Repeat)
        block = self.blocks.layers if stacked else self.blocks[0]
        shape = block.attention.key.out_features
        caches = [nnx.KVCache(batch, length, *shape) for _ in range(len(self.blocks))]
        return nnx.Repeat.stack(caches) if stacked else caches


def load(folder: str, stacked: bool = False) -> Llama:
    """The model of a folder from Hugging Face, with its weights."""
    return from_folder(Llama, folder, stacked=stacked)
