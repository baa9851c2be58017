"""cond and switch: branches that take objects."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar, TypeVarTuple

import jax
import jax.numpy as jnp

from .._compiled._once import once
from .._engine._bare import differing, put_bare, take_bare
from .._engine._lift import Body, Flat, variable_paths
from .._engine._modes import modeless
from .._engine._values import Values
from .._guard import context
from .._objects import is_object
from .._state import State
from .._typing import R
from ..errors import ArgumentError

Other = TypeVar("Other")
Ts = TypeVarTuple("Ts")


@modeless
def cond(
    pred: Any,
    true_fun: Callable[[*Ts], R],
    false_fun: Callable[[*Ts], Other],
    *operands: *Ts,
) -> R | Other:
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
        jax.lax.cond(jnp.asarray(pred), on_true, on_false, branches.inputs)
    )


@modeless
def switch(index: Any, branches: Sequence[Callable[[*Ts], R]], *operands: *Ts) -> R:
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
    return made.commit(jax.lax.switch(jnp.asarray(index), made.functions, made.inputs))


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
        self.states: list[list[int | None]] = []  # what each branch returned as State
        self.bodies = [
            Body(transform, self._with_new_states(branch), self.flat)
            for branch in branches
        ]

    @property
    def functions(self) -> list[Callable[..., Any]]:
        """The branches."""
        bodies = enumerate(self.bodies)
        return [functools.partial(self._run, number, body) for number, body in bodies]

    def _with_new_states(self, branch: Callable[..., Any]) -> Callable[..., Any]:
        """The branch, with a State of its own for each that it returns.

        Then one branch may return the State that came in, and another one a new one.
        """
        states, originals = self.states, self.flat.objects

        def call(*operands: Any) -> Any:
            result = branch(*operands)
            parts, treedef = jax.tree.flatten(result, is_leaf=is_object)
            if not any(isinstance(part, State) for part in parts):
                states.append([])
                return result
            assert context.frame is not None
            twins = [id(context.frame.twins[id(obj)]) for obj in originals]
            found = [part for part in parts if isinstance(part, State)]
            known = [twins.index(id(s)) if id(s) in twins else None for s in found]
            states.append(known)
            return jax.tree.unflatten(treedef, [_fresh(part) for part in parts])

        return functools.wraps(branch)(call) if hasattr(branch, "__name__") else call

    def _run(self, number: int, body: Body, inputs: Values) -> Any:
        values = body.run(inputs)
        outcome = body.outcome
        written, state = outcome.written, list(inputs.variables)
        for index, value in zip(written, values, strict=False):
            state[self._number(index)] = value
        bare, rest = take_bare(outcome, self.flat, inputs.bare, values[len(written) :])
        kinds = {
            self._number(i): _types(v) for i, v in zip(written, values, strict=False)
        }
        filled = {n: _types(bare[n]) for n in differing(bare, inputs.bare)}
        ran = _Ran(number, body, kinds, filled, list(map(_types, rest)))
        if self.ran:
            self._check_structure(ran)
            self._check_types(ran, inputs)
        self.ran.append(ran)
        return state, bare, rest

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

    def _check_types(self, ran: _Ran, inputs: Values) -> None:
        for before in self.ran:
            pairs: dict[Any, tuple[str, str]] = {}
            for n in sorted({*before.written, *ran.written}):
                own = _types(inputs.variables[n])
                pairs[n] = before.written.get(n, own), ran.written.get(n, own)
            for n in sorted({*before.filled, *ran.filled}):
                own = _types(inputs.bare[n])
                kinds = before.filled.get(n, own), ran.filled.get(n, own)
                pairs[variable_paths(self.flat, bare=True)[n]] = kinds
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

    def commit(self, outputs: tuple[list, list, list]) -> Any:
        """Writes the chosen branch's results back."""
        state, bare, rest = outputs
        body = self.ran[0].body
        outcome = body.outcome
        written = {i for ran in self.ran for i in ran.body.outcome.written}
        changed = {i for ran in self.ran for i in ran.body.outcome.changed}
        outcome.written = tuple(sorted(written))
        outcome.changed = tuple(sorted(changed))
        values = [state[self._number(i)] for i in outcome.written]
        filled = {i for ran in self.ran for i in ran.filled}
        values += put_bare(outcome, self.flat, bare, filled, rest)
        return self._with_known_states(body.commit(values))

    def _with_known_states(self, result: Any) -> Any:
        """The result with the States that came in, where all branches return them."""
        if not any(self.states):
            return result
        known = [
            column[0] if len(set(column)) == 1 else None
            for column in zip(*self.states, strict=True)
        ]
        numbers = iter(known)
        parts, treedef = jax.tree.flatten(result, is_leaf=is_object)
        for i, part in enumerate(parts):
            number = next(numbers) if isinstance(part, State) else None
            if number is not None:
                parts[i] = self.flat.objects[number]
        return jax.tree.unflatten(treedef, parts)


class _Ran(NamedTuple):
    """A branch after its run: the types of what it writes, by number, and returns."""

    number: int
    body: Body
    written: dict[int, str]
    filled: dict[int, str]
    rest: list[str]


def _fresh(part: Any) -> Any:
    """A State of new Variables with the same values; anything else as it is."""
    return jax.tree.map(lambda x: x, part) if isinstance(part, State) else part


def _types(value: Any) -> str:
    """Structure, dtypes and shapes of a value, as messages have them."""
    return str(jax.tree.map(_Type, value))


class _Type:
    """The dtype and shape of an array, for messages."""

    def __init__(self, x: Any):
        self.x = x

    def __repr__(self) -> str:
        return f"{jnp.result_type(self.x)}{list(jnp.shape(self.x))}"
