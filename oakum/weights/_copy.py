"""copy: the arrays of one model into another, whatever either stacks."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ._load import put_values, read_values
from ._places import Leaf, Slot, find_slots
from ._plan import check_fits, make_plan
from ._report import Report
from ._rules import Rules
from ._steps import Shape
from .files._source import Source


def copy(
    source: Any,
    target: Any,
    rules: Any = None,
    *,
    dtype: Any = "model",
    only: Any = ...,
    skip: Any = None,
    ignore: Any = (),
) -> Report:
    """Copies the arrays of one model into another, which may stack its layers.

    Paths are those of the layers one by one, also where a `Repeat` stacks them: the
    second layer of `Repeat` at `blocks` is `blocks.1`, as in a list. Layers that are
    stacked without it, by `vmap`, take a rule with the number on one side.

    Args:
        source: a module.
        target: a module, or an abstract one; it is changed in place, and its arrays
            lie where they lay.
        rules: paths of the source and paths of the target, where they differ:
            `{'body': 'encoder'}`, or `{'blocks.{i}': 'layers'}` into a stack.
        dtype: as for `load`; the target's by default.
        only, skip: filters of the target's leaves.
        ignore: paths of the source that may be left over.

    Returns:
        What was done.

    Raises:
        CheckpointError: arrays are missing, misshapen or left over.

    Example:
        >>> import oakum as nnx
        >>> rngs = nnx.Rngs(0)
        >>> layers = nnx.List([nnx.Linear(4, 4, rngs=rngs) for _ in range(3)])
        >>> stack = nnx.Repeat(nnx.Linear, 3, 4, 4, rngs=rngs)
        >>> report = nnx.weights.copy(layers, stack)
        >>> bool((stack.layers.kernel[1] == layers[1].kernel).all())
        True
    """
    rules = Rules.of(rules or {}, target)
    found = _ModelSource(source, rules)
    plan = make_plan(
        target,
        found,
        found.rules,
        dtype=dtype,
        only=only,
        skip=skip,
        ignore=ignore,
        layouts=False,
    )
    check_fits(plan.report, "copy")
    put_values(read_values(plan, found))
    return plan.report


copy_state = copy  # as `nnx.copy_state`, where `copy` alone would say too little


@dataclasses.dataclass(frozen=True)
class _Piece:
    """One array of a model, or one of a stack; it is cut out when it is used."""

    leaf: Leaf
    index: tuple[int, ...]
    shape: Shape

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self.leaf.value.dtype)


class _ModelSource(Source):
    """A model's arrays by path; `rules` are those that the target's side needs."""

    def __init__(self, model: Any, rules: Rules):
        outward, inward = _directions(rules)
        slots, _ = find_slots(model, outward, layouts=False)
        super().__init__(
            {slot.refs[0].name: _piece(slot) for slot in slots},
            f"a {type(model).__name__}",
        )
        self.rules = inward

    def view(self, name: str) -> Any:
        piece = self.tensors[name]
        value = piece.leaf.value
        return value[piece.index] if piece.index else value


def _piece(slot: Slot) -> _Piece:
    return _Piece(slot.leaf, slot.index, slot.shape)


def _directions(rules: Rules) -> tuple[Rules, Rules]:
    """Rules that cut the source's stacks apart, and those that name the target's.

    A rule with a number in the target's path alone says of the source what a rule of
    a file says of a model: so it is used the other way round.
    """
    outward = {t.paths[0]: n for n, t in rules.given if _is_outward(n, t.paths[0])}
    inward = {n: t for n, t in rules.given if not _is_outward(n, t.paths[0])}
    return Rules(outward), Rules(inward)


def _is_outward(name: str, path: str) -> bool:
    return "{" in path and "{" not in name
