"""The traces of JAX that are running in this thread."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import jax


class _Context:  # pragma: no cover - another JAX
    """What `tracing` is where JAX has no such object: every read goes through it."""

    @property
    def value(self) -> Any:
        return _core.trace_ctx.trace


try:
    from jax._src import core as _core
    from jax._src.core import eval_trace as EAGER

    # Its `value` is the trace that is running. `trace_ctx.trace` is a property in
    # Python over the same: 70 ns, where this takes 30 ns, which every read pays.
    tracing: Any = getattr(_core, "trace_state_strong_ref", None) or _Context()
    weakref.ref(tracing.value)
    weakref.ref(EAGER)
except (ImportError, AttributeError, TypeError):  # pragma: no cover - another JAX
    tracing = None

_BETWEEN = object()


def _constants_of(equation: Any) -> Iterator[int]:
    """The arrays that an equation, or a program inside of it, holds by itself."""
    for operand in equation.invars:
        if hasattr(operand, "val"):
            yield id(operand.val)
    for parameter in equation.params.values():
        several = isinstance(parameter, list | tuple)
        for program in parameter if several else [parameter]:
            yield from map(id, getattr(program, "consts", ()))
            for inner in getattr(program, "eqns", ()):
                yield from _constants_of(inner)


if tracing is not None:

    def current_trace() -> Any:
        """A token for the trace that is running; equal tokens mean the same trace.

        A weak reference to JAX's own trace object: 0.2 us, where the documented
        `get_opaque_trace_state` takes 0.5 us, which every write and call pays, and its
        module takes 30 ms to import.
        """
        try:
            return weakref.ref(tracing.value)
        except TypeError:  # None: JAX, from 0.12 on, is between two of its traces
            return _BETWEEN

    def trace_of(tracer: Any) -> Any:
        """The token of the trace that a traced value belongs to."""
        trace = getattr(tracer, "_trace", None)
        return None if trace is None else weakref.ref(trace)

    def running_traces() -> Iterator[tuple[Any, bool]]:
        """The traces of this thread from the innermost outwards, without the eager one.

        Yields:
            The token of each, and whether it records a program to be run later, which
            JAX keeps: `jit`, `scan`, `cond` do, `grad` and `vmap` do not.
        """
        trace = tracing.value
        while trace is not None and trace is not EAGER:
            yield weakref.ref(trace), type(trace).__name__ == "DynamicJaxprTrace"
            trace = getattr(trace, "parent_trace", None)

    def recorded_constants() -> Callable[[], set[int] | None]:
        """What tells the constants of the innermost program that is being recorded.

        Returns:
            A function that gives the identities of the arrays that are constants of
            the program by now; None where that cannot be told.
        """
        trace = tracing.value
        while type(trace).__name__ not in ("DynamicJaxprTrace", "NoneType"):
            trace = getattr(trace, "parent_trace", None)
        frame: Any = getattr(trace, "frame", None)
        # Once the program is made JAX forgets them there, but not in this dict.
        by_name: Any = getattr(frame, "constvar_to_val", None)

        def constants() -> set[int] | None:
            try:
                found = set(map(id, by_name.values()))
                for equation in frame.get_eqns():
                    found.update(_constants_of(equation))
            except (AttributeError, TypeError):  # pragma: no cover - another JAX
                return None
            return found

        return constants

    def may_be_running(token: Any) -> bool:
        """Whether a trace is one of this thread's, or that cannot be told."""
        trace = tracing.value
        while trace is not None and trace is not EAGER:
            if weakref.ref(trace) == token:
                return True
            trace = getattr(trace, "parent_trace", None)
        return trace is None
else:  # pragma: no cover - another JAX
    from jax.extend.core import get_opaque_trace_state as _opaque_trace_state

    def current_trace() -> Any:
        """A token for the trace that is running; equal tokens mean the same trace."""
        return _opaque_trace_state(convention="oakum")

    class _Tracing:
        @property
        def value(self) -> Any:
            now = current_trace()
            return EAGER if now == EAGER else now

    with jax.ensure_compile_time_eval():
        EAGER: Any = current_trace()
    tracing = _Tracing()

    def trace_of(tracer: Any) -> Any:
        """The token of the trace of a traced value: that cannot be told."""
        return None

    def running_traces() -> Iterator[tuple[Any, bool]]:
        """The innermost trace alone, and nothing of what it is."""
        if tracing.value is not EAGER:
            yield tracing.value, False

    def recorded_constants() -> Callable[[], set[int] | None]:
        """What tells the constants of the program: that cannot be told."""
        return lambda: None

    def may_be_running(token: Any) -> bool:
        """Whether a trace is one of this thread's: that cannot be told."""
        return True


def root_trace() -> Any:
    """The token of plain, eager execution, whatever trace is running."""
    with jax.ensure_compile_time_eval():
        return current_trace()
