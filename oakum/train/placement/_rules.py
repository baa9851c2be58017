"""Rules: filters, or patterns of paths, and the spec of what they select."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from jax.sharding import NamedSharding, PartitionSpec

from ..._graph import Path
from ..._state import filter_name, to_predicate
from ...errors import ArgumentError, ArgumentValueError
from ...sharding import partition_spec

_SMALLEST = 2**16


class fsdp:  # read as a function
    """Splits each large array along one axis: the largest that divides.

    With the batch split along the same axis of the mesh, that is what is called fully
    sharded data parallelism. S. Rajbhandari et al., "ZeRO: Memory Optimizations Toward
    Training Trillion Parameter Models", 2020, https://arxiv.org/abs/1910.02054.

    Args:
        axis: an axis of the mesh, or a tuple of several.
        min_size: arrays with fewer elements stay whole on each device: to gather them
            would cost more than it saves.

    Example:
        >>> import oakum as nnx, jax
        >>> mesh = jax.make_mesh((1,), ('data',))
        >>> tuple(nnx.fsdp('data', min_size=4)((2, 8), mesh))
        (None, 'data')
    """

    def __init__(self, axis: str | tuple[str, ...], min_size: int = _SMALLEST):
        self.axis, self.min_size = axis, min_size

    def __repr__(self) -> str:
        return f"fsdp({self.axis!r}, min_size={self.min_size})"

    def __call__(self, shape: tuple[int, ...], mesh: Any) -> PartitionSpec:
        """The spec of an array of this shape.

        Raises:
            ArgumentValueError: the mesh lacks the axis.
        """
        names = self.axis if isinstance(self.axis, tuple) else (self.axis,)
        if missing := [name for name in names if name not in mesh.axis_names]:
            raise ArgumentValueError(
                f"{self} names {missing[0]!r}, and the mesh has {mesh.axis_names}",
                remedy=f"nnx.fsdp({mesh.axis_names[0]!r}).",
            )
        parts = math.prod(mesh.shape[name] for name in names)
        fitting = [i for i, size in enumerate(shape) if size and size % parts == 0]
        if math.prod(shape) < self.min_size or not fitting:
            return PartitionSpec()
        best = max(fitting, key=lambda i: shape[i])
        return PartitionSpec(*[None] * best, self.axis)


class Pattern:
    """Selects by the end of the path, its steps joined by dots.

    Args:
        text: steps joined by dots. `*` stands for any part of a step, and `**` for any
            number of steps.
    """

    def __init__(self, text: str):
        self.text, self._steps = text, text.split(".")

    def __call__(self, path: Path, value: Any) -> bool:
        names = [str(key) for key in path]
        return any(_fits(self._steps, names[i:]) for i in range(len(names) + 1))

    def __repr__(self) -> str:
        return repr(self.text)


def _fits(steps: list[str], names: list[str]) -> bool:
    if not steps:
        return not names
    if steps[0] == "**":
        return any(_fits(steps[1:], names[i:]) for i in range(len(names) + 1))
    head = bool(names) and fnmatch.fnmatchcase(names[0], steps[0])
    return head and _fits(steps[1:], names[1:])


class Rule(NamedTuple):
    """One rule.

    Attributes:
        text: the filter as messages show it.
        selects: a function of path and value.
        spec: a PartitionSpec, or a function of shape and mesh that gives one.
        is_rest: whether it takes what no other rule selects.
    """

    text: str
    selects: Any
    spec: Any
    is_rest: bool

    def spec_for(self, shape: tuple[int, ...], mesh: Any) -> PartitionSpec:
        """The spec of an array that it selects."""
        if isinstance(self.spec, PartitionSpec):
            return self.spec
        return self.spec(shape, mesh)


def as_rules(rules: Any) -> list[Rule]:
    """The rules of what a user gave.

    Raises:
        ArgumentError: it is neither a mapping nor a policy nor None, or a spec is none.
    """
    if rules is None:
        return []
    if callable(rules):
        return [Rule("...", to_predicate(...), rules, True)]
    if not isinstance(rules, Mapping):
        raise ArgumentError(
            f"The rules are a {type(rules).__name__}",
            remedy="give a dict from filter or path to the axes of the mesh, "
            "{'mlp.*.kernel': (None, 'model'), ...: nnx.fsdp('data')}, or nnx.fsdp "
            "alone.",
        )
    made = []
    for key, spec in rules.items():
        selects = Pattern(key) if isinstance(key, str) else to_predicate(key)
        is_rest = key is ... or key is True
        text = repr(key) if isinstance(key, str) else filter_name(key)
        made.append(Rule(text, selects, _as_spec(text, spec), is_rest))
    return made


def _as_spec(text: str, spec: Any) -> Any:
    if spec is None:
        return PartitionSpec()
    if callable(spec) or isinstance(spec, NamedSharding):
        return spec if callable(spec) else spec.spec
    if isinstance(spec, PartitionSpec | tuple | list):
        return partition_spec(spec)
    raise ArgumentError(
        f"The rule for {text} gives {spec!r}, a {type(spec).__name__}",
        remedy="give a PartitionSpec or tuple with a name or None for each axis of the "
        "array, such as (None, 'model'); None for a copy on each device; or "
        "nnx.fsdp('data').",
    )
