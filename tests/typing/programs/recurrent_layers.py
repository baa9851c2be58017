"""Recurrent cells, and the layers that unroll them."""

import jax
import jax.numpy as jnp

import oakum as nnx

rngs, x = nnx.Rngs(0), jnp.ones((2, 5, 3))
cell = nnx.GRUCell(in_features=3, hidden_features=4, rngs=rngs)
carry = cell.initialize_carry((2, 3), rngs=rngs)
carry, out = cell(carry, x[:, 0])
rnn = nnx.RNN(cell, time_major=False, return_carry=True, reverse=True)
last, outputs = rnn(x, seq_lengths=jnp.array([5, 3]))
both = nnx.Bidirectional(nnx.RNN(cell), nnx.RNN(nnx.LSTMCell(3, 4, rngs=rngs)))
joined = both(x)
size: int = cell.hidden_features
inner: nnx.RNNCellBase = rnn.cell


class Tagger(nnx.Module):
    def __init__(self, cells: list[nnx.RNNCellBase]) -> None:
        self.layers = nnx.List([nnx.RNN(cell) for cell in cells])

    def __call__(self, x: jax.Array) -> jax.Array:
        for layer in self.layers:
            x = layer(x)
        return x


tagger = Tagger([cell, nnx.OptimizedLSTMCell(4, 4, rngs=rngs)])
y: jax.Array = tagger(x)
cell(x)  # mistake
nnx.GRUCell(3, rngs=rngs)  # mistake
nnx.GRUCell(3, 4, hidden=4, rngs=rngs)  # mistake
nnx.RNN(cell, time_majors=True)  # mistake
nnx.Bidirectional(nnx.RNN(cell))  # mistake
Tagger([nnx.RNN(cell)])  # mistake
tagger.layers[0].cells  # mistake
