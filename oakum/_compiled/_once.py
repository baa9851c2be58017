"""Control flow outside of any trace: compiled, and traced once for its functions.

`jax.lax.scan` and its like keep a function's trace as long as they get the same
function again. What they get from us is made anew in each call, so the call as a whole
goes through `jit`, which is kept here for as long as the user's functions live.

A function that finds other values than before, in its closure, in globals, or behind
these in objects and containers, counts as another one, so that the new values are seen;
in `jax.lax` alone they would not be.

It goes there only where that changes nothing: all arguments are objects, arrays and
numbers, and the functions read no other state. In a compiled call such state would be
an input, thus traced, where in a plain one its values are at hand.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import jax

from .._engine._traceback import trimmed
from .._guard import ROOT, current_trace
from .._objects import NUMBERS, is_array, is_object
from ._jitted import CapturesState, Jitted
from .captured._sources import reads_of

_MAX_MADE = 256
_made: dict[tuple, Callable[..., Any] | None] = {}
"""The compiled calls by transform, options and functions; None where there is none."""


@trimmed
def once(run: Callable[..., Any], functions: tuple, options: tuple, args: tuple) -> Any:
    """Runs a transform, compiled if it runs outside of any trace.

    Args:
        run: carries the transform out: takes the functions, the options and the
            arguments.
        functions: the user's functions.
        options: what else decides how it runs; compared by value.
        args: the arguments.
    """
    compiled = _find(run, functions, options) if _is_plain(args) else None
    if compiled is not None:
        traces = compiled._cache_size()  # type: ignore[attr-defined]
        try:
            result = compiled(*args)
        except CapturesState:
            _made[_key(run, functions, options)] = None
        else:
            if compiled._cache_size() != traces:  # type: ignore[attr-defined]
                # What the trace itself edited, such as a list that counts traces, is
                # no edit that the next call is to see.
                _made[_key(run, functions, options, _forget)] = compiled
            return result
    return run(functions, options, *args)


def _is_plain(args: tuple) -> bool:
    return current_trace() == ROOT and all(
        is_object(leaf) or is_array(leaf) or isinstance(leaf, NUMBERS)
        for leaf in jax.tree.leaves(args, is_leaf=is_object)
    )


def _key(run: Any, functions: tuple, options: tuple, forget: Any = None) -> tuple:
    # The types too, since 1 == True, which for `unroll` are two things.
    kinds = tuple(map(type, options))
    read = tuple(map(reads_of, functions))
    if None in read:
        raise TypeError("too much to compare")
    return (run, options, kinds, read, *[weakref.ref(f, forget) for f in functions])


def _find(run: Any, functions: tuple, options: tuple) -> Callable[..., Any] | None:
    try:
        key = _key(run, functions, options)
        if key in _made:
            return _made[key]
    except TypeError:  # cannot be compared, or not be referred to weakly
        return None
    refs = key[4:]

    def call(*args: Any) -> Any:
        return run(tuple([ref() for ref in refs]), options, *args)

    call.__name__ = run.__name__
    compiled = Jitted(call, inner=True).call
    if len(_made) >= _MAX_MADE:
        _made.pop(next(iter(_made)), None)
    _made[_key(run, functions, options, _forget)] = compiled
    return compiled


def _forget(ref: Any) -> None:
    for key in [key for key in _made if any(part is ref for part in key)]:
        _made.pop(key, None)
