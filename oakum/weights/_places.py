"""Which arrays a model wants, each with the names and steps by which a file has it.

A stack of equal layers, as in `Repeat`, is seen as its layers one by one: rules and
files number them, whatever the model does.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

from .._graph import Path, children
from .._objects import BatchStat, Module, Node, Param, Variable, is_layer
from ..errors import ArgumentValueError
from ..nn._repeat import Repeat
from ._layouts import Form, Layout, layout_of
from ._rules import Rule, Rules, Target, joined
from ._steps import Part, Reshape, Shape, Steps, Transpose, shape_before


@dataclasses.dataclass
class Leaf:
    """A Variable of a model, or one layer of one that stacks them.

    Args:
        path: where it stands.
        seen: the same, as rules see it.
        variable: it.
        index: which of a stack it is.
        layer: the layer that it belongs to, if a layout knows that.
        form: how the layer says that it is written.
        depth: how many steps of `seen` lead to the layer.
        same: whether it stands elsewhere too, and was found there.
    """

    path: Path
    seen: Path
    variable: Any
    index: tuple[int, ...]
    layer: Any
    form: Form | None
    depth: int
    same: bool = False

    @property
    def value(self) -> Any:
        """The array, or its shape and dtype."""
        return self.variable.get_raw_value()


@dataclasses.dataclass(frozen=True)
class Ref:
    """A tensor of a file, or a part of it.

    Args:
        name: its name.
        old_names: what it may be called besides.
        part: the part.
    """

    name: str
    old_names: tuple[str, ...] = ()
    part: Part | None = None


@dataclasses.dataclass
class Slot:
    """A leaf with its tensors, which are added up, and the steps to it.

    Args:
        leaf: the leaf.
        refs: the tensors.
        steps: the steps.
        index: which of a stack it is, of the file's numbers too.
        shape: of this one.
        rule: the rule that named it.
    """

    leaf: Leaf
    refs: list[Ref]
    steps: Steps
    index: tuple[int, ...]
    shape: Shape
    rule: Rule | None

    @property
    def path(self) -> str:
        """The path as text, with the number of the layer."""
        text = ".".join(map(str, self.leaf.path))
        return text + (f"[{', '.join(map(str, self.index))}]" if self.index else "")

    def tensor_shape(self, ref: Ref) -> Shape:
        """The shape that a tensor is to have."""
        shape = shape_before(self.steps, self.shape)
        return shape if ref.part is None else ref.part.whole_shape(shape)


def find_slots(
    model: Any, rules: Rules, *, layouts: bool = True
) -> tuple[list[Slot], list[Leaf]]:
    """The slots of a model, and the leaves that are no weights.

    Args:
        model: a module.
        rules: what its parts are called.
        layouts: whether layers are written as PyTorch has them, or as they are.

    Raises:
        ArgumentValueError: a rule joins arrays that do not fit together.
    """
    slots: list[Slot] = []
    others: list[Leaf] = []
    for leaf in _Walk(rules, layouts).leaves(model):
        found = rules.find(leaf.seen)
        exact = found is not None and len(found[0].path) == len(leaf.seen)
        is_result = leaf.form is not None and not leaf.form.names
        kept = isinstance(leaf.variable, Param | BatchStat) and not is_result
        if kept or exact:
            slots += _slots(leaf, found)
        else:
            others.append(leaf)
    _settle_parts(slots)
    return slots, others


class _Walk:
    def __init__(self, rules: Rules, layouts: bool):
        self.rules = rules
        self.layouts = layouts
        self.known: set[tuple[int, tuple[int, ...]]] = set()
        self.above: set[int] = set()

    def leaves(self, model: Any) -> Iterator[Leaf]:
        yield from self._visit(model, (), (), (), None)

    def _visit(
        self, value: Any, path: Path, seen: Path, index: tuple[int, ...], owner: Any
    ) -> Iterator[Leaf]:
        if isinstance(value, Variable):
            yield self._leaf(value, path, seen, index, owner)
            return
        if id(value) in self.above:
            return
        self.above.add(id(value))
        if self.layouts and is_layer(type(value)):
            owner = self._owner(value, seen, owner)
        if isinstance(value, Repeat):
            for number in range(value.n):
                yield from self._visit(
                    value.layers,
                    (*path, "layers"),
                    (*seen, number),
                    (*index, number),
                    None,
                )
        else:
            for key, child in children(value):
                if isinstance(child, Node | Variable | tuple | list | dict):
                    yield from self._visit(
                        child, (*path, key), (*seen, key), index, owner
                    )
        self.above.discard(id(value))

    def _owner(self, module: Module, seen: Path, owner: Any) -> Any:
        """The layer whose layout holds for what is below a module."""
        if owner is not None:
            _, layout, depth = owner
            below = tuple(map(str, seen[depth:]))
            found = self.rules.find(seen)
            named_apart = found is not None and len(found[0].path) > depth
            if not named_apart and any(k[: len(below)] == below for k in layout):
                return owner
        layout = layout_of(module)
        return None if layout is None else (module, layout, len(seen))

    def _leaf(
        self, variable: Any, path: Path, seen: Path, index: tuple[int, ...], owner: Any
    ) -> Leaf:
        layer, form, depth = None, None, len(seen)
        if owner is not None:
            layout: Layout
            layer, layout, depth = owner
            form = layout.get(tuple(map(str, seen[depth:])))
        if form is None:
            layer, depth = None, len(seen)
        key = (id(variable), index)
        same = key in self.known
        self.known.add(key)
        return Leaf(path, seen, variable, index, layer, form, depth, same)


def _slots(leaf: Leaf, found: tuple[Rule, dict[str, int]] | None) -> Iterator[Slot]:
    shape = tuple(leaf.value.shape)[len(leaf.index) :]
    rule, holes = found or (None, {})
    free = rule.free_holes() if rule is not None else ()
    sizes, shape = shape[: len(free)], shape[len(free) :]
    steps = _steps(leaf, rule, shape)
    for numbers in itertools.product(*map(range, sizes)):
        filled = {**holes, **dict(zip(free, numbers, strict=True))}
        refs = _refs(leaf, rule, filled, shape)
        yield Slot(leaf, refs, steps, (*leaf.index, *numbers), shape, rule)


def _refs(
    leaf: Leaf, rule: Rule | None, holes: dict[str, int], shape: Shape
) -> list[Ref]:
    prefix = "" if rule is None else rule.fill(holes)
    covered = 0 if rule is None else len(rule.path)
    form = leaf.form
    if form is None or covered > leaf.depth:
        name = joined(prefix, ".".join(map(str, leaf.seen[covered:])))
        return [Ref(name)]
    part = None if form.part is None else form.part(leaf.layer, shape)
    layer = list(map(str, leaf.seen[covered : leaf.depth]))

    def full(own: str) -> str:
        return joined(prefix, ".".join([*layer, own]))

    old = tuple(map(full, form.old_names))
    return [Ref(full(own), old, part) for own in form.names]


def _steps(leaf: Leaf, rule: Rule | None, shape: Shape) -> Steps:
    steps: Steps = () if leaf.form is None else leaf.form.steps(leaf.layer, shape)
    if rule is None:
        return steps
    target = rule.target
    settled = leaf.form is not None and leaf.form.is_matrix
    if target.transpose is False and steps and isinstance(steps[0], Transpose):
        steps = steps[1:]
    if target.transpose and not settled and len(shape) > 1:
        last = len(shape) - 1
        steps = (Transpose((*range(last - 1), last, last - 1)), *steps)
    if target.channels_first is not None and len(shape) == 2:
        steps = (*_channels_last(shape[1], target.channels_first), *steps)
    return steps


def _channels_last(rows: int, sizes: Shape) -> Steps:
    """Columns of `(out, channels * spatial)` in the order `spatial * channels`."""
    apart = (rows, *sizes)
    axes = (0, *range(2, len(apart)), 1)
    moved = tuple(apart[i] for i in axes)
    flat = (rows, _size(sizes))
    return (Reshape(flat, apart), Transpose(axes), Reshape(moved, flat))


def _size(shape: Shape) -> int:
    size = 1
    for length in shape:
        size *= length
    return size


def _settle_parts(slots: list[Slot]) -> None:
    """Gives the slots that share a tensor by a rule their parts of it."""
    groups: dict[str, list[Slot]] = {}
    for slot in slots:
        if slot.rule is not None and len(slot.rule.target.paths) > 1:
            groups.setdefault(slot.refs[0].name, []).append(slot)
    for name, group in groups.items():
        group.sort(key=_number)
        _settle_group(name, group)


def _number(slot: Slot) -> int:
    return 0 if slot.rule is None else slot.rule.number


def _settle_group(name: str, group: list[Slot]) -> None:
    rule = group[0].rule
    assert rule is not None
    shapes = [shape_before(slot.steps, slot.shape) for slot in group]
    axis = _axis_of_parts(rule.target, len(shapes[0]))
    sizes = [shape[axis] for shape in shapes]
    heads = _heads_of_parts(rule.target, sizes)
    _check_parts(name, group, shapes, axis, heads)
    each = [size // heads for size in sizes]
    view = (sum(each),) if heads == 1 else (heads, sum(each))
    start = 0
    for slot, size in zip(group, each, strict=True):
        part = Part(axis, view, len(view) - 1, start, start + size)
        slot.refs = [dataclasses.replace(ref, part=part) for ref in slot.refs]
        start += size


def _axis_of_parts(target: Target, ndim: int) -> int:
    """The axis along which a tensor holds its parts."""
    if target.axis is not None and ndim > 1:
        return target.axis % ndim
    return ndim - 1 if target.transpose is False else 0


def _heads_of_parts(target: Target, sizes: list[int]) -> int:
    """How often the parts follow each other along that axis."""
    if target.order == "blocks":
        return 1
    return sizes[0] if target.order == "alternate" else target.heads or 1


def _check_parts(
    name: str, group: list[Slot], shapes: list[Shape], axis: int, heads: int
) -> None:
    """Refuses slots that are not all the parts, or do not fit beside each other."""
    rule = group[0].rule
    assert rule is not None
    target, count = rule.target, len(rule.target.paths)
    rests = {(shape[:axis], shape[axis + 1 :]) for shape in shapes}
    is_whole = [_number(slot) for slot in group] == list(range(count))
    if is_whole and len(rests) == 1 and not any(s[axis] % heads for s in shapes):
        return
    paths = ", ".join(
        f"{slot.path} {shape}" for slot, shape in zip(group, shapes, strict=True)
    )
    raise ArgumentValueError(
        f"The rule for {name!r} joins {count} arrays in the order {target.order!r}"
        f"{f' of {heads} heads' * (heads > 1)}, but the model has {paths}",
        remedy="name one layer for each part of the tensor, all with a bias or all "
        "without, and give the number of heads that divides their outputs.",
    )
