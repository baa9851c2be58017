"""What the modules of a model are called with, from a run on shapes alone.

The run is one of `eval_shape` on a copy of the model, so nothing is computed and the
model stays as it is. Each node of the copy carries a *mark*, a static attribute that
says which entry it is. Twins have it too, since it is a part of the structure; and as
no two runs have the same marks, no transform inside of the model finds an earlier trace
of its functions, in which the calls would not be seen.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from .._objects import Module, WithDict, own_dict, put_raw
from .._protocols._observe import observing
from .._state import clone
from ..transforms import eval_shape
from ._cost import Request, keep_numbers
from ._inventory import take_inventory
from ._text import inputs_text, result_text

_MARK = "_oakum_mark"


@dataclasses.dataclass
class Call:
    """One call of a method.

    Attributes:
        number: which entry was called.
        method: the method's name.
        inputs: text of its arguments.
        outputs: text of what it returned.
        request: what is needed to lower it, where that was asked for.
    """

    number: int
    method: str
    inputs: str
    outputs: str = ""
    request: Request | None = None


class _Mark:
    """Says which entry a node is, and in which run."""

    def __init__(self, run: _Run, number: int):
        self.run = run
        self.number = number


class _Run:
    """The calls of one run; of calls that show the same, the first.

    Args:
        method: the method of the whole model that is run.
        costs: whether the calls are to be lowered.
    """

    def __init__(self, method: str, costs: bool):
        self.calls: dict[tuple[int, str, str], Call] = {}
        self._method = method
        self._costs = costs
        self._open: list[tuple[int, str]] = []

    def observe(
        self, name: str, method: Callable[..., Any], node: Any, /, *args: Any, **kw: Any
    ) -> Any:
        """Carries out a call of a method, and records it."""
        mark = own_dict(node).get(_MARK) if isinstance(node, WithDict) else None
        if mark is None or mark.run is not self or (mark.number, name) in self._open:
            return method(node, *args, **kw)  # the last: by `super()`
        inputs = inputs_text(args, kw)
        key = (mark.number, name, inputs)
        call = self.calls.setdefault(key, Call(mark.number, name, inputs))
        if call.request is None and self._costs:
            call.request = Request(name, (node, *args), kw)
        self._open.append((mark.number, name))
        try:
            result = method(node, *args, **kw)
        finally:
            self._open.pop()
        call.outputs = result_text(result)
        if result is None and name != self._method:  # a check, say
            self.calls.pop(key, None)
        return result


def record_calls(
    model: Any, method: str, args: tuple, kwargs: dict[str, Any], costs: bool
) -> list[Call]:
    """The calls that a call of the model leads to, in order, each kind once.

    Args:
        model: the model, of which a copy is run.
        method: the method to call.
        args, kwargs: what to call it with.
        costs: whether the calls are to be lowered.
    """
    run = _Run(method, costs)
    model, args, kwargs = clone((model, args, kwargs))
    classes: set[type] = set()
    for number, entry in enumerate(take_inventory(model)):
        if isinstance(entry.node, WithDict):
            put_raw(entry.node, _MARK, _Mark(run, number))
            classes.update(type(entry.node).__mro__)

    def call(model: Any, args: tuple, kwargs: dict[str, Any]) -> None:
        getattr(model, method)(*args, **kwargs)

    with observing(classes - set(Module.__mro__), "tabulate", run.observe):
        eval_shape(call, model, *keep_numbers((args, kwargs)))
    # A function of `nnx.jit` inside the model may keep the marks, and by them the run.
    calls, run.calls = list(run.calls.values()), {}
    for found in calls:
        if found.request is not None:
            found.request.strip(_MARK)
    return calls
