"""capture: what a model records while it runs, returned beside its result."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

from .._graph._walk import modules_of
from .._guard import context
from .._objects._nodes import Node
from .._objects.variables._kinds import Intermediate
from .._objects.variables._variable import Variable
from .._state._state import State, flat_items, from_flat_state
from .._state._verbs import pop
from ..errors import ArgumentError, StructureError
from ._methods import CAPTURED
from ._observe import observing

_running: dict[int, list[list[Any]]] = {}
"""The modules of the captures that run, by thread, the innermost last."""
_CALL = "()"
"""What a method returns is recorded under its name, this and the type, beside the
method."""


def capture(
    fn: Any,
    *var_types: type[Variable],
    init: State | None = None,
    method_outputs: type[Variable] | None = None,
) -> Any:
    """A function that returns what `sow` and `perturb` record beside its result.

    The records of these types are taken out of the model: it is as before the call.
    Inside another capture of the same model, others are left for that one to collect.

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
        types = {*var_types, *(type(v) for _, v in flat_items(init or {}))}
        types |= {method_outputs} if method_outputs else set()
        recorded = _of(types) if _is_nested(module) else (*types, Intermediate)
        earlier = pop(module, recorded)
        try:
            _put(module, init)
            with _recording(module, types, method_outputs):
                result = call(*args, **kwargs)
            found = [_named(pop(module, _of(set(var_types), k))) for k in var_types]
        finally:
            pop(module, recorded)
            _put(module, earlier)
        return (result, *found) if found else result

    return wrapper if isinstance(fn, Node) else functools.wraps(fn)(wrapper)


def _swapped(types: tuple, fn: Any, **options: Any) -> Any:
    return capture(fn, *types, **options)


def _of(types: set[type], kind: type = Variable) -> Callable[[Any, Any], bool]:
    """A filter of what was asked for, and not of what is of a class below."""
    return lambda path, v: isinstance(v, kind) and type(v) in types


def _named(state: State) -> State:
    """The results of methods by their names."""
    return from_flat_state(
        [
            ((*path[:-1], str(path[-1]).partition(_CALL)[0]), variable)
            for path, variable in flat_items(state)
        ]
    )


def _is_nested(module: Any) -> bool:
    """Whether another capture of this module runs in this thread."""
    calls = _running.get(threading.get_ident(), ())
    return any(module is m or module is _twin(m) for call in calls for m in call)


def _put(module: Any, state: Any) -> None:
    """Sets Variables as attributes of the submodules that their paths lead to."""
    modules = dict(modules_of(module))
    for (*parents, name), variable in flat_items(state or {}):
        if tuple(parents) not in modules:
            raise StructureError(
                f"capture: init has {'.'.join(map(str, (*parents, name)))}, but the "
                f"{type(module).__name__} has no such submodule",
                remedy="pass what an earlier capture of the same model returned.",
            )
        setattr(modules[tuple(parents)], name, variable)


@contextlib.contextmanager
def _recording(module: Any, types: set[type], outputs: Any) -> Iterator[None]:
    """Says of the modules what is recorded, in this thread; what methods return too."""
    thread = threading.get_ident()
    modules = [m for _, m in modules_of(module)]
    classes = set(map(type, modules)) if outputs else set()
    new = [(kind, kind is outputs) for kind in sorted(types, key=lambda k: k.__name__)]
    _running.setdefault(thread, []).append(modules)
    marked: list[tuple[Any, tuple | None]] = []
    try:
        for m in modules:
            before = getattr(m, CAPTURED, None)
            setattr(m, CAPTURED, tuple(dict.fromkeys((*(before or ()), *new))))
            marked.append((m, before))
        with observing(classes, "capture", _record):
            yield
    finally:
        for m, before in marked:
            delattr(m, CAPTURED) if before is None else setattr(m, CAPTURED, before)
        _running[thread].pop()
        if not _running[thread]:
            del _running[thread]


def _record(
    name: str, method: Callable[..., Any], self: Any, /, *args: Any, **kwargs: Any
) -> Any:
    result = method(self, *args, **kwargs)
    # Of this class there may be other modules, which are not captured.
    for kind, of_methods in getattr(self, CAPTURED, ()):
        if of_methods:
            self.sow(kind, name + _CALL + kind.__name__, result)
    return result


def _twin(module: Any) -> Any:
    """What stands for a module in the running transforms; itself where nothing does."""
    for frame in context.frames:
        module = frame.twins.get(id(module), module)
    return module
