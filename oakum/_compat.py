"""The only file that touches JAX outside its documented API.

Each use has a fallback, so that `import oakum` succeeds on a JAX that moved or dropped
what stands here; at worst the guard then sees less.
"""

from __future__ import annotations

import dis
import gc
import os
import sys
import traceback
import weakref
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import jax

try:
    from jax._src.array import ArrayImpl as ConcreteArray
except ImportError:  # pragma: no cover - another JAX
    ConcreteArray: Any = None  # no type: deleted arrays are then found by JAX alone


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

if tracing is not None:

    def current_trace() -> Any:
        """A token for the trace that is running; equal tokens mean the same trace.

        A weak reference to JAX's own trace object: 0.2 us, where the documented
        `get_opaque_trace_state` takes 0.5 us, which every write and call pays, and its
        module takes 30 ms to import.
        """
        return weakref.ref(tracing.value)

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

    def running_traces() -> Iterator[tuple[Any, bool]]:
        """The innermost trace alone, and nothing of what it is."""
        if tracing.value is not EAGER:
            yield tracing.value, False

    def may_be_running(token: Any) -> bool:
        """Whether a trace is one of this thread's: that cannot be told."""
        return True


def root_trace() -> Any:
    """The token of plain, eager execution, whatever trace is running."""
    with jax.ensure_compile_time_eval():
        return current_trace()


# The functions of JAX that rebuild a user's arguments, call the user's function, and
# take its result apart, all in one frame.
_CALLERS = frozenset(
    {
        "_cached_shard_map.<locals>._fun",  # pmap
        "_flatten_fun_nokwargs",  # custom_vjp
        "_flatten_fwd",
        "f_wrapped",  # shard_map
        "flatten_fun",
        "flatten_fun_for_vmap",
        "flatten_fun_nokwargs",
        "jvp",
        "linearize",
        "trace_to_jaxpr_nocache",  # the same in jax 0.12
        "trace_to_jaxpr",  # jit, scan, cond, while_loop, checkpoint
    }
)
_JAX = os.path.dirname(os.path.abspath(jax.__file__)) + os.sep
_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_TREES = tuple(f"{os.sep}{n}.py" for n in ("tree_util", "tree", "flattree"))


class _Places(dict):
    """Whose each file is, by its name."""

    def __missing__(self, filename: str) -> str:
        place = "jax" if filename.startswith(_JAX) else "user"
        if filename.startswith(_PACKAGE):
            place = "oakum"
        elif filename.endswith(_TREES):
            place = "trees"
        self[filename] = place
        return place


_PLACES = _Places()


def caller_of_trees() -> tuple[int, str]:
    """Who takes a pytree apart, or rebuilds it, at this moment.

    Returns:
        The identity of the frame, and what it is: "call", one of JAX's that calls a
        user's function on a rebuilt copy of its arguments; "jax", another of JAX's;
        "user", any other.
    """
    frame = _outside_package()
    while frame is not None and _PLACES[frame.f_code.co_filename] == "trees":
        frame = frame.f_back
    if frame is None or _PLACES[frame.f_code.co_filename] != "jax":
        return id(frame), "user"
    code = frame.f_code
    calls = code.co_name in _CALLERS or code.co_qualname in _CALLERS
    return id(frame), "call" if calls else "jax"


def asks_for_structure() -> bool:
    """Whether a pytree is taken apart for its structure alone, not for its leaves."""
    frame = _outside_package()
    while frame is not None and _PLACES[frame.f_code.co_filename] == "trees":
        if frame.f_code.co_name == "tree_structure":
            return True
        frame = frame.f_back
    return False


def _outside_package() -> FrameType | None:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and _PLACES[frame.f_code.co_filename] == "oakum":
        frame = frame.f_back
    return frame


def used_in_equations_alone(tracer: Any, box: Any = None) -> bool:
    """Whether nothing but a box and equations of its trace holds a tracer."""
    for holder in gc.get_referrers(tracer):
        if holder is box or isinstance(holder, FrameType):
            continue
        if not isinstance(holder, list | tuple) or not any(
            type(owner).__name__ == "TracingEqn" for owner in gc.get_referrers(holder)
        ):
            return False
    return True


class _End:
    """Is told when a frame ends: hangs on it as what a debugger would trace it by.

    That is the one place of a frame that keeps an object of others and lets it go with
    the frame. Nothing calls it but a debugger; one that was there before still runs.
    """

    __slots__ = ("notify", "tracer")

    def __init__(self, frame: FrameType, notify: Callable[[FrameType], None]):
        self.notify = notify
        self.tracer: Any = frame.f_trace
        frame.f_trace = self

    def __call__(self, frame: FrameType, event: str, arg: Any) -> Any:
        if self.tracer is not None:
            self.tracer = self.tracer(frame, event, arg)
        return self

    def __del__(self) -> None:
        top = sys._getframe().f_back
        if top is not None:  # else the interpreter ends
            self.notify(top)


def watch_call(
    caller: int, left: Callable[[], None], ended: Callable[[bool], None]
) -> bool:
    """Watches a call of a user's function that is running in this thread.

    A function that keeps an exception it caught keeps its own frame by the traceback,
    and JAX's by that, until the garbage collector comes by. Whether it returned is then
    read off the frame of JAX that called it.

    Args:
        caller: identity of the frame that called it, as `caller_of_trees` gives it.
        left: called when the function has returned, while its result is alive; not
            called where its frame lives on.
        ended: called when the frame that called it ends, with whether it returned.

    Returns:
        Whether the call was found.
    """
    frame: FrameType | None = sys._getframe(1)
    called = None
    while frame is not None and id(frame) != caller:
        called, frame = frame, frame.f_back
    if frame is None or called is None:
        return False
    above = id(frame.f_back)

    def on_return(top: FrameType) -> None:
        if top is frame:
            left()
        if top is frame or any(f is frame for f, _ in traceback.walk_stack(top)):
            _End(frame, lambda top: ended(id(top) == above))
        else:
            ended(_has_returned(frame))

    _End(called, on_return)
    return True


def out_types(traced: Any) -> Any:
    """Shape and dtype of each output of a `jax.stages.Traced`, in its pytree."""
    # `out_info` makes a new object for each: 3 us.
    known = getattr(traced, "out_avals", None)
    return known if isinstance(known, dict) else traced.out_info


def _has_returned(frame: FrameType) -> bool:
    """Whether a frame that has ended did so by a return, not by an exception."""
    instruction = frame.f_code.co_code[frame.f_lasti]
    return dis.opname[instruction].startswith("RETURN_")


# What a call may do besides returning values: such a step is not donated, because it
# may fail half-way through its execution, with its inputs already consumed.
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
        return _calls_back(inner, (type(jaxpr), type(inner)), set())
    except AttributeError:  # pragma: no cover - an unknown form of jaxpr: be careful
        return True


def _calls_back(jaxpr: Any, kinds: tuple[type, type], seen: set[int]) -> bool:
    for eqn in jaxpr.eqns:
        if eqn.primitive.name in _CALLBACKS:
            return True
        for inner in _inner(eqn, kinds):
            if id(inner) not in seen:
                seen.add(id(inner))
                if _calls_back(inner, kinds, seen):
                    return True
    return False


def _inner(eqn: Any, kinds: tuple[type, type]) -> Iterator[Any]:
    """The jaxprs among an equation's parameters: one, or several in a tuple."""
    for value in eqn.params.values():
        kind = type(value)
        if kind in kinds:
            yield getattr(value, "jaxpr", value)
        elif kind is tuple or kind is list:
            for one in value:
                if type(one) in kinds:
                    yield getattr(one, "jaxpr", one)


def checkify(f: Callable[..., Any], errors: Any = None) -> Callable[..., Any]:
    """`jax.experimental.checkify.checkify`; imported on use, since it is slow to."""
    from jax.experimental import checkify as module

    return module.checkify(f, errors=module.user_checks if errors is None else errors)


def beyond_first_rounds(jaxpr: Any, once: Callable[[Any], float]) -> float:
    """What the rounds of `scan` after the first cost, in a traced function.

    Args:
        jaxpr: a `ClosedJaxpr`.
        once: the cost of a `ClosedJaxpr` whose loops run one round.
    """
    try:
        kinds = (type(jaxpr), type(jaxpr.jaxpr))
        return _beyond(jaxpr.jaxpr, kinds, once)
    except (AttributeError, KeyError):  # pragma: no cover - an unknown form of jaxpr
        return 0.0


def _beyond(
    jaxpr: Any, kinds: tuple[type, type], once: Callable[[Any], float]
) -> float:
    total = 0.0
    for eqn in jaxpr.eqns:
        parts = [_beyond(inner, kinds, once) for inner in _inner(eqn, kinds)]
        if eqn.primitive.name == "scan":
            rounds = eqn.params["length"]
            total += rounds * sum(parts) + (rounds - 1) * once(eqn.params["jaxpr"])
        elif eqn.primitive.name == "cond":  # XLA takes the costliest branch
            total += max(parts, default=0.0)
        else:
            total += sum(parts)
    return total


def jaxpr_function(jaxpr: Any) -> tuple[Callable[..., Any], list[Any]]:
    """A `ClosedJaxpr` as a function, and the shapes of its arguments.

    The module is documented, but takes 30 ms to import.
    """
    from jax.extend.core import jaxpr_as_fun

    shapes = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in jaxpr.in_avals]
    return jaxpr_as_fun(jaxpr), shapes
