"""Which `bridge.Module` is running: none, since modules here need no context.

Programs ask so that they run inside one as well as outside; here they are outside.
"""

from __future__ import annotations

from types import SimpleNamespace

MODULE_CONTEXT = SimpleNamespace(module_stack=())


def current_context() -> None:
    """The entry of the stack of contexts that is running."""


def current_module() -> None:
    """The module whose context is running."""
