"""Pickles functions that have no importable name: lambdas, closures, optax's updates.

pickle keeps a function as its module and name, and so refuses all others. A node hands
its static attributes to `pack` on the way out. Where one holds such a function, `pack`
pickles it apart, with functions by value: the code as `marshal` writes it, the globals
as the name of their module, what it closes over, and its defaults. Nodes, Variables and
arrays inside stay outside of that part, so that they remain the objects that the rest
of the pickle refers to, and cycles end.

The code is bytecode, which only the same version of Python can read; a tag tells. Two
attributes that hold the same such function hold two equal ones after loading. Copies
(`copy.deepcopy`) keep functions as they are and do not come here.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import marshal
import pickle
import platform
import sys
import types
from typing import Any

import jax
import numpy as np

from ..errors import FunctionPickleError

_PYTHON = f"{platform.python_implementation()} {platform.python_version()}"
_BYTECODE = importlib.util.MAGIC_NUMBER
_ATOMS = frozenset({int, str, float, bool, type(None), bytes, complex, type(...)})


def pack(value: Any) -> Any:
    """What to pickle instead of a value, so that loading it gives the value.

    Raises:
        FunctionPickleError: a function's globals are no module's.
    """
    if _is_simple(value):
        return value
    outside: list[Any] = []
    buffer = io.BytesIO()
    pickler = _Pickler(buffer, outside)
    pickler.dump(value)
    # What the ordinary pickle can do is left to it, which keeps shared objects shared.
    return _Packed(buffer.getvalue(), outside) if pickler.has_functions else value


def _is_simple(value: Any) -> bool:
    """Whether the ordinary pickle surely suffices."""
    kind = type(value)
    if kind in _ATOMS or _stays_outside(value):
        return True
    if kind in (tuple, list):
        return all(map(_is_simple, value))
    return kind is types.FunctionType and _is_importable(value)


def _stays_outside(value: Any) -> bool:
    return hasattr(type(value), "_oakum_children") or isinstance(
        value, jax.Array | np.ndarray
    )


def _is_importable(function: types.FunctionType) -> bool:
    """Whether pickle finds a function again by its name."""
    found: Any = sys.modules.get(function.__module__)
    for name in function.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is function


class _Packed:
    """Pickles as a call that gives the content."""

    def __init__(self, content: bytes, outside: list[Any]):
        self.content = content
        self.outside = outside

    def __reduce__(self) -> tuple:
        return _unpack, (self.content, self.outside)


class _Pickler(pickle.Pickler):
    """Pickles functions by value, and numbers what stays outside."""

    def __init__(self, file: io.BytesIO, outside: list[Any]):
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.outside = outside
        self.numbers: dict[int, int] = {}
        self.has_functions = False

    def persistent_id(self, obj: Any) -> int | None:
        if not _stays_outside(obj):
            return None
        number = self.numbers.setdefault(id(obj), len(self.outside))
        if number == len(self.outside):
            self.outside.append(obj)
        return number

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, types.FunctionType) and not _is_importable(obj):
            self.has_functions = True
            return _reduce_function(obj)
        if isinstance(obj, types.CellType):
            return _make_cell, ()  # the function's state fills it
        if isinstance(obj, types.ModuleType) and sys.modules.get(obj.__name__) is obj:
            return importlib.import_module, (obj.__name__,)
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    def __init__(self, content: bytes, outside: list[Any]):
        super().__init__(io.BytesIO(content))
        self.outside = outside

    def persistent_load(self, pid: int) -> Any:
        return self.outside[pid]


def _unpack(content: bytes, outside: list[Any]) -> Any:
    return _Unpickler(content, outside).load()


def _reduce_function(function: types.FunctionType) -> tuple:
    cells = function.__closure__ or ()
    made_of = (
        _BYTECODE,
        _PYTHON,
        marshal.dumps(function.__code__),
        _globals_name(function),
        cells,
    )
    # As state, what may lead back to the function is pickled after it is known.
    state = {
        "__name__": function.__name__,
        "__qualname__": function.__qualname__,
        "__module__": function.__module__,
        "__doc__": function.__doc__,
        "__defaults__": function.__defaults__,
        "__kwdefaults__": function.__kwdefaults__,
        "__dict__": function.__dict__,
    }
    contents = {i: c.cell_contents for i, c in enumerate(cells) if _is_filled(c)}
    return _make_function, made_of, (state, contents), None, None, _fill_function


def _is_filled(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


def _globals_name(function: types.FunctionType) -> str:
    code = function.__code__
    # Not `__module__`, which functools.wraps copies from another function.
    name = function.__globals__.get("__name__", "")
    if getattr(sys.modules.get(name), "__dict__", None) is not function.__globals__:
        raise FunctionPickleError(
            f"The function {function.__qualname__} cannot be pickled: its globals are "
            f"not those of a module that can be imported ({name!r})",
            where=f"{code.co_filename}:{code.co_firstlineno}",
            remedy="define it in a file that is imported.",
        )
    return "__main__" if name == "__mp_main__" else name  # a spawned process's main


def _make_cell() -> types.CellType:
    return types.CellType()


def _make_function(
    bytecode: bytes, python: str, code: bytes, module: str, cells: tuple
) -> types.FunctionType:
    if bytecode != _BYTECODE:
        raise FunctionPickleError(
            f"This pickle holds a function as bytecode of {python}, which {_PYTHON} "
            "cannot read",
            remedy=f"load it with {python}; or move the state alone by nnx.save and "
            "nnx.load, which work between all versions.",
        )
    try:
        namespace = vars(importlib.import_module(module))
    except ImportError as error:
        raise FunctionPickleError(
            f"This pickle holds a function of module {module!r}, which cannot be "
            f"imported here: {error}",
            remedy="put the module where Python finds it, on sys.path.",
        ) from error
    return types.FunctionType(marshal.loads(code), namespace, None, None, cells or None)


def _fill_function(function: types.FunctionType, state: tuple) -> None:
    attributes, contents = state
    for name, value in attributes.items():
        if name == "__dict__":
            function.__dict__.update(value)
        else:
            setattr(function, name, value)
    for i, content in contents.items():
        function.__closure__[i].cell_contents = content  # type: ignore[index]
