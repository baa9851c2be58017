"""Which globals of a function are settings, that a program may bind anew.

Modules, classes, and functions that read no settings are taken for fixed, and so is all
that an installed library binds.
"""

from __future__ import annotations

import functools
import sys
import types
from typing import Any

import numpy as np
from jax.core import Tracer

from ._values import ATOM_SET, BOTH, IDENTITY, VALUE, rule_of

_INSTALLED = ("site-packages", "dist-packages")
_OWN = __name__.partition(".")[0]


@functools.lru_cache(1024)
def global_names(code: types.CodeType) -> tuple[str, ...]:
    """The names that code reads from globals, inner functions included."""
    inner = [c for c in code.co_consts if isinstance(c, types.CodeType)]
    found = {*code.co_names, *[name for c in inner for name in global_names(c)]}
    return tuple(sorted(found))


@functools.lru_cache(1024)
def mentioned_names(code: types.CodeType) -> tuple[str, ...]:
    """The names that code reads, and its short texts, which may be names."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found.update(mentioned_names(constant))
        elif isinstance(constant, str) and len(constant) < 100:
            found.add(constant)
    return tuple(sorted(found))


def is_installed(module: Any) -> bool:
    """Whether a module, by its name, is of an installed library."""
    return type(module) is str and _is_installed(module)


@functools.lru_cache(4096)
def _is_installed(name: str) -> bool:
    root = name.partition(".")[0]
    if root in sys.stdlib_module_names and root != "__main__":
        return True
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    return root == _OWN or any(part in file for part in _INSTALLED)


def changing_globals(
    function: types.FunctionType, above: tuple[int, ...] = ()
) -> tuple[str, ...]:
    """The names under which a function finds settings."""
    names = function.__globals__
    if is_installed(names.get("__name__")) or id(function) in above:
        return ()
    above = (*above, id(function))
    return tuple(
        [
            name
            for name in global_names(function.__code__)
            if name in names and _is_setting(names[name], above)
        ]
    )


def _is_setting(value: Any, above: tuple[int, ...]) -> bool:
    kind = type(value)
    if kind in ATOM_SET or kind in (list, dict, set, np.ndarray):
        return True
    if kind is types.FunctionType:
        return value.__closure__ is not None or bool(changing_globals(value, above))
    if issubclass(kind, (type, types.ModuleType, types.BuiltinFunctionType)):
        return False
    rule = rule_of(kind)
    return rule in (VALUE, BOTH) or (rule == IDENTITY and not issubclass(kind, Tracer))
