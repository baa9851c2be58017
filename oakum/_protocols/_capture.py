"""capture: what a model records while it runs, returned beside its result."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

from .._graph._walk import modules_of
from .._objects._module import data
from .._objects._nodes import Node
from .._objects.variables._variable import Variable
from .._state._state import State, flat_items, from_flat_state
from ..errors import ArgumentError, StructureError
from ._methods import CAPTURED, append, record
from ._observe import observing

_METHODS = "of_methods"
"""The metadata of records that also hold what methods return."""


def capture(
    fn: Any,
    *var_types: type[Variable],
    init: State | None = None,
    method_outputs: type[Variable] | None = None,
) -> Any:
    """A function that returns what `sow` and `perturb` record beside its result.

    The records are collected beside the attributes of the model, which is as before the
    call. Inside another capture of the same model, those of other types are left for
    that one to collect.

    Args:
        fn: a Module, a method of one, or a function whose first argument is one; left
            out where used as a decorator with types.
        *var_types: the types of Variables to collect.
        init: values to start with, such as the Perturbations of an earlier call.
        method_outputs: a type under which to record what each method of the model's
            classes returns.

    Returns:
        A function of the same arguments that returns (result, state), with a State for
        each type.

    Raises:
        ArgumentError: the first argument is no module.
        StructureError: `init` leads to no submodule.

    Example:
        >>> import oakum as nnx
        >>> class Square(nnx.Module):
        ...     def __call__(self, x):
        ...         self.sow(nnx.Intermediate, 'input', x)
        ...         return x * x
        >>> nnx.capture(Square(), nnx.Intermediate)(3.0)[1].input.value
        (3.0,)
    """
    if isinstance(fn, type) and issubclass(fn, Variable):
        return functools.partial(
            _swapped, (fn, *var_types), init=init, method_outputs=method_outputs
        )
    call: Callable[..., Any] = fn
    owner = fn if isinstance(fn, Node) else getattr(fn, "__self__", None)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        module = owner if isinstance(owner, Node) else next(iter(args), None)
        if not isinstance(module, Node):
            raise ArgumentError(
                f"capture: the first argument of {getattr(fn, '__name__', fn)} is a "
                f"{type(module).__name__}, expected the module that records",
                remedy="nnx.capture(lambda model, x: ..., ...)(model, x).",
            )
        with _recording(module, var_types, init, method_outputs):
            result = call(*args, **kwargs)
            found = _results(module, var_types)
        return (result, *found) if found else result

    return wrapper if isinstance(fn, Node) else functools.wraps(fn)(wrapper)


def _swapped(types: tuple, fn: Any, **options: Any) -> Any:
    return capture(fn, *types, **options)


@contextlib.contextmanager
def _recording(
    module: Any, types: tuple[type[Variable], ...], init: Any, outputs: Any
) -> Iterator[None]:
    """Gives each module a place for its records; what methods return goes there too."""
    modules = dict(modules_of(module))
    classes = set(map(type, modules.values())) if outputs else set()
    places = {path: _places(types, outputs) for path in modules}
    for (*parents, name), variable in flat_items(init or {}):
        if tuple(parents) not in modules:
            raise StructureError(
                f"capture: init has {'.'.join(map(str, (*parents, name)))}, but the "
                f"{type(module).__name__} has no such submodule",
                remedy="pass what an earlier capture of the same model returned.",
            )
        kind: Any = type(variable)
        held = places[tuple(parents)].setdefault(kind, kind({}))
        held.set_value({**held.get_value(), name: variable.get_value()})
    before: list[tuple[Any, tuple | None]] = []
    try:
        for path, m in modules.items():
            around, own = getattr(m, CAPTURED, None), places[path]
            others = [records for records in around or () if type(records) not in own]
            setattr(m, CAPTURED, data((*own.values(), *others)))
            before.append((m, around))
        with observing(classes, "capture", _record):
            yield
    finally:
        for m, around in before:
            delattr(m, CAPTURED) if around is None else setattr(m, CAPTURED, around)


def _places(types: tuple[Any, ...], outputs: Any) -> dict[type[Variable], Any]:
    """A Variable for the records of each type."""
    found = {kind: kind({}) for kind in types}
    if outputs is not None:
        found[outputs] = outputs({}, **{_METHODS: True})
    return found


def _results(module: Any, types: tuple[Any, ...]) -> list[State]:
    """The records by type; one that is of several types is of the first."""
    found: dict[tuple, Variable] = {}
    for kind in types:
        for path, m in modules_of(module):
            for records in getattr(m, CAPTURED, ()):
                if type(records) is kind:
                    held = records.get_value().items()
                    found |= {(*path, name): kind(value) for name, value in held}
    states = []
    for kind in types:
        taken = {path: v for path, v in found.items() if isinstance(v, kind)}
        found = {path: v for path, v in found.items() if path not in taken}
        states.append(from_flat_state(sorted(taken.items(), key=str)))
    return states


def _record(
    name: str, method: Callable[..., Any], self: Any, /, *args: Any, **kwargs: Any
) -> Any:
    result = method(self, *args, **kwargs)
    # Of this class there may be other modules, which are not captured.
    for records in getattr(self, CAPTURED, ()):
        if records.get_metadata().get(_METHODS):
            record(records, name, result, append, tuple)
    return result
