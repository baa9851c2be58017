"""Why a function was traced: how its last trace differs from the nearest one."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Iterator, Sequence
from os.path import basename
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._compat import ConcreteArray
from .._graph import LEAF, NODE, REF, STATIC, TREE, VAR, GraphDef
from .._repr import path_text
from .._statics import static_key
from ..errors import StaticValueError

_MAX_LINES = 20
_MAX_DEPTH = 8


class TraceRecord(NamedTuple):
    """What a trace was made for.

    Attributes:
        graphdef: the structure of arguments and captured state.
        types: the abstract value of each, as pytrees; formatted only when asked.
        mesh: the mesh that was set, as in `jax.set_mesh`.
    """

    graphdef: GraphDef
    types: list[Any]
    mesh: Any

    @classmethod
    def of(cls, graphdef: GraphDef, values: list[Any], jaxpr: Any) -> TraceRecord:
        """The record of a trace.

        Args:
            graphdef: the structure.
            values: of Variables, leaves and arguments.
            jaxpr: what JAX made of them, or None.
        """
        if jaxpr is not None and set(map(type, values)) == {ConcreteArray}:
            types = list(jaxpr.in_avals)
        else:
            types = [_type_of(value) for value in values]
        return cls(graphdef, types, jax.sharding.get_abstract_mesh())


def explain(function: Callable[..., Any], records: list[TraceRecord]) -> str:
    """In words, why the last trace happened.

    Args:
        function: the traced function.
        records: what it was traced for, in order.
    """
    name = getattr(function, "__name__", "the function")
    if not records:
        return f"{name} was not traced yet."
    if len(records) == 1:
        return f"{name} was traced once, by its first call."
    facts = [dict(_Facts(function, record)) for record in records]
    last = facts.pop()
    differences = [_differences(earlier, last) for earlier in facts]
    number = min(range(len(facts)), key=lambda i: (len(differences[i]), -i))
    lines = differences[number]
    head = f"{name} was traced {len(records)} times. "
    if not lines:
        return head + (
            f"The last trace is for what trace {number + 1} was for: its function was "
            "forgotten (clear_cache), or a trace was running around it."
        )
    shown = [f"  {line}" for line in lines[:_MAX_LINES]]
    if len(lines) > _MAX_LINES:
        shown.append(f"  and {len(lines) - _MAX_LINES} more")
    return "\n".join(
        [head + f"The last differs from trace {number + 1}, the nearest, in:", *shown]
    )


class _Fact(NamedTuple):
    """What is at a path: how it is described, and what tells it from its like."""

    text: str
    key: Any = None


def _differences(earlier: dict[str, _Fact], last: dict[str, _Fact]) -> list[str]:
    lines: list[str] = []
    above: tuple[str, ...] = ()  # of a whole object the first line is enough
    for path in dict.fromkeys([*last, *earlier]):
        new, old = last.get(path), earlier.get(path)
        if new == old or path.startswith(above):
            continue
        if new is not None and old is not None:
            same = new.text == old.text
            was = "another that prints the same" if same else f"was {old.text}"
            lines.append(f"{path}: {new.text}, {was}")
            continue
        if new is not None:
            lines.append(f"{path}: {new.text}, which was not there")
        elif old is not None:
            lines.append(f"{path}: is gone, was {old.text}")
        above += (f"{path}.", f"{path}[")
    return lines


class _Facts:
    """The (path, fact) pairs of one trace."""

    def __init__(self, function: Callable[..., Any], record: TraceRecord):
        self._token, self._mesh = record.graphdef.token, record.mesh
        counts = [is_variable for _, is_variable in record.graphdef.paths]
        n_variables, n_leaves = sum(counts), len(counts)
        self._variables = iter(record.types[:n_variables])
        self._leaves = iter(record.types[n_variables:n_leaves])
        self._dynamic = record.types[n_leaves:]
        self._first: dict[int, str] = {}
        try:
            self._names = list(inspect.signature(function).parameters)
        except (TypeError, ValueError):
            self._names = []

    def __iter__(self) -> Iterator[tuple[str, _Fact]]:
        call, captured = self._token[4]
        args, kwargs = call[4]
        for i, token in enumerate(args[4]):
            name = self._names[i] if i < len(self._names) else f"args[{i}]"
            yield from self._visit(token, name)
        for name, token in zip(kwargs[3], kwargs[4], strict=True):
            yield from self._visit(token, name)
        for i, token in enumerate(captured[4]):
            yield from self._visit(token, f"captured[{i}]")
        yield "jax.set_mesh", _Fact(_mesh_text(self._mesh), self._mesh)

    def _visit(self, token: Any, path: str) -> Iterator[tuple[str, _Fact]]:
        tag = token[0]
        if tag == NODE:
            self._first[token[2]] = path
            form = token[1]
            yield path, _Fact(form.cls.__name__, form.cls)
            for key, static in form.closed():
                yield from _static_facts(static.value, _below(path, key))
            keys = [key for key, _ in form.open]
            yield from self._children(keys, token[3], path)
        elif tag == TREE:
            yield path, _Fact(token[1].__name__, token[1])
            yield from self._children(token[3], token[4], path)
        elif tag == VAR:
            self._first[token[2]] = path
            yield from self._array(next(self._variables), path, f"{token[1].__name__} ")
            for name, value in token[3].value.items():
                yield from _static_facts(value, f"{path} metadata {name!r}")
        elif tag == REF:
            first = self._first.get(token[1], "another")
            yield path, _Fact(f"the same object as {first}")
        elif tag == STATIC:
            yield from _static_facts(token[1].value, path)
        elif tag == LEAF:
            yield from self._array(next(self._leaves), path)
        else:
            yield from self._array(self._dynamic[token[1]], path)

    def _children(
        self, keys: Sequence[Any], children: tuple, path: str
    ) -> Iterator[tuple[str, _Fact]]:
        for key, child in zip(keys, children, strict=True):
            yield from self._visit(child, _below(path, key))

    def _array(
        self, types: Any, path: str, kind: str = ""
    ) -> Iterator[tuple[str, _Fact]]:
        if jax.tree_util.treedef_is_leaf(jax.tree.structure(types)):
            yield path, _Fact(kind + _type_text(types))
            return
        pairs, treedef = jax.tree_util.tree_flatten_with_path(types)
        yield path, _Fact(f"{kind}{treedef}")
        for steps, text in pairs:
            yield path + jax.tree_util.keystr(steps), _Fact(_type_text(text))


def _below(path: str, key: Any) -> str:
    return path + path_text((key,))


def _static_facts(value: Any, path: str, depth: int = 0) -> Iterator[tuple[str, _Fact]]:
    """Facts of a static value; functions are taken apart into what they close over."""
    parts = list(_static_parts(value)) if depth < _MAX_DEPTH else []
    if not parts:
        yield path, _Fact(_value_text(value), _static_key(value))
        return
    kind = value.__code__ if isinstance(value, types.FunctionType) else type(value)
    yield (
        path,
        _Fact(_value_text(value, f"{type(value).__name__} of {len(parts)}"), kind),
    )
    for step, part in parts:
        yield from _static_facts(part, path + step, depth + 1)


def _static_parts(value: Any) -> Iterator[tuple[str, Any]]:
    """What a static value consists of, with the step that leads there."""
    if isinstance(value, types.FunctionType):
        yield from _closed_over(value)
    elif isinstance(value, functools.partial):
        yield ".func", value.func
        yield from ((f".args[{i}]", part) for i, part in enumerate(value.args))
        yield from ((f".{name}", part) for name, part in value.keywords.items())
    elif isinstance(value, dict):
        yield from ((f"[{key!r}]", part) for key, part in value.items())
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        fields: tuple[str, ...] = getattr(value, "_fields", ())
        yield from ((f".{name}", getattr(value, name)) for name in fields)
    elif isinstance(value, tuple | list):
        yield from ((f"[{i}]", part) for i, part in enumerate(value))


def _closed_over(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    cells = function.__closure__ or ()
    for name, cell in zip(function.__code__.co_freevars, cells, strict=True):
        try:
            yield f".{name}", cell.cell_contents
        except ValueError:  # not yet filled
            continue


def _static_key(value: Any) -> Any:
    if isinstance(value, jax.Array):
        return id(value)
    try:
        return static_key(value)
    except StaticValueError:
        return id(value)


def _value_text(value: Any, otherwise: str = "") -> str:
    name = getattr(value, "__name__", None)
    if name == "<lambda>":
        code = value.__code__
        return f"<lambda> at {basename(code.co_filename)}:{code.co_firstlineno}"
    return name or otherwise or f"{value!r:.80}"


def _type_of(value: Any) -> Any:
    """The abstract value of each array; text for a Python number."""
    if isinstance(value, jax.Array):
        return jax.typeof(value)
    if isinstance(value, int | float | complex):
        return f"{jnp.result_type(value)}[] of a Python number"
    structure = jax.tree.structure(value)
    if structure.num_nodes == structure.num_leaves == 1:  # `()` is one node, no leaf
        return jax.typeof(value)
    return jax.tree.map(_type_of, value)


def _type_text(kind: Any) -> str:
    if isinstance(kind, str):
        return kind
    text = f"{kind.dtype}{list(kind.shape)}"
    if kind.weak_type:
        text += " (weakly typed)"
    sharding = getattr(kind, "sharding", None)
    if sharding is None or sharding.mesh.empty:
        return text
    spec = f", {sharding.spec}" if any(sharding.spec) else ""
    return f"{text} on a {_mesh_text(sharding.mesh)}{spec}"


def _mesh_text(mesh: Any) -> str:
    sizes = ", ".join(f"{name}: {size}" for name, size in mesh.shape.items())
    return f"mesh ({sizes})" if sizes else "no mesh"
