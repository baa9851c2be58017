"""What several processes of one program do together: read, fail, go on.

With `jax.distributed`, each process runs the whole program and holds a part of each
array. Process 0 alone writes files. What it meets there, or any process before, all
are told: one that went on alone would wait for the others for good.

    with together("nnx.save"):
        if is_first_process():
            write(...)
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from ..._compat import gather_of_processes
from ...errors import CheckpointError
from ._contents import is_key

_LENGTH = 2000  # bytes of a message that the other processes get


def is_first_process() -> bool:
    """Whether this is the process that writes files and prints."""
    return jax.process_index() == 0


@contextlib.contextmanager
def together(verb: str) -> Iterator[None]:
    """A block that all processes end alike: one that fails makes all of them raise.

    Args:
        verb: what is done, for the message.

    Raises:
        CheckpointError: the block failed in another process. Its own error goes on in
            that one.
    """
    if jax.process_count() == 1:
        yield
        return
    try:
        yield
    except BaseException as error:
        _gather(f"{type(error).__name__}: {error}")
        raise
    for process, message in enumerate(_gather("")):
        if message:
            raise CheckpointError(
                f"{verb} failed in process {process}, so that nothing was written: "
                f"{message}",
                remedy=f"mend it there; all processes call {verb} together, with the "
                "same objects.",
            )


def agree(wish: bool) -> bool:
    """Whether any process wishes it; all have to ask at the same point."""
    if jax.process_count() == 1:
        return wish
    return bool(np.any(gather_of_processes(np.asarray(wish, np.uint8))))


def gather_texts(text: str) -> list[str]:
    """The texts of all processes, in their order; all of them call it."""
    if jax.process_count() == 1:
        return [text]
    data = np.frombuffer(text.encode(), np.uint8)
    lengths = np.ravel(gather_of_processes(np.asarray(data.size, np.int32)))
    own = np.zeros(int(lengths.max()), np.uint8)
    own[: data.size] = data
    rows = np.asarray(gather_of_processes(own))
    return [
        row[:length].tobytes().decode()
        for row, length in zip(rows, lengths, strict=True)
    ]


def is_readable(array: jax.Array) -> bool:
    """Whether this process holds every part of an array."""
    if array.is_fully_addressable or array.is_fully_replicated:
        return True
    indices = array.sharding.devices_indices_map(array.shape).values()
    return {str(index) for index in indices} == set(_parts(array))


def read(array: Any) -> np.ndarray:
    """The values of an array that `is_readable`; of random keys their bits.

    No collective runs: process 0 may call it alone.
    """
    if not isinstance(array, jax.Array) or array.is_fully_addressable:
        return np.asarray(jax.device_get(_bits(array)))
    parts = [(part.index, _bits(part.data)) for part in _parts(array).values()]
    shape = (*array.shape, *parts[0][1].shape[array.ndim :])
    whole = np.empty(shape, parts[0][1].dtype)
    for index, data in parts:
        whole[index] = jax.device_get(data)
    return whole


def spread_keys(
    bits: np.ndarray, impl: str, sharding: Any, shape: tuple[int, ...]
) -> jax.Array:
    """Random keys of these bits, over the devices of several processes."""

    # Each part on a device of its own: `device_put` takes no keys to other processes,
    # and in a mesh `jnp.asarray` goes to all of its devices.
    def part(index: Any) -> jax.Array:
        local = jax.device_put(bits[index], jax.local_devices()[0])
        return jax.random.wrap_key_data(local, impl=impl)

    return jax.make_array_from_callback(shape, sharding, part)


def _parts(array: jax.Array) -> dict[str, Any]:
    """One of the shards of this process for each index that it holds."""
    return {str(shard.index): shard for shard in array.addressable_shards}


def _bits(array: Any) -> Any:
    return jax.random.key_data(array) if is_key(array) else array


def _gather(message: str) -> list[str]:
    """The messages of all processes, in their order."""
    text = message.encode()[:_LENGTH].ljust(_LENGTH, b"\0")
    rows = np.asarray(gather_of_processes(np.frombuffer(text, np.uint8)))
    return [row.tobytes().rstrip(b"\0").decode(errors="replace") for row in rows]
