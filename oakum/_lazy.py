"""Names that are imported on first use, so that `import oakum` stays quick."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """A `__getattr__` for a package that imports a name's module on first use.

    Args:
        package: the package's `__name__`.
        homes: for each name the module that has it, relative to the package; a module
            of that very name is the value itself.
    """

    def __getattr__(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = homes[name]
        value = import_module(home, package)
        if not home.endswith(f".{name}"):
            value = getattr(value, name)
        setattr(sys.modules[package], name, value)
        return value

    return __getattr__
