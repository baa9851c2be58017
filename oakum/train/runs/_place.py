"""How far a run is."""

from __future__ import annotations

import jax.numpy as jnp

from ..._objects import Module, Variable


class Place(Module):
    """Where a run is, in the form in which it is saved."""

    def __init__(self, epoch: int = 0, batch: int = 0, step: int = 0):
        self.epoch = Variable(jnp.asarray(epoch, jnp.int32))
        self.batch = Variable(jnp.asarray(batch, jnp.int32))
        self.step = Variable(jnp.asarray(step, jnp.int32))

    def numbers(self) -> tuple[int, int, int]:
        """The epoch, the batch of it, and the step."""
        return int(self.epoch.value), int(self.batch.value), int(self.step.value)
