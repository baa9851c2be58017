"""NumPy arrays of configuration that were edited in place, and JAX's casts of them.

What is of 64 bits JAX casts when a program is traced, and keeps the cast by the array
object for as long as a program has it. A later trace, of another function too, then
gets the values from before the edit (jax 0.10 to 0.12; `jnp.asarray` as well). So the
programs that have it are forgotten before anything is traced with the edited array.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from .. import _guard as guard

ON_STALE: list[Callable[[np.ndarray, bool], None]] = []
"""Called with an array of which programs have an old cast, and whether to try all."""
_WIDE = 8  # bytes of one number, from which on JAX casts
_seen: dict[int, tuple[weakref.ref[Any], bytes]] = {}


def note_array(array: np.ndarray, content: bytes) -> None:
    """Notes what an array holds as it becomes a part of what is compiled.

    Args:
        array: the array.
        content: its bytes.
    """
    if array.dtype.itemsize < _WIDE or array.dtype.kind not in "iufc":
        return
    ident = id(array)
    known = _seen.get(ident)
    if known is None or known[0]() is not array:
        ref = weakref.ref(array, lambda _: _seen.pop(ident, None))
        _seen[ident] = ref, content
    elif known[1] != content:
        _seen[ident] = known[0], content
        _forget_casts(array)


def _forget_casts(array: np.ndarray) -> None:
    for everywhere in (False, True):
        if _cast_if_old(array) is None:
            return
        for forget in ON_STALE:
            forget(array, everywhere)
    old = _cast_if_old(array)
    if old is not None:
        guard.tell_stale_cast(array, old)


def _cast_if_old(array: np.ndarray) -> np.ndarray | None:
    """JAX's cast of an array, where it has other values; None where it has none."""
    with jax.ensure_compile_time_eval():
        cast = np.asarray(jax.numpy.asarray(array))
    same = cast.tobytes() == array.astype(cast.dtype).tobytes()
    return None if same else cast
