"""capture: what a model records while it runs, returned beside its result."""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from typing import Any

from ._nodes import Node
from ._state import State, flat_items, from_flat_state
from ._variable import Perturbation, Variable
from ._verbs import pop
from ._walk import iter_modules

_lock = threading.RLock()
_CALL = "()"
"""What a method returns is recorded under its name and this, beside the method."""


def capture(
    fn: Any,
    *var_types: type[Variable],
    init: State | None = None,
    method_outputs: type[Variable] | None = None,
) -> Any:
    """A function that returns what `sow` and `perturb` record beside its result.

    The records of these types are taken out of the model: it is as before the call.

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
        module = owner if isinstance(owner, Node) else args[0]
        types = {*var_types, *(type(v) for _, v in flat_items(init or {}))}
        recorded = (*types, Perturbation)
        earlier = pop(module, recorded)
        try:
            _put(module, init)
            with _recording(module, method_outputs):
                result = call(*args, **kwargs)
            found = [_only(pop(module, kind), set(var_types)) for kind in var_types]
        finally:
            pop(module, recorded)
            _put(module, earlier)
        return (result, *found) if found else result

    return wrapper if isinstance(fn, Node) else functools.wraps(fn)(wrapper)


def _swapped(types: tuple, fn: Any, **options: Any) -> Any:
    return capture(fn, *types, **options)


def _only(state: State, types: set[type]) -> State:
    """What was asked for, and not what is of a class below; methods by their names."""
    return from_flat_state(
        [
            ((*path[:-1], path[-1].removesuffix(_CALL)), variable)
            for path, variable in flat_items(state)
            if type(variable) in types
        ]
    )


def _put(module: Any, state: Any) -> None:
    """Sets Variables as attributes of the submodules that their paths lead to."""
    modules = dict(iter_modules(module))
    for (*parents, name), variable in flat_items(state or {}):
        setattr(modules[tuple(parents)], name, variable)


@contextlib.contextmanager
def _recording(module: Any, variable_type: Any) -> Iterator[None]:
    """Records what methods return, in this thread, by other methods on the classes."""
    if variable_type is None:
        yield
        return
    thread = threading.get_ident()

    def recorded(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            result = method(self, *args, **kwargs)
            if threading.get_ident() == thread:
                self.sow(variable_type, name + _CALL, result)
            return result

        return call

    with _lock:
        replaced = [
            (cls, name, method)
            for cls in {type(m) for _, m in iter_modules(module)}
            for name, method in list(vars(cls).items())
            if inspect.isfunction(method)
            and (name == "__call__" or not name.startswith("_"))
        ]
        for cls, name, method in replaced:
            setattr(cls, name, recorded(name, method))
        try:
            yield
        finally:
            for cls, name, method in replaced:
                setattr(cls, name, method)
