"""Arguments that several functions take, and one of them says: names, defaults, texts.

The others hand them on: `**others: Unpack[NormArguments]`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ._typing import F


def with_arguments_of(base: Callable[..., Any]) -> Callable[[F], F]:
    """Shows the keyword arguments of `base` in the signature of a constructor.

    For one that hands them on as `**others: Unpack[...]`, which is what type checkers
    read; `help`, editors and `inspect.signature` read this.
    """
    shared = inspect.signature(base).parameters.values()

    def show(init: F) -> F:
        signature = inspect.signature(init)
        *own, _ = signature.parameters.values()
        names = [parameter.name for parameter in own]
        more = [p for p in shared if p.kind is p.KEYWORD_ONLY and p.name not in names]
        vars(init)["__signature__"] = signature.replace(parameters=[*own, *more])
        return init

    return show
