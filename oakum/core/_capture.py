"""capture: what a model records while it runs, returned beside its result."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

from .._guard import context
from ..errors import ArgumentError, StructureError
from ._nodes import Node
from ._observe import observing
from ._state import State, flat_items, from_flat_state
from ._variable import Intermediate, Perturbation, Variable
from ._verbs import pop
from ._walk import iter_modules

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
        recorded = (*types, Intermediate, Perturbation)
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
        if tuple(parents) not in modules:
            raise StructureError(
                f"capture: init has {'.'.join(map(str, (*parents, name)))}, but the "
                f"{type(module).__name__} has no such submodule",
                remedy="pass what an earlier capture of the same model returned.",
            )
        setattr(modules[tuple(parents)], name, variable)


@contextlib.contextmanager
def _recording(module: Any, variable_type: Any) -> Iterator[None]:
    """Records what methods return, in this thread."""
    if variable_type is None:
        yield
        return
    modules = [m for _, m in iter_modules(module)]

    def record(
        name: str, method: Callable, self: Any, /, *args: Any, **kwargs: Any
    ) -> Any:
        result = method(self, *args, **kwargs)
        # Of this class there may be other modules, which are not captured.
        if any(self is m or self is _twin(m) for m in modules):
            self.sow(variable_type, name + _CALL, result)
        return result

    with observing(set(map(type, modules)), "capture", record):
        yield


def _twin(module: Any) -> Any:
    """What stands for a module in the running transforms; itself where nothing does."""
    for frame in context.frames:
        module = frame.twins.get(id(module), module)
    return module
