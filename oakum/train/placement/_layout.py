"""A layout: where each array of some objects is to lie, and what is against it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax.core import Tracer
from jax.sharding import NamedSharding, PartitionSpec

from ..._graph import Path, walk
from ..._objects import OptVariable
from ..._objects.variables._axis_names import axis_names, spec_of
from ..._state import show
from ...errors import ArgumentValueError
from ...sharding import axes_of, misfits
from .._ema import EMA
from ..checkpoint._contents import Item, collect, is_key
from ._rules import Rule, as_rules


class Layout:
    """Where each array of some objects lies; printed, it is a table.

    Attributes:
        mesh: the mesh.
        items: the places of state.
        specs: for each of them its PartitionSpec.
    """

    def __init__(self, mesh: Any, items: list[Item], specs: list[PartitionSpec]):
        self.mesh, self.items, self.specs = mesh, items, specs

    def sharding(self, spec: PartitionSpec) -> NamedSharding:
        """A sharding on its mesh."""
        return NamedSharding(self.mesh, spec)

    def rows(self) -> Iterator[tuple[str, str, PartitionSpec, int]]:
        """Path, type and shape, spec and bytes on each device of every array."""
        for item, spec in zip(self.items, self.specs, strict=True):
            for below, leaf in arrays_of(item):
                parts = math.prod(
                    self.mesh.shape[axis] for entry in spec for axis in axes_of(entry)
                )
                text = f"{_dtype_name(leaf)}{list(leaf.shape)}"
                yield show(item.path[1:]) + below, text, spec, _bytes(leaf) // parts

    def bytes_per_device(self) -> int:
        """How much of the objects each device holds."""
        return sum(size for *_, size in self.rows())

    def __repr__(self) -> str:
        megabytes = self.bytes_per_device() / 1e6
        return f"<Layout of {len(self.items)} arrays: {megabytes:.1f} MB a device>"

    def __str__(self) -> str:
        rows = [("path", "array", "spec", "bytes a device")]
        rows += [(p, a, f"P{tuple(s)}", f"{n:,}") for p, a, s, n in self.rows()]
        rows.append(("in all", "", str(dict(self.mesh.shape)), _total(rows[1:])))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            f"{p:<{widths[0]}}  {a:<{widths[1]}}  {s:<{widths[2]}}  {n:>{widths[3]}}"
            for p, a, s, n in rows
        )


def _total(rows: list[tuple[str, str, str, str]]) -> str:
    return f"{sum(int(n.replace(',', '')) for *_, n in rows):,}"


def _dtype_name(leaf: Any) -> str:
    return str(leaf.dtype) if is_key(leaf) else np.dtype(leaf.dtype).name


def _bytes(leaf: Any) -> int:
    if is_key(leaf):
        leaf = jax.eval_shape(jax.random.key_data, leaf)
    return math.prod(leaf.shape) * np.dtype(leaf.dtype).itemsize


def arrays_of(item: Item) -> list[tuple[str, Any]]:
    """The arrays of a place of state, without Python's numbers."""
    return [(below, leaf) for below, leaf in item.leaves() if hasattr(leaf, "shape")]


def layout(objects: Any, mesh: Any, rules: Any = None) -> Layout:
    """Where `shard` would put each array; nothing is moved.

    Args:
        objects: what `shard` takes; abstract ones, of `nnx.eval_shape`, as well.
        mesh: the mesh.
        rules: as `shard` takes them.

    Returns:
        A Layout: `print` shows it as a table, `bytes_per_device()` sums it up.

    Raises:
        ArgumentValueError: as `shard` raises it.

    Example:
        >>> import oakum as nnx, jax
        >>> mesh = jax.make_mesh((1,), ('data',))
        >>> model = nnx.Linear(2, 4, rngs=nnx.Rngs(0))
        >>> print(nnx.layout(model, mesh, {'kernel': ('data', None)}))
        path    array          spec             bytes a device
        bias    float32[4]     P()                          16
        kernel  float32[2, 4]  P('data', None)              32
        in all                 {'data': 1}                  48
    """
    items = collect_arrays(objects)
    known = as_rules(rules)
    chooser = _Chooser(items, known, mesh, _followers(objects, items))
    specs = chooser.specs()
    lines = chooser.lines + [
        f"{rule.text} selects nothing"
        for rule, used in zip(known, chooser.used, strict=True)
        if not used and not rule.is_rest
    ]
    for item, spec in zip(items, specs, strict=True):
        for below, leaf in arrays_of(item):
            where = show(item.path[1:]) + below
            lines += [f"{where}: {x}" for x in misfits(leaf.shape, spec, mesh)]
            lines += [f"{where}: {x}" for x in _out_of_reach(leaf, mesh)]
    if lines:
        listing = "".join(f"\n  {line}" for line in dict.fromkeys(lines))
        raise ArgumentValueError(
            f"The objects cannot be spread over the mesh {dict(mesh.shape)}. Nothing "
            f"was moved.{listing}",
            remedy="mend the rules, {filter or path: axes of the mesh for each axis of "
            "the array}; a logical name goes to the mesh by "
            "nnx.logical_axis_rules([(name, axis)]).",
        )
    return Layout(mesh, items, specs)


def collect_arrays(objects: Any) -> list[Item]:
    """The places of state that hold arrays, each Variable at its first place."""
    once: dict[int, Item] = {}
    for item in collect("objects", objects):
        if item.same is None and arrays_of(item):
            once.setdefault(id(item.value) if item.is_variable else id(item), item)
    return list(once.values())


def _out_of_reach(leaf: Any, mesh: Any) -> list[str]:
    """Says where an array has parts in processes that have no device in the mesh."""
    if not isinstance(leaf, jax.Array) or isinstance(leaf, Tracer):
        return []
    if leaf.is_fully_addressable or not hasattr(mesh, "devices"):
        return []
    has = {device.process_index for device in mesh.devices.flat}
    held = {device.process_index for device in leaf.sharding.device_set}
    if held <= has:
        return []
    return [
        f"it is spread over the processes {sorted(held)}, and the mesh has devices of "
        f"{sorted(has)}"
    ]


def _followers(objects: Any, items: list[Item]) -> set[int]:
    """Which items are kept for parameters: slots of optimizers, averages."""
    averages = [path for path, node in walk(objects) if isinstance(node, EMA)]
    return {
        number
        for number, item in enumerate(items)
        if isinstance(item.value, OptVariable)
        or any(item.path[1 : len(p) + 2] == (*p, "params") for p in averages)
    }


class _Chooser:
    """Chooses the spec of each item, and notes what is against it.

    Args:
        items: the places of state.
        rules: the rules.
        mesh: the mesh.
        followers: the indices of those that go where a parameter goes.
    """

    def __init__(
        self, items: list[Item], rules: list[Rule], mesh: Any, followers: set[int]
    ):
        self.items, self.rules, self.mesh = items, rules, mesh
        self.followers = followers
        self.used = [False] * len(rules)
        self.lines: list[str] = []
        self._by_tail: dict[Path, list[int]] = {}
        for number, item in enumerate(items):
            if number not in followers:
                names = tuple(map(str, item.path))
                for start in range(1, len(names)):
                    self._by_tail.setdefault(names[start:], []).append(number)

    def specs(self) -> list[PartitionSpec]:
        """The spec of each item."""
        selected = [self._rules_for(item) for item in self.items]
        specs: dict[int, PartitionSpec] = {
            number: self._spec(item, selected[number])
            for number, item in enumerate(self.items)
            if number not in self.followers
        }
        for number in sorted(self.followers):
            item, own = self.items[number], selected[number]
            leaders = self._leaders(item)
            if leaders:
                first = selected[leaders[0]]
                own = [rule for rule in own if rule not in first and not rule.is_rest]
            if own or not leaders:
                specs[number] = self._spec(item, own)
            else:
                specs[number] = self._follow(item, leaders, specs)
        return [specs[number] for number in range(len(self.items))]

    def _rules_for(self, item: Item) -> list[Rule]:
        found = []
        for number, rule in enumerate(self.rules):
            if rule.selects(item.path[1:], item.value):
                self.used[number] = True
                found.append(rule)
        return found

    def _spec(self, item: Item, rules: list[Rule]) -> PartitionSpec:
        """By the rules that select it, or by its metadata."""
        shape = arrays_of(item)[0][1].shape
        named = self._named(item)
        explicit = [rule for rule in rules if not rule.is_rest]
        given = [(rule.text, rule.spec_for(shape, self.mesh)) for rule in explicit]
        if named is not None and (not given or not misfits(shape, named, self.mesh)):
            given.append(("its metadata", named))
        if not given:
            rest = [rule for rule in rules if rule.is_rest]
            return rest[0].spec_for(shape, self.mesh) if rest else PartitionSpec()
        if len({_trimmed(spec) for _, spec in given}) > 1:
            says = ", ".join(f"{text} says {spec}" for text, spec in given)
            self.lines.append(f"{show(item.path[1:])}: {says}")
        return given[0][1]

    def _named(self, item: Item) -> PartitionSpec | None:
        """The spec by the axes that a Variable's metadata names, if any."""
        if not item.is_variable or not axis_names(item.value.get_metadata()):
            return None
        return spec_of(item.value.get_metadata())

    def _leaders(self, item: Item) -> list[int]:
        """The parameters of which a path's end tells: those nearest to a root."""
        names = tuple(map(str, item.path))
        for start in range(2, len(names)):
            if found := self._by_tail.get(names[start:]):
                nearest = min(len(self.items[number].path) for number in found)
                return [n for n in found if len(self.items[n].path) == nearest]
        return []

    def _follow(
        self, item: Item, leaders: list[int], specs: dict[int, PartitionSpec]
    ) -> PartitionSpec:
        shape = arrays_of(item)[0][1].shape
        alike = [n for n in leaders if arrays_of(self.items[n])[0][1].shape == shape]
        found = {_trimmed(specs[number]): specs[number] for number in alike}
        if len(found) > 1:
            names = " or ".join(show(self.items[n].path[1:]) for n in alike)
            self.lines.append(
                f"{show(item.path[1:])} is kept for {names}, which lie differently: "
                "call shard for each model with its own optimizer"
            )
        return next(iter(found.values()), PartitionSpec())


def _trimmed(spec: PartitionSpec) -> tuple:
    """A spec without the Nones at its end, which say nothing."""
    entries = list(spec)
    while entries and entries[-1] is None:
        entries.pop()
    return tuple(entries)
