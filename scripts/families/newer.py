"""More families, each for what none of the others has.

Norms with a mean whose scales are differences from 1 (Nemotron), norms around rotation
by neighbours (GLM-4), one head of keys and values (GPTBigCode), a convolution with
normalized weights (wav2vec 2.0), padding as in TensorFlow (MobileNetV2).
"""

# pyright: reportMissingImports=false

import transformers
from families.block import (
    ATTENTION,
    HEAD,
    NORMS,
    OUTER,
    Block,
    exact_gelu,
    family,
    gpt_block,
    layer_norm,
    norms,
    rms,
)
from families.images import ConvNorm
from families.sizes import DECODER, LAYERS

import oakum as nnx
from oakum.weights import into

HALF = {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5}


def squared_relu(x):
    """So, Mańke et al.: Primer, https://arxiv.org/abs/2109.08668, 2021."""
    return nnx.relu(x) ** 2


@family
def nemotron():
    config = transformers.NemotronConfig(**DECODER, rope_parameters=HALF)
    rope = nnx.RoPE(fraction=0.5)
    kind = Block(layer_norm(offset=1.0), squared_relu, gated=False, ropes=(rope, rope))
    rules = {
        **OUTER,
        **HEAD,
        **ATTENTION,
        **NORMS,
        "model.layers.{i}.mlp.up_proj": "layers.{i}.mlp.up",
        "model.layers.{i}.mlp.down_proj": "layers.{i}.mlp.down",
    }
    model = transformers.NemotronForCausalLM(config)
    for name, parameter in model.named_parameters():
        if "norm" in name:  # where trained ones are; transformers begins at 1
            parameter.data.zero_()
    return model, kind, rules


@family
def glm4():
    config = transformers.Glm4Config(**DECODER, head_dim=8, rope_parameters=HALF)
    rope = nnx.RoPE(fraction=0.5, neighbours=True)
    kind = Block(
        rms(config.rms_norm_eps),
        nnx.silu,
        bias=(False, True, False),
        after="besides",
        ropes=(rope, rope),
    )
    names = ("input", "post_self_attn", "post_attention", "post_mlp")
    rules = {
        **OUTER,
        **HEAD,
        **ATTENTION,
        **norms(*[f"model.layers.{{i}}.{name}_layernorm" for name in names]),
        "model.layers.{i}.mlp.gate_up_proj": into(
            "layers.{i}.mlp.gate", "layers.{i}.mlp.up"
        ),
        "model.layers.{i}.mlp.down_proj": "layers.{i}.mlp.down",
    }
    return transformers.Glm4ForCausalLM(config), kind, rules


@family
def gpt_bigcode():
    config = transformers.GPTBigCodeConfig(
        vocab_size=96, n_embd=32, n_layer=2, n_head=4, n_inner=48, n_positions=300
    )
    kind = gpt_block(
        nnx.gelu,
        kv_heads=1,
        positions=300,
        tied=True,
    )
    layer, attn = "transformer.h.{i}", "layers.{i}.attn."
    rules = {
        "transformer.wte": "embed",
        "transformer.wpe": "positions",
        **norms(f"{layer}.ln_1", f"{layer}.ln_2"),
        f"{layer}.attn.c_attn": into(f"{attn}query", f"{attn}key", f"{attn}value"),
        f"{layer}.attn.c_proj": f"{attn}out",
        f"{layer}.mlp.c_fc": "layers.{i}.mlp.up",
        f"{layer}.mlp.c_proj": "layers.{i}.mlp.down",
        "transformer.ln_f": "norm",
    }
    return transformers.GPTBigCodeForCausalLM(config), kind, rules


class SoundLayer(nnx.Module):
    def __init__(self, *, rngs):
        self.attention = nnx.MultiHeadAttention(4, 32, rngs=rngs)
        self.layer_norm = layer_norm()(32, rngs=rngs)
        self.feed_forward = nnx.Dict(
            intermediate_dense=nnx.Linear(32, 48, rngs=rngs),
            output_dense=nnx.Linear(48, 32, rngs=rngs),
        )
        self.final_layer_norm = layer_norm()(32, rngs=rngs)

    def __call__(self, x):
        x = self.layer_norm(x + self.attention(x))
        hidden = exact_gelu(self.feed_forward.intermediate_dense(x))
        return self.final_layer_norm(x + self.feed_forward.output_dense(hidden))


class Wav2Vec2(nnx.Module):
    def __init__(self):
        rngs = nnx.Rngs(0)
        self.masked_spec_embed = nnx.Param(nnx.initializers.zeros(rngs(), (32,)))
        self.conv_layers = [
            nnx.Dict(
                conv=nnx.Conv(
                    *sizes, strides=stride, padding="VALID", use_bias=False, rngs=rngs
                )
            )
            for sizes, stride in (((1, 16, 10), 5), ((16, 16, 3), 2))
        ]
        self.conv_layers[0].layer_norm = nnx.GroupNorm(
            16, num_groups=16, epsilon=1e-5, use_fast_variance=False, rngs=rngs
        )
        self.project_norm = layer_norm()(16, rngs=rngs)
        self.project = nnx.Linear(16, 32, rngs=rngs)
        places = nnx.Conv(32, 32, 16, padding=8, feature_group_count=4, rngs=rngs)
        self.places = nnx.WeightNorm(places, feature_axes=0, rngs=rngs)
        self.norm = layer_norm()(32, rngs=rngs)
        self.layers = [SoundLayer(rngs=rngs) for _ in range(2)]
        self.head = nnx.Linear(32, 32, rngs=rngs)

    def __call__(self, sound):
        first, second = self.conv_layers
        x = exact_gelu(first.layer_norm(first.conv(sound[..., None])))
        x = exact_gelu(second.conv(x))
        x = self.project(self.project_norm(x))
        x = self.norm(x + exact_gelu(self.places(x)[:, :-1]))
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


@family
def wav2vec2():
    config = transformers.Wav2Vec2Config(
        **LAYERS,
        vocab_size=32,
        conv_dim=(16, 16),
        conv_stride=(5, 2),
        conv_kernel=(10, 3),
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
    )
    encoder, layer = "wav2vec2.encoder", "wav2vec2.encoder.layers.{i}"
    rules = {
        "wav2vec2.masked_spec_embed": "masked_spec_embed",
        "wav2vec2.feature_extractor.conv_layers": "conv_layers",
        "wav2vec2.feature_projection.layer_norm": "project_norm",
        "wav2vec2.feature_projection.projection": "project",
        f"{encoder}.pos_conv_embed.conv": "places",
        f"{encoder}.layer_norm": "norm",
        layer: "layers.{i}",
        "lm_head": "head",
    }
    for part in ("query", "key", "value"):
        name = f"{layer}.attention.{part[0]}_proj"
        rules[name] = f"layers.{{i}}.attention.{part}"
    rules[f"{layer}.attention.out_proj"] = "layers.{i}.attention.out"
    return transformers.Wav2Vec2ForCTC(config), Wav2Vec2, rules


class MobileConv(ConvNorm):
    """Pads 'SAME', as TensorFlow does and the config says (`tf_padding`)."""

    def __init__(self, into, out, size, stride=1, groups=1, activation=nnx.relu6):
        options = dict(padding="SAME", feature_group_count=groups)
        super().__init__(into, out, size, stride, activation, 1e-3, **options)


class InvertedResidual(nnx.Module):
    def __init__(self, width, out, stride):
        wide = 6 * width
        self.expand_1x1 = MobileConv(width, wide, 1)
        self.conv_3x3 = MobileConv(wide, wide, 3, stride, groups=wide)
        self.reduce_1x1 = MobileConv(wide, out, 1, activation=None)
        self.adds = stride == 1 and width == out

    def __call__(self, x):
        y = self.reduce_1x1(self.conv_3x3(self.expand_1x1(x)))
        return x + y if self.adds else y


class MobileNet(nnx.Module):
    def __init__(self):
        widths = [8] * 6 + [16] * 4 + [24] * 3 + [40] * 3 + [80]
        strides = [2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1]
        self.conv_stem = nnx.Dict(
            first_conv=MobileConv(3, 8, 3, 2),
            conv_3x3=MobileConv(8, 8, 3, groups=8),
            reduce_1x1=MobileConv(8, 8, 1, activation=None),
        )
        sizes = zip(widths[:-1], widths[1:], strides, strict=True)
        self.layer = [InvertedResidual(*each) for each in sizes]
        self.conv_1x1 = MobileConv(80, 320, 1)
        self.classifier = nnx.Linear(320, 10, rngs=nnx.Rngs(0))

    def __call__(self, images):
        x = images.transpose(0, 2, 3, 1)
        for name in ("first_conv", "conv_3x3", "reduce_1x1"):
            x = self.conv_stem[name](x)
        for block in self.layer:
            x = block(x)
        return self.classifier(self.conv_1x1(x).mean((1, 2)))


@family
def mobilenet_v2():
    config = transformers.MobileNetV2Config(
        depth_multiplier=0.25, finegrained_output=False, num_labels=10
    )
    rules = {"mobilenet_v2": "", "classifier": "classifier"}
    return transformers.MobileNetV2ForImageClassification(config), MobileNet, rules
