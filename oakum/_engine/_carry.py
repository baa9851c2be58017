"""A carry: what one step of a loop takes in and hands to the next.

It is handed on by value. A body that returns the objects it got, changed or not, has
them changed in the end; for one that makes others of their structure, such as a State
of sums from `jax.tree.map`, these are new ones in the end, too.
"""

from __future__ import annotations

from itertools import count
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._graph import Decoder, DynamicArg, leaf_tokens
from .._guard import context, resolve, writable
from .._objects import is_array, is_object, is_variable, set_value, versions
from ..errors import ArgumentError, StructureError
from ._lift import Flat, fill, leaf_in_tree, same_type, settle
from ._values import Values


class Handed(NamedTuple):
    """What a step hands on.

    Attributes:
        variables, bare: values of the Variables and of bare leaves, in canonical
            order; None for bare leaves of which none was set.
        arrays: the arrays beside the objects.
        made: the indices of the objects that the step made.
        objects: the objects by index, or None where none can have been made.
    """

    variables: list[Any]
    bare: list[Any] | None
    arrays: list[Any]
    made: frozenset[int]
    objects: list[Any] | None = None


class CarryEdited(StructureError):
    """A step edits configuration of a carried object, and nothing else of structure.

    With the first step done apart, those after it may well leave it alone.
    """


class CarryForm:
    """The form of a carry, which each step is to keep.

    Args:
        transform: the name of the loop as users write it.
        value: the first carry: a pytree of objects and arrays.
        once: whether there is one step, which may edit configuration.
    """

    def __init__(self, transform: str, value: Any, once: bool = False):
        self.transform, self.once = transform, once
        parts, self.treedef = jax.tree.flatten(value, is_leaf=is_object)
        self.parts = [resolve(part) if is_object(part) else part for part in parts]
        self.flat = _flat(self.parts)
        self.arrays = [part for part in self.parts if not is_object(part)]

    @property
    def is_single(self) -> bool:
        """Whether it is one object or array, and no pytree of them."""
        return len(self.parts) == 1 and jax.tree_util.treedef_is_leaf(self.treedef)

    def as_parts(self) -> Any:
        """Its parts in a list, of which `from_parts` makes it again."""
        return self.parts[0] if self.is_single else self.parts

    def from_parts(self, parts: Any) -> Any:
        """A carry of this form."""
        return parts if self.is_single else jax.tree.unflatten(self.treedef, parts)

    def as_arguments(self) -> Flat:
        """Its parts as the arguments of a function, taken apart."""
        return Flat.of((tuple(_templates(self.parts)), {}))

    def read(self, values: list[Any], result: Any) -> Handed:
        """What a step returned, inside its frame.

        Args:
            values: those of the Variables as the step got them.
            result: the carry that it returned.

        Raises:
            ArgumentError: it is another pytree; or an object was written, and another
                one returned in its place.
            StructureError: its objects have another structure, or changed places.
        """
        assert context.frame is not None
        settle(context.frame)
        twins = context.frame.twins
        parts, treedef = jax.tree.flatten(result, is_leaf=is_object)
        if treedef != self.treedef:
            raise ArgumentError(
                f"{self.transform}: the body returned {treedef}, expected the form of "
                f"the carry, {self.treedef}",
                remedy="return the carry that came in, with its arrays replaced.",
            )
        arrays = [part for part in parts if not is_object(part)]
        known = [twins[id(obj)] for obj in self.flat.objects]
        alike = self._is_of_twins(parts, twins)
        if alike and not any(versions(known)):
            variables = [twins[id(v)]._raw for v in self.flat.variables]
            return Handed(variables, None, arrays, frozenset())
        after = _flat(parts)
        if after.token != self.flat.token:
            static = alike and _leaves_of(after) == _leaves_of(self.flat)
            if not (static and self.once):
                raise self._changed(alike, CarryEdited if static else StructureError)
        made = self._made(known, after.objects, values)
        return Handed(*after.values(arrays), made, after.objects)

    def _is_of_twins(self, parts: list[Any], twins: dict[int, Any]) -> bool:
        """Whether the twin of each object is handed on in its place."""
        return all(
            [
                new is twins.get(id(old))
                for new, old in zip(parts, self.parts, strict=True)
                if is_object(new) or is_object(old)
            ]
        )

    def _made(
        self, known: list[Any], objects: list[Any], values: list[Any]
    ) -> frozenset[int]:
        """The indices of the objects that stand where others stood."""
        before = dict(zip(self.flat.numbers, values, strict=True))
        idents = set(map(id, known))
        pairs = enumerate(zip(known, objects, strict=True))
        made = [(i, old, new) for i, (old, new) in pairs if old is not new]
        for number, old, new in made:
            name = type(old).__name__
            if id(new) in idents:
                raise StructureError(
                    f"{self.transform}: the body returned the same objects in other "
                    f"places: a {name} stands where another stood",
                    remedy="return each where it came in, and exchange their values.",
                )
            written = number in before and old._raw is not before[number]
            if written or versions([old])[0]:
                raise ArgumentError(
                    f"{self.transform}: the body writes to a {name} of the carry, and "
                    "returns another object in its place",
                    remedy="return the object that it writes to, or write to none.",
                )
        return frozenset([number for number, _, _ in made])

    def _changed(self, alike: bool, kind: type[StructureError]) -> StructureError:
        what = (
            "changes the structure of an object"
            if alike
            else "returned objects of another structure than those of the carry"
        )
        return kind(
            f"{self.transform}: the body {what}",
            remedy="set attributes and make objects before the loop: each step is to "
            "return what it got, or its like.",
        )

    def rebuild(self, values: Values, made: Any) -> tuple[Any, list[Any]]:
        """The last carry, and what is to be filled into the objects that it keeps.

        Args:
            values: those of the carry.
            made: the indices of the objects that the steps made.
        """
        existing = {i: obj for i, obj in enumerate(self.flat.objects) if i not in made}
        decoder = Decoder(*values, existing=existing)
        parts = decoder.build(self.flat.token)
        return jax.tree.unflatten(self.treedef, parts), decoder.fills


def _leaves_of(flat: Flat) -> list[tuple]:
    """Path and kind of each Variable and bare leaf, and which Variable it is."""
    return [(path, token[:3]) for path, token in leaf_tokens(flat.token)]


def _flat(parts: list[Any]) -> Flat:
    """Parts of a carry, taken apart, with numbered places for the arrays."""
    return Flat.of(_templates(parts))


def _templates(parts: list[Any]) -> list[Any]:
    numbers = count()
    return [p if is_object(p) else DynamicArg(next(numbers)) for p in parts]


def checked_type(transform: str, new: Any, old: Any, name: str) -> Any:
    """A new value of a carry, checked against the one before.

    Args:
        transform: the name of the loop as users write it.
        new, old: the values.
        name: what messages call them.

    Raises:
        ArgumentError: the structure, a shape or a dtype differs.
    """
    if new is old or (is_array(new) and is_array(old) and same_type(new, old)):
        return new
    if jax.tree.structure(new) != jax.tree.structure(old):
        raise ArgumentError(
            f"{transform}: {name} changes its structure from "
            f"{jax.tree.structure(old)} to {jax.tree.structure(new)}",
            remedy="return a carry of the form that came in.",
        )
    for a, b in zip(jax.tree.leaves(new), jax.tree.leaves(old), strict=True):
        if not (same_type(a, b) or _promotes(b, a)):
            raise ArgumentError(
                f"{transform}: {name} changes from {b.dtype}{list(jnp.shape(b))} to "
                f"{jnp.result_type(a)}{list(jnp.shape(a))} in one step",
                remedy="keep shape and dtype, for example x.astype(carry.dtype).",
            )
    return new


def _promotes(old: Any, new: Any) -> bool:
    """Whether JAX makes the first carry one of the new type: a weakly typed number."""
    if not getattr(old, "weak_type", False) or jnp.shape(old) != jnp.shape(new):
        return False
    try:
        return jnp.promote_types(old.dtype, jnp.result_type(new)) == jnp.result_type(
            new
        )
    except ValueError:  # promotion is strict
        return False


def fill_changed(fills: list[Any], written: set[int], token: Any) -> None:
    """Puts values into objects, where they hold others.

    Args:
        fills: as a Decoder collects them.
        written: identities of the Variables that were written.
        token: the structure of the objects.

    Raises:
        TraceContextError: one of them belongs to another trace.
    """
    due = [
        one
        for one in fills
        if (id(one[0]) in written if is_variable(one[0]) else _differs(*one[:2]))
    ]
    for obj, _, _ in due:
        writable(obj)
    restructured = leaf_in_tree(token)
    for obj, content, extra in due:
        if is_variable(obj):
            set_value(obj, content)
        else:
            fill(obj, content, extra, restructured)


def _differs(node: Any, content: dict[Any, Any]) -> bool:
    slot = node._oakum_slot()
    return any([_other(slot[key], child) for key, child in content.items()])


def _other(old: Any, new: Any) -> bool:
    """Whether a child differs; a tuple of the same objects and arrays does not."""
    if old is new or is_object(old) or is_array(old):
        return old is not new
    before, after = [jax.tree.flatten(x, is_leaf=is_object) for x in (old, new)]
    pairs = zip(before[0], after[0], strict=False)
    return before[1] != after[1] or any([a is not b for a, b in pairs])
