"""A generic container of layers, and functions over types of modules."""

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import jax
import jax.numpy as jnp

import oakum as nnx

M = TypeVar("M", bound=nnx.Module)


class Stack(nnx.Module, Generic[M]):
    def __init__(self, layers: Sequence[M]) -> None:
        self.layers = nnx.List(layers)

    def __iter__(self) -> Iterator[M]:
        return iter(self.layers)

    def first(self) -> M:
        return self.layers[0]


def made(count: int, make: Callable[[], M]) -> Stack[M]:
    return Stack([make() for _ in range(count)])


def trained(model: M, step: Callable[[M], jax.Array]) -> M:
    step(model)
    return model


rngs = nnx.Rngs(0)
stack = made(3, lambda: nnx.Linear(2, 2, rngs=rngs))
x = jnp.ones(2)
for layer in stack:
    x = layer(x)
shape: tuple[int, ...] = stack.first().kernel.shape
again: Stack[nnx.Linear] = nnx.clone(stack)
graphdef, state = nnx.split(stack)
merged = nnx.merge(graphdef, state)
out: int = merged.first().out_features
trained(stack, lambda model: model.first()(x)).first()
norms = Stack([nnx.LayerNorm(2, rngs=rngs)])
norms.first().kernel  # mistake
stack.first().nosuch  # mistake
wrong: Stack[nnx.LayerNorm] = nnx.clone(stack)  # mistake
made("3", lambda: nnx.Linear(2, 2, rngs=rngs))  # mistake
trained(stack, lambda model: model.last())  # mistake
Stack([1, 2])  # mistake
merged.first().nosuch  # mistake
