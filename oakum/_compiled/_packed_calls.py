"""The calls of one plan that take small slots of an optimizer in a pack."""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import jax

from .._engine._lift import get_value, set_value
from .._objects import formed
from ._packing import Pack, Packing, are_held

if TYPE_CHECKING:
    from ._plan import Plan


class PackedCalls:
    """What a plan keeps beside its pack: who is in it, and who is not.

    Args:
        packing: how the plan's Entry packs.
        variables: of the plan.
    """

    def __init__(self, packing: Packing, variables: Sequence[Any]):
        layout = packing.layout
        self._packing, self._layout = packing, layout
        self._pack = Pack(layout.groups)
        self._members = [variables[i] for i in layout.members]
        self._others = [variables[i] for i in layout.others if i < len(variables)]
        self._places = [(self._pack, i) for i in range(len(self._members))]
        self._learned: dict[Any, tuple[Any, Any]] = {}

    def compile(self, plan: Plan, dynamic: list[Any]) -> None:
        """Compiles what the first call needs."""
        values, layout = plan.values(), self._layout
        others = [values[i] for i in layout.others]
        inputs = [*layout.join(values), *others, *dynamic]
        self._packing.function.lower(*inputs).compile()

    def run(self, plan: Plan, dynamic: list[Any]) -> Any:
        """One call, with the dynamic arguments in order."""
        pack, layout = self._pack, self._layout
        while True:
            # Outside of the lock, since it may wait for another pack.
            values = None if pack.whole else plan.values()
            with pack.lock:
                if pack.whole:
                    others = list(map(get_value, self._others))
                    if plan.leaves is not None:
                        others.extend(map(operator.getitem, *plan.leaves))
                    return self._give_away(plan, pack.buffers, others, dynamic)
                if values is None:
                    continue
                if not (self._packing.is_worth_it() and layout.fits(values)):
                    break
                formed[0] += 1  # before the look, so that who writes after it is told
                if are_held(self._members, layout.pick_members(values)):
                    self._packing.joins += 1
                    others = [values[i] for i in layout.others]
                    buffers, values = layout.join(values), None
                    return self._give_away(plan, buffers, others, dynamic)
        plan.packed = values = None
        return plan.run(dynamic)

    def _give_away(
        self, plan: Plan, buffers: Sequence[Any], others: list[Any], dynamic: list[Any]
    ) -> Any:
        self._packing.calls += 1

        def commit(results: Any) -> Any:
            return self._commit(plan, results)

        return plan.give_away(self._packing.donation, others, dynamic, commit, buffers)

    def _commit(self, plan: Plan, results: Any) -> Any:
        ((outcome, (outputs, buffers, _)),) = results.items()
        if plan.entry.blocking:
            jax.block_until_ready((outputs, buffers))  # a host callback may still fail
        if not buffers:
            self._pack.open()
            return plan.commit({outcome: outputs})
        if plan.entry.late:
            self._learned.clear()
        written, build = self._learned.get(outcome) or self._learn(plan, outcome)
        deque(map(set_value, written, outputs), 0)
        self._pack.buffers = buffers
        if not self._pack.whole:
            self._pack.close(self._members, self._places)
        return build(islice(outputs, len(written), None))

    def _learn(self, plan: Plan, outcome: Any) -> tuple[Any, Any]:
        _, build = plan.learn(outcome)
        objects, apart = plan.objects(), set(self._layout.member_numbers)
        written = [objects[i] for i in outcome.written if i not in apart]
        self._learned[outcome] = written, build
        return written, build
