"""Puts oakum in the place of `flax.nnx`, for a program that says neither.

Python imports this file by itself, before the program, where its folder is on
PYTHONPATH. From then on `flax.nnx` is oakum, and `flax.nnx.X` is `oakum.X`, however
they are imported: the program, its tests and what it imports see one library. All
else of flax is flax's own.

    PYTHONPATH=scripts/stand_in python train.py
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

PLACE = "flax.nnx"
ROOT = Path(__file__).resolve().parents[2]


class StandIn:
    """A finder and loader of modules: those of oakum for the names of `flax.nnx`."""

    def __init__(self) -> None:
        self._own_specs: dict[str, Any] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == PLACE or name.startswith(f"{PLACE}."):
            return spec_from_loader(name, self)
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        name = "oakum" + spec.name.removeprefix(PLACE)
        try:
            module = import_module(name)
        except ModuleNotFoundError as missing:
            if missing.name != name:
                raise
            text = f"No module named {spec.name!r}: oakum stands in, without {name!r}"
            raise ModuleNotFoundError(text, name=spec.name) from None
        self._own_specs[spec.name] = getattr(module, "__spec__", None)
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import machinery has given the module the spec of the other name.
        spec = module.__spec__
        if spec is not None and spec.name in self._own_specs:
            module.__spec__ = self._own_specs.pop(spec.name)


# At the end, so that no folder of this repository hides one of the program's.
sys.path.append(str(ROOT))
sys.meta_path.insert(0, StandIn())
