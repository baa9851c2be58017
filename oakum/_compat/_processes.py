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
_left: dict[int, str] = {}  # the processes that took leave, and why

_CALLS = "calls"
_SAID, _LEFT = b".", b"!"


def gather_of_processes(array: Any, *, tiled: bool = False) -> Any:
    """The arrays that all processes give, stacked; waits until each of them calls it.

    Imported on use, since it is slow to.

    Args:
        array: of this process; or one that is spread over all of them.
        tiled: whether it is spread, and the whole is wanted.
    """
    from jax.experimental import multihost_utils

    return multihost_utils.process_allgather(array, tiled=tiled)


class Absent(Exception):
    """Not all processes have come to an exchange.

    Attributes:
        came: those that have.
        left: those that have taken leave, and why.
    """

    def __init__(self, came: list[int], left: dict[int, str]):
        super().__init__(came, left)
        self.came, self.left = came, left


def exchange(data: bytes, seconds: float, channel: str = _CALLS) -> list[bytes]:
    """What all processes give, in their order, once each of them has called it.

    It goes by the service that has joined them: no device computes, and none is waited
    for.

    Args:
        data: short, as every process gets that of all.
        seconds: how long to wait for the others.
        channel: each has an order of its own.

    Raises:
        Absent: not all have come, or one has taken leave.
    """
    client = _client()
    if client is None:  # pragma: no cover - another JAX
        return _exchange_on_devices(data)
    if _left:
        raise Absent([jax.process_index()], dict(_left))
    count, own = next(_numbers[channel]), jax.process_index()
    found, all_came = _meet(client, f"{channel}/{count}", _SAID + data, seconds)
    ended = {n: text[1:] for n, text in found.items() if text[:1] == _LEFT}
    _left.update({n: text.decode(errors="replace") for n, text in ended.items()})
    if _left or not all_came:
        raise Absent(sorted(found.keys() - ended.keys()), dict(_left))
    if count:  # all have read it who are past this barrier
        client.key_value_delete(f"oakum/{channel}/{count - 1}/{own}")
    return [found[number][1:] for number in range(jax.process_count())]


def take_leave(why: bytes, seconds: float) -> None:
    """Tells the others, where they wait in an exchange or come to one, of this end.

    Args:
        why: short.
        seconds: how long to wait for them to come.
    """
    client = _client()
    if client is not None and not _left:
        _meet(client, f"{_CALLS}/{next(_numbers[_CALLS])}", _LEFT + why, seconds)


def _meet(
    client: Any, place: str, data: bytes, seconds: float
) -> tuple[dict[int, bytes], bool]:
    """What the processes that came to a place gave, and whether all came in time."""
    folder = f"oakum/{place}/"
    client.key_value_set_bytes(f"{folder}{jax.process_index()}", data)
    try:
        client.wait_at_barrier(folder, round(1000 * seconds))
        all_came = True
    except Exception:
        all_came = False
    found = client.key_value_dir_get_bytes(folder)
    return {int(k.rpartition("/")[2]): v for k, v in found}, all_came


def _client() -> Any:
    client = getattr(_state, "client", None)
    return client if hasattr(client, "key_value_dir_get_bytes") else None


def _exchange_on_devices(data: bytes) -> list[bytes]:  # pragma: no cover - another JAX
    lengths = np.ravel(gather_of_processes(np.asarray(len(data), np.int32)))
    own = np.zeros(int(lengths.max()), np.uint8)
    own[: len(data)] = np.frombuffer(data, np.uint8)
    rows = np.asarray(gather_of_processes(own))
    return [row[:length].tobytes() for row, length in zip(rows, lengths, strict=True)]
