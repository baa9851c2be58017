"""The four models in oakum and in flax.nnx, which has the same API."""

import importlib

import jax
import jax.numpy as jnp
import optax

from . import DEPTHS, RATE, batch
from . import sizes as s


def residual(nnx, depth):
    """A chain of `depth` blocks of two Linears and a norm."""
    listed = getattr(nnx, "List", list)

    class Block(nnx.Module):
        def __init__(self, rngs):
            self.norm = nnx.LayerNorm(s.WIDTH, rngs=rngs)
            self.a = nnx.Linear(s.WIDTH, s.WIDTH, rngs=rngs)
            self.b = nnx.Linear(s.WIDTH, s.WIDTH, rngs=rngs)

        def __call__(self, x):
            return x + self.b(nnx.relu(self.a(self.norm(x))))

    class Residual(nnx.Module):
        def __init__(self, depth, rngs):
            self.blocks = listed([Block(rngs) for _ in range(depth)])

        def __call__(self, x):
            for block in self.blocks:
                x = block(x)
            return x

    return Residual(depth, nnx.Rngs(0))


def convolutions(nnx):
    """Convolutions, each with BatchNorm, and a Linear."""
    listed = getattr(nnx, "List", list)

    class Convolutions(nnx.Module):
        def __init__(self, rngs):
            pairs = zip((1, *s.CHANNELS), s.CHANNELS, strict=False)
            self.convs = listed(
                [
                    nnx.Conv(a, b, (3, 3), strides=1 + (i > 0), rngs=rngs)
                    for i, (a, b) in enumerate(pairs)
                ]
            )
            self.norms = listed([nnx.BatchNorm(c, rngs=rngs) for c in s.CHANNELS])
            self.out = nnx.Linear(s.CHANNELS[-1], s.CLASSES, rngs=rngs)

        def __call__(self, x):
            for conv, norm in zip(self.convs, self.norms, strict=True):
                x = nnx.relu(norm(conv(x)))
            return self.out(x.mean((1, 2)))

    return Convolutions(nnx.Rngs(0))


def transformer(nnx):
    """A causal transformer with learned positions."""
    listed = getattr(nnx, "List", list)

    class Layer(nnx.Module):
        def __init__(self, rngs):
            self.norm1 = nnx.LayerNorm(s.FEATURES, rngs=rngs)
            self.attention = nnx.MultiHeadAttention(
                s.HEADS, s.FEATURES, decode=False, rngs=rngs
            )
            self.norm2 = nnx.LayerNorm(s.FEATURES, rngs=rngs)
            self.up = nnx.Linear(s.FEATURES, 4 * s.FEATURES, rngs=rngs)
            self.down = nnx.Linear(4 * s.FEATURES, s.FEATURES, rngs=rngs)

        def __call__(self, x, mask):
            x = x + self.attention(self.norm1(x), mask=mask)
            return x + self.down(nnx.gelu(self.up(self.norm2(x))))

    class Transformer(nnx.Module):
        def __init__(self, rngs):
            self.embed = nnx.Embed(s.VOCABULARY, s.FEATURES, rngs=rngs)
            self.places = nnx.Embed(s.TOKENS, s.FEATURES, rngs=rngs)
            self.layers = listed([Layer(rngs) for _ in range(s.BLOCKS)])
            self.norm = nnx.LayerNorm(s.FEATURES, rngs=rngs)
            self.out = nnx.Linear(s.FEATURES, s.VOCABULARY, rngs=rngs)

        def __call__(self, tokens):
            x = self.embed(tokens) + self.places(jnp.arange(s.TOKENS))
            mask = nnx.make_causal_mask(tokens)
            for layer in self.layers:
                x = layer(x, mask)
            return self.out(self.norm(x))

    return Transformer(nnx.Rngs(0))


def train(name, library="oakum"):
    """One step of the model `name`, and its number of parameters."""
    nnx = importlib.import_module(library)
    if name in DEPTHS:
        model = residual(nnx, DEPTHS[name])
    else:
        model = {"convolutions": convolutions, "transformer": transformer}[name](nnx)
    optimizer = nnx.Optimizer(model, optax.adam(RATE), wrt=nnx.Param)

    def loss_of(model, x, y):
        if name in DEPTHS:
            return ((model(x) - y) ** 2).mean()
        logits = model(x)
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    @nnx.jit
    def step(model, optimizer, x, y):
        loss, grads = nnx.value_and_grad(loss_of)(model, x, y)
        optimizer.update(model, grads)
        return loss

    x, y = map(jnp.asarray, batch(name))
    count = sum(p.size for p in jax.tree.leaves(nnx.state(model, nnx.Param)))
    return (lambda: step(model, optimizer, x, y)), count
