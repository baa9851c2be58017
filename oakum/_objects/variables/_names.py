"""Names of Variable types: 'params' for Param, and a registry for types of your own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

from ...errors import ArgumentValueError
from ._kinds import BatchStat, Cache, Intermediate, Param, Perturbation
from ._variable import Variable

T = TypeVar("T", bound=type[Variable])
_types: dict[str, type[Variable]] = {
    "params": Param,
    "batch_stats": BatchStat,
    "cache": Cache,
    "intermediates": Intermediate,
    "perturbations": Perturbation,
}


@overload
def register_variable_name(name: str, typ: T, *, overwrite: bool = ...) -> T: ...
@overload
def register_variable_name(name: str, *, overwrite: bool = ...) -> Callable[[T], T]: ...
def register_variable_name(
    name: str, typ: Any = None, *, overwrite: bool = False
) -> Any:
    """Gives a Variable type a name; a decorator where `typ` is left out.

    Args:
        name: the name.
        typ: the Variable type.
        overwrite: whether a name that is taken may be given anew.

    Raises:
        ArgumentValueError: the name is taken.
    """
    if typ is None:
        return lambda t: register_variable_name(name, t, overwrite=overwrite)
    if name in _types and _types[name] is not typ and not overwrite:
        raise ArgumentValueError(
            f"The name {name!r} belongs to {_types[name].__name__}",
            remedy="choose another name, or give overwrite=True.",
        )
    _types[name] = typ
    return typ


def variable_name_from_type(
    typ: type[Variable], *, allow_register: bool = False
) -> str:
    """The name of a Variable type.

    Args:
        typ: the type.
        allow_register: whether to name an unnamed type by its class.

    Raises:
        ArgumentValueError: the type has no name.
    """
    for name, known in _types.items():
        if known is typ:
            return name
    if not allow_register:
        raise ArgumentValueError(
            f"{typ.__name__} has no registered name",
            remedy="nnx.register_variable_name('name', Type), or allow_register=True.",
        )
    register_variable_name(typ.__name__, typ)
    return typ.__name__


def variable_type_from_name(
    name: str, *, base: type[Variable] = Variable, allow_register: bool = False
) -> type[Variable]:
    """The Variable type of a name.

    Args:
        name: the name.
        base: what a new type derives from.
        allow_register: whether to make a type for an unknown name.

    Raises:
        ArgumentValueError: the name is unknown.
    """
    if name in _types:
        return _types[name]
    if not allow_register:
        raise ArgumentValueError(
            f"No Variable type is named {name!r}; known: {sorted(_types)}",
            remedy="nnx.register_variable_name(name, Type), or allow_register=True.",
        )
    return register_variable_name(name, type(name, (base,), {}))
