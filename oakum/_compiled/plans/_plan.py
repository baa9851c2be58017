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
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice, repeat, starmap
from typing import Any

import jax

from ... import _guard as guard
from ..._compat import was_consumed
from ..._engine._lift import Flat, check_writable, commit_whole
from ..._engine._outcome import Outcome
from ..._guard import ROOT, current_trace
from ..._objects import get_value, set_value
from .._processes import name_of
from .._shardings import lie_as
from ..captured._steps import Step
from ._donation import DeferInterrupt, Donation, unshare
from ._kept import Loosely
from ._looked_at import LookedAt
from ._results import Results, outcome_of, result_builder


class Plan(LookedAt):
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
    """

    __slots__ = (
        "_learned",
        "deferred",
        "eager",
        "entry",
        "leaves",
        "mark",
        "on_late_trace",
        "reader",
        "traced",
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
        super().__init__(flat, entry.node_numbers, roots, steps, unfollowed)
        self.entry = entry
        slots = [
            s._oakum_slot() if hasattr(s, "_oakum_slot") else s for s, _ in flat.places
        ]
        self.leaves = (slots, [key for _, key in flat.places]) if slots else None
        self.mark = current_trace()
        self.eager = self.mark == ROOT
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
        self._sleep(objects)
        self._learned = {o: (None, build) for o, (_, build) in self._learned.items()}
        return True

    def wake(self) -> None:
        """Takes the objects again, once they are found to be as they were."""
        if self._asleep is None:
            return
        objects = self._wake(self.entry.variable_numbers)
        self._learned = {
            outcome: ([objects[i] for i in outcome.written], build)
            for outcome, (_, build) in self._learned.items()
        }

    def _still_holds(self, objects: list[Any], found: list[int]) -> bool:
        # What a step writes stays where it lay as the step was traced.
        variables = [objects[i] for i in self.entry.variable_numbers]
        return super()._still_holds(objects, found) and lie_as(
            self.entry.spread, variables
        )

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
