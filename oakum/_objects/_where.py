"""Where a module stands in the user's model, for error messages."""

from __future__ import annotations

from typing import Any

from .._guard import stack_path


def module_path(module: Any) -> str:
    """How the running code names a module, such as `model.layers[2]`.

    For error messages only: it walks the Python stack.
    """
    return stack_path(module)[0] or type(module).__name__
