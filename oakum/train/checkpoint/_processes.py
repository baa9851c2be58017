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
import json
import math
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ..._compat._processes import gather_of_processes
from ...errors import CheckpointError, ProcessesError
from ...sharding._meeting import exchange_briefly, meet
from ._contents import is_key

_LENGTH = 2000  # characters of a message that the other processes get


def is_first_process() -> bool:
    """Whether this is the process that writes files and prints."""
    return jax.process_index() == 0


class together:  # read as a function
    """A block that all processes end alike: one that fails makes all of them raise.

    Args:
        verb: what is done, for the message.

    Raises:
        CheckpointError: the block failed in another process. Its own error goes on in
            that one.
        ProcessesError: another process did not come to this block.
    """

    def __init__(self, verb: str):
        self._verb = verb
        self._failed_elsewhere = False

    def __enter__(self) -> together:
        return self

    def check(self) -> None:
        """Raises where another process has failed by now; all of them call it."""
        try:
            said = meet(self._verb)
        except ProcessesError:
            self._failed_elsewhere = True
            raise
        for process, message in enumerate(said):
            if message:
                self._failed_elsewhere = True
                raise failed_elsewhere(self._verb, process, message)

    def __exit__(
        self, kind: Any, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._failed_elsewhere or jax.process_count() == 1:
            return
        if error is None:
            self.check()
            return
        with contextlib.suppress(ProcessesError):  # its own error says more
            meet(self._verb, f"{type(error).__name__}: {error}"[:_LENGTH])


def failed_elsewhere(verb: str, process: int, message: str) -> CheckpointError:
    """The error for what failed in another process."""
    done = "loaded" if "load" in verb else "written"
    return CheckpointError(
        f"{verb} failed in process {process}, so that nothing was {done}: {message}",
        remedy=f"mend it there; all processes call {verb} together, with the same "
        "objects.",
    )


@contextlib.contextmanager
def loading(names: Iterable[str]) -> Iterator[None]:
    """A block in which a file is read, by all processes or by some of them.

    They end it together, for as long as it took once more, and a second at the least.
    The first one serves the others while it lives: a program that is done after its
    load would end those that are still reading.

    Args:
        names: of the objects that are loaded.

    Raises:
        CheckpointError: another process could not read it.
    """
    if jax.process_count() == 1:
        yield
        return
    channel, began = f"load {' '.join(names)}", time.perf_counter()

    def end(message: str) -> list[str]:
        seconds = max(1.0, 2 * (time.perf_counter() - began))
        return exchange_briefly(channel, message[:_LENGTH], seconds)

    try:
        yield
    except BaseException as error:
        end(f"{type(error).__name__}: {error}")
        raise
    for process, message in enumerate(end("")):
        if message:
            raise failed_elsewhere("nnx.load", process, message)


def agree(verb: str, wish: bool) -> bool:
    """Whether any process wishes it; all have to ask at the same point."""
    return "1" in meet(verb, str(int(wish)))


def of_the_first(verb: str, numbers: dict[str, float]) -> dict[str, float]:
    """The numbers of process 0, in all of them; all have to ask at the same point."""
    if jax.process_count() == 1:
        return numbers
    return json.loads(meet(verb, json.dumps(numbers))[0])


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


def gathered(array: jax.Array) -> jax.Array:
    """An array of which every process holds all parts; all of them call it.

    Each process has one copy, split over its devices where it can be.
    """
    array = _bits(array)
    sharding = array.sharding
    if not isinstance(sharding, NamedSharding) or not isinstance(sharding.mesh, Mesh):
        return gather_of_processes(array, tiled=True)
    spec = _within_a_process(array.shape, sharding.mesh)
    return jax.device_put(array, NamedSharding(sharding.mesh, spec))


def _within_a_process(shape: tuple[int, ...], mesh: Mesh) -> PartitionSpec:
    """Splits along those axes of a mesh on which lie devices of one process each."""
    owners = np.vectorize(lambda device: device.process_index)(mesh.devices)
    names = tuple(
        name
        for axis, name in enumerate(mesh.axis_names)
        if (owners == owners.take([0], axis)).all()
    )
    parts = math.prod(mesh.shape[name] for name in names)
    for axis, size in enumerate(shape):
        if names and size and size % parts == 0:
            return PartitionSpec(*[None] * axis, names)
    return PartitionSpec()


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
