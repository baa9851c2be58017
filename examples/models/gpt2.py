"""GPT-2, with the weights of Hugging Face: read them, train, decode.

Radford et al.: Language Models are Unsupervised Multitask Learners, 2019.

    model = load('folder')  # with config.json and model.safetensors
    logits = model(tokens)
    tokens = nnx.generate(model, tokens, model.init_caches(1, 200), 100)
"""

import jax
import parts

import oakum as nnx
from oakum.weights import into


class Attention(nnx.Module):
    def __init__(self, config: dict, layer: int, *, rngs: nnx.Rngs):
        width, heads = config["n_embd"], config["n_head"]
        shape = (heads, width // heads)
        scaled = config.get("scale_attn_weights", True)
        self.scale = shape[1] ** -0.5 if scaled else 1.0
        if config.get("scale_attn_by_inverse_layer_idx"):
            self.scale /= layer + 1
        self.query = nnx.LinearGeneral(width, shape, rngs=rngs)
        self.key = nnx.LinearGeneral(width, shape, rngs=rngs)
        self.value = nnx.LinearGeneral(width, shape, rngs=rngs)
        self.out = nnx.LinearGeneral(shape, width, axis=(-2, -1), rngs=rngs)

    def __call__(self, x, mask, cache=None):
        query, key, value = self.query(x), self.key(x), self.value(x)
        return self.out(parts.attend(query, key, value, mask, cache, scale=self.scale))


class Block(nnx.Module):
    def __init__(self, config: dict, layer: int, *, rngs: nnx.Rngs):
        width = config["n_embd"]
        inner = config.get("n_inner") or 4 * width
        self.attention_norm = norm(config, rngs)
        self.attention = Attention(config, layer, rngs=rngs)
        self.mlp_norm = norm(config, rngs)
        self.expand = nnx.Linear(width, inner, rngs=rngs)
        self.shrink = nnx.Linear(inner, width, rngs=rngs)
        self.activation = parts.activation(config["activation_function"])

    def __call__(self, x, mask, cache=None):
        x = x + self.attention(self.attention_norm(x), mask, cache)
        return x + self.shrink(self.activation(self.expand(self.mlp_norm(x))))


def norm(config: dict, rngs: nnx.Rngs) -> nnx.LayerNorm:
    return parts.layer_norm(config["n_embd"], config["layer_norm_epsilon"], rngs)


class GPT2(nnx.Module):
    # The file has (in, out) for its layers, and one for queries, keys and values.
    weights = nnx.weights.Rules(
        {
            "transformer.wte": "embed",
            "transformer.wpe": "positions",
            "transformer.h.{i}.ln_1": "blocks.{i}.attention_norm",
            "transformer.h.{i}.attn.c_attn": into(
                "blocks.{i}.attention.query",
                "blocks.{i}.attention.key",
                "blocks.{i}.attention.value",
                transpose=False,
            ),
            "transformer.h.{i}.attn.c_proj": into(
                "blocks.{i}.attention.out", transpose=False
            ),
            "transformer.h.{i}.ln_2": "blocks.{i}.mlp_norm",
            "transformer.h.{i}.mlp.c_fc": into("blocks.{i}.expand", transpose=False),
            "transformer.h.{i}.mlp.c_proj": into("blocks.{i}.shrink", transpose=False),
            "transformer.ln_f": "norm",
            "lm_head": "head",
        },
        tied={"lm_head.weight": "transformer.wte.weight"},
    )
    families = ("gpt2",)

    def __init__(self, config: dict, *, rngs: nnx.Rngs):
        parts.expect(config, add_cross_attention=False)
        width, vocab = config["n_embd"], config["vocab_size"]
        self.embed = nnx.Embed(vocab, width, rngs=rngs)
        self.positions = nnx.Embed(config["n_positions"], width, rngs=rngs)
        self.blocks = [Block(config, i, rngs=rngs) for i in range(config["n_layer"])]
        self.norm = norm(config, rngs)
        self.head = None
        if not config.get("tie_word_embeddings", True):
            self.head = nnx.Linear(width, vocab, use_bias=False, rngs=rngs)

    def __call__(self, tokens, caches=None, positions=None, mask=None) -> jax.Array:
        """Logits of the next token, `(batch, seq, vocab)`; `mask` as attention's."""
        if positions is None:
            positions = parts.next_positions(tokens, caches)[None]
        x = self.embed(tokens) + self.positions(positions)  # (batch, seq, width)
        for i, block in enumerate(self.blocks):
            x = block(x, mask, None if caches is None else caches[i])
        x = self.norm(x)
        return self.embed.attend(x) if self.head is None else self.head(x)

    def init_caches(self, batch: int, length: int) -> list[nnx.KVCache]:
        return parts.make_caches(self.blocks, batch, length)


def load(folder: str) -> GPT2:
    """The model of a folder from Hugging Face, with its weights."""
    return parts.from_folder(GPT2, folder)
