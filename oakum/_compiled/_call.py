"""The function that users get of `jit`: what each compiled call goes through.

Of a call of a few arrays that only reads, half of what it costs beyond JAX is Python
before and after; so the way of an object and an array is short.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import _compat as compat
from .._objects import clock, get_value
from ._arguments import LEAF, OBJECT, known_kinds, part_of


class _NoPlan:
    """What stands for the plan of a call that is to be found otherwise."""

    reader = None


_NO_PLAN: Any = _NoPlan()


def make_call(self: Any) -> Callable[..., Any]:
    """The function that users call: a closure, since that costs least.

    cloudpickle sends it with what it refers to, so that no object of JAX's is among it.

    Args:
        self: the `Jitted`; a trace in the midst of a call looks for it by this name
            in the frames of the call, so that each of them is to mention it.
    """
    plans, kinds, now = self._plans, known_kinds, clock
    call_any = _make_call_any(self)

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            plan, second = _NO_PLAN, None
            if kwargs:
                plan, second = _plan_of_named(plans, args, kwargs)
            elif len(args) == 2:
                first, second = args
                plan = plans.get((id(first), None), _NO_PLAN)
            if (
                (reader := plan.reader) is None
                or kinds.get(type(second)) != LEAF
                or plan.clock != now.now
                or compat.tracing.value is not compat.EAGER
                or ((look := plan.look) is not None and not look())
            ):
                return call_any(args, kwargs)
            dynamic = [second]
            try:
                results = reader(*map(get_value, plan.variables), second)
            except (RuntimeError, ValueError) as error:
                return plan.rerun(error, dynamic)
            if plan.traced or type(results) is dict:
                return plan.commit(results)
            return results
        except Exception as error:
            self.note_error(error, args, kwargs)
            raise

    return call


def _plan_of_named(plans: dict, args: tuple, kwargs: dict) -> tuple[Any, Any]:
    """The plan of an object and an array that is named, and that array."""
    if len(args) == len(kwargs) == 1:
        ((name, second),) = kwargs.items()
        return plans.get((1, id(args[0]), name, None), _NO_PLAN), second
    return _NO_PLAN, None


def _make_call_any(self: Any) -> Callable[[tuple, dict], Any]:
    """The same for any arguments."""
    plans, arguments, first_call = self._plans, self._arguments, self._first_call
    kinds, static, now = known_kinds, self._arguments.static, clock

    def call_any(args: tuple, kwargs: dict) -> Any:
        if static:
            key, dynamic = arguments.key(args, kwargs)
        else:
            parts: list[Any] = []
            dynamic = []
            for arg in args:
                kind = kinds.get(type(arg))
                if kind == LEAF:
                    parts.append(None)
                    dynamic.append(arg)
                elif kind == OBJECT:
                    parts.append(id(arg))
                else:
                    parts.append(part_of(arg, len(parts), dynamic, self._function))
            if kwargs:
                arguments.add_named(parts, dynamic, len(args), kwargs)
            key = tuple(parts)
        plan = plans.get(key)
        if (
            plan is None
            or compat.tracing.value is not compat.EAGER  # where plans are kept
            or ((plan.clock != now.now or plan.look) and not plan.stands())
        ):
            return first_call(key, args, kwargs, dynamic)
        try:
            return plan.run(dynamic)
        except (RuntimeError, ValueError) as error:
            return plan.rerun(error, dynamic)

    return call_any
