"""display: objects as trees that fold, in a notebook."""

from __future__ import annotations

import sys
from typing import Any


def display(*args: Any) -> None:
    """Shows objects: in a notebook as trees that fold, elsewhere by `print`.

    The trees are those of treescope (`pip install oakum[display]`), where it is
    installed.

    Args:
        *args: models, States, arrays, or anything else.

    Example:
        >>> import oakum as nnx
        >>> nnx.display(nnx.List([1, 2]))
        List(1, 2)
    """
    show = _treescope_display() or print
    for value in args:
        show(value)


def _treescope_display() -> Any:
    # A program inside a notebook has imported IPython long before.
    ipython = sys.modules.get("IPython")
    if ipython is None or ipython.get_ipython() is None:
        return None
    try:
        import treescope
    except ModuleNotFoundError as error:
        if error.name != "treescope":
            raise
        return None
    return lambda value: treescope.display(
        value, ignore_exceptions=True, autovisualize=True
    )
