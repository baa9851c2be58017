"""What JAX's collectives between processes are reached by."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

try:
    from jax._src.distributed import global_state as _state
except ImportError:  # pragma: no cover - another JAX
    _state: Any = None

_numbers: dict[str, Iterator[int]] = collections.defaultdict(itertools.count)


def gather_of_processes(array: Any, *, tiled: bool = False) -> Any:
    """The arrays that all processes give, stacked; waits until each of them calls it.

    Imported on use, since it is slow to.

    Args:
        array: of this process; or one that is spread over all of them.
        tiled: whether it is spread, and the whole is wanted.
    """
    from jax.experimental import multihost_utils

    return multihost_utils.process_allgather(array, tiled=tiled)


def exchange(channel: str, data: bytes, seconds: float) -> list[bytes]:
    """What all processes give, in their order, once each of them has called it.

    It goes by the service that has joined them: no device computes, and none is waited
    for.

    Args:
        channel: each has an order of its own.
        data: short, as every process gets that of all.
        seconds: how long to wait for the others.

    Raises:
        TimeoutError: not all have come; its argument is the list of those that have.
    """
    client: Any = getattr(_state, "client", None)
    if not hasattr(client, "key_value_dir_get_bytes"):  # pragma: no cover - another JAX
        return _exchange_on_devices(data)
    count, own = next(_numbers[channel]), jax.process_index()
    folder = f"oakum/{channel}/{count}/"
    client.key_value_set_bytes(f"{folder}{own}", b"." + data)
    try:
        client.wait_at_barrier(folder, round(1000 * seconds))
    except Exception as error:
        came = [name.rpartition("/")[2] for name in _keys(client, folder)]
        raise TimeoutError(sorted(map(int, came))) from error
    found = dict(client.key_value_dir_get_bytes(folder))
    if count:  # all have read it who are past this barrier
        client.key_value_delete(f"oakum/{channel}/{count - 1}/{own}")
    return [found[f"{folder}{n}"][1:] for n in range(jax.process_count())]


def _keys(client: Any, folder: str) -> list[str]:
    return [name for name, _ in client.key_value_dir_get_bytes(folder)]


def _exchange_on_devices(data: bytes) -> list[bytes]:  # pragma: no cover - another JAX
    lengths = np.ravel(gather_of_processes(np.asarray(len(data), np.int32)))
    own = np.zeros(int(lengths.max()), np.uint8)
    own[: len(data)] = np.frombuffer(data, np.uint8)
    rows = np.asarray(gather_of_processes(own))
    return [row[:length].tobytes() for row, length in zip(rows, lengths, strict=True)]
