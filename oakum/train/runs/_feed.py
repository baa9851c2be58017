"""Batches on their way to the devices, and the place in a loader that tells its own.

A loader whose iterators have `get_state` and `set_state`, such as a dataset of grain,
goes on exactly where it was; of another one the batches that are done are passed over.
In several processes each has an iterator, and a state, of its own.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from ...sharding import meet
from ..checkpoint._processes import agree


def tells_its_place(iterator: Any) -> bool:
    """Whether an iterator can be asked for its state, and put back to it."""
    return hasattr(iterator, "get_state") and hasattr(iterator, "set_state")


def states_of(iterator: Any) -> list[Any] | None:
    """The states of an iterator in all processes, as JSON holds them; they call it."""
    if not tells_its_place(iterator):
        return None
    state = iterator.get_state()
    if isinstance(state, bytes):
        state = {"base64": base64.b64encode(state).decode()}
    return [json.loads(text) for text in meet("Run.save", json.dumps(state))]


def put_back(iterator: Any, states: list[Any]) -> bool:
    """Puts an iterator back to a state; False where that is not of these processes."""
    if not tells_its_place(iterator) or len(states) != jax.process_count():
        return False
    state = states[jax.process_index()]
    if isinstance(state, dict) and set(state) == {"base64"}:
        state = base64.b64decode(state["base64"])
    iterator.set_state(state)
    return True


def in_step(iterator: Iterator[Any]) -> Iterator[Any]:
    """The items of an iterator, as long as those of all processes have one."""
    if jax.process_count() == 1:
        yield from iterator
        return
    while True:
        item = next(iterator, in_step)
        if agree("the next batch of a Run", item is in_step):
            return
        yield item


def placed(batch: Any, sharding: Any, cut: bool) -> Any:
    """A batch as arrays on the mesh, of which each process moves its own rows.

    Args:
        batch: a pytree of arrays.
        sharding: where each of them goes; None leaves them as they are.
        cut: whether each process has all rows, and not its own alone.
    """
    if sharding is None:
        return batch

    def place(array: Any) -> jax.Array:
        array = np.asarray(array)
        if cut or sharding.is_fully_addressable:
            return jax.make_array_from_callback(
                array.shape, sharding, lambda index: array[index]
            )
        return jax.make_array_from_process_local_data(sharding, array)

    return jax.tree.map(place, batch)
