"""A function that is run on parts of its arguments: what vmap and shard_map share.

Outputs are grouped by what says how they are put together (an axis, or a
PartitionSpec), since JAX asks for that before the function has run and the number of
outputs is known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from ..._graph import LEAF, leaf_tokens
from ..._objects import PARTITION_NAME, is_object
from .._lift import Body
from .._values import Values
from ._axes import MISSING, Axes, Made
from ._axis_metadata import AxisNames
from ._by_filter import ByFilter


class Mapped:
    """One call of such a function.

    Args:
        transform: its name as users write it.
        f: the user's function.
        args, kwargs: its arguments.
        in_prefix, out_prefix: how arguments are taken apart, and results put together.
        keywords: the same for keyword arguments.
        new: the same for what has no other: a Variable that `f` makes.
        whole: what says that every run has all of a value.
        metadata: the `transform_metadata` of the call.
    """

    def __init__(
        self,
        transform: str,
        f: Callable[..., Any],
        args: tuple,
        kwargs: dict[str, Any],
        in_prefix: Any,
        out_prefix: Any,
        *,
        keywords: Any,
        new: Any,
        whole: Any,
        metadata: Any = None,
    ):
        self.given = Axes(whole)
        self.returned = Axes(whole)
        self.new, self.whole = new, whole
        flat = self.given.of_arguments(in_prefix, args, keywords, kwargs)
        returned = self.returned  # not `self`, which would make a cycle

        given = self.given

        def call(*inner: Any, **keywords: Any) -> Any:
            result = returned.of_result(out_prefix, f(*inner, **keywords))
            returned.check_same_as(given)
            return result

        if metadata and PARTITION_NAME in metadata:
            names = AxisNames(transform, metadata)
            call = names.wrap(call, flat, self.given, returned)
        call.__wrapped__ = f  # type: ignore[attr-defined]  # whom messages name
        self.body = Body(transform, call, flat)
        self.bare = self.given.of_bare(flat.token, flat.values().bare)
        of_state = {*self.given.by_variable.values(), *self.bare}
        self.kinds = {*of_state, *_named((in_prefix, out_prefix)), new, whole}

    @classmethod
    def over_axes(
        cls,
        transform: str,
        f: Callable[..., Any],
        call: tuple[Any, Any],
        axes: tuple[Any, Any],
        metadata: Any,
    ) -> Mapped:
        """One call of a function whose prefixes are numbers of axes, as in `vmap`.

        Args:
            transform, f, metadata: as for the class.
            call: the arguments, positional and by name.
            axes: the prefixes of arguments and results.
        """
        rest: Any = {"keywords": 0, "new": 0, "whole": None, "metadata": metadata}
        return cls(transform, f, *call, *axes, **rest)

    def run(self, transform: Callable[[Callable[..., Any], tuple, dict], Any]) -> Any:
        """The result; the state is written back.

        Args:
            transform: makes the mapped function of leaves, from the plain one and what
                says how its inputs are taken apart and its outputs put together.
        """
        flat = self.body.flat
        inputs = (
            [self.given.by_variable[id(v)] for v in flat.variables],
            self.bare,
            self.given.array_axes,
        )
        mapped = transform(self._pure, inputs, {str(kind): kind for kind in self.kinds})
        grouped = mapped(*flat.values(self.given.arrays))
        parts = {kind: iter(values) for kind, values in grouped.items()}
        values = [next(parts[str(kind)]) for kind in self.outputs]
        arrays = [next(parts[str(kind)]) for kind in self.returned.array_axes]
        return self.body.commit(values, arrays)

    def _pure(self, *inputs: list) -> dict[str, list]:
        values = self.body.run(Values(*inputs))
        grouped: dict[str, list] = {str(kind): [] for kind in self.kinds}
        self.outputs = self._outputs(values)
        for kind, value in zip(self.outputs, values, strict=True):
            grouped[str(kind)].append(value)
        returned = self.returned
        for kind, array in zip(returned.array_axes, returned.release(), strict=True):
            grouped[str(kind)].append(array)
        return grouped

    def _outputs(self, values: list[Any]) -> list[Any]:
        """How each output value is put together, in the Outcome's order."""
        outcome, originals = self.body.outcome, self.body.flat.objects
        kinds = [self.given.by_variable[id(originals[i])] for i in outcome.written]
        kinds += kinds_of_new(self.body, self.given, self.returned, self.new)
        return kinds + kinds_of_bare(outcome, self.given, self.returned, values)

    def written_whole(self) -> list[str]:
        """Names of the Variables that every run writes, though all of them share it."""
        originals, outcome = self.body.flat.objects, self.body.outcome
        if not hasattr(outcome, "written"):
            return []
        names = [
            f"{self.given.path(originals[i])} ({type(originals[i]).__name__})"
            for i in outcome.written
            if self.given.by_variable[id(originals[i])] == self.whole
        ]
        if outcome.roots is not None:
            names += [
                f"{made.name} ({type(made.variable).__name__})"
                for made in self.given.of_new(outcome.roots, outcome.n_known).values()
                if made.axis == self.whole
            ]
        bare = self.outputs[len(self.outputs) - outcome.n_leaves :]
        return names + ["a bare array, as an attribute or item"] * (self.whole in bare)


def kinds_of_new(body: Body, given: Axes, returned: Axes, new: Any) -> list[Any]:
    """The axis, or spec, of each Variable that a run made, in the Outcome's order.

    Args:
        body: what ran.
        given, returned: the axes of its arguments and of its result.
        new: the axis of what has no other.
    """
    outcome = body.outcome
    made = [i for i in outcome.emitted if i >= outcome.n_known]
    if not made:
        return []
    placed: dict[int, Made] = {}
    if outcome.roots is not None:
        placed = given.of_new(outcome.roots, outcome.n_known)
    kinds = []
    for i in made:
        axis = returned.by_variable.get(body.object_ids[i], MISSING)
        if i in placed:
            if axis is not MISSING:
                placed[i].check_axis("the result", axis)
            axis = placed[i].axis
        kinds.append(new if axis is MISSING else axis)
    return kinds


def kinds_of_bare(
    outcome: Any, given: Axes, returned: Axes, values: list[Any]
) -> list[Any]:
    """The same for each bare array among the outputs.

    Args:
        outcome: what a run did.
        given, returned: the axes of its arguments and of its result.
        values: the output values, of which the bare arrays are the last.
    """
    bare = values[len(values) - outcome.n_leaves :]
    if not bare:
        return []
    n_roots = 0
    if outcome.roots is not None:
        n_roots = sum(token[0] == LEAF for _, token in leaf_tokens(outcome.roots))
    kinds = given.of_bare(outcome.roots, bare[:n_roots])
    return kinds + returned.of_bare(outcome.result, bare[n_roots:])


def _named(prefix: Any) -> set[Any]:
    """What a prefix names."""
    found: set[Any] = set()
    for kind in jax.tree.leaves(prefix, is_leaf=lambda x: x is None or is_object(x)):
        found |= set(kind.chosen) if isinstance(kind, ByFilter) else {kind}
    return found
