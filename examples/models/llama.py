"""Llama, with the weights of Hugging Face: read them, train, decode.

Touvron et al.: LLaMA, https://arxiv.org/abs/2302.13971, 2023; with the rotary scaling
of Llama 3.1. Mistral's and Qwen2's files fit as well.

    model = load('folder')  # with config.json and model.safetensors
    logits = model(tokens)
    tokens = nnx.generate(model, tokens, model.init_caches(1, 200), 100)
"""

import jax
import parts

import oakum as nnx


class Attention(nnx.Module):
    def __init__(self, config: dict, window: int | None = None, *, rngs: nnx.Rngs):
        width, heads = config["hidden_size"], config["num_attention_heads"]
        kv_heads = config.get("num_key_value_heads") or heads
        depth = config.get("head_dim") or width // heads
        bias = config.get("attention_bias", False)
        self.window = window

        def project(heads):
            some = bias or config.get("model_type") == "qwen2"  # which has no switch
            return nnx.LinearGeneral(width, (heads, depth), use_bias=some, rngs=rngs)

        self.query, self.key, self.value = map(project, (heads, kv_heads, kv_heads))
        self.out = nnx.LinearGeneral(
            (heads, depth), width, axis=(-2, -1), use_bias=bias, rngs=rngs
        )
        self.rope = parts.rope(config)

    def __call__(self, x, positions, mask, cache=None):
        query = parts.turned(self.rope, self.query(x), positions)
        key = parts.turned(self.rope, self.key(x), positions)
        return self.out(
            parts.attend(query, key, self.value(x), mask, cache, self.window)
        )


class MLP(nnx.Module):
    def __init__(self, config: dict, *, rngs: nnx.Rngs):
        width, inner = config["hidden_size"], config["intermediate_size"]
        bias = config.get("mlp_bias", False)
        self.gate = nnx.Linear(width, inner, use_bias=bias, rngs=rngs)
        self.up = nnx.Linear(width, inner, use_bias=bias, rngs=rngs)
        self.down = nnx.Linear(inner, width, use_bias=bias, rngs=rngs)
        self.activation = parts.activation(config["hidden_act"])

    def __call__(self, x):
        return self.down(self.activation(self.gate(x)) * self.up(x))


class Block(nnx.Module):
    def __init__(self, config: dict, attention, mlp, window=None, *, rngs: nnx.Rngs):
        width, epsilon = config["hidden_size"], config["rms_norm_eps"]
        self.attention_norm = nnx.RMSNorm(width, epsilon=epsilon, rngs=rngs)
        self.attention = attention(config, window, rngs=rngs)
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

    families = "llama", "mistral", "qwen2"  # by the model_type of configs
    of_block = Attention, MLP
    weights = nnx.weights.Rules({**ATTENTION, **GATED}, tied=TIED)

    def __init__(self, config: dict, *, stacked: bool = False, rngs: nnx.Rngs):
        width, sizes = config["hidden_size"], parts.windows(config)
        self.embed = nnx.Embed(config["vocab_size"], width, rngs=rngs)
        given = config, *self.of_block
        if stacked and len(set(sizes)) > 1:
            raise ValueError(f"Layers with the windows {sizes} are no stack of equals")
        if stacked:
            count, window = len(sizes), sizes[0]
            self.blocks = nnx.Repeat(Block, count, *given, window, rngs=rngs)
        else:
            self.blocks = [Block(*given, window, rngs=rngs) for window in sizes]
        self.norm = nnx.RMSNorm(width, epsilon=config["rms_norm_eps"], rngs=rngs)
        self.head = None
        if not config.get("tie_word_embeddings", False):
            vocab = config["vocab_size"]
            self.head = nnx.Linear(width, vocab, use_bias=False, rngs=rngs)

    def __call__(self, tokens, caches=None, positions=None, mask=None) -> jax.Array:
        """Logits of the next token, `(batch, seq, vocab)`; `mask` as attention's."""
        x = self.embed(tokens)  # (batch, seq, width)
        if positions is None:
            positions = parts.next_positions(tokens, caches)
        if isinstance(self.blocks, nnx.Repeat):
            x = self.blocks(x, positions, mask, caches)
        else:
            for i, block in enumerate(self.blocks):
                x = block(x, positions, mask, None if caches is None else caches[i])
        x = self.norm(x)
        return self.embed.attend(x) if self.head is None else self.head(x)

    def init_caches(self, batch: int, length: int) -> list[nnx.KVCache] | nnx.Repeat:
        """A cache for each layer, stacked as the blocks are."""
        if isinstance(self.blocks, nnx.Repeat):
            blocks = [self.blocks.layers] * len(self.blocks)
            return nnx.Repeat.stack(parts.make_caches(blocks, batch, length))
        return parts.make_caches(self.blocks, batch, length)


def load(folder: str, stacked: bool = False) -> Llama:
    """The model of a folder from Hugging Face, with its weights."""
    return parts.from_folder(Llama, folder, stacked=stacked)
