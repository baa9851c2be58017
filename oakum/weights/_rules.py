"""Rules: what the parts of a model are called in a file.

A rule is `'name in the file': 'path in the model'`. Both may be a layer or anything
above or below it: what comes below keeps its own names, and of several rules for one
path the longest decides. `{i}` stands for a number, the same on both sides.

    rules = {
        'model.embed_tokens': 'embed',
        'model.layers.{i}.self_attn.q_proj': 'blocks.{i}.attn.query',
    }
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from ..errors import ArgumentError, ArgumentValueError
from ._steps import Shape

Order = Literal["blocks", "heads", "alternate"]
_HOLE = re.compile(r"\{(\w+)\}")


@dataclasses.dataclass(frozen=True)
class Target:
    """Where a name of the file goes in the model, and how; `into` makes one.

    Args:
        paths: the path, or the paths of the parts that the tensor holds.
        order: how the parts follow each other.
        heads: for the order of heads, how many there are.
        axis: along which axis of the tensor the parts are; None is that of the outputs.
        transpose: whether the last two axes are exchanged; None leaves it to the layer.
        channels_first: `(channels, *spatial)`, where the inputs are flattened images.
    """

    paths: tuple[str, ...]
    order: Order = "blocks"
    heads: int | None = None
    axis: int | None = None
    transpose: bool | None = None
    channels_first: Shape | None = None


def into(
    *paths: str,
    order: Order = "blocks",
    heads: int | None = None,
    axis: int | None = None,
    transpose: bool | None = None,
    channels_first: Iterable[int] | None = None,
) -> Target:
    """Where a name of the file goes in the model, where a path alone does not tell.

    Args:
        *paths: the path in the model; several where the tensor holds the outputs of
            several layers, in their order.
        order: how these follow each other: as `'blocks'`; in turns, `'alternate'`; or
            one after the other for each of the `'heads'`.
        heads: how many heads there are, for that order.
        axis: along which axis of the tensor they follow each other; that of the outputs
            by default.
        transpose: whether the last two axes are exchanged on the way. A layer knows
            what PyTorch does; False is for files that have `(in, out)` for a Linear, as
            the Conv1D of transformers does, True for an array that is no layer's.
        channels_first: `(channels, *spatial)` of the images whose flattened elements
            are the inputs of a Linear: ours are flattened with the channels last.

    Returns:
        A value for the rules.

    Raises:
        ArgumentValueError: no path, or the order of heads without their number.

    Example:
        >>> import oakum as nnx
        >>> rules = {
        ...     'h.{i}.attn.c_attn': nnx.weights.into(
        ...         'blocks.{i}.query',
        ...         'blocks.{i}.key',
        ...         'blocks.{i}.value',
        ...         transpose=False,
        ...     )
        ... }
    """
    if not paths or (order == "heads") != (heads is not None):
        raise ArgumentValueError(
            f"into: {len(paths)} paths in the order {order!r} with heads={heads}",
            remedy="nnx.weights.into('a.query', 'a.key', 'a.value'), and for the order "
            "'heads' their number: order='heads', heads=8.",
        )
    channels = None if channels_first is None else tuple(channels_first)
    return Target(paths, order, heads, axis, transpose, channels)


class Rules:
    """Rules with what a dict of names cannot say.

    Args:
        names: for each name of the file the path in the model, or what `into` gives.
        tied: for a name that a file may lack the one whose tensor it shares, such as
            `{'lm_head.weight': 'model.embed_tokens.weight'}`.
        ignore: names that a file may have besides; `*` stands for any text.

    Raises:
        ArgumentError: a name or path that is no text.
        ArgumentValueError: a `{hole}` in the path that the name lacks.

    Example:
        >>> import oakum as nnx
        >>> rules = nnx.weights.Rules(
        ...     {'model.embed_tokens': 'embed', 'lm_head': 'head'},
        ...     tied={'lm_head.weight': 'model.embed_tokens.weight'},
        ... )
    """

    def __init__(
        self,
        names: Mapping[str, str | Target],
        *,
        tied: Mapping[str, str] | None = None,
        ignore: str | Iterable[str] = (),
    ):
        self.tied = dict(tied or {})
        self.ignore = (ignore,) if isinstance(ignore, str) else tuple(ignore)
        self.given = [(n, _as_target(n, target)) for n, target in names.items()]
        self._lines: list[Rule] | None = None

    @classmethod
    def of(cls, rules: Any, model: Any) -> Rules:
        """Rules as a user gives them: such, a dict, or None for the model's own."""
        if rules is None:
            # Of the class: an attribute of the model by this name is a part of it.
            rules = getattr(type(model), "weights", None)
            rules = rules if isinstance(rules, Rules | Mapping) else {}
        return rules if isinstance(rules, Rules) else cls(rules)

    def find(self, path: tuple[Any, ...]) -> tuple[Rule, dict[str, int]] | None:
        """The rule for a path of the model, the longest, and what stands for holes."""
        if self._lines is None:
            lines = [line for n, target in self.given for line in _lines(n, target)]
            self._lines = sorted(lines, key=lambda line: -len(line.path))
        for line in self._lines:
            holes = line.match(path)
            if holes is not None:
                return line, holes
        return None


@dataclasses.dataclass(frozen=True)
class Rule:
    """One rule of one path.

    Args:
        name: the name in the file.
        path: the path in the model, in parts.
        target: the rest of what is said.
        number: which of the target's paths it is.
    """

    name: str
    path: tuple[str, ...]
    target: Target
    number: int

    def match(self, path: tuple[Any, ...]) -> dict[str, int] | None:
        """What stands for holes, if `path` is this one or below it."""
        if len(path) < len(self.path):
            return None
        holes: dict[str, int] = {}
        for part, key in zip(self.path, path, strict=False):
            hole = _HOLE.fullmatch(part)
            if hole and str(key).isdecimal():
                if holes.setdefault(hole[1], int(key)) != int(key):
                    return None
            elif part != str(key):
                return None
        return holes

    def free_holes(self) -> tuple[str, ...]:
        """Holes of the name that the path lacks: axes that the model's array has."""
        known = {match for part in self.path for match in _HOLE.findall(part)}
        return tuple(
            dict.fromkeys(h for h in _HOLE.findall(self.name) if h not in known)
        )

    def fill(self, holes: Mapping[str, int]) -> str:
        """The name with numbers in place of holes."""
        return _HOLE.sub(lambda match: str(holes[match[1]]), self.name)


def _as_target(name: Any, target: Any) -> Target:
    target = Target((target,)) if isinstance(target, str) else target
    if not (isinstance(name, str) and isinstance(target, Target)):
        raise ArgumentError(
            f"Rules map names of a file to paths of a model, got {name!r}: {target!r}",
            remedy="{'model.embed_tokens': 'embed'}, or nnx.weights.into('embed', ...) "
            "for the path.",
        )
    return target


def _lines(name: str, target: Target) -> list[Rule]:
    lines = []
    for number, path in enumerate(target.paths):
        unknown = set(_HOLE.findall(path)) - set(_HOLE.findall(name))
        if unknown:
            raise ArgumentValueError(
                f"The rule {name!r}: {path!r} has {{{min(unknown)}}} in its path alone",
                remedy="put it in the name too, where the number stands in the file.",
            )
        parts = tuple(path.split(".")) if path else ()
        lines.append(Rule(name, parts, target, number))
    return lines


def joined(prefix: str, below: str) -> str:
    """A tensor's name: its layer's, with the name below in the place of `*`."""
    if "*" in prefix:
        return prefix.replace("*", below)
    return f"{prefix}.{below}" if prefix and below else prefix or below
