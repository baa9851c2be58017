"""cond and switch: branches that take objects.

Each branch is traced once, to learn what it writes; all branches then return what any
of them writes, so that their outputs agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import eval_jaxpr

from ..errors import ArgumentError
from ._lift import Body, Flat, variable_paths
from ._once import once


def cond(
    pred: Any,
    true_fun: Callable[..., Any],
    false_fun: Callable[..., Any],
    *operands: Any,
) -> Any:
    """Calls one of two functions, as a traced truth value decides.

    Args:
        pred: a truth value, `()`.
        true_fun, false_fun: take the operands; both return the same structure, shapes
            and dtypes. Each may write to other Variables.
        *operands: objects and arrays.

    Returns:
        What the chosen function returns.

    Raises:
        ArgumentError: the results, or the structure of the objects, differ.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> count = nnx.Variable(jnp.array(0))
        >>> def add(v): v[...] += 1
        >>> def keep(v): pass
        >>> nnx.cond(True, add, keep, count)
        >>> int(count.value)
        1
    """
    return once(_cond, (true_fun, false_fun), (), (pred, *operands))


def _cond(functions: tuple, options: tuple, pred: Any, *operands: Any) -> Any:
    branches = _Branches("cond", functions, operands)
    on_true, on_false = branches.functions
    return branches.commit(
        jax.lax.cond(jnp.asarray(pred), on_true, on_false, *branches.inputs)
    )


def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """Calls one of several functions, as a traced number decides.

    Args:
        index: the number of the branch, `()` of an integer dtype; clamped.
        branches: take the operands; all return the same structure, shapes and dtypes.
        *operands: objects and arrays.

    Returns:
        What the chosen function returns.

    Raises:
        ArgumentError: the results, or the structure of the objects, differ.
    """
    return once(_switch, tuple(branches), (), (index, *operands))


def _switch(functions: tuple, options: tuple, index: Any, *operands: Any) -> Any:
    made = _Branches("switch", functions, operands)
    return made.commit(jax.lax.switch(jnp.asarray(index), made.functions, *made.inputs))


class _Branches:
    """The branches of one call, traced."""

    def __init__(self, transform: str, branches: tuple, operands: tuple):
        self.transform = transform
        self.flat = Flat.of((operands, {}))
        self.inputs = self.flat.values()
        self.numbers = {id(v): i for i, v in enumerate(self.flat.variables)}
        self.bodies = [Body(transform, branch, self.flat) for branch in branches]
        traced = [
            jax.make_jaxpr(
                lambda v, leaves, body=body: body.run((v, leaves, ())),
                return_shape=True,
            )(*self.inputs)
            for body in self.bodies
        ]
        self._check_structure()
        written = {i for body in self.bodies for i in body.outcome.written}
        self.written = tuple(sorted(written))
        self.functions = [
            self._function(body, *jaxpr_and_shapes)
            for body, jaxpr_and_shapes in zip(self.bodies, traced, strict=True)
        ]
        self._check_types([shapes for _, shapes in traced])

    def _number(self, index: int) -> int:
        return self.numbers[id(self.flat.objects[index])]

    def _function(self, body: Body, closed: Any, shapes: list) -> Callable[..., list]:
        """A branch as a pure function that returns what any branch writes."""
        treedef = jax.tree.structure(shapes)

        def function(variables: list, leaves: list) -> list:
            flat_inputs = jax.tree.leaves((variables, leaves))
            outputs = eval_jaxpr(closed.jaxpr, closed.consts, *flat_inputs)
            variables = jax.tree.map(jnp.asarray, variables)
            return self._outputs(body, jax.tree.unflatten(treedef, outputs), variables)

        return function

    def _outputs(self, body: Body, values: list, variables: list) -> list:
        """A branch's outputs, with the Variables that only other branches write."""
        own = body.outcome.written
        by_index = dict(zip(own, values, strict=False))
        kept = {i: variables[self._number(i)] for i in self.written}
        return list((kept | by_index).values()) + values[len(own) :]

    def _check_structure(self) -> None:
        first = self.bodies[0].outcome
        for number, body in enumerate(self.bodies[1:], 1):
            other = body.outcome
            if (first.roots, first.emitted) != (other.roots, other.emitted):
                raise ArgumentError(
                    f"{self.transform}: branches 0 and {number} leave the objects with "
                    "different structures: one sets an attribute, or makes an object, "
                    "that the other does not",
                    remedy="make it before the call, or in every branch.",
                )
            if first.result != other.result:
                raise ArgumentError(
                    f"{self.transform}: branches 0 and {number} return different "
                    "structures",
                    remedy="return the same pytree from every branch.",
                )

    def _check_types(self, traced: list[list]) -> None:
        shapes = [
            self._outputs(body, values, self.inputs[0])
            for body, values in zip(self.bodies, traced, strict=True)
        ]
        paths = variable_paths(self.flat)
        names = [paths[self._number(i)] for i in self.written]
        names += [f"result {i}" for i in range(len(shapes[0]) - len(names))]
        for name, *outputs in zip(names, *shapes, strict=True):
            kinds = [str(jax.tree.map(_Type, output)) for output in outputs]
            if len(set(kinds)) > 1:
                raise ArgumentError(
                    f"{self.transform}: {name} differs between branches: "
                    f"{', '.join(kinds)}",
                    remedy="give it one shape and dtype in every branch.",
                )

    def commit(self, outputs: list) -> Any:
        """Writes the chosen branch's results back."""
        body = self.bodies[0]
        body.outcome.written = self.written
        return body.commit(outputs)


class _Type:
    """The dtype and shape of an array, for messages."""

    def __init__(self, x: Any):
        self.x = x

    def __repr__(self) -> str:
        return f"{jnp.result_type(self.x)}{list(jnp.shape(self.x))}"
