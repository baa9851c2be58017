"""Whether an object is being set up, as programs tell each other through flax's names.

Wrappers of Linen that programs copied from flax say of each part of a model that its
variables are about to be made (`part._pytree__state._initializing = True`), and ask it
(`part._pytree__state.initializing`). It is kept beside the objects, few of which are
ever asked, and is no part of their state.
"""

from __future__ import annotations

import weakref
from typing import Any

_kept: dict[int, tuple[weakref.ref, SetupState]] = {}


class SetupState:
    """What is known of the setting up of one object."""

    __slots__ = ("_initializing",)

    def __init__(self) -> None:
        self._initializing = False

    @property
    def initializing(self) -> bool:
        """Whether its variables are to be made at its next call."""
        return self._initializing

    is_setup = True


def setup_state(node: Any) -> SetupState:
    """The SetupState of an object, which is its own as long as it lives."""
    ident = id(node)
    known = _kept.get(ident)
    if known is not None:
        return known[1]
    state = SetupState()
    _kept[ident] = weakref.ref(node, lambda _: _kept.pop(ident, None)), state
    return state
