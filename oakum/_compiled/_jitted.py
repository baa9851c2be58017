"""Jitted: a function that is compiled for the objects it takes.

What a call needs depends on the identity of the argument objects alone, and is
remembered in a `Plan`; what it compiles depends on their structure, and is an `Entry`,
which different objects of one structure share.
"""

from __future__ import annotations

import functools
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

import jax

from .. import _guard as guard
from .._engine._lift import Flat, all_or_nothing, check_writable
from .._engine._traceback import trim, trimmed
from .._graph import Decoder
from .._guard import current_trace
from .._objects import clock, is_object
from .._statics import bypassed
from ._alike import Likeness
from ._arguments import (
    CONTAINER,
    OBJECT,
    Arguments,
    check_values,
    known_kinds,
    part_of,
)
from ._call import make_call
from ._casts import every_jitted
from ._entry import Entry, Traced
from ._explain import TraceRecord, explain
from ._processes import compare_state
from ._shardings import constrain_result, expand_in_shardings, place_state, spread_of
from ._stages import JittedFn, TracedFn
from .captured._captured import Captured
from .captured._sources import seal
from .captured._switches import Beside
from .plans._plan import Plan
from .plans._results import outcome_of

_MAX_PLANS = 4096  # a plan goes with its objects; some 2 KiB beside the leaves
_MAX_RESTING = 3  # structures that objects were of before
_MAX_RECORDS = 64
_OPTIONS: dict[str, Any] = {
    "in_shardings": None,
    "out_shardings": None,
    "static_argnums": None,
    "static_argnames": None,
    "donate_argnums": None,
    "donate_argnames": None,
    "keep_unused": False,
    "device": None,
    "backend": None,
    "inline": False,
    "donate": True,
    "compiler_options": None,
}


class CapturesState(BaseException):
    """A function that was to read its arguments alone reads other state."""


class _Plans(dict):
    """The plans of a jitted function; a copy of it in another process has its own."""

    __slots__ = ("owner",)

    def __reduce__(self) -> tuple:
        return getattr, (self.owner(), "_plans")


class Jitted:
    """The plans and entries of one jitted function.

    What the user gets, `call`, refers to it, and is not kept by it: in a cycle, all
    that was traced would wait for the garbage collector.

    Args:
        function: the user's function.
        inner: whether it is one of ours, which may return anything, and for which
            captured state raises `CapturesState`.
        **options: the keyword arguments of `jit`.
    """

    def __init__(
        self, function: Callable[..., Any], *, inner: bool = False, **options: Any
    ):
        self._function = function
        self._inner = inner
        self._options = _OPTIONS | options
        self._arguments = Arguments(function, self._options)
        self._plans: dict[Any, Plan] = _Plans()
        self._plans.owner = weakref.ref(self)  # type: ignore[attr-defined]
        self._resting: dict[Any, list[Plan]] = {}
        self._entries: dict[Any, Entry] = {}
        self._likenesses: dict[tuple, Likeness] = {}
        self._captured = Captured(function)
        self._beside = Beside(function)  # what else is compiled in
        self._records: deque[TraceRecord] = deque(maxlen=_MAX_RECORDS)
        self._lock = threading.RLock()
        self._call: Callable[[], Any] = lambda: None  # or a weak reference
        every_jitted.add(self)

    def __reduce__(self) -> tuple:
        # cloudpickle sends what the user gets as a function with all that it refers to.
        return _jitted, (self._function, self._inner, self._options)

    @property
    def static_parts(self) -> tuple:
        """What it is compared by, where it is an attribute of a module."""
        return self._function, self._inner, self._options

    @property
    def call(self) -> Any:
        """What the user gets."""
        if (known := self._call()) is not None:
            return known
        call: Any = functools.update_wrapper(make_call(self), self._function)
        call.trace = self.trace
        call.lower = self.lower
        call.eval_shape = self.eval_shape
        call.clear_cache = self.clear_cache
        call.explain = self.explain
        call._cache_size = self._cache_size
        call.jit = self
        call.jitted_fn = JittedFn(self)
        self._call = weakref.ref(call)
        return call

    def note_error(self, error: Exception, args: tuple, kwargs: dict) -> None:
        """Makes an error that leaves a call fit for users."""
        trim(error)
        check_values(error, (args, kwargs))

    # -- the first call of a structure, or of an object

    def _first_call(self, key: Any, args: tuple, kwargs: dict, dynamic: list) -> Any:
        if jax.config.jax_disable_jit:  # type: ignore[attr-defined]
            with all_or_nothing((args, kwargs)):
                return self._function(*args, **kwargs)
        with self._lock:
            plan = self._plan(key, args, kwargs)
            if plan.eager:
                compare_state(plan, dynamic)
            if plan.eager and plan.entry.ran:
                self._keep(key, plan)
                traced = None
            else:
                plan, traced = self._prepare(key, args, kwargs, dynamic, plan)
                if not plan.eager:
                    return plan.run(dynamic)
                # Before the call, so that Ctrl-C is held back for the call alone.
                traced.traced.lower().compile()
        try:
            result = plan.run(dynamic)
        except (RuntimeError, ValueError) as error:
            result = plan.rerun(error, dynamic)
        plan.entry.ran = True
        if traced is not None:
            plan.entry.cold.pop(id(traced.traced.jaxpr), None)
        return result

    def _plan(self, key: Any, args: tuple, kwargs: dict) -> Plan:
        """The plan for these arguments, the kept one where that still holds."""
        plan = self._plans.get(key)
        if not self._beside.holds():
            plan = None
        if self._captured and not self._captured.holds():
            self._captured.forget()
            self._beside.forget()
        if (
            plan is None
            or plan.mark != current_trace()
            or self._arguments.static  # of an equal value, another object
            or not plan.current()
        ):
            if self._arguments.static or current_trace() != guard.ROOT:
                return self._make_plan(key, args, kwargs)
            replaced = self._plans.pop(key, None)
            plan = self._rested(key) or self._make_plan(key, args, kwargs)
            self._rest(key, replaced, plan)
        return plan

    def _rested(self, key: Any) -> Plan | None:
        """A plan of these objects from when they were of this structure before."""
        for plan in self._resting.get(key, ()):
            if plan.current():
                self._resting[key].remove(plan)
                plan.wake()
                return plan
        return None

    def _rest(self, key: Any, replaced: Plan | None, plan: Plan) -> None:
        """Keeps the plan of the structure that the objects of a call had last.

        Args:
            key: the key of the call.
            replaced: that plan.
            plan: that of the structure which they have now.
        """
        resting = self._resting.get(key, [])
        if replaced is not None and replaced is not plan:
            resting.append(replaced)
        if resting:
            kept = [one for one in resting if one.rest(plan)]
            self._resting[key] = kept[-_MAX_RESTING:]

    def token_of(self, plan: Plan, args: tuple, kwargs: dict) -> Any:
        """The structure of a call, with the static values of its own arguments."""
        if not self._arguments.static:
            return plan.token
        template, _ = self._arguments.template(args, kwargs)
        return Flat.of((template, self._captured.objects), opaque=False).token

    def _keep(self, key: Any, plan: Plan) -> None:
        if len(self._plans) >= _MAX_PLANS:
            self._plans.pop(next(iter(self._plans)), None)
        self._plans[key] = plan

    def _prepare(
        self, key: Any, args: tuple, kwargs: dict, dynamic: list, plan: Plan | None
    ) -> tuple[Plan, Traced]:
        """The plan for these arguments, traced; captured state becomes an input."""
        while True:
            plan = plan or self._plan(key, args, kwargs)
            before = plan.entry.traces
            values = plan.values() + dynamic
            traced = self._trace(plan, values)
            fresh = self._captured.fresh(plan.entry.captured)
            if not fresh:
                break
            if self._inner:
                raise CapturesState
            self._captured.add(fresh)
            self._entries.pop(plan.entry.key, None)
            plan = None
        if plan.entry.traces != before:
            self._look_anew(plan)
            jaxpr = traced.traced.jaxpr
            self._records.append(TraceRecord.of(plan.entry.graphdef, values, jaxpr))
        if plan.eager:  # a plan of twins would keep the tracers of its trace alive
            self._keep(key, plan)
        return plan, traced

    def _note_late_traces(self, plan: Plan) -> None:
        """After a call in whose midst JAX traced: what a first call does around it."""
        entry = plan.entry
        self._look_anew(plan)
        while entry.late:
            self._records.append(entry.late.pop())
        entry.cold.pop(-1, None)
        entry.stop_donating_callbacks()
        fresh = self._captured.fresh(entry.captured)
        if fresh:  # it was compiled as a constant, which is right for this call alone
            if not self._inner:
                self._captured.add(fresh)
            self._entries.pop(entry.key, None)
            self._resting.clear()
            for key in [k for k, p in self._plans.items() if p.entry is entry]:
                self._plans.pop(key, None)

    def _look_anew(self, plan: Plan) -> None:
        """After a trace, whose own edits are none that the next call is to see."""
        self._captured.renew()
        entry = plan.entry
        self._beside.renew()
        if self._entries.get(entry.key) is entry:
            del self._entries[entry.key]
            entry.key = (*entry.key[:-1], self._beside.values())
            self._entries[entry.key] = entry
        plan.look_anew([*self._captured.steps, *self._beside.steps])

    def _trace(self, plan: Plan, values: list) -> Traced:
        objects = plan.objects()
        traced = plan.entry.trace(plan.token, objects, values, plan.eager)
        if traced.outcome is not None:
            check_writable(traced.outcome, objects)
        return traced

    def _taken_apart(self, args: tuple, kwargs: dict) -> tuple[Flat, list[Any]]:
        """The arguments and what is captured, taken apart; the objects among them."""
        kinds = self._kinds_of(args, kwargs)
        if kinds is not None and (likeness := self._likenesses.get(kinds)):
            roots = [arg for arg in args if is_object(arg)]
            if (flat := likeness.flat_of(roots)) is not None:
                return flat, roots
        template, roots = self._arguments.template(args, kwargs)
        flat = Flat.of((template, self._captured.objects), opaque=False)
        if kinds is not None and (made := Likeness.of(flat, roots, args)):
            self._likenesses[kinds] = made
        return flat, roots

    def _kinds_of(self, args: tuple, kwargs: dict) -> tuple | None:
        """What calls have in common whose objects may be alike; None where none has."""
        if kwargs or self._captured or self._arguments.static or not args:
            return None
        kinds: list[Any] = []
        for arg in args:
            kind = known_kinds.get(type(arg))
            if kind == CONTAINER and part_of(arg, None, [], None) is not None:
                return None  # with objects in it
            kinds.append(type(arg) if kind == OBJECT else None)
        return tuple(kinds)

    def _make_plan(self, key: Any, args: tuple, kwargs: dict) -> Plan:
        flat, roots = self._taken_apart(args, kwargs)
        self._arguments.check_donated(flat, args, kwargs)
        shardings = self._options["in_shardings"]
        place_state(shardings, key, flat, args, self._arguments.static)
        entry = self._entry_of(key, flat, args, kwargs)
        if not self._captured.follow(flat.token):
            return self._make_plan(key, args, kwargs)
        steps = [*self._captured.steps, *self._beside.steps]
        plan = Plan(flat, entry, roots, steps, bool(self._captured.unfollowed))
        self._hear_of(plan, key, roots)
        return plan

    def _entry_of(self, key: Any, flat: Flat, args: tuple, kwargs: dict) -> Entry:
        """What is compiled for these arguments and for what is read beside them."""
        # GraphDefs are interned, and the entry keeps its own alive.
        spread = spread_of(flat.variables)
        if spread or jax.device_count() > 1:
            clock.places = True
        own = None if self._options["in_shardings"] is None else key
        known = (id(flat.graphdef), own, spread, self._beside.values())
        entry = self._entries.get(known)
        if entry is None:
            for other in self._beside.other_entries(known, self._entries):
                self._entries.pop(other)
            entry = self._make_entry(flat, args, kwargs, spread)
            self._entries[known] = entry
            entry.key = known
        return entry

    def _hear_of(self, plan: Plan, key: Any, roots: list[Any]) -> None:
        """Has a plan tell of its late traces, and its objects of their end."""
        me = weakref.ref(self)

        def forget(_: Any) -> None:
            if (jit := me()) is not None:
                jit._plans.pop(key, None)
                jit._resting.pop(key, None)

        def note_late_traces(plan: Plan) -> None:
            if (jit := me()) is not None:
                jit._note_late_traces(plan)

        plan.on_late_trace = note_late_traces
        plan.watch = [weakref.ref(root, forget) for root in roots]

    def _make_entry(
        self, flat: Flat, args: tuple, kwargs: dict, spread: tuple
    ) -> Entry:
        bypassed.look()
        function, given = self._function, self._options
        options = {n: given[n] for n in ("keep_unused", "inline") if given[n]}
        named = ("device", "backend", "compiler_options")
        options |= {n: given[n] for n in named if given[n] is not None}
        if given["in_shardings"] is not None:
            options["in_shardings"] = expand_in_shardings(
                given["in_shardings"], flat, args, kwargs, self._arguments.static
            )
        n_state = len(flat.variables) + len(flat.places)
        numbers = self._arguments.donated_numbers(args, kwargs)
        if numbers:
            options["donate_argnums"] = tuple(n_state + n for n in numbers)
        out_shardings = given["out_shardings"]

        def call(value: Any) -> Any:
            (args, kwargs), captured = value
            if captured:
                seal(captured, (args, kwargs))
            result = function(*args, **kwargs)
            return (
                result
                if out_shardings is None
                else constrain_result(out_shardings, result)
            )

        donate, inner = given["donate"], self._inner
        return Entry(function, flat, call, options, donate, inner, spread)

    # -- as jax.jit

    @trimmed
    def trace(self, *args: Any, **kwargs: Any) -> Any:
        """Traces for these arguments, without running: a `jax.stages.Traced`."""
        key, dynamic = self._arguments.key(args, kwargs)
        with self._lock:
            _, traced = self._prepare(("trace", key), args, kwargs, dynamic, None)
            return TracedFn(traced.traced, self.call)

    @trimmed
    def lower(self, *args: Any, **kwargs: Any) -> Any:
        """Lowers for these arguments, without running: a `jax.stages.Lowered`."""
        return self.trace(*args, **kwargs).lower()

    @trimmed
    def eval_shape(self, *args: Any, **kwargs: Any) -> Any:
        """What the function would return, with shapes and dtypes only."""
        key, dynamic = self._arguments.key(args, kwargs)
        with self._lock:
            plan, traced = self._prepare(("trace", key), args, kwargs, dynamic, None)
        outcome, leaves = outcome_of(traced.traced.out_info)
        if outcome is None:
            return leaves
        objects = dict(enumerate(plan.objects()))
        n = len(outcome.written)
        new = len([i for i in outcome.emitted if i >= outcome.n_known])
        emitted = iter(leaves[n : n + new])
        values = [
            next(emitted) if i >= outcome.n_known else objects[i]._raw
            for i in outcome.emitted
        ]
        decoder = Decoder(values, leaves[n + new :], (), objects)
        if outcome.roots is not None:
            decoder.build(outcome.roots)
        return decoder.build(outcome.result)

    def clear_cache(self) -> None:
        """Forgets all that was compiled, and what was captured."""
        with self._lock:
            self.forget_programs()
            self._captured.forget()
            self._beside.forget()

    def forget_programs(self) -> None:
        """Forgets all that was compiled."""
        with self._lock:
            for entry in self._entries.values():
                entry.plain.clear_cache()
                entry.function.clear_cache()
            self._plans.clear()
            self._resting.clear()
            self._entries.clear()
            self._likenesses.clear()

    def explain(self) -> str:
        """Why the last trace happened, in words: what differs from the nearest one."""
        return explain(self._function, list(self._records))

    def again(self) -> Jitted:
        """The same function with the same options, of which nothing is compiled yet."""
        return _jitted(self._function, self._inner, self._options)

    def known_plan(self, args: tuple, kwargs: dict) -> tuple[Plan, list[Any]]:
        """The plan that a call with these arguments finds, and what is dynamic."""
        key, dynamic = self._arguments.key(args, kwargs)
        if not (kwargs or self._arguments.static):
            _, *parts = key  # as the call itself makes it
            key = tuple(parts)
        plan = self._plans.get(key)
        if plan is None or not plan.stands():
            with self._lock:  # the step changes structure
                plan, _ = self._prepare(key, args, kwargs, dynamic, None)
        return plan, dynamic

    def _cache_size(self) -> int:
        """How many times the function was traced."""
        return sum(entry.traces for entry in self._entries.values())


def _jitted(function: Callable[..., Any], inner: bool, options: dict) -> Jitted:
    """A jitted function, of which nothing is compiled yet."""
    return Jitted(function, inner=inner, **options)
