"""Families that look at images: CLIP beside text, ResNet, ConvNeXt."""

# pyright: reportMissingImports=false

import jax.numpy as jnp
import transformers
from families.bart import PARTS, Attention
from families.block import exact_gelu, family, layer_norm
from families.sizes import LAYERS

import oakum as nnx


class ClipLayer(nnx.Module):
    def __init__(self, causal):
        self.layer_norm1 = layer_norm()(32, rngs=nnx.Rngs(0))
        self.self_attn = Attention(4, 32, rngs=nnx.Rngs(0))
        self.layer_norm2 = layer_norm()(32, rngs=nnx.Rngs(0))
        self.fc1 = nnx.Linear(32, 48, rngs=nnx.Rngs(0))
        self.fc2 = nnx.Linear(48, 32, rngs=nnx.Rngs(0))
        self.causal = causal

    def __call__(self, x):
        x = x + self.self_attn(self.layer_norm1(x), is_causal=self.causal)
        return x + self.fc2(nnx.quick_gelu(self.fc1(self.layer_norm2(x))))


class Clip(nnx.Module):
    def __init__(self):
        self.embed = nnx.Embed(96, 32, rngs=nnx.Rngs(0))
        self.places = nnx.Embed(77, 32, rngs=nnx.Rngs(0))
        self.text = [ClipLayer(True) for _ in range(2)]
        self.text_norm = layer_norm()(32, rngs=nnx.Rngs(0))
        self.text_out = nnx.Linear(32, 24, use_bias=False, rngs=nnx.Rngs(0))
        self.patches = nnx.Conv(
            3, 32, (8, 8), strides=8, padding="VALID", use_bias=False, rngs=nnx.Rngs(0)
        )
        self.first = nnx.Param(jnp.zeros(32))
        self.image_places = nnx.Embed(17, 32, rngs=nnx.Rngs(0))
        self.before = layer_norm()(32, rngs=nnx.Rngs(0))
        self.image = [ClipLayer(False) for _ in range(2)]
        self.after = layer_norm()(32, rngs=nnx.Rngs(0))
        self.image_out = nnx.Linear(32, 24, use_bias=False, rngs=nnx.Rngs(0))
        self.scale = nnx.Param(jnp.zeros(()))

    def __call__(self, tokens, images):
        x = self.embed(tokens) + self.places(jnp.arange(tokens.shape[1]))[None]
        for layer in self.text:
            x = layer(x)
        end = jnp.argmax(tokens == 95, 1)
        text = self.text_out(self.text_norm(x)[jnp.arange(len(x)), end])
        x = self.patches(images.transpose(0, 2, 3, 1))
        x = x.reshape(len(x), -1, 32)
        first = jnp.broadcast_to(self.first.value, (len(x), 1, 32))
        x = jnp.concatenate([first, x], 1) + self.image_places(jnp.arange(17))[None]
        x = self.before(x)
        for layer in self.image:
            x = layer(x)
        image = self.image_out(self.after(x[:, 0]))

        def unit(x):
            return x / jnp.linalg.norm(x, axis=-1, keepdims=True)

        return jnp.exp(self.scale.value) * unit(image) @ unit(text).T


@family
def clip():
    sizes = dict(**LAYERS, projection_dim=24)
    config = transformers.CLIPConfig(
        text_config=dict(
            sizes, vocab_size=96, bos_token_id=1, eos_token_id=95, pad_token_id=0
        ),
        vision_config=dict(sizes, image_size=32, patch_size=8),
        projection_dim=24,
    )
    rules = {
        "text_model.embeddings.token_embedding": "embed",
        "text_model.embeddings.position_embedding": "places",
        "text_model.final_layer_norm": "text_norm",
        "text_projection": "text_out",
        "vision_model.embeddings.patch_embedding": "patches",
        "vision_model.embeddings.class_embedding": "first",
        "vision_model.embeddings.position_embedding": "image_places",
        "vision_model.pre_layrnorm": "before",
        "vision_model.post_layernorm": "after",
        "visual_projection": "image_out",
        "logit_scale": "scale",
    }
    for theirs, ours in (("text", "text"), ("vision", "image")):
        layer = f"{theirs}_model.encoder.layers.{{i}}"
        rules[layer] = f"{ours}.{{i}}"
        rules |= {f"{layer}.mlp.fc{n}": f"{ours}.{{i}}.fc{n}" for n in (1, 2)}
        for name, part in PARTS.items():
            rules[f"{layer}.self_attn.{name}"] = f"{ours}.{{i}}.self_attn.{part}"
    return transformers.CLIPModel(config), Clip, rules


class ConvNorm(nnx.Module):
    """A convolution, a norm and an activation; pads so that the size is kept."""

    def __init__(
        self, into, out, size, stride=1, activation=None, epsilon=1e-5, **options
    ):
        self.convolution = nnx.Conv(
            into,
            out,
            (size, size),
            strides=stride,
            use_bias=False,
            rngs=nnx.Rngs(0),
            **{"padding": size // 2, **options},
        )
        self.normalization = nnx.BatchNorm(
            out, epsilon=epsilon, momentum=0.9, rngs=nnx.Rngs(0)
        )
        self.activation = activation

    def __call__(self, x):
        x = self.normalization(self.convolution(x))
        return x if self.activation is None else self.activation(x)


class Bottleneck(nnx.Module):
    def __init__(self, into, out, stride):
        self.shortcut = None
        if into != out or stride != 1:
            self.shortcut = ConvNorm(into, out, 1, stride)
        mid = out // 4
        self.layer = [
            ConvNorm(into, mid, 1, 1, nnx.relu),
            ConvNorm(mid, mid, 3, stride, nnx.relu),
            ConvNorm(mid, out, 1),
        ]

    def __call__(self, x):
        y = x
        for part in self.layer:
            y = part(y)
        x = x if self.shortcut is None else self.shortcut(x)
        return nnx.relu(x + y)


class ResNet(nnx.Module):
    def __init__(self):
        self.embedder = ConvNorm(3, 8, 7, 2, nnx.relu)
        self.stages = [
            [Bottleneck(8, 16, 1), Bottleneck(16, 16, 1)],
            [Bottleneck(16, 32, 2), Bottleneck(32, 32, 1)],
        ]
        self.head = nnx.Linear(32, 10, rngs=nnx.Rngs(0))

    def __call__(self, images):
        x = self.embedder(images.transpose(0, 2, 3, 1))
        x = nnx.max_pool(x, (3, 3), 2, 1)
        for stage in self.stages:
            for block in stage:
                x = block(x)
        return self.head(x.mean((1, 2)))


@family
def resnet():
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[16, 32], depths=[2, 2], num_labels=10
    )
    rules = {
        "resnet.embedder.embedder": "embedder",
        "resnet.encoder.stages.{s}.layers.{i}": "stages.{s}.{i}",
        "classifier.1": "head",
    }
    return transformers.ResNetForImageClassification(config), ResNet, rules


class ConvNextBlock(nnx.Module):
    def __init__(self, width):
        self.layer_scale_parameter = nnx.Param(jnp.zeros(width))
        self.dwconv = nnx.Conv(
            width, width, (7, 7), padding=3, feature_group_count=width, rngs=nnx.Rngs(0)
        )
        self.layernorm = layer_norm(1e-6)(width, rngs=nnx.Rngs(0))
        self.pwconv1 = nnx.Linear(width, 4 * width, rngs=nnx.Rngs(0))
        self.pwconv2 = nnx.Linear(4 * width, width, rngs=nnx.Rngs(0))

    def __call__(self, x):
        y = self.pwconv2(exact_gelu(self.pwconv1(self.layernorm(self.dwconv(x)))))
        return x + self.layer_scale_parameter.value * y


class ConvNext(nnx.Module):
    def __init__(self):
        self.patches = nnx.Conv(
            3, 8, (4, 4), strides=4, padding="VALID", rngs=nnx.Rngs(0)
        )
        self.embed_norm = layer_norm(1e-6)(8, rngs=nnx.Rngs(0))
        self.stages = [
            [ConvNextBlock(8), ConvNextBlock(8)],
            [ConvNextBlock(16), ConvNextBlock(16)],
        ]
        self.down_norm = layer_norm(1e-6)(8, rngs=nnx.Rngs(0))
        self.down = nnx.Conv(
            8, 16, (2, 2), strides=2, padding="VALID", rngs=nnx.Rngs(0)
        )
        self.norm = layer_norm(1e-12)(16, rngs=nnx.Rngs(0))
        self.head = nnx.Linear(16, 10, rngs=nnx.Rngs(0))

    def __call__(self, images):
        x = self.embed_norm(self.patches(images.transpose(0, 2, 3, 1)))
        for number, stage in enumerate(self.stages):
            if number:
                x = self.down(self.down_norm(x))
            for block in stage:
                x = block(x)
        return self.head(self.norm(x.mean((1, 2))))


@family
def convnext():
    config = transformers.ConvNextConfig(
        hidden_sizes=[8, 16], depths=[2, 2], num_stages=2, num_labels=10
    )
    base = "convnext.encoder.stages"
    rules = {
        "convnext.embeddings.patch_embeddings": "patches",
        "convnext.embeddings.layernorm": "embed_norm",
        f"{base}.{{s}}.layers.{{i}}": "stages.{s}.{i}",
        f"{base}.1.downsampling_layer.0": "down_norm",
        f"{base}.1.downsampling_layer.1": "down",
        "convnext.layernorm": "norm",
        "classifier": "head",
    }
    return transformers.ConvNextForImageClassification(config), ConvNext, rules
