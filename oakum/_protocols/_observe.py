"""Watching calls of methods: other methods on the classes, for as long as it lasts.

A call of a module goes to its class, so that is where it must be met. A subclass made
for the purpose would do without a change of the class, but is registered with JAX for
good, runs users' `__init_subclass__`, and is not of the type that their code compares.

`capture` and `tabulate` share what is here, since two that each put back the methods
they found could leave a method of the other's behind.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from typing import Any

_lock = threading.Lock()
_watched: dict[type, list[Any]] = {}
"""Classes with other methods: for how many observers, and the methods they had."""
_observers: dict[int, list[tuple[str, Callable[..., Any]]]] = {}
"""Purpose and observer, by thread, innermost last."""


@contextlib.contextmanager
def observing(
    classes: set[type], purpose: str, observer: Callable[..., Any]
) -> Iterator[None]:
    """Lets an observer carry out the calls of methods, in this thread.

    The lock is not held while the user's code runs: that may wait for a thread which
    observes too.

    Args:
        classes: whose own methods; those that they inherit are not meant.
        purpose: of several observers with one purpose the innermost is asked alone.
        observer: called as `observer(name, method, self, *args, **kwargs)`; it returns
            what the method does.
    """
    thread = threading.get_ident()
    with _lock:
        for cls in classes:
            _add(cls)
        _observers.setdefault(thread, []).append((purpose, observer))
    try:
        yield
    finally:
        with _lock:
            _observers[thread].pop()
            if not _observers[thread]:
                del _observers[thread]
            for cls in classes:
                _remove(cls)


_put = type.__setattr__  # no edit of the class for what was compiled


def _add(cls: type) -> None:
    count, methods = _watched.get(cls, (0, {}))
    if not count:
        methods = {
            name: method
            for name, method in vars(cls).items()
            if inspect.isfunction(method)
            and (name == "__call__" or not name.startswith("_"))
        }
        for name, method in methods.items():
            _put(cls, name, _observed(name, method))
    _watched[cls] = [count + 1, methods]


def _remove(cls: type) -> None:
    _watched[cls][0] -= 1
    count, methods = _watched[cls]
    if not count:
        for name, method in methods.items():
            _put(cls, name, method)
        del _watched[cls]


def _observed(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        run = method
        if args:  # else a plain function, called on the class itself
            for observer in dict(_observers.get(threading.get_ident(), ())).values():
                run = functools.partial(observer, name, run)
        return run(*args, **kwargs)

    return call
