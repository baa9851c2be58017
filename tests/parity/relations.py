"""Which public class of flax.nnx is a subclass of which, there and here.

The whole square: every public class that both have, against each other and against the
classes of Python that programs ask for.
"""

from __future__ import annotations

import collections.abc
import inspect
from dataclasses import dataclass
from typing import Any

PYTHON = {
    "list": list,
    "dict": dict,
    "tuple": tuple,
    "Mapping": collections.abc.Mapping,
    "MutableMapping": collections.abc.MutableMapping,
    "Sequence": collections.abc.Sequence,
    "MutableSequence": collections.abc.MutableSequence,
    "Iterable": collections.abc.Iterable,
    "Callable": collections.abc.Callable,
    "Exception": Exception,
}
# Of one class, of all below another, and why; the first that fits.
REASONS = (
    (
        "Object",
        "the base of all objects, as in flax 0.10; since then a class of flax of which "
        "nothing else is a subclass",
    ),
    ("list", "a List is a list, which JAX and Python functions take"),
    ("dict", "a Dict is a dict, which JAX and Python functions take"),
    ("Iterable", "a Sequential gives its layers, as in flax 0.12.12"),
)


@dataclass
class Relation:
    """Whether one class is a subclass of another, in flax and here."""

    name: str
    other: str
    flax: bool
    oakum: bool
    reason: str


def classes(nnx: Any) -> dict[str, type]:
    """The public classes of a library, by name."""
    names = [name for name in dir(nnx) if not name.startswith("_")]
    found = {name: getattr(nnx, name, None) for name in names}
    return {name: one for name, one in found.items() if inspect.isclass(one)}


def rows(flax: Any, oakum: Any) -> list[Relation]:
    """The relations in which the two differ."""
    theirs, ours = classes(flax), classes(oakum)
    names = sorted(theirs.keys() & ours.keys())
    reasons = dict(REASONS)
    found = []
    for name in names:
        for other in [*names, *PYTHON]:
            bases = [c.get(other) or PYTHON[other] for c in (theirs, ours)]
            one, two = (
                issubclass(theirs[name], bases[0]),
                issubclass(ours[name], bases[1]),
            )
            if one != two:
                found.append(Relation(name, other, one, two, reasons.get(other, "")))
    return found


def count(flax: Any, oakum: Any) -> int:
    """How many relations are compared."""
    names = classes(flax).keys() & classes(oakum).keys()
    return len(names) * (len(names) + len(PYTHON))
