"""The arguments of a jitted call: objects, static values, and what is dynamic.

An object enters the key of a call's plan by its identity and a static value by its
value; arrays, numbers and pytrees of these are dynamic, and JAX tells them apart.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from typing import Any

import jax

from .._engine._lift import Flat
from .._graph import DynamicArg, leaves
from .._guard import abstract_error
from .._objects import Node, Variable, is_array, is_object, is_variable
from .._statics import Static
from ..errors import ArgumentError, OakumError

LEAF, OBJECT, CONTAINER, WRONG = range(4)


class _Kinds(dict):
    """What `known_kinds` is, so that pickle sends its name and not a copy."""

    __module__ = __name__

    def __reduce__(self) -> str:
        return "known_kinds"


known_kinds: dict[type, int] = _Kinds()
"""What the values of each class met so far are to a call."""


class Arguments:
    """How one jitted function takes its arguments.

    Args:
        function: the user's function.
        options: the keyword arguments of `jit`.
    """

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]):
        self.function = function
        self.static = _argument_set(function, options, "static")
        self.donated = _argument_set(function, options, "donate")

    def key(self, args: tuple, kwargs: dict) -> tuple[Any, list[Any]]:
        """The key of a call's plan, and its dynamic arguments in order."""
        parts: list[Any] = []
        dynamic: list[Any] = []
        for position, arg in enumerate(args):
            if position in self.static:
                parts.append(_static(arg, position, self.function))
            else:
                parts.append(part_of(arg, position, dynamic, self.function))
        for name in sorted(kwargs):
            parts.append(name)
            if name in self.static:
                parts.append(_static(kwargs[name], name, self.function))
            else:
                parts.append(part_of(kwargs[name], name, dynamic, self.function))
        return (len(args), *parts), dynamic

    def add_named(
        self, parts: list[Any], dynamic: list[Any], count: int, kwargs: dict
    ) -> None:
        """Adds named arguments to the parts of a key without static ones, as `key`."""
        parts.insert(0, count)
        for name in kwargs if len(kwargs) == 1 else sorted(kwargs):
            arg = kwargs[name]
            parts.append(name)
            if known_kinds.get(type(arg)) == LEAF:
                parts.append(None)
                dynamic.append(arg)
            else:
                parts.append(part_of(arg, name, dynamic, self.function))

    def template(self, args: tuple, kwargs: dict) -> tuple[tuple, list[Any]]:
        """The arguments, with numbered places for what changes from call to call.

        Returns:
            The arguments, and the objects that stand in them.
        """
        count, roots = 0, []

        def place(arg: Any, name: Any) -> Any:
            nonlocal count
            if name in self.static:
                return _static(arg, name, self.function)
            if _kind(arg) == CONTAINER:
                leaves, treedef = jax.tree.flatten(arg, is_leaf=is_object)
                if any(map(is_object, leaves)):
                    items = []
                    for leaf in leaves:
                        if is_object(leaf):
                            roots.append(leaf)
                        else:
                            leaf, count = DynamicArg(count), count + 1
                        items.append(leaf)
                    return jax.tree.unflatten(treedef, items)
            elif is_object(arg):
                roots.append(arg)
                return arg
            count += 1
            return DynamicArg(count - 1)

        positional = tuple([place(arg, i) for i, arg in enumerate(args)])
        keywords = {name: place(kwargs[name], name) for name in sorted(kwargs)}
        return (positional, keywords), roots

    def donated_numbers(self, args: tuple, kwargs: dict) -> list[int]:
        """Which of the dynamic arguments are donated, by number."""
        numbers: list[int] = []
        if not self.donated:
            return numbers
        count = 0
        for name, arg in (*enumerate(args), *sorted(kwargs.items())):
            if name in self.static:
                continue
            before = count
            count += len(_dynamic_of(arg))
            if name in self.donated:
                numbers.extend(range(before, count))
        return numbers

    def check_donated(self, flat: Flat, args: tuple, kwargs: dict) -> None:
        """An array may not be donated and passed again, or held by an object."""
        if not self.donated:
            return
        named = (*enumerate(args), *sorted(kwargs.items()))
        donated: dict[int, Any] = {}
        kept: dict[int, Any] = {
            id(v): "the state of an object" for v in flat.values().variables
        }
        for name, arg in named:
            if name in self.static:
                continue
            for leaf in _dynamic_of(arg):
                for array in jax.tree.leaves(leaf):
                    (donated if name in self.donated else kept)[id(array)] = name
        objects: dict[int, Any] = {}
        for name, arg in named:
            if is_object(arg):
                if id(arg) in objects and (name in self.donated) != (
                    objects[id(arg)] in self.donated
                ):
                    raise _donated_twice(self.function, name, objects[id(arg)])
                objects[id(arg)] = name
        for ident in donated.keys() & kept.keys():
            raise _donated_twice(self.function, donated[ident], kept[ident])


def _kind(arg: Any) -> int:
    """What a value is to a call; asked once for each type, until it is none."""
    cls = type(arg)
    kind = known_kinds.get(cls)
    if kind is None:
        if issubclass(cls, Variable | Node):
            kind = OBJECT
        elif not is_array(arg) and jax.tree.structure(arg) != jax.tree.structure(0):
            kind = CONTAINER
        elif hasattr(cls, "dtype") or issubclass(cls, int | float | complex):
            kind = LEAF
        else:
            return WRONG  # the class may be registered with JAX later
        known_kinds[cls] = kind
    return kind


def part_of(arg: Any, name: Any, dynamic: list[Any], function: Any) -> Any:
    """An argument's part of the key; its arrays are added to the dynamic arguments."""
    kind = _kind(arg)
    if kind == OBJECT:
        return id(arg)
    if kind == WRONG:
        if not hasattr(arg, "__jax_array__"):
            raise _wrong_argument(arg, name, function)
        kind = LEAF
    if kind == CONTAINER:
        leaves, treedef = jax.tree.flatten(arg, is_leaf=is_object)
        found = tuple([id(leaf) if is_object(leaf) else None for leaf in leaves])
        if any(found):
            dynamic.extend([leaf for leaf in leaves if not is_object(leaf)])
            return treedef, found
    dynamic.append(arg)
    return None


def _dynamic_of(arg: Any) -> list[Any]:
    """The dynamic arguments that an argument becomes."""
    dynamic: list[Any] = []
    part_of(arg, None, dynamic, None)
    return dynamic


def _static(arg: Any, name: Any, function: Any) -> Static:
    if is_object(arg):
        raise ArgumentError(
            f"Argument {name!r} of {_name(function)} is static, but a "
            f"{type(arg).__name__} was passed, which holds state",
            remedy="leave it out of static_argnums and static_argnames: objects are "
            "taken as they are.",
        )
    try:
        return Static(arg)
    except OakumError as error:
        raise type(error)(
            f"Static argument {name!r} of {_name(function)}: {error.what}",
            remedy=error.remedy,
        ) from None


def _wrong_argument(arg: Any, name: Any, function: Any) -> ArgumentError:
    kind = type(arg).__name__
    option = "static_argnums" if isinstance(name, int) else "static_argnames"
    remedy = f"name it in {option}=({name!r},) if it is configuration."
    held = arg if isinstance(arg, Collection) else getattr(arg, "__dict__", {}).values()
    state = next((x for x in held if is_object(x)), None)
    if state is not None:
        kind += f" that holds a {type(state).__name__}"
        remedy = (
            "pass a list, tuple or dict instead, which JAX takes apart"
            if isinstance(arg, Collection)
            else f"make {type(arg).__name__} an nnx.Module, whose attributes are state"
        )
    return ArgumentError(
        f"Argument {name!r} of {_name(function)} is a {kind}, which is neither an "
        f"array nor an oakum object: {arg!r:.60}",
        remedy=remedy,
    )


def _donated_twice(function: Any, donated: Any, kept: Any) -> ArgumentError:
    return ArgumentError(
        f"{_name(function)}: argument {donated!r} is donated, but the same is kept by "
        f"{kept!r}",
        remedy="donate all of its uses, or pass a copy: jnp.copy(x).",
    )


def _name(function: Any) -> str:
    return getattr(function, "__name__", "the function")


def _argument_set(function: Any, options: dict[str, Any], what: str) -> frozenset[Any]:
    """Positions and names of the arguments that `what_argnums` and `_argnames` name."""
    numbers = _as_row(options[f"{what}_argnums"], int)
    names = _as_row(options[f"{what}_argnames"], str)
    if not numbers and not names:
        return frozenset()
    try:
        signature = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return frozenset((*numbers, *names))
    kinds = {p.kind for p in signature.values()}
    parameters = list(signature)
    unknown = [n for n in names if n not in parameters]
    if unknown and inspect.Parameter.VAR_KEYWORD not in kinds:
        raise ArgumentError(
            f"{what}_argnames={unknown} are no parameters of {_name(function)}",
            remedy=f"it has: {', '.join(parameters)}.",
        )
    return _in_both_ways(signature, numbers, names)


def _as_row(given: Any, kind: type) -> tuple:
    """One number or name, several or None: a tuple of them."""
    return (given,) if isinstance(given, kind) else tuple(given or ())


def _in_both_ways(signature: Any, numbers: tuple, names: tuple) -> frozenset[Any]:
    """The numbers and names of arguments, each given in one of these ways or both."""
    # What can be given both ways; behind `*args` a place says nothing of a name.
    both = [n for n, p in signature.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    first = sum([p.kind is p.POSITIONAL_ONLY for p in signature.values()])
    numbers = tuple(n if n >= 0 else n + len(signature) for n in numbers)
    named = [both[n - first] for n in numbers if 0 <= n - first < len(both)]
    placed = [first + both.index(n) for n in names if n in both]
    return frozenset((*numbers, *names, *named, *placed))


def check_values(error: Exception, arguments: Any) -> None:
    """Names a Variable without a value, where JAX refused a call for it.

    Raises:
        ArgumentError: a Variable among the arguments is abstract.
    """
    if not isinstance(error, TypeError) or isinstance(error, ArgumentError):
        return
    for _, leaf in leaves(arguments):
        if is_variable(leaf) and type(leaf._raw) is jax.ShapeDtypeStruct:
            raise abstract_error(leaf) from None
