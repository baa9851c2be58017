"""Parts of a model that are no objects of oakum, yet hold state: told as they are set.

A class whose author forgot `(nnx.Module)`, a plain object with an array in it, a layer
of flax.nnx: as attributes of a module they are configuration, neither trained nor
saved, and nobody would notice.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import jax

from .. import _guard as guard
from .._objects._nodes import FOREIGN, is_object
from ._values import ATOM_SET, BOTH, VALUE, namespace_of, rule_of

_FLAX = "flax.nnx"
_told: set[tuple[type, str]] = set()
_MANY = 64


def check_foreign(value: Any, is_data: bool) -> None:
    """Tells of state in an attribute or item that is not taken for state.

    Raises:
        ForeignStateWarning: where warnings are errors.
    """
    kind = type(value)
    if kind in ATOM_SET or (_of_flax(kind) is False and is_data):
        return
    if _of_flax(kind):
        _tell(kind, "a layer of flax.nnx", "make it of oakum: import oakum as nnx.")
        return
    if rule_of(kind) not in (VALUE, BOTH):
        return
    held = _held(value, 2)
    if held:
        instead = (
            "a list or a dict is a part of the model"
            if kind in (deque, set, frozenset)
            else f"class {kind.__name__}(nnx.Module) makes it a part of the model; "
            "jax.tree_util.register_dataclass makes a dataclass one"
        )
        _tell(
            kind,
            f"no object of oakum, but holds {held}",
            f"{instead}; nnx.static(...) says that it is meant as configuration.",
        )


FOREIGN.append(check_foreign)


def _of_flax(kind: type) -> bool:
    return any(base.__module__.startswith(_FLAX) for base in kind.__mro__)


def _held(value: Any, depth: int) -> str:
    """Names and classes of the state that an object holds, as text."""
    if isinstance(value, deque | set | frozenset | list | tuple):
        pairs = [(f"[{i}]", item) for i, item in enumerate(value)]
    elif isinstance(value, dict):
        pairs = [(f"[{key!r}]", item) for key, item in value.items()]
    else:
        pairs = list(zip(*namespace_of(value, []), strict=True))
    found = []
    for name, item in pairs[:_MANY]:
        if isinstance(item, jax.Array) or is_object(item):
            found.append(f"{name} ({type(item).__name__})")
        elif depth > 1 and rule_of(type(item)) in (VALUE, BOTH) and _held(item, 1):
            found.append(f"{name} ({type(item).__name__}), which holds some")
    return ", ".join(found[:3])


def _tell(kind: type, what: str, remedy: str) -> None:
    if (kind, what) not in _told:
        _told.add((kind, what))
        guard.tell_foreign(kind.__name__, what, remedy)
