"""The switch: for each hazard, whether it is an error, a warning, or not looked for.

Levels are kept per thread, so that a context manager in one thread changes nothing in
another; a new thread begins with those of the environment variable `OAKUM_GUARD`.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

from ..errors import ArgumentValueError
from ._trace import context, raise_pending

LEVELS = ("error", "warn", "off")
DEFAULTS = {
    "leak": "error",
    "escaped": "error",
    "donated": "error",
    "stale": "warn",
    "lost": "warn",
}
_ALWAYS_ERRORS = ("leak", "escaped", "donated")  # to go on would give a wrong value


class guard(contextlib.ContextDecorator):
    """Says what happens where state would go wrong silently under a trace.

    The environment variable `OAKUM_GUARD` sets the same for a whole process:
    `OAKUM_GUARD=error`, or `OAKUM_GUARD=stale=off,lost=error`.

    Args:
        level: for all hazards: `'error'` raises; `'warn'`, the default, warns where the
            program can go on with right values for now (`stale`, `lost`), and raises
            where it cannot (`leak`, `escaped`, `donated`); `'off'` looks for none.
        **hazards: the level of one hazard by name.

    Raises:
        ArgumentValueError: no such level or hazard, or a warning for what is an error.

    Example:
        >>> import oakum as nnx
        >>> with nnx.guard('error', stale='off'):
        ...     nnx.guard.levels()['lost'], nnx.guard.levels()['stale']
        ('error', 'off')
        >>> @nnx.guard(lost='error')
        ... def main(): ...
    """

    def __init__(self, level: str | None = None, **hazards: str):
        given = {} if level is None else dict.fromkeys(DEFAULTS, level)
        if level == "warn":
            given = dict(DEFAULTS)
        self.changes = given | _checked(hazards)
        if level is not None and level not in LEVELS:
            raise _unknown("level", level, LEVELS)
        self._before: list[dict[str, str]] = []

    def __enter__(self) -> guard:
        self._before.append(context.levels)
        context.levels = context.levels | self.changes
        return self

    def __exit__(self, kind: Any, *exc: object) -> None:
        context.levels = self._before.pop()
        if kind is None:
            raise_pending()

    @staticmethod
    def levels() -> dict[str, str]:
        """The level of each hazard, in this thread, now."""
        return dict(context.levels)


def _checked(hazards: dict[str, str]) -> dict[str, str]:
    for name, level in hazards.items():
        if name not in DEFAULTS:
            raise _unknown("hazard", name, tuple(DEFAULTS))
        if level not in LEVELS or (level == "warn" and name in _ALWAYS_ERRORS):
            allowed = ("error", "off") if name in _ALWAYS_ERRORS else LEVELS
            raise _unknown(f"level of {name}", level, allowed)
    return hazards


def _unknown(what: str, got: Any, known: tuple[str, ...]) -> ArgumentValueError:
    return ArgumentValueError(
        f"guard: no {what} {got!r}", remedy=f"one of {', '.join(map(repr, known))}."
    )


def from_environment(text: str) -> dict[str, str]:
    """The levels that `OAKUM_GUARD` asks for."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    overall = [part for part in parts if "=" not in part]
    single = dict(part.split("=", 1) for part in parts if "=" in part)
    return DEFAULTS | guard(*overall[-1:], **single).changes


type(context).levels = from_environment(os.environ.get("OAKUM_GUARD", ""))
