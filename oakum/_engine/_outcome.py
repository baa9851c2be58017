"""What a run of a function did, without its arrays: what a compiled call replays."""

from __future__ import annotations

import weakref
from operator import attrgetter
from typing import Any


class Outcome:
    """What a run of the user's function did, without arrays.

    Attributes:
        written: indices of the Variables that were there before and have a new value.
        changed: indices of the objects that were there before and were edited: an
            attribute or item set, metadata changed.
        emitted: index of each Variable that the tokens describe, in their order.
        n_known: number of objects there were before.
        n_leaves: number of bare leaves among the outputs.
        n_spare: number of inputs that come out last, unchanged, for no one: they were
            given away, and no other output fits their place in memory.
        roots: new description of the arguments, or None where nothing changed.
        restructured: whether that differs in more than values.
        result: description of what the function returned.
    """

    __slots__ = (
        "__weakref__",
        "changed",
        "emitted",
        "n_known",
        "n_leaves",
        "n_spare",
        "restructured",
        "result",
        "roots",
        "written",
    )
    written: tuple[int, ...]
    changed: tuple[int, ...]
    emitted: tuple[int, ...]
    n_known: int
    n_leaves: int
    n_spare: int
    roots: Any
    restructured: bool
    result: Any

    def __repr__(self) -> str:
        # JAX writes it into the compiled program, by whose text the cache on disk
        # finds it: an address would make every process compile anew.
        return "outcome"

    def interned(self) -> Outcome:
        """The one Outcome of this content, which is not to be changed.

        It stands in the output pytree of a compiled call. The hash of a pytree leaves
        out the keys of its dicts, so JAX compares it with all others of its form: with
        an Outcome for each trace, every trace took longer than the last.
        """
        return _interned.setdefault(_content(self), self)

    @property
    def simple(self) -> bool:
        """Whether values of known Variables, and arrays, are all there is."""
        return self.roots is None and not self.emitted


_content = attrgetter(*[name for name in Outcome.__slots__ if name != "__weakref__"])
_interned: weakref.WeakValueDictionary[tuple, Outcome] = weakref.WeakValueDictionary()
