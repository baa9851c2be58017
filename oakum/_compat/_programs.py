"""Traced programs: what a jaxpr does, costs and returns."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import jax

from ._traces import tracing

if TYPE_CHECKING:
    from jax.experimental import checkify as _checkify

    CheckifyError = _checkify.Error


def out_types(traced: Any) -> Any:
    """Shape and dtype of each output of a `jax.stages.Traced`, in its pytree."""
    # `out_info` makes a new object for each: 3 us.
    known = getattr(traced, "out_avals", None)
    return known if isinstance(known, dict) else traced.out_info


try:
    from jax._src.config import debug_infs as _debug_infs
    from jax._src.config import debug_nans as _debug_nans

    def may_run_again() -> bool:
        """Whether JAX runs a call again on its inputs where a result is not finite."""
        return _debug_nans.value or _debug_infs.value  # read in C

    may_run_again()
except (ImportError, AttributeError):

    def may_run_again() -> bool:
        """Whether JAX runs a call again on its inputs where a result is not finite."""
        return jax.config.jax_debug_nans or jax.config.jax_debug_infs  # type: ignore


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


def running_calls_back() -> bool:
    """Whether the trace that is running has called back to the host so far."""
    try:
        from jax.extend.core import ClosedJaxpr, Jaxpr  # 30 ms, where it is needed

        frame, kinds = tracing.value.frame, (ClosedJaxpr, Jaxpr)
        return bool(frame.effects) or _calls_back(_Equations(frame), kinds, set())
    except (AttributeError, TypeError):  # pragma: no cover - another JAX: be careful
        return True


class _Equations:
    """The equations of a trace that is running, as a jaxpr has them."""

    def __init__(self, frame: Any):
        self.eqns = [e for e in frame.tracing_eqns if e.primitive is not None]


def _calls_back(jaxpr: Any, kinds: tuple[Any, Any], seen: set[int]) -> bool:
    for eqn in jaxpr.eqns:
        if eqn.primitive.name in _CALLBACKS:
            return True
        for inner in _inner(eqn, kinds):
            if id(inner) not in seen:
                seen.add(id(inner))
                if _calls_back(inner, kinds, seen):
                    return True
    return False


def _inner(eqn: Any, kinds: tuple[Any, Any]) -> Iterator[Any]:
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


_draws: dict[int, tuple[Any, Callable[..., Any]]] = {}


def quick_function(jaxpr: Any, options: dict[str, Any]) -> Callable[..., list[Any]]:
    """A `ClosedJaxpr` as a function that runs its equations one by one, as JAX eagerly.

    Those that call a jitted function compile it with these options; calls of one and
    the same function share it.

    Raises:
        AttributeError: it is of another form than is known here.
        ImportError: JAX has what reads it elsewhere.
    """
    from jax.extend.core import Literal, jaxpr_as_fun

    inner = jaxpr.jaxpr
    steps = []
    for eqn in inner.eqns:
        called = eqn.params.get("jaxpr")
        if called is None:
            bind = functools.partial(eqn.primitive.bind, **eqn.params)
        elif id(called) in _draws:
            bind = _draws[id(called)][1]
        else:
            bind = jax.jit(jaxpr_as_fun(called), compiler_options=options)
            _draws[id(called)] = called, bind  # kept, so that its identity is its own
        steps.append((bind, eqn))

    def run(*args: Any) -> list[Any]:
        values = dict(zip(inner.constvars, jaxpr.consts, strict=True))
        values.update(zip(inner.invars, args, strict=True))

        def read(atom: Any) -> Any:
            return atom.val if isinstance(atom, Literal) else values[atom]

        for bind, eqn in steps:
            found = bind(*map(read, eqn.invars))
            found = found if isinstance(found, list | tuple) else [found]
            values.update(zip(eqn.outvars, found, strict=True))
        return list(map(read, inner.outvars))

    return run


def sparing_options(platform: str) -> dict[str, Any] | None:
    """Compiler options by which a program needs the least memory, where there are any.

    On CPU what is independent is scheduled at once by default: twelve random matrices
    need the memory of fourteen besides themselves, with these options of three.
    """
    if platform != "cpu":
        return None
    memory = {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"}
    return memory if _known(memory) else None


@functools.cache
def quick_options(platform: str) -> dict[str, Any] | None:
    """Compiler options by which a program is made soonest, to the same bits.

    Of what computes each element by itself; None where there are none, or where users
    chose by `XLA_FLAGS`. A level below changes bits, since it no longer contracts
    products and sums.
    """
    chosen = "xla_backend_optimization_level" in os.environ.get("XLA_FLAGS", "")
    if platform != "cpu" or chosen:
        return None
    options = {
        "xla_backend_optimization_level": 1,
        "xla_cpu_use_fusion_emitters": False,
    }
    return options if _known(options) else None


def _known(options: dict[str, Any]) -> bool:
    """Whether the compiler has these options."""
    try:
        jax.jit(lambda: 0).lower().compile(compiler_options=options)
    except Exception:  # pragma: no cover - another XLA, of another class of error
        return False
    return True
