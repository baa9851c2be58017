"""What a compiled call remembers of one set of argument objects.

The plan holds the Variables in canonical order and the versions of all nodes. While no
version has changed, a call collects the Variables' values, hands them to one
`jax.jit`-ed function of positional arrays, and writes the new ones back; no Python runs
per leaf.

Measured at 1,154 leaves on two cores: collecting the values 26 µs, counting references
21 µs, writing back 33 µs.
"""

from __future__ import annotations

import operator
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice, repeat, starmap
from typing import Any

import jax

from .. import _guard as guard
from .._compat import was_consumed
from .._engine._lift import (
    Flat,
    check_writable,
    commit_whole,
)
from .._engine._outcome import Outcome
from .._graph import (
    Attributes,
    Looks,
    holds,
    object_tokens,
    of_classes_now,
)
from .._guard import ROOT, current_trace
from .._objects import (
    Variable,
    class_edits,
    clock,
    get_value,
    set_value,
    versions,
)
from .._statics import Part, bypassed, places_of, unchanged
from ._donation import (
    DeferInterrupt,
    Donation,
    Loosely,
    unshare,
)
from ._processes import name_of
from ._results import Results, outcome_of, result_builder
from ._shardings import lie_as
from .captured._steps import Step, look_at

_RENEWALS = 64  # of a look, where what is no state changes from call to call


class Plan:
    """One set of argument objects, ready for a compiled call.

    Args:
        flat: the arguments, taken apart.
        entry: the compiled function of this structure.
        roots: the arguments and captured objects, which the plan must not keep alive.
        steps: how the function reaches the state that it captures.
        unfollowed: whether it reaches some in a way that cannot be looked at again.

    Attributes:
        reader: the compiled function where the last call only read, so that its caller
            needs no more than the Variables; calls that end in a dict `commit`.
        traced: whether JAX has traced in the midst of a call, which is to `commit`.
        clock: the clock at which the objects were found unchanged; -1 where a call is
            to ask `current` in any case.
        look: what a call is to ask first, where the function captures something; where
            it says no, `current` knows.
    """

    __slots__ = (
        "_asleep",
        "_attributes",
        "_checked",
        "_edits_of_classes",
        "_kin",
        "_learned",
        "_loose",
        "_nodes",
        "_parts",
        "_plain",
        "_refs",
        "_refuted",
        "_renewals",
        "_statics",
        "_steps",
        "_tokens",
        "_trees",
        "_unfollowed",
        "clock",
        "deferred",
        "eager",
        "entry",
        "inner",
        "leaves",
        "look",
        "mark",
        "on_late_trace",
        "reader",
        "token",
        "traced",
        "variables",
        "versions",
        "watch",
    )

    def __init__(
        self,
        flat: Flat,
        entry: Any,
        roots: Sequence[Any],
        steps: Sequence[Step] = (),
        unfollowed: bool = False,
    ):
        self.entry = entry
        self.token = flat.token
        self._steps = steps
        self._tokens: dict[int, Any] | None = None
        self._asleep: list[Any] | None = None
        self._kin = object()  # shared by plans of the same objects
        self._refuted = -1
        self._unfollowed = unfollowed
        loose = {id(root) for root in roots if isinstance(root, Variable)}
        self.variables: Any = flat.variables
        if loose:
            self.variables = Loosely(flat.variables, loose)
        self._loose = bool(loose)
        self._statics, self._trees = flat.statics, flat.trees
        self._parts: list[Part] = [p for s in flat.statics for p in s.parts]
        self._parts += [p for tree in flat.trees for p in places_of(tree)]
        slots = [
            s._oakum_slot() if hasattr(s, "_oakum_slot") else s for s, _ in flat.places
        ]
        self.leaves = (slots, [key for _, key in flat.places]) if slots else None
        # A child may refer back to its root, which must be free to go.
        inner: list[Any] = flat.objects.copy()
        for number in entry.node_numbers:
            inner[number] = None
        if loose:
            inner = [None if id(obj) in loose else obj for obj in inner]
        self._nodes: Sequence[int] = entry.node_numbers
        plain = flat.plain
        if loose or plain:
            numbers = [i for i, obj in enumerate(inner) if obj is None]
            self._nodes = [i for i in numbers if i not in plain]
        self._plain = Looks(plain, flat.objects)
        note = self._plain.gone.append if plain else None
        self._refs = [weakref.ref(flat.objects[i], note) for i in self._nodes]
        self.inner: Any = inner
        self.mark = current_trace()
        self.eager = self.mark == ROOT
        self._checked, self._edits_of_classes = clock.now, class_edits.now
        self.look, self._renewals = look_at(steps), _RENEWALS
        self._attributes = Attributes(flat.objects) if bypassed.on else None
        looked_at = self._parts or self._plain or unfollowed or self._attributes
        self.clock = -1 if looked_at else self._checked
        self.versions = self._versions(flat.objects)
        self.traced = False
        self.watch: list[Any] = []
        self.on_late_trace: Callable[[Plan], None] = lambda plan: None
        self.deferred: DeferInterrupt | None = None
        self._learned: dict[Any, tuple[Any, Any]] = {}
        self.reader: Any = None

    def rest(self, other: Plan) -> bool:
        """Lets go of all objects, but for those that another plan keeps as well.

        Args:
            other: the plan of the structure that the objects have meanwhile.

        Returns:
            Whether this plan can be taken again.
        """
        if self.rebound():  # what a name held is not to be kept by a plan at rest
            return False
        if self._asleep is not None or self._is_kin_of(other):
            return True
        objects = self.objects()
        gone = any(map(operator.is_, objects, repeat(None)))
        if gone or self._loose or self.leaves is not None or not self.eager:
            return False
        self._asleep = self._plain.watch(objects)
        self.inner = self.variables = None
        self._learned = {o: (None, build) for o, (_, build) in self._learned.items()}
        return True

    def _is_kin_of(self, other: Plan) -> bool:
        """Whether another plan keeps the very same objects."""
        if self._kin is other._kin:
            return True
        if self._plain or other._plain or other._asleep is not None:
            return False
        mine, others = self.objects(), other.objects()
        if len(mine) != len(others) or not all(map(operator.is_, mine, others)):
            return False
        if any(map(operator.is_, mine, repeat(None))):
            return False
        other._kin = self._kin
        return True

    def wake(self) -> None:
        """Takes the objects again, once they are found to be as they were."""
        if self._asleep is None:
            return
        objects = self.objects()
        self._asleep = None
        self.inner = objects.copy()
        for number in (*self._nodes, *self._plain.numbers):
            self.inner[number] = None
        self.variables = [objects[i] for i in self.entry.variable_numbers]
        self._learned = {
            outcome: ([objects[i] for i in outcome.written], build)
            for outcome, (_, build) in self._learned.items()
        }

    def objects(self) -> list[Any]:
        """All objects by index; None for those that are gone."""
        if self._asleep is not None:
            objects = [ref() for ref in self._asleep]
            self._plain.fill_in(objects)
            return objects
        objects = list(self.inner)
        for number, ref in zip(self._nodes, self._refs, strict=True):
            objects[number] = ref()
        self._plain.fill_in(objects)
        return objects

    def _versions(self, objects: list[Any]) -> list[int]:
        """The versions of all objects; plain lists and dicts have none."""
        found = versions(objects)
        self._plain.fill_in(found, 0)
        return found

    def stands(self) -> bool:
        """Whether a call may go its way: `current`, asked only where it has to be."""
        if self.clock == clock.now and (self.look is None or self.look()):
            return True
        return self.current()

    def current(self) -> bool:
        """Whether the objects are structurally as they were, and where they were."""
        if self._attributes:
            self._attributes.look()
        now = clock.now
        if self._unfollowed or self._refuted == now:
            return False
        if self._plain and not self._plain.hold():
            return False
        if not (self._looks_same() and unchanged(self._parts)):
            return False
        if self._checked == now:
            return True
        if self._edits_of_classes != class_edits.now and not self._of_classes_now():
            return False
        objects = self.objects()
        if any(map(operator.is_, objects, repeat(None))):
            return False
        found = self._versions(objects)
        if found != self.versions:
            if not self._still_holds(objects, found):
                self._refuted = now  # until something is edited again
                return False
            self.versions = found
        self._checked = now
        looked_at = self._parts or self._plain or self._attributes
        self.clock = -1 if looked_at else now
        return True

    def _looks_same(self) -> bool:
        """Whether the function finds what it captured, asked step by step if needed."""
        if self.look is None or self.look():
            return True
        if self.rebound():
            return False
        if self._renewals:
            self.look, self._renewals = look_at(self._steps), self._renewals - 1
        return True

    def _of_classes_now(self) -> bool:
        """Whether the classes of all nodes are as they were."""
        if not of_classes_now(self.token):
            return False
        self._edits_of_classes = class_edits.now
        return True

    def _still_holds(self, objects: list[Any], found: list[int]) -> bool:
        """Whether what was edited is again as it was, such as the mode of a layer.

        What a step writes stays where it lay as the step was traced.
        """
        if self._tokens is None:
            self._tokens = {token[2]: token for token in object_tokens(self.token)}
        for i in [i for i, old in enumerate(self.versions) if found[i] != old]:
            if not holds(self._tokens[i], objects[i], objects):
                return False
        variables = [objects[i] for i in self.entry.variable_numbers]
        return lie_as(self.entry.spread, variables)

    def look_anew(self, steps: Sequence[Step]) -> None:
        """Takes configuration as it is now for what was compiled.

        What a trace edits of it, such as a list that counts traces, is no edit that the
        next call is to see.

        Args:
            steps: how the function reaches state now.
        """
        self._steps, self.look = steps, look_at(steps)
        if self._statics or self._trees:
            parts = [p for s in self._statics for p in s.renewed().parts]
            parts += [p for tree in self._trees for p in places_of(tree)]
            self._parts, self.clock = parts, -1

    def looks_at(self, place: Any) -> bool:
        """Whether a call looks at a place again, such as an array of configuration."""
        held = [part for _, part, _ in self._parts]
        held += [step.container for step in self._steps]
        return any([one is place for one in held])

    def rebound(self) -> bool:
        """Whether the function would find other objects than it captured."""
        return not all(map(Step.holds, self._steps))

    def values(self) -> list[Any]:
        """The values of the Variables and bare leaves."""
        values = list(map(get_value, self.variables))
        if self.leaves is not None:
            values.extend(map(operator.getitem, *self.leaves))
        return values

    def meets_late_trace(self) -> None:
        """Prepares for the end of a call in whose midst JAX has traced.

        What is known of outcomes is forgotten, so that `commit` asks what there is to
        note; and Ctrl-C is held back, since the first run of a trace is Python.
        """
        self.traced = True
        self._learned.clear()
        self.entry.cold[-1] = None
        if self.eager and self.entry.donation is not None and self.deferred is None:
            self.deferred = DeferInterrupt()
            self.deferred.__enter__()

    def run(self, dynamic: list[Any]) -> Any:
        """One call, with the dynamic arguments in order."""
        entry = self.entry
        if not self.eager:
            return self.commit(entry.plain(*self.values(), *dynamic))
        donation = entry.donation
        if donation is not None:
            if not entry.cold:
                return self._run_donating(donation, dynamic)
            with DeferInterrupt():  # of a trace that never ran, the first run is Python
                return self._run_donating(donation, dynamic)
        if self.leaves is None:
            results = entry.plain(*map(get_value, self.variables), *dynamic)
        else:
            results = entry.plain(*self.values(), *dynamic)
        return self.commit(results)

    def inputs(self, dynamic: list[Any]) -> tuple[Callable[..., Results], list[Any]]:
        """The compiled function of a call, and what it is called with."""
        values, donation = self.values(), self.entry.donation
        if donation is None or not self.eager:
            return self.entry.plain, values + dynamic
        return unshare(donation, self.entry, values), values + dynamic

    def rerun(self, error: Exception, dynamic: list[Any]) -> Any:
        """Runs a call again whose inputs a call in another thread has consumed.

        A call reads the Variables and then hands their arrays to XLA. A call in another
        thread may give the same arrays away in between; once it has written its
        results, there is something to read again.

        Args:
            error: what the call raised; it is raised again where it has another cause.
            dynamic: the dynamic arguments.
        """
        before: list[Any] = []
        entry = self.entry
        while was_consumed(error):
            while any(map(_is_deleted, values := self.values())) and guard.consuming:
                time.sleep(1e-4)
            if before and all(map(operator.is_, values, before)):
                break
            before = values
            try:
                return self.run(dynamic)
            except (RuntimeError, ValueError) as again:
                error = again
        paths = [path for path, is_variable in entry.graphdef.paths if is_variable]
        gone = [
            f"{type(v).__name__} `{name_of(path)}`"
            for v, path in zip(self.variables, paths, strict=True)
            if _is_deleted(v._raw)
        ]
        if gone:
            where = f"in a call of `{entry.user_function.__name__}`"
            raise guard.deleted_error(gone, ".", where) from error
        raise error

    def _run_donating(self, donation: Donation, dynamic: list[Any]) -> Any:
        # From the call to its results in the list no Python runs, so that Ctrl-C
        # cannot fall between a step that consumed its inputs and their replacement.
        results: list[Results] = []
        values = self.values()
        try:
            guard.consuming[id(results)] = threading.get_ident(), self
            function = unshare(donation, self.entry, values)
            values += dynamic
            results.extend(starmap(function, (values,)))
            return self.commit(results[0])
        except BaseException:
            if results:
                self.commit(results[0])
            else:
                gone = [v for v in self.variables if _is_deleted(v._raw)]
                guard.note_consumed(gone, self.entry.user_function.__name__)
            raise
        finally:
            guard.consuming.pop(id(results), None)
            if self.deferred is not None:
                deferred, self.deferred = self.deferred, None
                deferred.__exit__()

    def commit(self, results: Results) -> Any:
        """Writes the outputs of a call back, and rebuilds what it returned."""
        if self.traced:
            self.traced = False
            self.on_late_trace(self)
        outcome, outputs = outcome_of(results)
        if outcome is None:
            if self.eager and self.leaves is None:
                self.reader = self.entry.plain
            return outputs
        if self.entry.blocking and self.eager:
            jax.block_until_ready(outputs)  # a host callback may still fail
        written, build = self._learned.get(outcome) or self._learn(outcome)
        if build is None:
            return commit_whole(outcome, self.objects(), outputs)
        if not written:
            return build(iter(outputs))
        deque(map(set_value, written, outputs), 0)
        return build(islice(outputs, len(written), None))

    def _learn(self, outcome: Outcome) -> tuple[Any, Any]:
        objects = self.objects()
        check_writable(outcome, objects)
        written: Any = [objects[i] for i in outcome.written]
        if self._loose:
            written = Loosely(written, set(map(id, written)))
        builders = self.entry.builders
        if outcome not in builders:
            builders[outcome] = result_builder(outcome)
        build = builders[outcome]
        self._learned[outcome] = written, build
        return written, build


def _is_deleted(value: Any) -> bool:
    return isinstance(value, jax.Array) and value.is_deleted()
