"""What programs that know flax's objects from inside ask of ours, and set.

Wrappers of Linen that programs copied from flax say of each part of a model that its
variables are about to be made (`part._pytree__state._initializing = True`), and ask it
(`part._pytree__state.initializing`). Libraries that make layers while shapes are
inferred ask an object for the trace it was made in, and move it to another
(`variable._trace_state._jax_trace = outer`). The first is kept beside the objects, few
of which are ever asked, the second is a view; neither is a part of their state.
"""

from __future__ import annotations

import weakref
from typing import Any

from .._guard import TraceState, active, current_trace, resolve
from ._dicts import EditedDict
from ._version import bump

_kept: dict[int, tuple[weakref.ref, SetupState]] = {}


class SetupState:
    """What is known of the setting up of one object."""

    __slots__ = ("_initializing", "is_setup")

    def __init__(self, initializing: bool = False, is_setup: bool = True) -> None:
        self._initializing = initializing
        self.is_setup = is_setup

    @property
    def initializing(self) -> bool:
        """Whether its variables are to be made at its next call."""
        return self._initializing


def setup_state(node: Any) -> SetupState:
    """The SetupState of an object, which is its own as long as it lives."""
    ident = id(node)
    known = _kept.get(ident)
    if known is not None:
        return known[1]
    state = SetupState()
    _kept[ident] = weakref.ref(node, lambda _: _kept.pop(ident, None)), state
    return state


class ObjectTrace(TraceState):
    """The trace that a Variable or node was made in, and may be written to in."""

    __slots__ = ("_owner",)

    def __init__(self, owner: Any) -> None:
        self._owner = owner

    @property
    def jax_trace(self) -> Any:
        """The trace."""
        return self._owner._oakum_mark

    @property
    def _jax_trace(self) -> Any:
        return self.jax_trace

    @_jax_trace.setter
    def _jax_trace(self, trace: Any) -> None:
        object.__setattr__(self._owner, "_oakum_mark", trace)
        object.__setattr__(self._owner, "_oakum_frame", None)

    def is_valid(self) -> bool:
        """Whether that trace still runs, and is the innermost."""
        return self.jax_trace == current_trace()


class EditedMetadata(EditedDict):
    """The metadata of a Variable, which edits of the items change.

    They are free of the check of the trace, which is for arrays.
    """

    __slots__ = ("_variable",)

    def __init__(self, variable: Any) -> None:
        self._variable = resolve(variable) if active else variable
        super().__init__(self._variable._meta)

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        self._store()

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        self._store()

    def _store(self) -> None:
        object.__setattr__(self._variable, "_meta", dict(self))
        bump(self._variable)
