"""cond and switch: branches that take objects."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._compiled._once import once
from .._engine._lift import Body, Flat, variable_paths
from ..errors import ArgumentError


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
    """The branches of one call, as functions of leaves.

    Each returns the values of all Variables, so that their outputs agree whatever each
    of them writes; JAX takes out what comes through all of them unchanged.
    """

    def __init__(self, transform: str, branches: tuple, operands: tuple):
        self.transform = transform
        self.flat = Flat.of((operands, {}))
        self.inputs = self.flat.values()
        self.numbers = {id(v): i for i, v in enumerate(self.flat.variables)}
        self.ran: list[_Ran] = []
        self.bodies = [Body(transform, branch, self.flat) for branch in branches]

    @property
    def functions(self) -> list[Callable[..., Any]]:
        """The branches."""
        bodies = enumerate(self.bodies)
        return [functools.partial(self._run, number, body) for number, body in bodies]

    def _run(self, number: int, body: Body, variables: list, leaves: list) -> Any:
        values = body.run((variables, leaves, ()))
        written, state = body.outcome.written, list(variables)
        for index, value in zip(written, values, strict=False):
            state[self._number(index)] = value
        rest = values[len(written) :]
        kinds = {
            self._number(i): _types(v) for i, v in zip(written, values, strict=False)
        }
        ran = _Ran(number, body, kinds, list(map(_types, rest)))
        if self.ran:
            self._check_structure(ran)
            self._check_types(ran, variables)
        self.ran.append(ran)
        return state, rest

    def _number(self, index: int) -> int:
        return self.numbers[id(self.flat.objects[index])]

    def _check_structure(self, ran: _Ran) -> None:
        first, other = self.ran[0].body.outcome, ran.body.outcome
        numbers = f"{self.ran[0].number} and {ran.number}"
        if (first.roots, first.emitted) != (other.roots, other.emitted):
            raise ArgumentError(
                f"{self.transform}: branches {numbers} leave the objects with "
                "different structures: one sets an attribute, or makes an object, "
                "that the other does not",
                remedy="make it before the call, or in every branch.",
            )
        if first.result != other.result:
            raise ArgumentError(
                f"{self.transform}: branches {numbers} return different structures",
                remedy="return the same pytree from every branch.",
            )

    def _check_types(self, ran: _Ran, variables: list) -> None:
        for before in self.ran:
            pairs: dict[Any, tuple[str, str]] = {}
            for n in sorted({*before.written, *ran.written}):
                own = _types(variables[n])
                pairs[n] = before.written.get(n, own), ran.written.get(n, own)
            results = zip(before.rest, ran.rest, strict=True)
            pairs |= {f"result {i}": kinds for i, kinds in enumerate(results)}
            for place, kinds in pairs.items():
                if kinds[0] != kinds[1]:
                    # Paths are written out for the message alone.
                    named = isinstance(place, str)
                    name = place if named else variable_paths(self.flat)[place]
                    raise ArgumentError(
                        f"{self.transform}: {name} differs between branches: "
                        f"{kinds[0]}, {kinds[1]}",
                        remedy="give it one shape and dtype in every branch.",
                    )

    def commit(self, outputs: tuple[list, list]) -> Any:
        """Writes the chosen branch's results back."""
        state, rest = outputs
        body = self.ran[0].body
        written = {i for ran in self.ran for i in ran.body.outcome.written}
        body.outcome.written = tuple(sorted(written))
        values = [state[self._number(i)] for i in body.outcome.written]
        return body.commit(values + rest)


class _Ran(NamedTuple):
    """A branch after its run: the types of what it writes, by number, and returns."""

    number: int
    body: Body
    written: dict[int, str]
    rest: list[str]


def _types(value: Any) -> str:
    """Structure, dtypes and shapes of a value, as messages have them."""
    return str(jax.tree.map(_Type, value))


class _Type:
    """The dtype and shape of an array, for messages."""

    def __init__(self, x: Any):
        self.x = x

    def __repr__(self) -> str:
        return f"{jnp.result_type(self.x)}{list(jnp.shape(self.x))}"
