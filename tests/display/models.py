"""Models that tests of `tabulate` show."""

from __future__ import annotations

import functools
from typing import Any

import jax.numpy as jnp

import oakum as nnx


@functools.cache
def net_class(lib: Any) -> Any:
    """A model of blocks, of oakum or of flax."""

    class Block(lib.Module):
        def __init__(self, rngs):
            self.linear = lib.Linear(4, 4, rngs=rngs)
            self.norm = lib.BatchNorm(4, rngs=rngs)
            self.dropout = lib.Dropout(0.5, rngs=rngs)

        def __call__(self, x):
            return self.dropout(self.norm(self.linear(x)))

    class Net(lib.Module):
        def __init__(self, rngs):
            self.first = Block(rngs)
            self.second = Block(rngs)
            self.conv = lib.Conv(4, 3, (2,), rngs=rngs)
            self.heads = {}
            self.empty = ()

        def __call__(self, x, scale=None, *, flag=False):
            x = self.second(self.first(x))
            x = self.conv(x[:, None])
            return {"out": x, "twice": (x * 2.0, None)} if flag else x

        def encode(self, x, n):
            return self.first(x) * n

    return Net


class Inner(nnx.Module):
    def __init__(self, rngs):
        self.linear = nnx.Linear(4, 4, rngs=rngs)

    def __call__(self, x):
        return self.linear(x)


class Outer(Inner):
    def __call__(self, x):
        return super().__call__(x[None])[0] + 1.0


class Nested(nnx.Module):
    """Layers that run inside of transforms."""

    def __init__(self, rngs):
        self.jitted, self.saved, self.mapped = [Inner(rngs) for _ in range(3)]
        self.outer = Outer(rngs)
        self.stack = nnx.Repeat(Inner, 3, rngs=rngs)
        self.rnn = nnx.RNN(nnx.SimpleCell(4, 4, rngs=rngs))

    @nnx.jit
    def run(self, x):
        return self.jitted(x)

    def __call__(self, x):
        x = self.outer(self.run(x))
        x = self.stack(nnx.remat(lambda m, x: m(x))(self.saved, x))
        x = nnx.vmap(lambda m, x: m(x), in_axes=(None, 0))(self.mapped, x)
        return self.rnn(x[:, None])


class Shared(nnx.Module):
    """One layer at three paths, tied weights, and a cycle."""

    def __init__(self, rngs):
        self.embed = nnx.Embed(5, 4, rngs=rngs)
        self.layers = [Inner(rngs)]
        self.again = (self.layers[0], {"last": self.layers[0]})
        self.table = self.embed.embedding
        self.table.set_metadata(trainable=False)
        self.mask = jnp.ones(3)
        self.root = self

    def __call__(self, ids):
        return self.again[0](self.layers[0](self.embed(ids)))


HALF = {"dtype": jnp.bfloat16, "param_dtype": jnp.bfloat16}


class MLP(nnx.Module):
    def __init__(self, width, hidden, rngs):
        linear = functools.partial(nnx.Linear, use_bias=False, rngs=rngs, **HALF)
        self.gate, self.up = linear(width, hidden), linear(width, hidden)
        self.down = linear(hidden, width)

    def __call__(self, x):
        return self.down(nnx.silu(self.gate(x)) * self.up(x))


class Layer(nnx.Module):
    def __init__(self, width, hidden, rngs):
        self.norms = [nnx.RMSNorm(width, rngs=rngs, **HALF) for _ in range(2)]
        self.attention = nnx.MultiHeadAttention(
            64, width, num_kv_heads=8, use_bias=False, decode=False, rngs=rngs, **HALF
        )
        self.mlp = MLP(width, hidden, rngs)

    def __call__(self, x):
        x = x + self.attention(self.norms[0](x))
        return x + self.mlp(self.norms[1](x))


class Decoder(nnx.Module):
    """A transformer of the size of the largest that people print."""

    def __init__(self, layers, width, hidden, words, *, rngs):
        self.embed = nnx.Embed(words, width, rngs=rngs, **HALF)
        self.layers = [Layer(width, hidden, rngs) for _ in range(layers)]
        self.norm = nnx.RMSNorm(width, rngs=rngs, **HALF)
        self.head = nnx.Linear(width, words, use_bias=False, rngs=rngs, **HALF)

    def __call__(self, ids):
        x = self.embed(ids)
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))
