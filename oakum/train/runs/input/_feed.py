"""Batches on their way to the devices, and the place in a loader that tells its own.

A loader whose iterators have `get_state` and `set_state`, such as a dataset of grain,
goes on exactly where it was; of another one the batches that are done are passed over.
In several processes each has an iterator, and a state, of its own.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import SingleDeviceSharding

from ....sharding._meeting import meet


def tells_its_place(iterator: Any) -> bool:
    """Whether an iterator can be asked for its state, and put back to it."""
    return hasattr(iterator, "get_state") and hasattr(iterator, "set_state")


def state_of(iterator: Any) -> str | None:
    """The state of an iterator as JSON, None where it does not tell it."""
    if not tells_its_place(iterator):
        return None
    state = iterator.get_state()
    if isinstance(state, bytes):
        state = {"base64": base64.b64encode(state).decode()}
    return json.dumps(state)


def states_of(state: str | None) -> list[Any] | None:
    """The states that the iterators of all processes have, who all call it."""
    if state is None:
        return None
    return [json.loads(text) for text in meet("Run.save", state)]


def put_back(iterator: Any, states: list[Any]) -> bool:
    """Puts an iterator back to a state; False where that is not of these processes."""
    if not tells_its_place(iterator) or len(states) != jax.process_count():
        return False
    state = states[jax.process_index()]
    if isinstance(state, dict) and set(state) == {"base64"}:
        state = base64.b64decode(state["base64"])
    iterator.set_state(state)
    return True


def preparing(sharding: Any, cut: bool, copied: bool) -> Callable[[Any], Any]:
    """What is done to each batch before the loop gets it.

    Args:
        sharding: where its arrays go, each process moving its own rows; a device; None
            leaves them as they are.
        cut: whether each process has all rows, and not its own alone.
        copied: whether a loader draws the next one before the loop is done with this
            one, and may do so into the same memory.
    """
    if isinstance(sharding, jax.Device):
        sharding = SingleDeviceSharding(sharding)

    def place(array: Any) -> jax.Array:
        array = np.array(array) if copied else np.asarray(array)
        if cut or sharding.is_fully_addressable:
            return jax.make_array_from_callback(
                array.shape, sharding, lambda index: array[index]
            )
        return jax.make_array_from_process_local_data(sharding, array)

    if sharding is not None:
        return lambda batch: jax.tree.map(place, batch)
    return _with_own_arrays if copied else lambda batch: batch


def _with_own_arrays(batch: Any) -> Any:
    """A batch with copies of NumPy's arrays, and all else as it is."""
    if type(batch) is np.ndarray:
        return batch.copy()
    if type(batch) is dict:
        return {key: _with_own_arrays(part) for key, part in batch.items()}
    if type(batch) in (tuple, list):
        return type(batch)(map(_with_own_arrays, batch))
    if isinstance(batch, tuple) and hasattr(batch, "_make"):
        return batch._make(map(_with_own_arrays, batch))  # type: ignore[attr-defined]
    return batch
