"""BART, and what is made of its layers: RoBERTa, and Whisper behind convolutions."""

# pyright: reportMissingImports=false

import functools

import jax.numpy as jnp
import transformers
from families.block import PARTS as PARTS
from families.block import exact_gelu, family, layer_norm, projections
from families.sizes import LAYERS, TOKENS, WORDS

import oakum as nnx

Attention = nnx.MultiHeadAttention
HALVES = {"d_model": 32}
for half in ("encoder", "decoder"):
    sizes = {"layers": 2, "attention_heads": 4, "ffn_dim": 48}
    HALVES |= {f"{half}_{name}": size for name, size in sizes.items()}


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


def attentions(encoder, decoder):
    """Rules of the three attentions of two layers."""
    rules = projections("model.encoder.layers.{i}.self_attn", f"{encoder}.self_attn")
    for name in ("self_attn", "encoder_attn"):
        place = f"model.decoder.layers.{{i}}.{name}"
        rules |= projections(place, f"{decoder}.{name}")
    return rules


@family
def bart():
    config = transformers.BartConfig(**HALVES, **WORDS)
    rules = {
        "model.shared": "shared",
        "model.encoder": "encoder",
        "model.decoder": "decoder",
        "final_logits_bias": "final_logits_bias",
        **attentions("encoder.layers.{i}", "decoder.layers.{i}"),
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
        **attentions("encoder.{i}", "decoder.{i}"),
    }
    return transformers.WhisperForConditionalGeneration(config), Whisper, rules


@family
def roberta():
    config = transformers.RobertaConfig(**LAYERS, **WORDS, type_vocab_size=1)
    names = ("self.query", "self.key", "self.value", "output.dense")
    base = "roberta.encoder.layer.{i}"
    rules = {
        "roberta.embeddings.word_embeddings": "shared",
        "roberta.embeddings.position_embeddings": "places",
        "roberta.embeddings.token_type_embeddings": "kinds",
        "roberta.embeddings.LayerNorm": "embed_norm",
        **projections(f"{base}.attention", "layers.{i}.self_attn", names),
        f"{base}.attention.output.LayerNorm": "layers.{i}.self_attn_layer_norm",
        f"{base}.intermediate.dense": "layers.{i}.fc1",
        f"{base}.output.dense": "layers.{i}.fc2",
        f"{base}.output.LayerNorm": "layers.{i}.final_layer_norm",
        "lm_head": "",
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
        self.layer_norm = layer_norm(1e-12)(32, rngs=nnx.Rngs(0))
        self.bias = nnx.Param(jnp.zeros(96))

    def __call__(self, tokens):
        x = self.shared(tokens) + self.places(jnp.arange(tokens.shape[1]) + 2)[None]
        x = self.embed_norm(x + self.kinds(jnp.zeros_like(tokens)))
        for layer in self.layers:
            x = layer(x)
        x = self.layer_norm(exact_gelu(self.dense(x)))
        return self.shared.attend(x) + self.bias.value[None, None]
