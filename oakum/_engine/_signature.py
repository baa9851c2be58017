"""Arguments given by keyword, at the positions that the signature gives them.

What a transform is told by position (axes, specs, what is static) holds for an argument
however it is passed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from .._statics import Static

_POSITIONAL = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
)


def by_position(
    f: Callable[..., Any], args: tuple, kwargs: dict[str, Any], count: Any = 0
) -> tuple[tuple, dict[str, Any]]:
    """The arguments of a call, those that the signature has at a position there.

    Args:
        f: the function that is called.
        args, kwargs: as they were passed.
        count: how many positions are to be filled, with defaults where nothing was
            passed; or what is given for each position, a tuple or list.

    Returns:
        Arguments and keyword arguments; what is keyword alone, or no parameter, stays
        in the latter.

    Raises:
        TypeError: they do not fit the signature.
    """
    if not isinstance(count, int):
        count = len(count) if isinstance(count, tuple | list) else 0
    if not kwargs and len(args) >= count:
        return args, kwargs
    signature = _signature(f)
    if signature is None:
        return args, kwargs
    given = signature.bind(*args, **kwargs).arguments
    taken, rest = list(args), dict(kwargs)
    parameters = list(signature.parameters.values())
    names = [p.name for p in parameters if p.kind in _POSITIONAL]
    last = max([i for i, name in enumerate(names) if name in rest], default=-1)
    for name in names[len(args) : max(last + 1, count)]:
        default = signature.parameters[name].default
        if name not in given and default is inspect.Parameter.empty:
            break
        taken.append(rest.pop(name) if name in rest else default)
    return tuple(taken), rest


def _signature(f: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(f)
    except (TypeError, ValueError):  # written in C
        return None


def count_of_positions(f: Callable[..., Any]) -> int:
    """How many arguments may be passed by position, as far as the signature says."""
    signature = _signature(f)
    if signature is None:
        return 0
    return sum(p.kind in _POSITIONAL for p in signature.parameters.values())


def with_static(
    f: Callable[..., Any], args: tuple, kwargs: dict[str, Any], numbers: Any
) -> tuple[tuple, dict[str, Any]]:
    """The arguments of a call, by position, with static values made such.

    Args:
        f: the function that is called.
        args, kwargs: as they were passed.
        numbers: positions of what is static; from the end where negative.
    """
    numbers = (numbers,) if isinstance(numbers, int) else tuple(numbers)
    count = count_of_positions(f) if any(n < 0 for n in numbers) else 0
    args, kwargs = by_position(f, args, kwargs, count)
    fixed = {n + len(args) if n < 0 else n for n in numbers}
    given = [Static(arg) if i in fixed else arg for i, arg in enumerate(args)]
    return tuple(given), kwargs
