"""Small slots of an optimizer lie in one buffer between the calls of a step.

Each array that goes into a compiled call and comes out anew costs about 1 µs, and an
optimizer has two for each parameter, which hardly anybody reads between two steps. So
the program takes and gives one donated buffer for each dtype instead, takes it apart
for the user's function, which is the same as ever, and joins what that leaves.

A Variable in a *pack* has an empty slot. Whoever reads or writes it, in whatever way,
finds that (`Variable.__getattr__`), and the pack gives its value back: one program for
all of the pack. The next call joins them again. Where that happens too often, the plan
goes on without.
"""

from __future__ import annotations

import math
import operator
import threading
from collections import deque
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._compat import ConcreteArray
from .._engine._lift import set_value
from .._objects import Variable
from ._donation import Donation
from ._results import result_builder

_LARGEST = 1 << 15  # bytes of an array; at 50 KiB joining costs what it saves
_FEWEST = 8  # arrays in a pack
_FREE = 3  # times that a pack may be joined anew without a thought
_CALLS = 8  # calls that each further time has to serve

_slot = Variable.__dict__["_raw"]
_empty: Callable[[Any], None] = _slot.__delete__
_set_place: Callable[[Any, Any], None] = Variable.__dict__["_oakum_pack"].__set__


class Group(NamedTuple):
    """The arrays of one dtype: where they stand among a call's inputs."""

    positions: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]


def groups_of(positions: Sequence[int], values: Sequence[Any]) -> tuple[Group, ...]:
    """How arrays can be joined: small ones on one device, of one dtype each.

    Args:
        positions: of the arrays that may be packed.
        values: all inputs of the call.
    """
    found: dict[Any, list[int]] = {}
    for position in positions:
        value = values[position]
        if type(value) is not ConcreteArray or value.nbytes > _LARGEST:
            continue
        if value.weak_type or len(value.sharding.device_set) > 1:
            continue
        found.setdefault((value.dtype, value.sharding, value.committed), []).append(
            position
        )
    return tuple(
        Group(tuple(group), tuple([values[i].shape for i in group]))
        for group in found.values()
        if len(group) >= _FEWEST
    )


class Layout:
    """Which inputs of a call are joined, and which are not.

    Args:
        groups: what is joined.
        numbers: the index of each Variable among the objects.
        n_leaves: the number of Variables and bare leaves.

    Attributes:
        members, others: the positions of the inputs that are joined, and of the rest.
        member_numbers: the indices of the members among the objects.
    """

    def __init__(
        self, groups: tuple[Group, ...], numbers: Sequence[int], n_leaves: int
    ):
        self.groups = groups
        self.members = tuple([i for group in groups for i in group.positions])
        apart = set(self.members)
        self.others = [i for i in range(n_leaves) if i not in apart]
        self.member_numbers = [numbers[i] for i in self.members]
        self.pick_members: Callable = operator.itemgetter(*self.members)

    def fits(self, values: Sequence[Any]) -> bool:
        """Whether the members are what they were when the layout was made."""
        return groups_of(self.members, values) == self.groups

    def join(self, values: Sequence[Any]) -> list[Any]:
        """The buffers of these inputs of a call."""
        return [
            _join_together([values[i] for i in group.positions])
            for group in self.groups
        ]

    def apart(self, inputs: Sequence[Any]) -> list[Any]:
        """All inputs of a call, from the buffers and the others, in a trace."""
        n, values = len(self.groups), {}
        for buffer, group in zip(inputs, self.groups, strict=False):
            values |= zip(group.positions, _take_apart(buffer, group), strict=True)
        values |= zip(self.others, inputs[n:], strict=False)
        n += len(self.others)
        return [values[i] for i in range(len(values))] + list(inputs[n:])

    def joined(self, outcome: Any, leaves: Any, inputs: Any) -> Any:
        """The outputs but for the members, and these in buffers, in a trace.

        Returns:
            None where an output does not fit its place, or objects take part.
        """
        if not outcome.simple or result_builder(outcome) is None:
            return None
        at = {number: i for i, number in enumerate(outcome.written)}
        places = [at.get(number) for number in self.member_numbers]
        for place, position in zip(places, self.members, strict=True):
            if place is None or not _same(leaves[place], inputs[position]):
                return None
        new = iter([leaves[place] for place in places if place is not None])
        buffers = [_join([next(new) for _ in group.positions]) for group in self.groups]
        left = set(places)
        rest = [leaf for i, leaf in enumerate(leaves) if i not in left]
        return tuple(rest), tuple(buffers)


def _program(name: str, layout: Layout, plain: Any) -> Callable[..., Any]:
    """The function of buffers that does what `plain` does for all inputs."""

    def packed(*inputs: Any) -> Any:
        values = layout.apart(inputs)
        ((outcome, leaves),) = plain(*values).items()
        joined = layout.joined(outcome, leaves, values)
        if joined is None:  # the buffers come out too, or JAX warns that they are lost
            return {outcome: (leaves, (), inputs[: len(layout.groups)])}
        return {outcome: (*joined, ())}

    packed.__name__ = packed.__qualname__ = name
    return packed


class Packing:
    """How the calls of one Entry take packs.

    Args:
        layout: what is joined.
        function: the function of all inputs, as it is traced.
        donated: the positions of the inputs that are given away.
        values: the inputs.
        options: what is passed on to `jax.jit`.

    Attributes:
        function: takes the buffers, the other inputs, and the dynamic arguments; gives
            `{outcome: (outputs, buffers, spare)}`. Where the outputs cannot be joined,
            they are all apart, and there are no buffers.
        donation: what of the other inputs is given away.
        calls, joins: the calls, and those of them that had to join the members first.
    """

    def __init__(
        self,
        layout: Layout,
        function: Callable[..., Any],
        donated: Sequence[int],
        values: Sequence[Any],
        options: dict[str, Any],
    ):
        self.layout = layout
        # Inline, since XLA would leave a call of its own apart: 1.5 times the step.
        plain = jax.jit(function, **{**options, "inline": True})
        packed = _program(function.__name__, layout, plain)
        buffers, given = tuple(range(len(layout.groups))), set(donated)
        others = [values[i] for i in layout.others]
        positions = tuple([p for p, i in enumerate(layout.others) if i in given])
        after = tuple([len(buffers) + position for position in positions])
        self.function = jax.jit(packed, **options, donate_argnums=buffers + after)
        unshared = jax.jit(packed, **options, donate_argnums=buffers)
        self.donation = Donation.of(positions, others, self.function, unshared)
        self.calls = self.joins = 0

    def is_worth_it(self) -> bool:
        """Whether there are more calls than reads, or new objects, between them."""
        return self.joins <= _FREE + self.calls // _CALLS


def _same(a: Any, b: Any) -> bool:
    return (a.shape, a.dtype, a.weak_type) == (b.shape, b.dtype, b.weak_type)


def _join(values: Sequence[Any]) -> jax.Array:
    return jnp.concatenate([jnp.ravel(value) for value in values])


def _take_apart(buffer: Any, group: Group) -> list[Any]:
    sizes = [math.prod(shape) for shape in group.shapes]
    parts = jax.lax.split(buffer, sizes)
    return [part.reshape(s) for part, s in zip(parts, group.shapes, strict=True)]


_join_together = jax.jit(_join)
_apart_together = jax.jit(_take_apart, static_argnums=1)


def _values_of(buffers: Sequence[Any], groups: Sequence[Group]) -> list[Any]:
    """The values of the members; a buffer that is gone stands for its own."""
    values: list[Any] = []
    for buffer, group in zip(buffers, groups, strict=True):
        if buffer.is_deleted():
            values += [buffer] * len(group.positions)
        else:
            values += _apart_together(buffer, group)
    return values


class Pack:
    """Slots of Variables in buffers, while no one else asks for them.

    Neither the pack keeps its members alive, nor they each other.

    Attributes:
        buffers: the values of the members.
        whole: whether the members' slots are empty, so that the buffers tell.
        lock: held from before a call takes the buffers until it has put back others.
    """

    def __init__(self, groups: tuple[Group, ...]):
        self._groups = groups
        self.lock = threading.RLock()
        self.whole = False
        self.buffers: Sequence[Any] = ()
        self._parts: list[Any] | None = None

    def close(self, members: Sequence[Any], places: Sequence[Any]) -> None:
        """Empties the slots of the members, whose values the buffers hold.

        Args:
            members: the Variables.
            places: for each, the pack and its number in it.
        """
        deque(map(_set_place, members, places), 0)
        try:
            deque(map(_empty, members), 0)
        except AttributeError:  # Ctrl-C came in the midst of it before
            deque(map(set_value, members, repeat(None)), 0)
            deque(map(_empty, members), 0)
        self._parts, self.whole = None, True

    def open(self) -> None:
        """Forgets the buffers, since all members have values of their own."""
        self.buffers, self._parts, self.whole = (), None, False

    def give_back(self, variable: Any, number: int) -> Any:
        """The value of a member, which is put into its slot."""
        with self.lock:
            try:
                return _slot.__get__(variable)  # another thread was first
            except AttributeError:
                pass
            if self._parts is None:
                self._parts = _values_of(self.buffers, self._groups)
                self.buffers = ()
            self.whole = False
            value = self._parts[number]
            set_value(variable, value)
            self._parts[number] = None  # it may be given away, if nobody else holds it
            return value


def are_held(members: Sequence[Any], values: Sequence[Any]) -> bool:
    """Whether the Variables hold these values still, each in its own slot."""
    try:
        return all(map(operator.is_, map(_slot.__get__, members), values))
    except AttributeError:
        return False
