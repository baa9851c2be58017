"""The only file that touches JAX outside its documented API.

Each use has a fallback, so that `import oakum` succeeds on a JAX that moved or dropped
what stands here; at worst the guard then sees less.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import jax

try:
    from jax._src.core import trace_ctx as _trace_ctx

    weakref.ref(_trace_ctx.trace)
except (ImportError, AttributeError, TypeError):  # pragma: no cover - another JAX
    _trace_ctx: Any = None

if _trace_ctx is not None:

    def current_trace() -> Any:
        """A token for the trace that is running; equal tokens mean the same trace.

        A weak reference to JAX's own trace object: 0.2 us, where the documented
        `get_opaque_trace_state` takes 0.5 us, which every write and call pays, and its
        module takes 30 ms to import.
        """
        return weakref.ref(_trace_ctx.trace)
else:  # pragma: no cover - another JAX
    from jax.extend.core import get_opaque_trace_state as _opaque_trace_state

    def current_trace() -> Any:
        """A token for the trace that is running; equal tokens mean the same trace."""
        return _opaque_trace_state(convention="oakum")


def root_trace() -> Any:
    """The token of plain, eager execution, whatever trace is running."""
    with jax.ensure_compile_time_eval():
        return current_trace()


# What a call may do besides returning values: such a step is not donated, because it
# may fail half-way through its execution, with its inputs already consumed.
_PLAIN = (str, int, float, type(None))  # parameters that hold no jaxpr
_CALLBACKS = frozenset({"pure_callback", "io_callback", "debug_callback"})


def has_callback(jaxpr: Any) -> bool:
    """Whether a traced function calls back to the host anywhere.

    Args:
        jaxpr: a `ClosedJaxpr`, as `jax.jit(f).trace(...).jaxpr` gives it.
    """
    try:
        inner = jaxpr.jaxpr
        if inner.effects:
            return True
        return _calls_back(inner, set())
    except AttributeError:  # pragma: no cover - an unknown form of jaxpr: be careful
        return True


def _calls_back(jaxpr: Any, seen: set[int]) -> bool:
    if id(jaxpr) in seen:
        return False
    seen.add(id(jaxpr))
    for eqn in jaxpr.eqns:
        if eqn.primitive.name in _CALLBACKS:
            return True
        for value in eqn.params.values():
            if isinstance(value, _PLAIN):
                continue
            for sub in _subjaxprs(value):
                if _calls_back(sub, seen):
                    return True
    return False


def _subjaxprs(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple | list):
        for item in value:
            yield from _subjaxprs(item)
    elif hasattr(value, "eqns"):
        yield value
    elif hasattr(getattr(value, "jaxpr", None), "eqns"):
        yield value.jaxpr


def checkify(f: Callable[..., Any], errors: Any = None) -> Callable[..., Any]:
    """`jax.experimental.checkify.checkify`; imported on use, since it is slow to."""
    from jax.experimental import checkify as module

    return module.checkify(f, errors=module.user_checks if errors is None else errors)
