"""What decoders are made of: a model with a choice for each part, and common rules."""

# pyright: reportMissingImports=false

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

import oakum as nnx
from oakum.weights import into

exact_gelu = functools.partial(nnx.gelu, approximate=False)


@dataclasses.dataclass(frozen=True)
class Block:
    """What a decoder's layers are made of.

    Args:
        norm: makes a norm of a width.
        activation: of the MLP.
        gated: whether the MLP has a gate.
        bias: of the MLP, of queries, keys and values, and of the output.
        parallel: whether attention and MLP read the same input.
        after: whether norms stand after attention and MLP: besides, alone, or not.
        window: of each layer.
        rope: of each layer, or None.
        others: for MultiHeadAttention.
    """

    norm: Callable[..., Any]
    activation: Callable[..., Any]
    gated: bool = True
    bias: tuple[bool, bool, bool] = (False, False, False)
    parallel: bool = False
    shared_norm: bool = False
    after: str = ""
    windows: tuple[int | None, ...] = (None, None)
    ropes: tuple[Any, ...] = (None, None)
    inner: int = 48
    heads: int = 4
    kv_heads: int = 2
    depth: int = 8
    width: int = 32
    vocab: int = 96
    scale_embed: float = 1.0
    scale_logits: float = 1.0
    softcap: float | None = None
    tied: bool = False
    head_bias: bool = False
    residual: float = 1.0
    positions: int = 0
    offset: int = 0
    embed_norm: bool = False
    attention: Callable[..., Any] = nnx.MultiHeadAttention
    mlp: Callable[..., Any] | None = None
    others: Any = None


class MLP(nnx.Module):
    def __init__(self, kind: Block, *, rngs: nnx.Rngs):
        make = functools.partial(nnx.Linear, use_bias=kind.bias[0], rngs=rngs)
        self.gate = make(kind.width, kind.inner) if kind.gated else None
        self.up = make(kind.width, kind.inner)
        self.down = make(kind.inner, kind.width)
        self.activation = kind.activation

    def __call__(self, x):
        up = self.up(x)
        hidden = self.activation(up if self.gate is None else self.gate(x))
        return self.down(hidden if self.gate is None else hidden * up)


class Layer(nnx.Module):
    def __init__(self, kind: Block, number: int, *, rngs: nnx.Rngs):
        self.kind = kind
        self.attn = kind.attention(
            kind.heads,
            kind.width,
            kind.heads * kind.depth,
            num_kv_heads=kind.kv_heads,
            use_bias=kind.bias[1],
            out_use_bias=kind.bias[2],
            window=kind.windows[number],
            rope=kind.ropes[number],
            rngs=rngs,
            **(kind.others or {}),
        )
        self.mlp = (kind.mlp or MLP)(kind, rngs=rngs)
        count = {"": 2, "alone": 2, "besides": 4}[kind.after]
        count = 1 if kind.shared_norm else count
        self.norms = [kind.norm(kind.width, rngs=rngs) for _ in range(count)]

    def attend(self, x):
        return self.attn(x, is_causal=True)

    def __call__(self, x):
        norms, scale = self.norms, self.kind.residual
        if self.kind.parallel:
            mlp = self.mlp(norms[-1](x))
            return x + self.attend(norms[0](x)) + mlp
        if self.kind.after == "alone":
            x = x + norms[0](self.attend(x))
            return x + norms[1](self.mlp(x))
        if self.kind.after == "besides":
            x = x + norms[1](self.attend(norms[0](x)))
            return x + norms[3](self.mlp(norms[2](x)))
        x = x + scale * self.attend(norms[0](x))
        return x + scale * self.mlp(norms[1](x))


class Decoder(nnx.Module):
    def __init__(self, kind: Block, *, rngs: nnx.Rngs):
        self.kind = kind
        self.embed = nnx.Embed(kind.vocab, kind.width, rngs=rngs)
        if kind.positions:
            self.positions = nnx.Embed(kind.positions, kind.width, rngs=rngs)
        if kind.embed_norm:
            self.embed_norm = kind.norm(kind.width, rngs=rngs)
        self.layers = [Layer(kind, i, rngs=rngs) for i in range(len(kind.windows))]
        self.norm = kind.norm(kind.width, rngs=rngs)
        self.head = None
        if not kind.tied:
            self.head = nnx.Linear(
                kind.width, kind.vocab, use_bias=kind.head_bias, rngs=rngs
            )

    def __call__(self, tokens):
        x = self.embed(tokens) * self.kind.scale_embed
        if self.kind.positions:
            places = jnp.arange(tokens.shape[1]) + self.kind.offset
            x = x + self.positions(places)[None]
        if self.kind.embed_norm:
            x = self.embed_norm(x)
        for layer in self.layers:
            x = layer(x)
        x = self.norm(x)
        logits = self.embed.attend(x) if self.head is None else self.head(x)
        logits = logits * self.kind.scale_logits
        if self.kind.softcap is not None:
            logits = self.kind.softcap * jnp.tanh(logits / self.kind.softcap)
        return logits


FAMILIES: dict[str, Callable[[], tuple[Any, Any, Any]]] = {}
HEAD = {"lm_head": "head"}
PARTS = {"q_proj": "query", "k_proj": "key", "v_proj": "value", "out_proj": "out"}


def outer(theirs, embed, norm):
    """Rules of the embedding and the last norm."""
    return {f"{theirs}.{embed}": "embed", f"{theirs}.{norm}": "norm"}


def projections(theirs, ours="layers.{i}.attn", names=tuple(PARTS)):
    """Rules of queries, keys, values and the output, each of a name of its own."""
    parts = zip(names, PARTS.values(), strict=True)
    return {f"{theirs}.{name}": f"{ours}.{part}" for name, part in parts}


OUTER = outer("model", "embed_tokens", "norm")
ATTENTION = projections(
    "model.layers.{i}.self_attn", names=("q_proj", "k_proj", "v_proj", "o_proj")
)
GATED = {
    "model.layers.{i}.mlp.gate_proj": "layers.{i}.mlp.gate",
    "model.layers.{i}.mlp.up_proj": "layers.{i}.mlp.up",
    "model.layers.{i}.mlp.down_proj": "layers.{i}.mlp.down",
}
NORMS = {
    "model.layers.{i}.input_layernorm": "layers.{i}.norms.0",
    "model.layers.{i}.post_attention_layernorm": "layers.{i}.norms.1",
}


def norms(*names):
    """Rules of the norms of a block, in order."""
    return {name: f"layers.{{i}}.norms.{number}" for number, name in enumerate(names)}


def mlp(theirs, up, down):
    """Rules of an MLP without a gate."""
    ours = "layers.{i}.mlp"
    return {f"{theirs}.{up}": f"{ours}.up", f"{theirs}.{down}": f"{ours}.down"}


def joined(layer, attention, heads):
    """Rules of a block where queries, keys and values lie together for each head."""
    parts = [f"layers.{{i}}.attn.{part}" for part in ("query", "key", "value")]
    return {
        f"{layer}.{attention}.query_key_value": into(
            *parts, order="heads", heads=heads
        ),
        f"{layer}.{attention}.dense": "layers.{i}.attn.out",
        **mlp(f"{layer}.mlp", "dense_h_to_4h", "dense_4h_to_h"),
    }


def family(make: Callable[[], tuple[Any, Any, Any]]) -> Any:
    FAMILIES[make.__name__] = make
    return make


def rms(epsilon, **options):
    return functools.partial(nnx.RMSNorm, epsilon=epsilon, **options)


def layer_norm(epsilon=1e-5, **options):
    return functools.partial(
        nnx.LayerNorm, epsilon=epsilon, use_fast_variance=False, **options
    )


def gpt_block(activation, **options):
    """As GPT has it: LayerNorm, an MLP without a gate, and biases in all products."""
    biases = (True, True, True)
    return Block(layer_norm(), activation, gated=False, bias=biases, **options)
