"""grad and value_and_grad, of functions that take objects.

By default an object argument is differentiated with respect to its `Param`s;
`DiffState` selects otherwise. State that the function changes is changed, as in a plain
call.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax

from ..core import (
    DynamicArg,
    Param,
    Path,
    Variable,
    from_flat_state,
    is_object,
    leaves,
    to_predicate,
    tree_key,
)
from ..errors import ArgumentError, FilterError
from ..guard import resolve
from ._lift import Body, Flat

_MISSING: Any = object()


@dataclasses.dataclass(frozen=True)
class DiffState:
    """Which state of an argument to differentiate with respect to.

    Args:
        argnum: the position of the argument.
        filter: what to select of it.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> bias = nnx.DiffState(0, nnx.PathContains('bias'))
        >>> grads = nnx.grad(lambda m: m(jnp.ones((1, 2))).sum(), argnums=bias)(model)
        >>> list(grads)
        ['bias']
    """

    argnum: int
    filter: Any


def value_and_grad(
    f: Any = _MISSING,
    *,
    argnums: int | DiffState | Sequence[int | DiffState] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
    reduce_axes: Sequence[Any] = (),
) -> Callable[..., Any]:
    """A function that returns the value of `f` and its gradient.

    Args:
        f: returns a scalar, `()` of a float dtype, or (scalar, aux); left out where
            used as a decorator with arguments.
        argnums: what to differentiate with respect to: positions, or `DiffState`s.
        has_aux: whether `f` returns (scalar, aux).
        holomorphic: whether `f` is promised to be holomorphic.
        allow_int: whether integer inputs may be differentiated.
        reduce_axes: accepted for flax.nnx programs; must be empty.

    Returns:
        A function of the same arguments that returns (value, gradient), or
        ((value, aux), gradient). The gradient of an object is a State with the
        selected Variables' paths and shapes; of several argnums, a tuple.

    Raises:
        FilterError: the selection holds nothing to differentiate.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> loss, grads = nnx.value_and_grad(lambda m: m(jnp.ones((1, 2))).sum())(model)
        >>> grads.kernel.shape
        (2, 3)
    """
    if f is _MISSING:
        return functools.partial(
            value_and_grad,
            argnums=argnums,
            has_aux=has_aux,
            holomorphic=holomorphic,
            allow_int=allow_int,
            reduce_axes=reduce_axes,
        )
    options: dict[str, Any] = {"holomorphic": holomorphic, "allow_int": allow_int}
    if reduce_axes:
        raise ArgumentError(
            f"reduce_axes is not supported by JAX any more: {reduce_axes!r}",
            remedy="leave it out, and reduce inside the function.",
        )
    several = not isinstance(argnums, int | DiffState)
    wanted = tuple(argnums) if isinstance(argnums, Sequence) else (argnums,)

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        chosen = _Selection(args, kwargs, wanted)
        losses: list[Any] = []

        def checked(*args: Any, **kwargs: Any) -> Any:
            result = _checked(f(*args, **kwargs), has_aux, f)
            losses.append(result[0] if has_aux else result)
            return result

        body = Body("grad", checked, chosen.flat)

        def pure(differentiated: tuple) -> Any:
            values = body.run(chosen.insert(differentiated))
            loss = losses.pop()
            return loss.get_value() if isinstance(loss, Variable) else loss, values

        transformed = jax.value_and_grad(pure, has_aux=True, **options)
        (_, values), gradient = transformed(chosen.values())
        result = body.commit(values)
        grads = tuple([build(gradient) for build in chosen.builders])
        return result, grads if several else grads[0]

    return wrapped


def _checked(result: Any, has_aux: bool, f: Any) -> Any:
    if has_aux and not (isinstance(result, tuple) and len(result) == 2):
        name = getattr(f, "__name__", "the function")
        raise ArgumentError(
            f"has_aux=True, but {name} returned {type(result).__name__}",
            remedy="return (loss, aux).",
        )
    return result


def grad(
    f: Any = _MISSING,
    *,
    argnums: int | DiffState | Sequence[int | DiffState] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
    reduce_axes: Sequence[Any] = (),
) -> Callable[..., Any]:
    """A function that returns the gradient of `f`.

    Args:
        f, argnums, has_aux, holomorphic, allow_int, reduce_axes: as `value_and_grad`.

    Returns:
        A function of the same arguments that returns the gradient, or (gradient, aux).

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> grads = nnx.grad(lambda m: m(jnp.ones((1, 2))).sum())(model)
        >>> grads.bias.value.tolist()
        [1.0, 1.0, 1.0]
    """
    if f is _MISSING:
        return functools.partial(
            grad,
            argnums=argnums,
            has_aux=has_aux,
            holomorphic=holomorphic,
            allow_int=allow_int,
            reduce_axes=reduce_axes,
        )
    both = value_and_grad(
        f,
        argnums=argnums,
        has_aux=has_aux,
        holomorphic=holomorphic,
        allow_int=allow_int,
        reduce_axes=reduce_axes,
    )

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        value, grads = both(*args, **kwargs)
        return (grads, value[1]) if has_aux else grads

    return wrapped


class _Selection:
    """What a gradient is taken with respect to, and how to put it together.

    Array leaves of the wanted arguments become dynamic arguments; of the objects among
    them, the Variables and bare arrays that the filter selects are picked by number.

    Args:
        args, kwargs: the arguments of the call.
        wanted: positions and DiffStates.
    """

    def __init__(self, args: tuple, kwargs: dict, wanted: tuple):
        self.dynamic: list[Any] = []
        replaced = list(args)
        parts = [self._take_leaves(replaced, want) for want in wanted]
        self.flat = Flat.of((tuple(replaced), kwargs))
        self.variable_values, self.leaf_values = self.flat.values()
        self._by_id = {id(v): i for i, v in enumerate(self.flat.variables)}
        bare = [
            path for path, is_variable in self.flat.graphdef.paths if not is_variable
        ]
        self._by_path = {path: i for i, path in enumerate(bare)}
        self.variables: dict[int, None] = {}
        self.leaves: dict[int, None] = {}
        self.builders = [self._builder(*part) for part in parts]

    def _take_leaves(self, args: list, want: int | DiffState) -> tuple:
        argnum, filter = (
            (want.argnum, want.filter) if isinstance(want, DiffState) else (want, Param)
        )
        if not -len(args) <= argnum < len(args):
            raise ArgumentError(
                f"argnums={argnum}, but there are {len(args)} positional arguments",
                remedy="pass the argument by position.",
            )
        position = range(len(args))[argnum]
        pairs, treedef = jax.tree_util.tree_flatten_with_path(
            args[position], is_leaf=is_object
        )
        items = []
        for _, leaf in pairs:
            if not is_object(leaf) and not isinstance(leaf, DynamicArg):
                self.dynamic.append(leaf)
                leaf = DynamicArg(len(self.dynamic) - 1)
            items.append(leaf)
        args[position] = jax.tree.unflatten(treedef, items)
        prefixes = [(0, position, *map(tree_key, path)) for path, _ in pairs]
        return argnum, filter, treedef, list(zip(prefixes, items, strict=True))

    def _builder(self, argnum: int, filter: Any, treedef: Any, items: list) -> Callable:
        """A function that gives the gradient of one argument its form."""
        predicate = to_predicate(filter)
        builders: list[Callable[[Any], Any]] = []
        count = 0
        for prefix, item in items:
            if isinstance(item, DynamicArg):
                builders.append(lambda gradient, n=item.number: gradient[2][n])
                count += 1
                continue
            chosen = [(p, leaf) for p, leaf in leaves(item) if predicate(p, leaf)]
            count += len(chosen)
            builders.append(self._object_builder(prefix, chosen))
        if not count:
            name = getattr(filter, "__name__", repr(filter))
            raise FilterError(
                f"Nothing to differentiate: argument {argnum} holds nothing that "
                f"{name} selects",
                remedy="select what it holds: "
                f"nnx.grad(f, argnums=nnx.DiffState({argnum}, filter)).",
            )
        return lambda gradient: jax.tree.unflatten(
            treedef, [b(gradient) for b in builders]
        )

    def _object_builder(self, prefix: Path, chosen: list[tuple[Path, Any]]) -> Callable:
        numbers = []
        for path, leaf in chosen:
            if isinstance(leaf, Variable):
                number = self._by_id[id(resolve(leaf))]
                self.variables[number] = None
                numbers.append((path, leaf, 0, number))
            else:
                number = self._by_path[prefix + path]
                self.leaves[number] = None
                numbers.append((path, None, 1, number))

        def build(gradient: tuple) -> Any:
            pairs = []
            for path, leaf, kind, number in numbers:
                value = gradient[kind][number]
                pairs.append((path, value if leaf is None else leaf.replace(value)))
            return pairs[0][1] if pairs[0][0] == () else from_flat_state(pairs)

        return build

    def values(self) -> tuple[dict, dict, list]:
        """What to differentiate with respect to, by number."""
        return (
            {i: self.variable_values[i] for i in self.variables},
            {i: self.leaf_values[i] for i in self.leaves},
            self.dynamic,
        )

    def insert(
        self, differentiated: tuple[dict, dict, list]
    ) -> tuple[list, list, list]:
        """All leaves, with the traced ones in their places."""
        variables, bare = list(self.variable_values), list(self.leaf_values)
        for number, value in differentiated[0].items():
            variables[number] = value
        for number, value in differentiated[1].items():
            bare[number] = value
        return variables, bare, differentiated[2]
