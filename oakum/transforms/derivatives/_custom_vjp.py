"""custom_vjp: a function that takes objects, with a derivative of its own."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, Generic, overload

import jax

from ..._engine._bare import differing, put_bare, take_bare
from ..._engine._lift import Body
from ..._engine._modes import MISSING, modeless
from ..._engine._selection import DiffState, Selection, select_floats
from ..._engine._signature import by_position, count_of_positions
from ..._engine._traceback import trimmed
from ..._engine._values import Values
from ..._objects import is_object
from ..._state import State, flat_items, from_flat_state, to_predicate
from ..._statics import Static
from ..._typing import P, R
from ...errors import ArgumentError

if TYPE_CHECKING:
    from typing import Self

    from ..._typed import Q, T


@overload
def custom_vjp(
    fun: Callable[P, R], *, nondiff_argnums: tuple[int | DiffState, ...] = ...
) -> CustomVjp[P, R]: ...
@overload
def custom_vjp(
    *, nondiff_argnums: tuple[int | DiffState, ...] = ...
) -> Callable[[Callable[P, R]], CustomVjp[P, R]]: ...
@modeless
def custom_vjp(
    fun: Any = MISSING, *, nondiff_argnums: tuple[int | DiffState, ...] = ()
) -> Any:
    """A function whose derivative is given by `defvjp`.

    Args:
        fun: takes objects and arrays, returns arrays; left out where used as a
            decorator with arguments. Where nothing is differentiated it is what runs.
        nondiff_argnums: positions of arguments that are configuration, and `DiffState`s
            for which state of an object is differentiated: by default all of a float
            dtype.

    Returns:
        A function of the same arguments, on which `defvjp(fwd, bwd)` is to be called.
        `fwd` takes the same arguments and returns (value, residuals). `bwd` takes the
        configuration, the residuals, and `(updates_g, value_g)`: `updates_g` has for
        each other argument the cotangent of its updated state, a State for an object
        and None for an array; `value_g` is that of the value. It returns a cotangent
        for each of these arguments, a State for an object; what it leaves out is zero.

    Raises:
        ArgumentError: `defvjp` was not called, the function returns an object, or
            `bwd` returns another form than the arguments have.
        StructureError: `bwd` returns another path or shape than they have.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> @nnx.custom_vjp
        ... def scaled(m, x):
        ...     return m.kernel * x
        >>> def fwd(m, x):
        ...     return scaled(m, x), (m, x)
        >>> def bwd(residuals, g):
        ...     m, x = residuals
        ...     (m_g, _), y_g = g
        ...     m_g.kernel[...] = 2 * x * y_g  # twice the true one
        ...     return m_g, (m.kernel * y_g).sum()
        >>> scaled.defvjp(fwd, bwd)
        >>> model = nnx.Linear(1, 1, rngs=nnx.Rngs(0))
        >>> nnx.grad(lambda m: scaled(m, 3.0).sum())(model).kernel.value.tolist()
        [[6.0]]
    """
    return CustomVjp(fun, nondiff_argnums)


class CustomVjp(Generic[P, R]):
    """What `custom_vjp` returns.

    Args:
        fun: the function.
        nondiff_argnums: as for `custom_vjp`.
    """

    def __init__(
        self, fun: Callable[P, R], nondiff_argnums: tuple[int | DiffState, ...]
    ):
        self.fun: Any = fun
        self.fixed = tuple(n for n in nondiff_argnums if isinstance(n, int))
        self.states = {s.argnum: s for s in nondiff_argnums if isinstance(s, DiffState)}
        named = [*self.fixed, *self.states]
        if len(set(named)) < len(nondiff_argnums):
            raise ArgumentError(
                f"custom_vjp: nondiff_argnums names an argument twice: {named}",
                remedy="name each once: a position, or one DiffState.",
            )
        self.fwd: Any = None
        self.bwd: Any = None
        self.symbolic_zeros = False
        functools.update_wrapper(self, fun)

    def defvjp(
        self,
        fwd: Callable[..., tuple[R, Any]],
        bwd: Callable[..., tuple[Any, ...]],
        symbolic_zeros: bool = False,
    ) -> None:
        """Gives the derivative.

        Args:
            fwd: the arguments to (value, residuals).
            bwd: residuals and cotangents to cotangents of the arguments.
            symbolic_zeros: whether zero cotangents come as JAX's `SymbolicZero`.
        """
        self.fwd, self.bwd, self.symbolic_zeros = fwd, bwd, symbolic_zeros

    @overload
    def __get__(self, instance: None, owner: Any = None, /) -> Self: ...
    @overload
    def __get__(
        self: Callable[Concatenate[T, Q], R], instance: T, owner: Any = None, /
    ) -> Callable[Q, R]: ...
    @overload  # in a staticmethod
    def __get__(self, instance: object, owner: Any = None, /) -> Self: ...
    def __get__(self, instance: Any, owner: Any = None, /) -> Any:
        return self if instance is None else functools.partial(self, instance)

    @trimmed
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if self.fwd is None:
            raise ArgumentError(
                f"custom_vjp: {self.fun.__name__} has no derivative yet",
                remedy=f"call {self.fun.__name__}.defvjp(fwd, bwd) first.",
            )
        # With its defaults, as `fwd` and `bwd` are told of all arguments.
        count = count_of_positions(self.fun)
        given, rest = by_position(self.fun, args, kwargs, count)
        if rest:
            raise ArgumentError(
                f"custom_vjp: {self.fun.__name__} takes {', '.join(rest)} by keyword "
                "alone, and fwd and bwd are given arguments by position",
                remedy="leave out the `*` before it in the function.",
            )
        return _Call(self, given).run()


class _Call:
    """One call, as a pure function of leaves.

    It returns the value, and all Variables' values after it, so that `fun` and `fwd`
    have the same outputs whatever each of them writes.
    """

    def __init__(self, custom: CustomVjp[..., Any], args: tuple[Any, ...]):
        self.custom = custom
        self.fixed = {n % len(args) for n in custom.fixed}
        self.constants = [args[i] for i in sorted(self.fixed)]
        given = tuple(
            [
                Static(arg) if i in self.fixed and not is_object(arg) else arg
                for i, arg in enumerate(args)
            ]
        )
        self.positions = [i for i in range(len(args)) if i not in self.fixed]
        wanted = tuple([DiffState(i, select_floats) for i in self.positions])
        self.chosen = Selection(given, {}, wanted, may_be_empty=True)
        # Of all runs, by the indices of objects and the numbers of bare arrays.
        self.written: set[int] = set()
        self.changed: set[int] = set()
        self.filled: set[int] = set()
        self.numbers = {index: n for n, index in enumerate(self.chosen.flat.numbers)}

    def run(self) -> Any:
        """The value; the state is written back."""
        chosen = self.chosen
        function = jax.custom_vjp(self.primal)
        function.defvjp(
            self.forward, self.backward, symbolic_zeros=self.custom.symbolic_zeros
        )
        differentiated = chosen.values()
        others = (
            {
                i: value
                for i, value in enumerate(chosen.inputs.variables)
                if i not in differentiated.variables
            },
            {
                i: value
                for i, value in enumerate(chosen.inputs.bare)
                if i not in differentiated.bare
            },
        )
        result, variables, bare, rest = function(differentiated, others)
        outcome = self.body.outcome
        outcome.written = tuple(sorted(self.written))
        outcome.changed = tuple(sorted(self.changed))
        values = [variables[self.numbers[i]] for i in outcome.written]
        values += put_bare(outcome, chosen.flat, bare, self.filled, rest)
        self.body.commit(values)
        return result

    def primal(self, differentiated: Values, others: tuple) -> tuple:
        """The user's function, of leaves."""
        return self._run(self.custom.fun, differentiated, others)

    def forward(self, differentiated: Values, others: tuple) -> tuple[Any, Any]:
        """The user's `fwd`, of leaves."""
        residuals: list[Any] = []

        def fwd(*args: Any) -> Any:
            result = self.custom.fwd(*args)
            if not (isinstance(result, tuple) and len(result) == 2):
                raise ArgumentError(
                    f"custom_vjp: fwd returned {type(result).__name__}",
                    remedy="return (value, residuals).",
                )
            residuals.append(result[1])
            return result[0]

        if self.custom.symbolic_zeros:
            # JAX wraps each argument with whether it is perturbed.
            differentiated, others = jax.tree.map(
                lambda x: x.value,
                (differentiated, others),
                is_leaf=lambda x: hasattr(x, "perturbed"),
            )
        outputs = self._run(fwd, differentiated, others)
        return outputs, residuals.pop()

    def backward(self, residuals: Any, cotangents: tuple) -> tuple[Any, None]:
        """The user's `bwd`: a cotangent for each leaf."""
        value_g, variables_g, *_ = cotangents
        chosen = self.chosen
        updates = chosen.build(
            Values(
                {i: variables_g[i] for i in chosen.variables},
                dict.fromkeys(chosen.bare),
                [None] * len(chosen.dynamic),
            )
        )
        result = self.custom.bwd(*self.constants, residuals, (updates, value_g))
        if not isinstance(result, tuple):
            raise ArgumentError(
                f"custom_vjp: bwd returned {type(result).__name__}",
                remedy="return a tuple with a cotangent for each argument.",
            )
        states = self.custom.states
        selected = [
            _only(states[i].filter, tree) if i in states else tree
            for i, tree in zip(self.positions, result, strict=False)
        ]
        return chosen.take((*selected, *result[len(selected) :]), "cotangent"), None

    def _run(self, f: Any, differentiated: Values, others: tuple) -> tuple:
        chosen = self.chosen
        inputs = chosen.insert(differentiated)
        for number, value in others[0].items():
            inputs.variables[number] = value
        for number, value in others[1].items():
            inputs.bare[number] = value
        found: list[Any] = []
        body = Body("custom_vjp", lambda *args: found.append(f(*args)), chosen.flat)
        values = body.run(inputs)
        self.body, outcome = body, body.outcome
        result = found.pop()  # twins refer to their frame, and that to the function
        if any(map(is_object, jax.tree.leaves(result, is_leaf=is_object))):
            raise ArgumentError(
                "custom_vjp: the function returns an object",
                remedy="return arrays; what it writes to its arguments is kept.",
            )
        variables = inputs.variables
        for index, value in zip(outcome.written, values, strict=False):
            variables[self.numbers[index]] = value
        self.written.update(outcome.written)
        self.changed.update(outcome.changed)
        first = len(outcome.written)
        new, rest = take_bare(outcome, chosen.flat, inputs.bare, values[first:])
        self.filled |= differing(new, inputs.bare)
        return result, variables, new, rest


def _only(filter: Any, state: Any) -> Any:
    """What a filter selects of a State."""
    if not isinstance(state, State):
        return state
    predicate = to_predicate(filter)
    return from_flat_state([(p, x) for p, x in flat_items(state) if predicate(p, x)])
