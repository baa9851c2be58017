"""The vision transformer, with the weights of Hugging Face: classifies images.

Dosovitskiy et al.: An Image is Worth 16x16 Words, https://arxiv.org/abs/2010.11929,
2020.

    model = load('folder')  # with config.json and model.safetensors
    logits = model(images)
"""

import jax
import jax.numpy as jnp
from parts import activation, from_folder, hidden_norm

import oakum as nnx


def both(size: int | list[int]) -> tuple[int, int]:
    """Height and width, of which a config may have one for both."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])


class Block(nnx.Module):
    def __init__(self, config: dict, *, rngs: nnx.Rngs):
        width, inner = config["hidden_size"], config["intermediate_size"]
        heads = config["num_attention_heads"]
        self.attention_norm = hidden_norm(config, rngs)
        biased = config.get("qkv_bias", True)
        self.attention = nnx.MultiHeadAttention(
            heads, width, use_bias=biased, out_use_bias=True, rngs=rngs
        )
        self.mlp_norm = hidden_norm(config, rngs)
        self.expand = nnx.Linear(width, inner, rngs=rngs)
        self.shrink = nnx.Linear(inner, width, rngs=rngs)
        self.activation = activation(config["hidden_act"])

    def __call__(self, x):
        x = x + self.attention(self.attention_norm(x))
        return x + self.shrink(self.activation(self.expand(self.mlp_norm(x))))


class ViT(nnx.Module):
    weights = nnx.weights.Rules(
        {
            "vit.embeddings.cls_token": "first",
            "vit.embeddings.position_embeddings": "positions",
            "vit.embeddings.patch_embeddings.projection": "patches",
            "vit.encoder.layer.{i}.layernorm_before": "blocks.{i}.attention_norm",
            "vit.encoder.layer.{i}.attention.attention.query": (
                "blocks.{i}.attention.query"
            ),
            "vit.encoder.layer.{i}.attention.attention.key": "blocks.{i}.attention.key",
            "vit.encoder.layer.{i}.attention.attention.value": (
                "blocks.{i}.attention.value"
            ),
            "vit.encoder.layer.{i}.attention.output.dense": "blocks.{i}.attention.out",
            "vit.encoder.layer.{i}.layernorm_after": "blocks.{i}.mlp_norm",
            "vit.encoder.layer.{i}.intermediate.dense": "blocks.{i}.expand",
            "vit.encoder.layer.{i}.output.dense": "blocks.{i}.shrink",
            "vit.layernorm": "norm",
            "classifier": "head",
        },
        ignore="vit.pooler.*",
    )
    families = ("vit",)

    def __init__(self, config: dict, *, rngs: nnx.Rngs):
        width = config["hidden_size"]
        size, patch = both(config["image_size"]), both(config["patch_size"])
        self.patches = nnx.Conv(
            config["num_channels"],
            width,
            patch,
            strides=patch,
            padding="VALID",
            rngs=rngs,
        )
        count = (size[0] // patch[0]) * (size[1] // patch[1])
        init = nnx.initializers.normal(config["initializer_range"])
        self.first = nnx.Param(init(rngs.params(), (1, 1, width)))
        self.positions = nnx.Param(init(rngs.params(), (1, count + 1, width)))
        layers = config["num_hidden_layers"]
        self.blocks = [Block(config, rngs=rngs) for _ in range(layers)]
        self.norm = hidden_norm(config, rngs)
        self.head = nnx.Linear(width, len(config["id2label"]), rngs=rngs)

    def __call__(self, images) -> jax.Array:
        """Logits of the classes, `(batch, classes)`, of `(batch, y, x, channels)`."""
        x = self.patches(images)
        x = x.reshape(x.shape[0], -1, x.shape[-1])  # (batch, patches, width)
        first = jnp.broadcast_to(self.first[...], (x.shape[0], 1, x.shape[-1]))
        x = jnp.concatenate([first, x], 1) + self.positions[...]
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


def load(folder: str) -> ViT:
    """The model of a folder from Hugging Face, with its weights."""
    return from_folder(ViT, folder)
