"""Why a function was traced: how its last trace differs from the nearest one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..core import LEAF, NODE, REF, STATIC, TREE, VAR, GraphDef

_MAX_LINES = 20


class TraceRecord(NamedTuple):
    """What a trace was made for.

    Attributes:
        graphdef: the structure of arguments and captured state.
        types: dtype, shape and weak type of each value, as pytrees of strings.
    """

    graphdef: GraphDef
    types: list[Any]

    @classmethod
    def of(cls, graphdef: GraphDef, values: list[Any]) -> TraceRecord:
        """The record of a trace for these values of Variables, leaves and arguments."""
        return cls(graphdef, [jax.tree.map(_type_text, value) for value in values])


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
    number = min(range(len(facts)), key=lambda i: len(differences[i]))
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


def _differences(earlier: dict[str, str], last: dict[str, str]) -> list[str]:
    lines: list[str] = []
    above: tuple[str, ...] = ()  # of a whole object the first line is enough
    for path in dict.fromkeys([*last, *earlier]):
        if last.get(path) == earlier.get(path) or path.startswith(above):
            continue
        if path in earlier and path in last:
            lines.append(f"{path}: {last[path]}, was {earlier[path]}")
            continue
        if path in last:
            lines.append(f"{path}: {last[path]}, which was not there")
        else:
            lines.append(f"{path}: is gone, was {earlier[path]}")
        above += (f"{path}.", f"{path}[")
    return lines


class _Facts:
    """The (path, description) pairs of one trace."""

    def __init__(self, function: Callable[..., Any], record: TraceRecord):
        self._token = record.graphdef.token
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

    def __iter__(self) -> Iterator[tuple[str, str]]:
        call, captured = self._token[4]
        args, kwargs = call[4]
        for i, token in enumerate(args[4]):
            name = self._names[i] if i < len(self._names) else f"args[{i}]"
            yield from self._visit(token, name)
        for name, token in zip(kwargs[3], kwargs[4], strict=True):
            yield from self._visit(token, name)
        for i, token in enumerate(captured[4]):
            yield from self._visit(token, f"captured[{i}]")

    def _visit(self, token: Any, path: str) -> Iterator[tuple[str, str]]:
        tag = token[0]
        if tag == NODE:
            self._first[token[2]] = path
            yield path, token[1].__name__
            yield from self._children(token[5], token[6], path)
        elif tag == TREE:
            yield path, token[1].__name__
            yield from self._children(token[3], token[4], path)
        elif tag == VAR:
            self._first[token[2]] = path
            yield from self._array(next(self._variables), path, f"{token[1].__name__} ")
            for name, value in token[3].value.items():
                yield f"{path} metadata {name!r}", _value_text(value)
        elif tag == REF:
            yield path, f"the same object as {self._first.get(token[1], 'another')}"
        elif tag == STATIC:
            yield path, _value_text(token[1].value)
        elif tag == LEAF:
            yield from self._array(next(self._leaves), path)
        else:
            yield from self._array(self._dynamic[token[1]], path)

    def _children(
        self, keys: tuple, children: tuple, path: str
    ) -> Iterator[tuple[str, str]]:
        for key, child in zip(keys, children, strict=True):
            step = f".{key}" if isinstance(key, str) else f"[{key!r}]"
            yield from self._visit(child, path + step)

    def _array(
        self, types: Any, path: str, kind: str = ""
    ) -> Iterator[tuple[str, str]]:
        if isinstance(types, str):
            yield path, kind + types
            return
        pairs, treedef = jax.tree_util.tree_flatten_with_path(types)
        yield path, f"{kind}{treedef}"
        for steps, text in pairs:
            yield path + jax.tree_util.keystr(steps), text


def _value_text(value: Any) -> str:
    return getattr(value, "__name__", None) or f"{value!r:.80}"


def _type_text(value: Any) -> str:
    weak = getattr(jax.typeof(value), "weak_type", False)
    text = f"{jnp.result_type(value)}{list(jnp.shape(value))}"
    return f"{text} of a Python number" if weak else text
