"""Families that are no decoders of one kind: encoders, both, images, state spaces."""

# pyright: reportMissingImports=false

import functools
import math

import jax
import jax.numpy as jnp
import transformers
from families.decoders import (
    exact_gelu,
    family,
    gpt_block,
    joined,
    layer_norm,
    norms,
    rms,
)
from families.sizes import DECODER, LAYERS, TOKENS, WORDS

import oakum as nnx
from oakum.weights import into

Attention = nnx.MultiHeadAttention
RNGS = nnx.Rngs(0)
HALVES = {"d_model": 32}
for half in ("encoder", "decoder"):
    sizes = {"layers": 2, "attention_heads": 4, "ffn_dim": 48}
    HALVES |= {f"{half}_{name}": size for name, size in sizes.items()}


class T5Attention(nnx.Module):
    """Without a scale; the bias by distance is the first layer's."""

    def __init__(self, first):
        self.attn = Attention(4, 32, 32, use_bias=False, scale=1.0, rngs=nnx.Rngs(0))
        self.bias = nnx.Embed(32, 4, rngs=nnx.Rngs(0)) if first else None


def t5_buckets(size, both_ways):
    distance = jnp.arange(size)[None] - jnp.arange(size)[:, None]
    count = 16 if both_ways else 32
    start = jnp.where(both_ways & (distance > 0), count, 0)
    distance = jnp.abs(distance) if both_ways else jnp.maximum(-distance, 0)
    exact = count // 2
    ratio = jnp.log(jnp.maximum(distance, 1) / exact) / math.log(128 / exact)
    far = jnp.minimum(exact + (ratio * (count - exact)).astype(jnp.int32), count - 1)
    return start + jnp.where(distance < exact, distance, far)


class T5Layer(nnx.Module):
    def __init__(self, first, decodes):
        self.attention = T5Attention(first)
        self.cross = T5Attention(False) if decodes else None
        self.norms = [rms(1e-6)(32, rngs=nnx.Rngs(0)) for _ in range(2 + decodes)]
        self.up = nnx.Linear(32, 48, use_bias=False, rngs=nnx.Rngs(0))
        self.gate = nnx.Linear(32, 48, use_bias=False, rngs=nnx.Rngs(0))
        self.down = nnx.Linear(48, 32, use_bias=False, rngs=nnx.Rngs(0))

    def __call__(self, x, bias, memory=None):
        def attend(attn, x, y, bias, causal):
            query, key, value = attn.query(x), attn.key(y), attn.value(y)
            mixed = nnx.dot_product_attention(
                query, key, value, bias=bias, scale=1.0, is_causal=causal
            )
            return attn.out(mixed)

        y = self.norms[0](x)
        x = x + attend(self.attention.attn, y, y, bias, memory is not None)
        if self.cross is not None:
            y = self.norms[1](x)
            x = x + attend(self.cross.attn, y, memory, None, False)
        y = self.norms[-1](x)
        return x + self.down(nnx.gelu(self.gate(y)) * self.up(y))


class T5Stack(nnx.Module):
    def __init__(self, decodes):
        self.layers = [T5Layer(i == 0, decodes) for i in range(2)]
        self.norm = rms(1e-6)(32, rngs=nnx.Rngs(0))

    def __call__(self, x, memory=None):
        bias = self.layers[0].attention.bias(t5_buckets(x.shape[1], memory is None))
        for layer in self.layers:
            x = layer(x, bias.transpose(2, 0, 1)[None], memory)
        return self.norm(x)


class T5(nnx.Module):
    def __init__(self):
        self.embed = nnx.Embed(96, 32, rngs=nnx.Rngs(0))
        self.encoder, self.decoder = T5Stack(False), T5Stack(True)

    def __call__(self, tokens, target):
        memory = self.encoder(self.embed(tokens))
        x = self.decoder(self.embed(target), memory)
        return self.embed.attend(x / math.sqrt(32))


@family
def t5():
    sizes = dict(d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4)
    config = transformers.T5Config(
        **sizes,
        vocab_size=96,
        feed_forward_proj="gated-gelu",
        decoder_start_token_id=0,
    )
    rules = {"shared": "embed"}
    for side in ("encoder", "decoder"):
        block, layer = f"{side}.block.{{i}}.layer", f"{side}.layers.{{i}}"
        names = {"q": "query", "k": "key", "v": "value", "o": "out"}
        for a, b in names.items():
            rules[f"{block}.0.SelfAttention.{a}"] = f"{layer}.attention.attn.{b}"
        bias = f"{layer}.attention.bias"
        rules[f"{block}.0.SelfAttention.relative_attention_bias"] = bias
        last = 2 if side == "decoder" else 1
        if side == "decoder":
            for a, b in names.items():
                rules[f"{block}.1.EncDecAttention.{a}"] = f"{layer}.cross.attn.{b}"
        mlp = f"{block}.{last}.DenseReluDense"
        rules |= {f"{mlp}.wi_0": f"{layer}.gate", f"{mlp}.wi_1": f"{layer}.up"}
        rules[f"{mlp}.wo"] = f"{layer}.down"
        rules[f"{block}.{{j}}.layer_norm"] = f"{layer}.norms.{{j}}"
        rules[f"{side}.final_layer_norm"] = f"{side}.norm"
    return transformers.T5ForConditionalGeneration(config), T5, rules


class BartLayer(nnx.Module):
    def __init__(self, decodes, norm_first):
        self.self_attn = Attention(4, 32, rngs=nnx.Rngs(0))
        self.self_attn_layer_norm = layer_norm()(32, rngs=nnx.Rngs(0))
        if decodes:
            self.encoder_attn = Attention(4, 32, rngs=nnx.Rngs(0))
            self.encoder_attn_layer_norm = layer_norm()(32, rngs=nnx.Rngs(0))
        self.fc1 = nnx.Linear(32, 48, rngs=nnx.Rngs(0))
        self.fc2 = nnx.Linear(48, 32, rngs=nnx.Rngs(0))
        self.final_layer_norm = layer_norm()(32, rngs=nnx.Rngs(0))
        self.norm_first = norm_first

    def __call__(self, x, memory=None):
        def add(norm, function):
            if self.norm_first:
                return x + function(norm(x))
            return norm(x + function(x))

        causal = memory is not None
        x = add(
            self.self_attn_layer_norm, lambda y: self.self_attn(y, is_causal=causal)
        )
        if causal:
            x = add(
                self.encoder_attn_layer_norm, lambda y: self.encoder_attn(y, memory)
            )

        def mlp(y):
            return self.fc2(exact_gelu(self.fc1(y)))

        return add(self.final_layer_norm, mlp)


class BartStack(nnx.Module):
    def __init__(self, decodes):
        self.embed_positions = nnx.Embed(302, 32, rngs=nnx.Rngs(0))
        self.layernorm_embedding = layer_norm()(32, rngs=nnx.Rngs(0))
        self.layers = [BartLayer(decodes, False) for _ in range(2)]

    def __call__(self, x, memory=None):
        x = x + self.embed_positions(jnp.arange(x.shape[1]) + 2)[None]
        x = self.layernorm_embedding(x)
        for layer in self.layers:
            x = layer(x, memory)
        return x


class Bart(nnx.Module):
    def __init__(self):
        self.shared = nnx.Embed(96, 32, rngs=nnx.Rngs(0))
        self.encoder, self.decoder = BartStack(False), BartStack(True)
        self.final_logits_bias = nnx.BatchStat(jnp.zeros((1, 96)))

    def __call__(self, tokens, target):
        memory = self.encoder(self.shared(tokens))
        x = self.decoder(self.shared(target), memory)
        return self.shared.attend(x) + self.final_logits_bias.value[None]


PARTS = {"q_proj": "query", "k_proj": "key", "v_proj": "value", "out_proj": "out"}


def projections(place):
    return {
        f"{place}.{name}": f"{place.removeprefix('model.')}.{part}"
        for name, part in PARTS.items()
    }


@family
def bart():
    config = transformers.BartConfig(**HALVES, **WORDS)
    rules = {
        "model.shared": "shared",
        "model.encoder": "encoder",
        "model.decoder": "decoder",
        "final_logits_bias": "final_logits_bias",
        **projections("model.encoder.layers.{i}.self_attn"),
        **projections("model.decoder.layers.{i}.self_attn"),
        **projections("model.decoder.layers.{i}.encoder_attn"),
    }
    return transformers.BartForConditionalGeneration(config), Bart, rules


class WhisperAttention(nnx.MultiHeadAttention):
    def __init__(self):
        super().__init__(4, 32, rngs=nnx.Rngs(0))
        self.key = nnx.LinearGeneral(32, (4, 8), use_bias=False, rngs=nnx.Rngs(0))


class WhisperLayer(BartLayer):
    def __init__(self, decodes):
        super().__init__(decodes, True)
        self.self_attn = WhisperAttention()
        if decodes:
            self.encoder_attn = WhisperAttention()


class Whisper(nnx.Module):
    def __init__(self):
        conv = functools.partial(nnx.Conv, padding=1, rngs=nnx.Rngs(0))
        self.conv1, self.conv2 = conv(16, 32, 3), conv(32, 32, 3, 2)
        self.places = nnx.Embed(100, 32, rngs=nnx.Rngs(0))
        self.encoder = [WhisperLayer(False) for _ in range(2)]
        self.encoder_norm = layer_norm()(32, rngs=nnx.Rngs(0))
        self.embed = nnx.Embed(96, 32, rngs=nnx.Rngs(0))
        self.target_places = nnx.Embed(300, 32, rngs=nnx.Rngs(0))
        self.decoder = [WhisperLayer(True) for _ in range(2)]
        self.norm = layer_norm()(32, rngs=nnx.Rngs(0))

    def __call__(self, sound, target):
        x = exact_gelu(self.conv1(sound.transpose(0, 2, 1)))
        x = exact_gelu(self.conv2(x)) + self.places.embedding.value[None]
        for layer in self.encoder:
            x = layer(x)
        memory = self.encoder_norm(x)
        x = self.embed(target)
        x = x + self.target_places(jnp.arange(target.shape[1]))[None]
        for layer in self.decoder:
            x = layer(x, memory)
        return self.embed.attend(self.norm(x))


@family
def whisper():
    config = transformers.WhisperConfig(
        **TOKENS,
        **HALVES,
        num_mel_bins=16,
        max_source_positions=100,
        max_target_positions=300,
        decoder_start_token_id=1,
    )
    rules = {
        "model.encoder.conv1": "conv1",
        "model.encoder.conv2": "conv2",
        "model.encoder.embed_positions": "places",
        "model.encoder.layer_norm": "encoder_norm",
        "model.decoder.embed_tokens": "embed",
        "model.decoder.embed_positions": "target_places",
        "model.decoder.layer_norm": "norm",
        "model.encoder.layers": "encoder",
        "model.decoder.layers": "decoder",
    }
    for name, part in PARTS.items():
        for side in ("encoder", "decoder"):
            kinds = ["self_attn", "encoder_attn"][: 1 + (side == "decoder")]
            for kind in kinds:
                theirs = f"model.{side}.layers.{{i}}.{kind}.{name}"
                rules[theirs] = f"{side}.{{i}}.{kind}.{part}"
    return transformers.WhisperForConditionalGeneration(config), Whisper, rules


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
    def __init__(self, into, out, size, stride=1, activation=None):
        self.convolution = nnx.Conv(
            into,
            out,
            (size, size),
            strides=stride,
            padding=size // 2,
            use_bias=False,
            rngs=nnx.Rngs(0),
        )
        self.normalization = nnx.BatchNorm(
            out, epsilon=1e-5, momentum=0.9, rngs=nnx.Rngs(0)
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


class Mixer(nnx.Module):
    """Selective state spaces; Gu, Dao: Mamba, https://arxiv.org/abs/2312.00752."""

    def __init__(self):
        linear = functools.partial(nnx.Linear, use_bias=False, rngs=nnx.Rngs(0))
        self.in_proj = linear(32, 128)
        self.conv1d = nnx.Conv(
            64, 64, 4, padding="CAUSAL", feature_group_count=64, rngs=nnx.Rngs(0)
        )
        self.x_proj, self.out_proj = linear(64, 2 + 2 * 8), linear(64, 32)
        self.dt_proj = nnx.Linear(2, 64, rngs=nnx.Rngs(0))
        self.A_log = nnx.Param(jnp.zeros((64, 8)))
        self.D = nnx.Param(jnp.zeros(64))

    def __call__(self, x):
        x, gate = jnp.split(self.in_proj(x), 2, -1)
        x = nnx.silu(self.conv1d(x))  # (batch, seq, inner)
        step, into_state, out_of = jnp.split(self.x_proj(x), [2, 10], -1)
        step = nnx.softplus(self.dt_proj(step))
        decay = jnp.exp(step[..., None] * -jnp.exp(self.A_log.value))
        added = step[..., None] * into_state[..., None, :] * x[..., None]

        def one(state, inputs):
            decay, added, out_of = inputs
            state = decay * state + added
            return state, (state * out_of[:, None]).sum(-1)

        moved = [jnp.moveaxis(a, 1, 0) for a in (decay, added, out_of)]
        _, y = jax.lax.scan(one, jnp.zeros((len(x), 64, 8)), tuple(moved))
        y = jnp.moveaxis(y, 0, 1) + x * self.D.value
        return self.out_proj(y * nnx.silu(gate))


class Mamba(nnx.Module):
    def __init__(self):
        self.embeddings = nnx.Embed(96, 32, rngs=nnx.Rngs(0))
        self.layers = [
            nnx.Dict(norm=rms(1e-5)(32, rngs=nnx.Rngs(0)), mixer=Mixer())
            for _ in range(2)
        ]
        self.norm_f = rms(1e-5)(32, rngs=nnx.Rngs(0))

    def __call__(self, tokens):
        x = self.embeddings(tokens)
        for layer in self.layers:
            x = x + layer.mixer(layer.norm(x))
        return self.embeddings.attend(self.norm_f(x))


@family
def mamba():
    config = transformers.MambaConfig(
        vocab_size=96, hidden_size=32, state_size=8, num_hidden_layers=2, expand=2
    )
    return transformers.MambaForCausalLM(config), Mamba, {"backbone": ""}


@family
def roberta():
    from families.decoders import Block  # noqa: F401

    config = transformers.RobertaConfig(**LAYERS, **WORDS, type_vocab_size=1)
    base, attn = "roberta.encoder.layer.{i}", "layers.{i}.self_attn"
    rules = {
        "roberta.embeddings.word_embeddings": "shared",
        "roberta.embeddings.position_embeddings": "places",
        "roberta.embeddings.token_type_embeddings": "kinds",
        "roberta.embeddings.LayerNorm": "embed_norm",
        f"{base}.attention.self.query": f"{attn}.query",
        f"{base}.attention.self.key": f"{attn}.key",
        f"{base}.attention.self.value": f"{attn}.value",
        f"{base}.attention.output.dense": f"{attn}.out",
        f"{base}.attention.output.LayerNorm": "layers.{i}.self_attn_layer_norm",
        f"{base}.intermediate.dense": "layers.{i}.fc1",
        f"{base}.output.dense": "layers.{i}.fc2",
        f"{base}.output.LayerNorm": "layers.{i}.final_layer_norm",
        "lm_head.dense": "dense",
        "lm_head.layer_norm": "norm",
        "lm_head.bias": "bias",
    }
    return transformers.RobertaForMaskedLM(config), Roberta, rules


class Roberta(nnx.Module):
    def __init__(self):
        self.shared = nnx.Embed(96, 32, rngs=nnx.Rngs(0))
        self.places = nnx.Embed(300, 32, rngs=nnx.Rngs(0))
        self.kinds = nnx.Embed(1, 32, rngs=nnx.Rngs(0))
        self.embed_norm = layer_norm(1e-12)(32, rngs=nnx.Rngs(0))
        self.layers = [BartLayer(False, False) for _ in range(2)]
        for layer in self.layers:
            layer.self_attn_layer_norm.epsilon = 1e-12
            layer.final_layer_norm.epsilon = 1e-12
        self.dense = nnx.Linear(32, 32, rngs=nnx.Rngs(0))
        self.norm = layer_norm(1e-12)(32, rngs=nnx.Rngs(0))
        self.bias = nnx.Param(jnp.zeros(96))

    def __call__(self, tokens):
        x = self.shared(tokens) + self.places(jnp.arange(tokens.shape[1]) + 2)[None]
        x = self.embed_norm(x + self.kinds(jnp.zeros_like(tokens)))
        for layer in self.layers:
            x = layer(x)
        x = self.norm(exact_gelu(self.dense(x)))
        return self.shared.attend(x) + self.bias.value[None, None]


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
    from families.decoders import ATTENTION, HEAD, NORMS, OUTER, Block

    yarn = dict(
        rope_type="yarn",
        rope_theta=150000.0,
        factor=4.0,
        beta_fast=32.0,
        beta_slow=1.0,
        truncate=False,
        original_max_position_embeddings=64,
    )
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
    from families.decoders import ATTENTION, HEAD, NORMS, OUTER, Block

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


class AlibiAttention(nnx.MultiHeadAttention):
    """Press et al.: Train Short, Test Long, https://arxiv.org/abs/2108.12409."""

    def __call__(self, x, is_causal):
        slopes = 2.0 ** (-8.0 * jnp.arange(1, self.num_heads + 1) / self.num_heads)
        bias = slopes[:, None, None] * jnp.arange(x.shape[1], dtype=x.dtype)
        out = nnx.dot_product_attention(
            self.query(x), self.key(x), self.value(x), bias=bias[None], is_causal=True
        )
        return self.out(out)


@family
def bloom():
    config = transformers.BloomConfig(
        vocab_size=96, hidden_size=32, n_layer=2, n_head=4
    )
    kind = gpt_block(
        nnx.gelu,
        kv_heads=4,
        inner=128,
        tied=True,
        embed_norm=True,
        attention=AlibiAttention,
    )
    layer = "transformer.h.{i}"
    rules = {
        "transformer.word_embeddings": "embed",
        "transformer.word_embeddings_layernorm": "embed_norm",
        **norms(f"{layer}.input_layernorm", f"{layer}.post_attention_layernorm"),
        **joined(layer, "self_attention", 4),
        "transformer.ln_f": "norm",
    }
    return transformers.BloomForCausalLM(config), kind, rules


@family
def gptj():
    from families.decoders import Block

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
    rules = {
        "transformer.wte": "embed",
        f"{layer}.ln_1": "layers.{i}.norms.0",
        f"{layer}.attn.q_proj": "layers.{i}.attn.query",
        f"{layer}.attn.k_proj": "layers.{i}.attn.key",
        f"{layer}.attn.v_proj": "layers.{i}.attn.value",
        f"{layer}.attn.out_proj": "layers.{i}.attn.out",
        f"{layer}.mlp.fc_in": "layers.{i}.mlp.up",
        f"{layer}.mlp.fc_out": "layers.{i}.mlp.down",
        "transformer.ln_f": "norm",
        "lm_head": "head",
    }
    return transformers.GPTJForCausalLM(config), kind, rules


class LatentAttention(nnx.Module):
    """Of DeepSeek-V2: https://arxiv.org/abs/2405.04434, 2024; keys from few numbers."""

    def __init__(self, *sizes, rope, rngs, **others):
        linear = functools.partial(nnx.Linear, use_bias=False, rngs=rngs)
        self.q_a_proj, self.q_a_layernorm = linear(32, 12), rms(1e-6)(12, rngs=rngs)
        self.q_b_proj = linear(12, 4 * 12)
        self.kv_a_proj_with_mqa = linear(32, 16 + 4)
        self.kv_a_layernorm = rms(1e-6)(16, rngs=rngs)
        self.kv_b_proj = linear(16, 4 * (8 + 8))
        self.o_proj = linear(4 * 8, 32)
        self.rope = rope

    def __call__(self, x, is_causal):
        lead = x.shape[:2]
        query = self.q_b_proj(self.q_a_layernorm(self.q_a_proj(x)))
        query = query.reshape(*lead, 4, 12)
        few, turning = jnp.split(self.kv_a_proj_with_mqa(x), [16], -1)
        both = self.kv_b_proj(self.kv_a_layernorm(few)).reshape(*lead, 4, 16)
        key, value = jnp.split(both, 2, -1)
        turning = turned(self.rope, turning[:, :, None])
        turning = jnp.broadcast_to(turning, (*lead, 4, 4))
        key = jnp.concatenate([key, turning], -1)
        plain, turning = jnp.split(query, [8], -1)
        query = jnp.concatenate([plain, turned(self.rope, turning)], -1)
        out = nnx.dot_product_attention(query, key, value, is_causal=True)
        return self.o_proj(out.reshape(*lead, 32))


@family
def deepseek_v3():
    from families.decoders import GATED, HEAD, NORMS, OUTER, Block

    sizes = dict(DECODER, num_key_value_heads=4)
    config = transformers.DeepseekV3Config(
        **sizes,
        q_lora_rank=12,
        kv_lora_rank=16,
        qk_nope_head_dim=8,
        qk_rope_head_dim=4,
        v_head_dim=8,
        first_k_dense_replace=2,
        n_routed_experts=4,
        n_group=1,
        topk_group=1,
        num_experts_per_tok=2,
    )
    rope = nnx.RoPE(neighbours=True)
    kind = Block(rms(1e-6), nnx.silu, ropes=(rope, rope), attention=LatentAttention)
    attn = {"model.layers.{i}.self_attn": "layers.{i}.attn"}
    rules = {**OUTER, **HEAD, **GATED, **NORMS, **attn}
    return transformers.DeepseekV3ForCausalLM(config), kind, rules
