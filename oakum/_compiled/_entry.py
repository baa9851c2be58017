"""A compiled function of one structure: traced once, donating what it overwrites.

The first call traces the function without donation, and learns there which Variables
it writes. The same function object is then given to a second `jax.jit` that donates
these; JAX finds the trace again, so that Python runs once (jax 0.10 to 0.12, counted by
a test).

Later calls go straight to that function. Where one has other shapes, JAX traces in the
midst of it; nothing may raise there, since JAX would then run this signature through
Python for good (7 times a step). So the objects are taken from the call that is
running, which is on the stack, and what the trace has to tell is noted for later.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer

from .._compat import locals_of_callers
from .._compat._programs import has_callback, out_types, running_calls_back
from .._compat._shardings import like
from .._engine._lift import Flat, run_body
from .._engine._outcome import Outcome
from .._engine._values import Values
from .._guard import Frame
from .._objects import is_variable
from ._explain import TraceRecord
from .captured._made import hand_on
from .captured._sources import static_values
from .plans._donation import Donation
from .plans._results import Results, as_read, outcome_of


class Traced(NamedTuple):
    """One trace: JAX's own, and the Outcome, which is None where it only reads."""

    traced: Any
    outcome: Outcome | None


_FOLDER = os.path.dirname(os.path.abspath(__file__)) + os.sep


class Entry:
    """One structure's compiled function.

    Args:
        function: the user's function.
        flat: its arguments, taken apart.
        call: runs the function on the rebuilt arguments.
        options: what is passed on to `jax.jit`.
        donate: whether to donate what is overwritten.
        opaque: whether the function may return what is no array.
        spread: where each Variable lies, if any on several devices. What is written
            then stays where it was: were that left to the compiler, it would choose
            anew in the first step, and the second would be compiled again.
    """

    def __init__(
        self,
        function: Any,
        flat: Flat,
        call: Callable[[Any], Any],
        options: dict[str, Any],
        donate: bool,
        opaque: bool = False,
        spread: tuple[Any, ...] = (),
    ):
        self.user_function = function
        self.graphdef = flat.graphdef
        self.call = call
        self.options = options
        self.donate = donate
        self.opaque = opaque
        self.spread = spread
        self.key: Any = None
        self.tracing = threading.local()
        self.captured: dict[int, Any] = {}
        self.late: list[TraceRecord] = []  # of traces in the midst of a call
        self.ran = False
        self.held_calls = 0
        self.keeps_small = False  # whether state may lie in memory twice
        self.traces = self.finished = 0
        self.cold: dict[int, Any] = {}  # traces that JAX knows and that never ran
        self.donation: Donation | None = None
        self.donated_objects: frozenset[int] = frozenset()
        self.variable_numbers = flat.numbers
        known = set(flat.numbers)
        self.node_numbers = [i for i in range(len(flat.objects)) if i not in known]
        self.builders: dict[Outcome, Callable[[Any], Any] | None] = {}
        self.blocking = False
        self._function = self._pure(len(flat.variables), len(flat.places))
        self.plain: Any = jax.jit(self._function, **options)
        self.function: Any = self.plain
        self.learned = False

    def _pure(self, n_variables: int, n_bare: int) -> Callable[..., Results]:
        n_leaves = n_variables + n_bare
        me = weakref.ref(self)  # no cycle, which would keep all that was traced

        def pure(*values: Any) -> Results:
            entry, call = me(), None
            if entry is None:
                raise RuntimeError(f"{name}: the function that was compiled is gone")
            originals = getattr(entry.tracing, "originals", None)
            token = getattr(entry.tracing, "token", None)
            if originals is None:
                call, token, dynamic = entry.running_call()
                originals = call.objects()
                known = [*values[:n_leaves], *dynamic]
                entry.late.append(TraceRecord.of(entry.graphdef, known, None))
            entry.traces += 1
            inputs = Values(
                values[:n_variables],
                values[n_variables:n_leaves],
                values[n_leaves:],
            )
            with Frame("jit", entry.user_function, lifts=True) as frame:
                frame.places = dict(zip(map(id, values), entry.spread, strict=False))
                outcome, leaves, _ = run_body(
                    frame,
                    token,
                    originals,
                    inputs,
                    entry.call,
                    opaque=entry.opaque,
                    donated=entry.donated_objects,
                    keep=True,
                )
            kinds = {type(obj) for obj in originals if not is_variable(obj)}
            starts = [entry.user_function, *static_values(token), *kinds]
            hand_on(outcome, token, starts)
            entry.captured = frame.captured
            entry.finished += 1
            if entry.spread:
                entry.keep_in_place(values, outcome, leaves)
            leaves += entry.spare(values, outcome, leaves)
            if call is not None:
                entry.blocking = entry.blocking or (
                    not (outcome.simple and not outcome.written)
                    and running_calls_back()
                )
                call.meets_late_trace()
            if (result := as_read(outcome, leaves)) is not None:
                return result
            return {outcome.interned(): tuple(leaves)}

        name = getattr(self.user_function, "__name__", "function")
        pure.__name__ = pure.__qualname__ = name
        return pure

    def running_call(self) -> tuple[Any, Any, Any]:
        """The plan, structure and dynamic arguments of the call that JAX traces in."""
        plan: Any = None
        dynamic: Any = ()
        for known in locals_of_callers(_FOLDER):
            found = known.get("plan", known.get("self"))
            if getattr(found, "entry", None) is self and "dynamic" in known:
                plan, dynamic = found, known["dynamic"]
            if plan is not None and "kwargs" in known:
                token = known["self"].token_of(plan, known["args"], known["kwargs"])
                return plan, token, dynamic
        raise RuntimeError("traced outside of a call")

    def spare(self, values: Any, outcome: Outcome, leaves: list[Any]) -> list[Any]:
        """The donated inputs that no output can replace in memory.

        They are outputs too, so that JAX does not warn of a donation without use.
        """
        written = dict(zip(outcome.written, leaves, strict=False))
        positions = self.donation.positions if self.donation is not None else ()
        spare = [
            values[i]
            for i in positions
            if not _same_aval(values[i], written[self.variable_numbers[i]])
        ]
        outcome.n_spare = len(spare)
        return spare

    def keep_in_place(self, values: Any, outcome: Outcome, leaves: list[Any]) -> None:
        """Makes what is written lie where it lay."""
        before = dict(zip(self.variable_numbers, values, strict=False))
        where = dict(zip(self.variable_numbers, self.spread, strict=True))
        for position, number in enumerate(outcome.written):
            known = before.get(number), where.get(number)
            leaves[position] = like(leaves[position], *known)

    def trace(
        self, token: Any, originals: list[Any], values: list[Any], eager: bool
    ) -> Traced:
        """Traces for these values, and learns what to donate from the first trace.

        Args:
            token: the structure, with the static values of these objects.
            originals: the objects by index.
            values: the values of the leaves, and the dynamic arguments.
            eager: whether no other trace is running; only then is anything donated.
        """
        self.tracing.originals, self.tracing.token = originals, token
        before, finished = self.traces, self.finished
        try:
            traced = (self.function if eager else self.plain).trace(*values)
            outcome, leaves = outcome_of(out_types(traced))
            if eager and not self.captured and self.traces != before:
                previous = self.function
                self._learn(traced.jaxpr, outcome, values, leaves)
                if self.function is not previous:
                    traced = self.function.trace(*values)
            if self.traces != before:
                self.cold[id(traced.jaxpr)] = traced.jaxpr if eager else None
            return Traced(traced, outcome)
        except BaseException:
            if self.finished != finished:  # JAX may know a trace that nobody else does
                self.cold[0] = None
            raise
        finally:
            self.tracing.originals = self.tracing.token = None

    def _learn(
        self, jaxpr: Any, outcome: Outcome | None, values: list[Any], leaves: Any
    ) -> None:
        """Learns from a new trace; what does not fit every trace is not donated."""
        written = outcome.written if outcome is not None else ()
        results = dict(zip(written, leaves, strict=False)) if written else {}
        writes = bool(results) or not (outcome is None or outcome.simple)
        self.blocking = self.blocking or (writes and has_callback(jaxpr))
        donated = tuple(
            [
                position
                for position, number in enumerate(self.variable_numbers)
                if number in results and _reusable(values[position], results[number])
            ]
        )
        if not self.donate or self.blocking:
            donated = ()
        if self.learned:
            self.stop_donating_callbacks()
            return
        self.learned = True
        self._donate(donated, values)

    def stop_donating_callbacks(self) -> None:
        """Donates no more where a trace calls back to the host, which may fail."""
        if self.blocking and self.donation is not None:
            self._donate((), [])
            self.cold[0] = None  # the new function has run none of the earlier traces

    def _donate(self, donated: tuple[int, ...], values: list[Any]) -> None:
        if len(donated) == 0:
            self.donation, self.function = None, self.plain
            return
        self.donated_objects = frozenset([self.variable_numbers[i] for i in donated])
        explicit = self.options.get("donate_argnums", ())
        options = {**self.options, "donate_argnums": (*donated, *explicit)}
        self.function = jax.jit(self._function, **options)
        self.donation = Donation.of(donated, values, self.function, self.plain)


def _same_aval(a: Any, b: Any) -> bool:
    return (a.shape, a.dtype) == (b.shape, b.dtype)


def _reusable(value: Any, result: Any) -> bool:
    """Whether a result can take the place of an old value in memory."""
    return (
        isinstance(value, jax.Array)
        and not isinstance(value, Tracer)
        and _same_aval(value, result)
        and not jnp.issubdtype(value.dtype, jax.dtypes.extended)
    )
