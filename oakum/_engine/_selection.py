"""What a derivative is taken with respect to: `DiffState`, and its selection."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._graph import DynamicArg, Path, decode, leaves, tree_key
from .._guard import check_values, resolve
from .._objects import Param, Variable, is_object
from .._state import (
    State,
    filter_name,
    flat_items,
    from_flat_state,
    is_frozen,
    raw,
    to_predicate,
)
from .._typing import Filter
from ..errors import ArgumentError, FilterError, StructureError
from ._lift import Flat
from ._values import Values


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
    filter: Filter


class _Pick(NamedTuple):
    """One leaf of an object: `kind` 0 is a Variable, 1 a bare array.

    Of a Variable that stands in several places the first has the derivative.
    """

    path: Path
    leaf: Any
    kind: int
    number: int
    is_first: bool = True


class _Part(NamedTuple):
    """One argument: for each leaf its number, or what is picked of an object."""

    treedef: Any
    entries: list[int | list[_Pick]]
    items: list[Any]  # the objects, and DynamicArgs


class Selection:
    """What a derivative is taken with respect to, and how to put it together.

    Array leaves of the wanted arguments become dynamic arguments; of the objects among
    them, the Variables and bare arrays that the filter selects are picked by number.

    Args:
        args, kwargs: the arguments of the call.
        wanted: positions and DiffStates.
        may_be_empty: whether all filters may select nothing; one of several may.
        trained: whether to leave out frozen Variables.
        whole: whether a model, too, is differentiated in all its floats.
    """

    def __init__(
        self,
        args: tuple,
        kwargs: dict,
        wanted: tuple,
        may_be_empty: bool = False,
        trained: bool = False,
        whole: bool = False,
    ):
        self.dynamic: list[Any] = []
        self._whole = whole
        replaced = list(args)
        taken = [self._take_leaves(replaced, want) for want in wanted]
        self.flat = Flat.of((tuple(replaced), kwargs))
        self.inputs = self.flat.values(self.dynamic)
        self._by_id = {id(v): i for i, v in enumerate(self.flat.variables)}
        bare = [
            path for path, is_variable in self.flat.graphdef.paths if not is_variable
        ]
        self._by_path = {path: i for i, path in enumerate(bare)}
        self.variables: dict[int, None] = {}
        self.bare: dict[int, None] = {}
        self._parts = [self._part(part, trained) for part in taken]
        chosen = [entry for part in self._parts for entry in part.entries]
        if not may_be_empty and all(entry == [] for entry in chosen):
            raise self._empty_error(taken[0], trained)

    def _take_leaves(self, args: list, want: int | DiffState) -> tuple:
        argnum, filter = (
            (want.argnum, want.filter) if isinstance(want, DiffState) else (want, None)
        )
        if not -len(args) <= argnum < len(args):
            raise ArgumentError(
                f"argnums={argnum}, but there are {len(args)} positional arguments",
                remedy="give argnums of an argument that is passed.",
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

    def _part(self, taken: tuple, trained: bool) -> _Part:
        _, filter, treedef, items = taken
        entries: list[int | list[_Pick]] = []
        for prefix, item in items:
            if isinstance(item, DynamicArg):
                entries.append(item.number)
                continue
            held = self._selected(item, filter)
            chosen = [pair for pair in held if not (trained and is_frozen(pair[1]))]
            entries.append([self._pick(prefix, path, leaf) for path, leaf in chosen])
        return _Part(treedef, entries, [item for _, item in items])

    def _selected(self, item: Any, filter: Any) -> list[tuple[Path, Any]]:
        """What a filter selects of an object, with its paths."""
        if filter is None:
            filter = select_floats if self._whole else _default(item)
        predicate = to_predicate(filter)
        return [(path, leaf) for path, leaf in leaves(item) if predicate(path, leaf)]

    def _empty_error(self, taken: tuple, trained: bool) -> FilterError:
        argnum, filter, _, items = taken
        name = filter_name(filter or Param)
        held = [pair for _, item in items for pair in self._selected(item, filter)]
        if trained and held:
            return FilterError(
                f"Nothing to differentiate: of argument {argnum}, all that {name} "
                f"selects is frozen ({len(held)} Variable{'s' * (len(held) > 1)})",
                remedy="nnx.unfreeze(model, filter) what is to be trained.",
            )
        return FilterError(
            f"Nothing to differentiate: argument {argnum} holds nothing that {name} "
            "selects",
            remedy="select what it holds: "
            f"nnx.grad(f, argnums=nnx.DiffState({argnum}, filter)).",
        )

    def _pick(self, prefix: Path, path: Path, leaf: Any) -> _Pick:
        if isinstance(leaf, Variable):
            number = self._by_id[id(resolve(leaf))]
            is_first = number not in self.variables
            self.variables[number] = None
            return _Pick(path, leaf, 0, number, is_first)
        number = self._by_path[prefix + path]
        self.bare[number] = None
        return _Pick(path, None, 1, number)

    def values(self) -> Values:
        """What to differentiate with respect to, by number.

        Raises:
            ArgumentError: a Variable of it is abstract.
        """
        check_values(self.flat.variables[i] for i in self.variables)
        return Values(
            {i: self.inputs.variables[i] for i in self.variables},
            {i: self.inputs.bare[i] for i in self.bare},
            self.dynamic,
        )

    def insert(self, differentiated: Values) -> Values:
        """All inputs, with the traced ones in their places."""
        variables, bare = list(self.inputs.variables), list(self.inputs.bare)
        for number, value in differentiated.variables.items():
            variables[number] = value
        for number, value in differentiated.bare.items():
            bare[number] = value
        return Values(variables, bare, differentiated.arrays)

    def build(self, values: Values) -> tuple[Any, ...]:
        """Derivatives in the form of their arguments: of an object, a State.

        Args:
            values: by number, as `values` gives them.
        """
        return tuple(
            [
                jax.tree.unflatten(
                    part.treedef, [_build(e, values) for e in part.entries]
                )
                for part in self._parts
            ]
        )

    def object_builder(self) -> Callable[[Values], tuple[Any, ...]]:
        """What builds derivatives as objects of the classes of their arguments.

        It takes them by number, as `values` gives them, at any later time. What is not
        differentiated, or has its derivative in another place, is zero there.
        """
        parts = [
            (
                part.treedef,
                [
                    entry if isinstance(entry, int) else _Likeness(item, entry)
                    for entry, item in zip(part.entries, part.items, strict=True)
                ],
            )
            for part in self._parts
        ]

        def build(values: Values) -> tuple[Any, ...]:
            return tuple(
                [
                    jax.tree.unflatten(
                        treedef,
                        [
                            values.arrays[e] if isinstance(e, int) else e.build(values)
                            for e in entries
                        ],
                    )
                    for treedef, entries in parts
                ]
            )

        return build

    def take(self, trees: tuple[Any, ...], name: str) -> Values:
        """Derivatives by number, out of the form of their arguments.

        What they leave out, a None among it, is zero.

        Args:
            trees: one for each argument: of an object a State, or one like it.
            name: what to call them in messages.

        Raises:
            ArgumentError: they are fewer or more, or one has another form.
            StructureError: one has a path that its argument lacks, or another shape.
        """
        values = self.values()
        taken = Values({}, {}, {})
        if len(trees) != len(self._parts):
            raise ArgumentError(
                f"{len(trees)} {name}s for {len(self._parts)} arguments",
                remedy=f"give one {name} for each.",
            )
        for number, (part, tree) in enumerate(zip(self._parts, trees, strict=True)):
            if tree is None:
                continue
            items, treedef = jax.tree.flatten(
                tree, is_leaf=lambda x: x is None or is_object(x)
            )
            if treedef != part.treedef:
                raise ArgumentError(
                    f"The {name} of argument {number} has another form: expected "
                    f"{part.treedef}, got {treedef}",
                    remedy="give it the form of the argument, an nnx.State for an "
                    "object.",
                )
            for entry, item in zip(part.entries, items, strict=True):
                _take(entry, item, values, taken, f"{name} of argument {number}")
        arrays = enumerate(values.arrays)
        return Values(
            _filled(taken.variables, values.variables.items()),
            _filled(taken.bare, values.bare.items()),
            list(_filled(taken.arrays, arrays).values()),
        )


def _filled(given: dict[int, Any], known: Iterable[tuple[int, Any]]) -> dict[int, Any]:
    """Derivatives by number, zero where none is given."""
    return {n: given[n] if n in given else _zero(value) for n, value in known}


def _build(entry: int | list[_Pick], values: Values) -> Any:
    if isinstance(entry, int):
        return values.arrays[entry]
    pairs = []
    for path, leaf, kind, number, is_first in entry:
        if not is_first:
            continue
        value = values[kind][number]
        pairs.append((path, value if leaf is None else leaf.replace(value)))
    return pairs[0][1] if pairs and pairs[0][0] == () else from_flat_state(pairs)


class _Likeness:
    """The structure of an object, to be filled with derivatives.

    Args:
        item: the object; it may change later.
        entry: what is differentiated of it.
    """

    def __init__(self, item: Any, entry: list[_Pick]):
        flat = Flat.of([item])
        self.graphdef = flat.graphdef
        given = {pick.path: (pick.kind, pick.number) for pick in entry if pick.is_first}
        rest = list(map(iter, flat.values()))
        self.sources: tuple[list, list] = [], []
        for path, is_variable in flat.graphdef.paths:
            kind = 0 if is_variable else 1
            shape = jax.tree.map(_shape_of, next(rest[kind]))
            self.sources[kind].append((given.get(path[1:]), shape))

    def build(self, values: Values) -> Any:
        """The object of derivatives by number."""
        filled = [
            [
                _zero(shape) if at is None else values[at[0]][at[1]]
                for at, shape in sources
            ]
            for sources in self.sources
        ]
        return decode(self.graphdef, *filled)[0]


def _shape_of(value: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(jnp.shape(value), jax.dtypes.result_type(value))


def _take(
    entry: int | list[_Pick], item: Any, values: Values, taken: Values, name: str
) -> None:
    """Puts one derivative in its place by number."""
    if item is None:
        return
    if isinstance(entry, int):
        taken.arrays[entry] = _fitting(item, values.arrays[entry], name)
        return
    pairs = flat_items(item) if isinstance(item, State) else leaves(item)
    given = {path: raw(leaf) for path, leaf in pairs}
    for pick in entry:
        if (found := given.pop(pick.path, None)) is not None:
            where = ".".join(map(str, (name, *pick.path)))
            value = _fitting(found, values[pick.kind][pick.number], where)
            if pick.number in taken[pick.kind]:
                value = _summed(taken[pick.kind][pick.number], value, where)
            taken[pick.kind][pick.number] = value
    surplus = [".".join(map(str, p)) for p, value in given.items() if is_float(value)]
    if surplus:
        raise StructureError(
            f"The {name} has paths that the argument lacks: {', '.join(surplus)}",
            remedy="take them out of it.",
        )


def _summed(first: Any, second: Any, where: str) -> Any:
    """The cotangent of what stands in two places, for each of which there is one."""
    if where.startswith("tangent"):
        raise StructureError(
            f"The {where} is that of a Variable which has one already",
            remedy="give a shared Variable one tangent, None in further places.",
        )
    return jax.tree.map(
        lambda a, b: a if _is_empty(a) else jnp.add(a, b), first, second
    )


def _is_empty(derivative: Any) -> bool:
    return getattr(derivative, "dtype", None) == jax.dtypes.float0


def _default(item: Any) -> Any:
    """The filter of an argument for which none is given.

    A State is passed for what it holds and a Variable for itself, a model for its
    parameters.
    """
    if isinstance(item, Variable):
        return ...
    return select_floats if isinstance(item, State) else Param


def _fitting(value: Any, primal: Any, name: str) -> Any:
    """A derivative of one leaf; of what is no float it is empty."""
    if not is_float(primal):
        return _zero(primal)
    for new, old in zip(jax.tree.leaves(value), jax.tree.leaves(primal), strict=True):
        if jnp.shape(new) != jnp.shape(old):
            raise StructureError(
                f"The {name} has shape {jnp.shape(new)}, expected {jnp.shape(old)}",
                remedy="give it the shape of what it belongs to.",
            )
    return value


def _zero(primal: Any) -> Any:
    return jax.tree.map(
        lambda x: (
            jnp.zeros_like(x)
            if is_float(x)
            else np.zeros(jnp.shape(x), jax.dtypes.float0)
        ),
        primal,
    )


def select_floats(path: Path, leaf: Any) -> bool:
    """The filter for what has derivatives at all."""
    return is_float(raw(leaf))


def is_float(value: Any) -> bool:
    """Whether a value, or pytree, is all arrays or numbers that have derivatives."""
    leaves = jax.tree.leaves(value)
    return bool(leaves) and all(
        isinstance(leaf, float | complex)
        or (hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.inexact))
        for leaf in leaves
    )
