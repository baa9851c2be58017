"""Whether all processes hold the same values where JAX takes them for copies of one.

With `jax.distributed` each process makes its own arrays. One that is whole in each of
them, or has a part that several hold, is one array to JAX, and nothing there compares
what they hold: losses agree to the bit while the weights differ.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._compat._processes import gather_of_processes
from ..errors import ArgumentValueError
from ._meeting import meet

_BYTES = 8
_LONGEST = 512


def check_agreement(verb: str, values: Iterable[tuple[str, Any]]) -> None:
    """Compares what several processes hold of each array; all of them call it.

    Args:
        verb: what is done, for the message.
        values: arrays and numbers by name.

    Raises:
        ArgumentValueError: processes differ; names the first array that differs, in
            all of them.
    """
    if jax.process_count() == 1:
        return
    rows = [(name, digest) for name, x in values for digest in _digests(name, x)]
    most = max(map(int, meet(verb, str(len(rows)))))
    own = np.zeros((most, 2 * _BYTES), np.uint8)
    for number, (_, digest) in enumerate(rows):
        own[number] = np.frombuffer(digest, np.uint8)
    gathered = np.asarray(gather_of_processes(own))
    for number in range(most):
        if differing := _differing(gathered[:, number]):
            own_name = f"`{rows[number][0]}`" if number < len(rows) else "nothing"
            raise _disagreement(verb, _names(own_name), differing)


def _names(own: str) -> list[str]:
    """The names that the processes give.

    As arrays: whoever has them needs no other process any more, which may end here.
    """
    text = own.encode()[:_LONGEST].ljust(_LONGEST, b"\0")
    gathered = np.asarray(gather_of_processes(np.frombuffer(text, np.uint8)))
    return [row.tobytes().rstrip(b"\0").decode(errors="ignore") for row in gathered]


def _differing(digests: np.ndarray) -> tuple[int, int] | None:
    """Two processes of which both hold an array, with different values or names."""
    names = [row[:_BYTES].tobytes() for row in digests]
    parts = [row[_BYTES:].tobytes() for row in digests]
    held = [number for number, part in enumerate(parts) if part != _ABSENT]
    for number in range(1, len(names)):
        if names[number] != names[0]:
            return 0, number
    for number in held[1:]:
        if parts[number] != parts[held[0]]:
            return held[0], number
    return None


_ABSENT = bytes([1] * _BYTES)  # of a part that this process does not hold


def _digests(name: str, value: Any) -> Iterator[bytes]:
    """Digests of name and values, one for each part that several processes hold."""
    if isinstance(value, jax.Array) and not value.is_fully_addressable:
        own = {str(shard.index): shard.data for shard in value.addressable_shards}
        for index in _shared_parts(value):
            part = _of_values(own[index]) if index in own else _ABSENT
            yield _of_text(f"{name} {value.shape} {value.dtype} {index}") + part
        return
    text = f"{name} {jnp.shape(value)} {getattr(value, 'dtype', type(value))}"
    yield _of_text(text) + _of_values(value)


def _shared_parts(array: jax.Array) -> list[str]:
    holders: dict[str, set[int]] = {}
    places = array.sharding.devices_indices_map(array.shape)
    for device, index in places.items():
        holders.setdefault(str(index), set()).add(device.process_index)
    return sorted(index for index, held in holders.items() if len(held) > 1)


def _of_text(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=_BYTES).digest()


def _of_values(value: Any) -> bytes:
    dtype = getattr(value, "dtype", None)
    if dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key):
        value = jax.random.key_data(value)
    data: Any = np.ascontiguousarray(jax.device_get(value)).view(np.uint8)
    return hashlib.blake2b(data, digest_size=_BYTES).digest()


def _disagreement(
    verb: str, names: list[str], differing: tuple[int, int]
) -> ArgumentValueError:
    """The error, from what each process has in the first place that differs."""
    one, other = differing
    first = names[one]
    if names[other] != first:
        first += f" in process {one} where process {other} has {names[other]}"
    return ArgumentValueError(
        f"{verb}: the processes {one} and {other} hold different values, or different "
        f"objects; the first that differs is {first}. JAX takes them for copies of "
        "one array, and nothing would show it",
        remedy="make it alike in all processes, from one seed: nnx.Rngs(0), not "
        "nnx.Rngs(jax.process_index()); or load it in all of them.",
    )
