"""Programs that set attributes past `__setattr__`, by `object.__setattr__`.

Nobody sees such an edit as it happens, and to compare all attributes of a model of 290
arrays takes 40 us, which no call is to pay that has no reason to. So it is looked for
in the text of the program: in its modules, those of installed libraries left out, and
in the methods of the classes of nodes. Where it stands, all attributes are compared,
by each compiled call and whenever a graph is taken apart.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from ._globals import is_installed

_NAMES = ("__setattr__", "__delattr__")
# On `self` in a class that is no node; nodes are asked themselves.
_CALL = rb"\bobject\s*\.\s*__(?:set|del)attr__(?!\(\s*self\b)"


class _Bypassed:
    """Whether the program sets attributes past `__setattr__`, so far as it was read."""

    __slots__ = ("_count", "_seen", "on")

    def __init__(self) -> None:
        self.on = False
        self._count = 0
        self._seen: set[Any] = set()

    def look(self, kind: type | None = None) -> None:
        """Reads what came since the last look, and the methods of a class of nodes."""
        self.on = self.on or self.is_written(kind)

    def is_written(self, kind: type | None) -> bool:
        """Whether it is written in a class, or in a module that came since."""
        if kind is not None and kind not in self._seen:
            self._seen.add(kind)
            if any(map(_class_does, kind.__mro__)):
                return True
        if len(sys.modules) == self._count:
            return False
        self._count = len(sys.modules)
        new = [name for name in sys.modules if name not in self._seen]
        self._seen.update(new)
        return any(map(_module_does, new))


bypassed = _Bypassed()


def _class_does(kind: type) -> bool:
    if kind.__module__.partition(".")[0] == __name__.partition(".")[0]:
        return False
    functions = [item for item in vars(kind).values() if type(item) is FunctionType]
    return any([_code_does(function.__code__) for function in functions])


def _code_does(code: CodeType) -> bool:
    if "object" in code.co_names and not {*_NAMES}.isdisjoint(code.co_names):
        return True
    return any([_code_does(c) for c in code.co_consts if isinstance(c, CodeType)])


def _module_does(name: str) -> bool:
    module = sys.modules.get(name)
    if module is None or is_installed(name):
        return False
    file = getattr(module, "__file__", None)
    if name == "__main__" and not file:
        cells = getattr(module, "In", ())  # of a notebook
        return _main_does() or any(map(_text_does, map(str.encode, map(str, cells))))
    try:
        return bool(file) and _text_does(Path(str(file)).read_bytes())
    except OSError:
        return False


def _text_does(text: bytes) -> bool:
    """The same for a text; most have no such name, and need no pattern compiled."""
    return b"attr__" in text and re.search(_CALL, text) is not None


def _main_does() -> bool:
    """The same for a program that has no file, from the frame that runs it."""
    frame: Any = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
    return _code_does(frame.f_code)
