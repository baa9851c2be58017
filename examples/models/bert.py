"""BERT, with the weights of Hugging Face: fills in masked words.

Devlin et al.: BERT, https://arxiv.org/abs/1810.04805, 2018.

    model = load('folder')  # with config.json and model.safetensors
    logits = model(tokens)
"""

import jax
import jax.numpy as jnp
from parts import activation, expect, from_folder, hidden_norm

import oakum as nnx


class Block(nnx.Module):
    def __init__(self, config: dict, *, rngs: nnx.Rngs):
        width, inner = config["hidden_size"], config["intermediate_size"]
        heads = config["num_attention_heads"]
        self.attention = nnx.MultiHeadAttention(heads, width, rngs=rngs)
        self.attention_norm = hidden_norm(config, rngs)
        self.expand = nnx.Linear(width, inner, rngs=rngs)
        self.shrink = nnx.Linear(inner, width, rngs=rngs)
        self.mlp_norm = hidden_norm(config, rngs)
        self.activation = activation(config["hidden_act"])

    def __call__(self, x, mask):
        x = self.attention_norm(x + self.attention(x, mask=mask))
        return self.mlp_norm(x + self.shrink(self.activation(self.expand(x))))


class Bert(nnx.Module):
    weights = nnx.weights.Rules(
        {
            "bert.embeddings.word_embeddings": "embed",
            "bert.embeddings.position_embeddings": "positions",
            "bert.embeddings.token_type_embeddings": "kinds",
            "bert.embeddings.LayerNorm": "embed_norm",
            "bert.encoder.layer.{i}.attention.self.query": "blocks.{i}.attention.query",
            "bert.encoder.layer.{i}.attention.self.key": "blocks.{i}.attention.key",
            "bert.encoder.layer.{i}.attention.self.value": "blocks.{i}.attention.value",
            "bert.encoder.layer.{i}.attention.output.dense": "blocks.{i}.attention.out",
            "bert.encoder.layer.{i}.attention.output.LayerNorm": (
                "blocks.{i}.attention_norm"
            ),
            "bert.encoder.layer.{i}.intermediate.dense": "blocks.{i}.expand",
            "bert.encoder.layer.{i}.output.dense": "blocks.{i}.shrink",
            "bert.encoder.layer.{i}.output.LayerNorm": "blocks.{i}.mlp_norm",
            "cls.predictions.transform.dense": "head",
            "cls.predictions.transform.LayerNorm": "head_norm",
            "cls.predictions.bias": "bias",
        },
        tied={
            "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
            "cls.predictions.decoder.bias": "cls.predictions.bias",
        },
        # Of the task of the next sentence, and of a classifier on the first token.
        ignore=("cls.seq_relationship.*", "bert.pooler.*"),
    )
    families = ("bert",)

    def __init__(self, config: dict, *, rngs: nnx.Rngs):
        expect(config, is_decoder=False, tie_word_embeddings=True)
        expect(config, position_embedding_type="absolute")
        width, vocab = config["hidden_size"], config["vocab_size"]
        self.embed = nnx.Embed(vocab, width, rngs=rngs)
        self.positions = nnx.Embed(config["max_position_embeddings"], width, rngs=rngs)
        self.kinds = nnx.Embed(config["type_vocab_size"], width, rngs=rngs)
        self.embed_norm = hidden_norm(config, rngs)
        layers = config["num_hidden_layers"]
        self.blocks = [Block(config, rngs=rngs) for _ in range(layers)]
        self.head = nnx.Linear(width, width, rngs=rngs)
        self.head_norm = hidden_norm(config, rngs)
        self.bias = nnx.Param(jnp.zeros(vocab))
        self.activation = activation(config["hidden_act"])

    def __call__(self, tokens, kinds=None, mask=None) -> jax.Array:
        """Logits of each word, `(batch, seq, vocab)`.

        `kinds` is 0 for the tokens of a first sentence and 1 for those of a second;
        `mask` is 0 or False for padding.
        """
        kinds = jnp.zeros_like(tokens) if kinds is None else kinds
        places = self.positions(jnp.arange(tokens.shape[1])[None])
        x = self.embed(tokens) + places + self.kinds(kinds)
        x = self.embed_norm(x)  # (batch, seq, width)
        mask = None if mask is None else mask[:, None, None, :]
        for block in self.blocks:
            x = block(x, mask)
        x = self.head_norm(self.activation(self.head(x)))
        return self.embed.attend(x) + self.bias[None, None]


def load(folder: str) -> Bert:
    """The model of a folder from Hugging Face, with its weights."""
    return from_folder(Bert, folder)
