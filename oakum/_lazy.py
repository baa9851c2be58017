"""Names that are imported on first use, so that `import oakum` stays quick."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any


def lazy_names(package: str, homes: Mapping[str, str]) -> None:
    """Gives a package a `__getattr__` that imports on first use, and its `__dir__`.

    They are not written as functions of the package, since a type checker that sees a
    `__getattr__` takes every name for one of the package's.

    Args:
        package: the package's `__name__`.
        homes: for each name the module that has it, relative to the package; a module
            of that very name is the value itself.
    """

    module = vars(sys.modules[package])

    def __getattr__(name: str) -> Any:
        if name not in homes:
            place = sys.modules.get(f"{package}.{name}")
            if place is not None:  # a module without a file, of `_places`
                return place
            raise _missing(package, name, imported=_is_imported(sys._getframe(1)))
        home = homes[name]
        value = import_module(home, package)
        if not home.endswith(f".{name}"):
            value = getattr(value, name)
        module[name] = value
        return value

    def __dir__() -> list[str]:
        below = [m.rpartition(".") for m in sys.modules]
        return sorted({*module, *homes, *(n for m, _, n in below if m == package)})

    module.update(__getattr__=__getattr__, __dir__=__dir__)


def _is_imported(caller: Any) -> bool:
    """Whether `from package import name` asks, which keeps no text of what it meets."""
    return caller.f_code.co_name == "_handle_fromlist"


def _missing(package: str, name: str, *, imported: bool) -> Exception:
    """The error for a name that a package lacks, with what it may be here."""
    what = f"module {package!r} has no attribute {name!r}"
    if name.startswith("_"):  # asked by tools, which look and go on
        return AttributeError(what)
    advice = import_module("._elsewhere", __package__).advice(package, name)
    if advice and imported and not _is_module(package, name):
        return ImportError(
            f"cannot import name {name!r} from {package!r}\n{advice}", name=package
        )
    # With a name of its own, Python adds no second guess of its own.
    return AttributeError(f"{what}\n{advice}" if advice else what, name=name)


def _is_module(package: str, name: str) -> bool:
    return import_module("importlib.util").find_spec(f"{package}.{name}") is not None
