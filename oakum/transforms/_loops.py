"""while_loop and fori_loop: loops whose carry holds objects."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .._compiled._once import once
from .._engine._lift import Body, Flat, same_type, set_value, variable_paths
from .._graph import DynamicArg
from .._guard import writable
from .._objects import is_object
from ..errors import ArgumentError


def while_loop(
    cond_fun: Callable[[Any], Any], body_fun: Callable[[Any], Any], init_val: Any
) -> Any:
    """Repeats a function while a condition holds.

    Args:
        cond_fun: takes the carry, returns a truth value, `()`; may not write state.
        body_fun: takes the carry and returns it: the same objects, and arrays of the
            same shapes and dtypes.
        init_val: the first carry: objects, arrays, and pytrees of these.

    Returns:
        The last carry.

    Raises:
        ArgumentError: the carry changes its form, or `cond_fun` writes state.

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

    def condition(carry: tuple) -> Any:
        asked: list[Any] = []
        body = Body("while_loop", lambda v: asked.append(cond_fun(v)), loop.flat)
        body.run(loop.inputs(carry))
        if body.outcome.written or body.outcome.roots is not None:
            paths = variable_paths(loop.flat)
            names = [paths[loop.numbers[i]] for i in body.outcome.written]
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


def fori_loop(
    lower: Any,
    upper: Any,
    body_fun: Callable[[Any, Any], Any],
    init_val: Any,
    *,
    unroll: int | bool | None = None,
) -> Any:
    """Repeats a function for each number of a range.

    Args:
        lower, upper: the range, `()` of an integer dtype.
        body_fun: takes the number and the carry, and returns the carry: the same
            objects, and arrays of the same shapes and dtypes.
        init_val: the first carry.
        unroll: how many steps to compile as one.

    Returns:
        The last carry.

    Raises:
        ArgumentError: the carry changes its form.

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

    def step(i: Any, carry: tuple) -> tuple:
        return loop.step(lambda value: body_fun(i, value), carry)

    last = jax.lax.fori_loop(lower, upper, step, loop.first(), unroll=unroll)
    return loop.finish(last)


class _Loop:
    """A carry of objects and arrays: Variables' values by number, and the arrays."""

    def __init__(self, transform: str, init_val: Any):
        self.transform = transform
        parts, self.treedef = jax.tree.flatten(init_val, is_leaf=is_object)
        self.parts = parts
        self.arrays = [part for part in parts if not is_object(part)]
        numbers = iter(range(len(self.arrays)))
        template = [p if is_object(p) else DynamicArg(next(numbers)) for p in parts]
        value = jax.tree.unflatten(self.treedef, template)
        self.flat = Flat.of(((value,), {}))
        self.values, self.leaves = self.flat.values()
        self.written: set[int] = set()
        by_id = {id(v): i for i, v in enumerate(self.flat.variables)}
        self.numbers = {
            index: by_id[id(obj)]
            for index, obj in enumerate(self.flat.objects)
            if id(obj) in by_id
        }

    def first(self) -> tuple[list, list]:
        """The carry before the first step."""
        return jax.tree.map(jnp.asarray, (self.values, self.arrays))

    def inputs(self, carry: tuple[list, list]) -> tuple[list, list, list]:
        """What a run of the user's function takes."""
        return carry[0], self.leaves, carry[1]

    def step(self, function: Callable[[Any], Any], carry: tuple) -> tuple[list, list]:
        """One step: the next carry, checked against this one."""
        returned: list[Any] = []

        def call(value: Any) -> None:
            inner = jax.tree.leaves(value, is_leaf=is_object)
            result = function(value)
            parts, treedef = jax.tree.flatten(result, is_leaf=is_object)
            if treedef != self.treedef or any(
                a is not b for a, b in zip(parts, inner, strict=True) if is_object(b)
            ):
                raise ArgumentError(
                    f"{self.transform}: the body returned {treedef}, expected the "
                    f"carry {self.treedef} with the same objects",
                    remedy="return the carry that came in, with its arrays replaced.",
                )
            returned.extend(part for part in parts if not is_object(part))

        body = Body(self.transform, call, self.flat)
        values = body.run(self.inputs(carry))
        if body.outcome.roots is not None:
            raise ArgumentError(
                f"{self.transform}: the body changes the structure of an object",
                remedy="set attributes and make objects before the loop.",
            )
        variables = list(carry[0])
        paths = variable_paths(self.flat)
        for index, value in zip(body.outcome.written, values, strict=True):
            number = self.numbers[index]
            self.written.add(number)
            variables[number] = self._same(value, carry[0][number], paths[number])
        arrays = [
            self._same(new, old, f"carry[{i}]")
            for i, (new, old) in enumerate(zip(returned, carry[1], strict=True))
        ]
        return variables, arrays

    def _same(self, new: Any, old: Any, name: str) -> Any:
        for a, b in zip(jax.tree.leaves(new), jax.tree.leaves(old), strict=True):
            if not same_type(a, b):
                raise ArgumentError(
                    f"{self.transform}: {name} changes from "
                    f"{b.dtype}{list(jnp.shape(b))} to "
                    f"{jnp.result_type(a)}{list(jnp.shape(a))} in one step",
                    remedy="keep shape and dtype, for example x.astype(carry.dtype).",
                )
        return new

    def finish(self, carry: tuple[list, list]) -> Any:
        """Writes the state back; returns the last carry."""
        written = [(self.flat.variables[n], carry[0][n]) for n in sorted(self.written)]
        for variable, _ in written:
            writable(variable)
        targets = [variable for variable, _ in written]
        deque(map(set_value, targets, [value for _, value in written]), 0)
        arrays = iter(carry[1])
        parts = [part if is_object(part) else next(arrays) for part in self.parts]
        return jax.tree.unflatten(self.treedef, parts)
