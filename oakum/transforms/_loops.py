"""while_loop and fori_loop: loops whose carry holds objects."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count, repeat
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from .._compiled._once import once
from .._engine._bare import differing
from .._engine._carry import CarryForm, Handed, checked_type, fill_changed
from .._engine._lift import Body, Flat, variable_paths
from .._engine._modes import modeless
from .._engine._values import Values
from ..errors import ArgumentError

T = TypeVar("T")


@modeless
def while_loop(
    cond_fun: Callable[[T], Any], body_fun: Callable[[T], T], init_val: T
) -> T:
    """Repeats a function while a condition holds.

    Args:
        cond_fun: takes the carry, returns a truth value, `()`; may not write state.
        body_fun: takes the carry and returns it: the same objects or others of their
            structure, and arrays of the same shapes and dtypes.
        init_val: the first carry: objects, arrays, and pytrees of these.

    Returns:
        The last carry.

    Raises:
        ArgumentError: an array of the carry changes, or `cond_fun` writes state.
        StructureError: an object of the carry changes its structure.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> count = nnx.Variable(jnp.array(0))
        >>> def add(v):
        ...     v[...] += 2
        ...     return v
        >>> nnx.while_loop(lambda v: v.value < 5, add, count) is count, int(count.value)
        (True, 6)
    """
    return once(_while, (cond_fun, body_fun), (), (init_val,))


def _while(functions: tuple, options: tuple, init_val: Any) -> Any:
    cond_fun, body_fun = functions
    loop = _Loop("while_loop", init_val)

    def condition(carry: Values) -> Any:
        asked: list[Any] = []
        body = loop.body(lambda v: asked.append(cond_fun(v)))
        body.run(carry)
        if body.outcome.written or body.outcome.changed:
            paths = dict(zip(loop.form.flat.numbers, loop.names(), strict=True))
            names = [paths[i] for i in body.outcome.written]
            raise ArgumentError(
                "while_loop: cond_fun writes state: "
                f"{', '.join(names) or 'attributes'}",
                remedy="write it in body_fun.",
            )
        return jnp.asarray(asked[0])

    last = jax.lax.while_loop(
        condition, lambda carry: loop.step(body_fun, carry), loop.first()
    )
    return loop.finish(last)


@modeless
def fori_loop(
    lower: ArrayLike,
    upper: ArrayLike,
    body_fun: Callable[[Any, T], T],
    init_val: T,
    *,
    unroll: int | bool | None = None,
) -> T:
    """Repeats a function for each number of a range.

    Args:
        lower, upper: the range, `()` of an integer dtype.
        body_fun: takes the number and the carry, and returns the carry: the same
            objects or others of their structure, and arrays of the same shapes and
            dtypes.
        init_val: the first carry.
        unroll: how many steps to compile as one.

    Returns:
        The last carry.

    Raises:
        ArgumentError: an array of the carry changes its shape or dtype.
        StructureError: an object of the carry changes its structure.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> count = nnx.Variable(jnp.array(0))
        >>> def add(i, v):
        ...     v[...] += i
        ...     return v
        >>> int(nnx.fori_loop(0, 4, add, count).value)
        6
    """
    if isinstance(lower, int) and isinstance(upper, int):
        # Known bounds make a loop that has derivatives.
        return once(_fori, (body_fun,), (unroll, lower, upper), (init_val,))
    return once(_fori, (body_fun,), (unroll,), (init_val, lower, upper))


def _fori(functions: tuple, options: tuple, init_val: Any, *bounds: Any) -> Any:
    (body_fun,) = functions
    unroll, lower, upper = (*options, *bounds)
    loop = _Loop("fori_loop", init_val)

    def step(i: Any, carry: Values) -> Values:
        return loop.step(lambda value: body_fun(i, value), carry)

    last = jax.lax.fori_loop(lower, upper, step, loop.first(), unroll=unroll)
    return loop.finish(last)


class _Loop:
    """A loop over a carry: its Variables' values, bare leaves and arrays."""

    def __init__(self, transform: str, init_val: Any):
        self.transform = transform
        self.form = CarryForm(transform, init_val)
        self.init_val = init_val
        self.written: set[int] = set()
        self.filled: set[int] = set()
        self.made: frozenset[int] = frozenset()

    def first(self) -> Values:
        """The carry before the first step."""
        return jax.tree.map(jnp.asarray, self.form.flat.values(self.form.arrays))

    def body(self, function: Callable[[Any], Any]) -> Body:
        """A function of the carry, to be run on its values."""
        treedef = self.form.treedef

        def call(*parts: Any) -> Any:
            return function(jax.tree.unflatten(treedef, parts))

        return Body(self.transform, call, self.form.as_arguments())

    def step(self, function: Callable[[Any], Any], carry: Values) -> Values:
        """One step: the next carry, checked against this one."""
        handed: list[Handed] = []
        form = self.form  # not `self`, which would make a cycle

        def call(value: Any) -> None:
            handed.append(form.read(carry.variables, function(value)))

        self.body(call).run(carry)
        variables, bare, arrays, self.made, _ = handed.pop()
        bare = carry.bare if bare is None else bare
        self.written |= differing(variables, carry.variables)
        self.filled |= differing(bare, carry.bare)
        return Values(
            [self._same(*pair) for pair in zip(variables, carry.variables, count())],
            [self._same(*pair) for pair in zip(bare, carry.bare, repeat("bare"))],
            [
                self._same(new, old, f"carry[{i}]")
                for i, (new, old) in enumerate(zip(arrays, carry.arrays, strict=True))
            ],
        )

    def _same(self, new: Any, old: Any, name: Any) -> Any:
        if new is old:
            return new
        if isinstance(name, int):
            name = self.names()[name]
        return checked_type(self.transform, new, old, name)

    def names(self) -> list[str]:
        """How messages name the Variables of the carry."""
        known = Flat.of(((self.init_val,), {}))
        names = dict(zip(map(id, known.variables), variable_paths(known), strict=True))
        return [names[id(v)] for v in self.form.flat.variables]

    def finish(self, carry: Values) -> Any:
        """Writes the state back; returns the last carry."""
        flat = self.form.flat
        kept = enumerate(zip(flat.values().bare, carry.bare, strict=True))
        bare = [new if i in self.filled else old for i, (old, new) in kept]
        last, fills = self.form.rebuild(
            Values(carry.variables, bare, carry.arrays), self.made
        )
        written = {id(flat.variables[n]) for n in self.written}
        fill_changed(fills, written, flat.token)
        return last
