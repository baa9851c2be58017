"""The public names of flax.nnx beside ours: presence, parameters, methods, spellings.

`rows(flax, oakum)` gives a `Row` for each name, and for each public method and
property of its classes. What differs on purpose has its reason in `ABSENT` or
`PARAMETERS`; a row that differs without one is unexplained. Names that mean one thing
stand in `spellings.py`.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
from collections.abc import Iterator
from typing import Any

# Flags that choose a mode in flax: they are taken, and have no effect.
FLAGS = {"graph", "graph_updates", "hijax", "ref", "eager_sharding", "mutable"}
# Parameters of flax's own machinery, which no program gives.
INTERNAL = {
    "ref_index", "ref_outer_index", "index_ref", "outer_index_outer_ref", "_copy",
    "_copy_ref", "_unsafe_bypass_check", "is_inner", "ctxtag", "copy_variables",
}  # fmt: skip

MODES = "a mode or a context of flax's engine, of which there is one here"
_OF_MODES = (
    "MergeContext", "NodeStates", "SplitContext", "UpdateContext",
    "current_update_context", "merge_context", "split_context", "update_context",
    "vars_as", "with_vars", "FlatState.from_sorted_keys_values", "GraphDef.attributes",
    "GraphDef.with_matching_outer_index", "GraphDef.with_no_outer_index",
    "GraphDef.with_same_outer_index", "set_graph_mode.get_stack",
    "set_graph_updates.get_stack", "use_eager_sharding.current_value",
    "use_eager_sharding.get_default", "use_eager_sharding.get_stack",
)  # fmt: skip
ABSENT: dict[str, str] = {
    **dict.fromkeys(_OF_MODES, MODES),
    "deprecations": "the names that it keeps are names of the library, or gone",
    "proxy_caller": "an internal of flax's",
    "wrappers": "an internal of flax's",
    "M": "a type variable of flax's own signatures",
    "Bidirectional.merge_fn": "a field's default, had from instances alone",
    "Bidirectional.return_carry": "a field's default, had from instances alone",
    "Bidirectional.time_major": "a field's default, had from instances alone",
    "PathContains.exact": "a field's default, had from instances alone",
    **{
        f"VariableMetadata.{hook}": "a field's default, had from instances alone"
        for hook in (
            "on_add_axis",
            "on_create_value",
            "on_get_value",
            "on_remove_axis",
            "on_set_value",
        )
    },
    "DiffState.map_prefix": "flax's engine reads axes by it; programs do not",
}
ENGINE = "fields of flax's description of a graph; programs pass it on"
PLACES = "given by place, as for Python's own list and dict"
PARAMETERS: dict[str, str] = {
    "GraphDef": ENGINE,
    "GraphState": ENGINE,
    "Dict.get": PLACES,
    "List.count": PLACES,
    "List.index": PLACES,
    "StateAxes.map_prefix": PLACES,
    "StateSharding.map_prefix": PLACES,
    **{
        f"{name}.__call__": "given by place, as every predicate is called"
        for name in (
            *("All", "Any", "Everything", "Not", "Nothing", "OfType"),
            *("PathContains", "WithTag"),
        )
    },
    **{
        f"{name}.__call__": MODES
        for name in ("set_graph_mode", "set_graph_updates", "use_eager_sharding")
    },
    "RoPE": "None takes the theta of `scaling`, and 10000 where that has none",
    "from_tree": MODES,
    "to_tree": MODES,
}


@dataclasses.dataclass(frozen=True)
class Row:
    """A name: what it is in flax, and how ours differs (`same` where it does not)."""

    name: str
    kind: str
    status: str  # same, more, absent, different
    detail: str = ""
    reason: str = ""


def rows(flax: Any, oakum: Any) -> list[Row]:
    """A row for every public name, then for the methods of the public classes."""
    found = [name_row(name, getattr(flax, name), oakum) for name in public(flax)]
    for name in public(flax):
        theirs, ours = getattr(flax, name), getattr(oakum, name, None)
        if isinstance(theirs, type) and isinstance(ours, type):
            found.extend(method_rows(name, theirs, ours))
    return found


def public(module: Any) -> list[str]:
    return [name for name in dir(module) if not name.startswith("_")]


def name_row(name: str, theirs: Any, oakum: Any) -> Row:
    kind = kind_of(theirs)
    if not has(oakum, name):
        return Row(name, kind, "absent", "", ABSENT.get(name, ""))
    if kind not in ("class", "function"):
        return Row(name, kind, "same")
    return callable_row(name, kind, theirs, getattr(oakum, name))


def has(owner: Any, name: str) -> bool:
    try:
        return hasattr(owner, name)
    except ImportError:  # a name that needs an extra
        return True


def kind_of(value: Any) -> str:
    if isinstance(value, type):
        return "class"
    if isinstance(value, types.ModuleType):
        return "module"
    return "function" if callable(value) else type(value).__name__


def method_rows(cls: str, theirs: type, ours: type) -> Iterator[Row]:
    """Rows for what a class defines beyond what Python gives every class."""
    calls = ["__call__"] if hasattr(theirs, "__call__") else []  # noqa: B004
    for name in [*public(theirs), *calls]:
        member = inspect.getattr_static(theirs, name)
        label = f"{cls}.{name}"
        if not hasattr(ours, name):
            yield Row(
                label, "method", "absent", "", ABSENT.get(label, ABSENT.get(cls, ""))
            )
        elif callable(getattr(theirs, name)) and not isinstance(member, property):
            yield callable_row(
                label, "method", getattr(theirs, name), getattr(ours, name)
            )
        else:
            yield Row(label, "property", "same")


def callable_row(name: str, kind: str, theirs: Any, ours: Any) -> Row:
    one, other = signature(theirs), signature(ours)
    if one is None or other is None:
        return Row(name, kind, "same")
    found = list(parameter_differences(one, other))
    reason = PARAMETERS.get(name, "")
    if found:
        return Row(name, kind, "different", "; ".join(found), reason)
    extra = [p for p in other if p not in one and p not in FLAGS | INTERNAL]
    return Row(name, kind, "more" if extra else "same", ", ".join(extra))


def signature(value: Any) -> dict[str, inspect.Parameter] | None:
    """The parameters by name; of a class, those of its `__init__`."""
    of_class = isinstance(value, type) and isinstance(
        value.__init__, types.FunctionType
    )
    try:
        found = inspect.signature(value.__init__ if of_class else value).parameters
    except (TypeError, ValueError):
        return None
    kept = list(found.items())[1:] if of_class else list(found.items())
    return {name: each for name, each in kept if name != "self"}


Parameters = dict[str, inspect.Parameter]


def parameter_differences(one: Parameters, other: Parameters) -> Iterator[str]:
    """What flax's parameters allow that ours do not."""
    names = [n for n in one if n not in FLAGS | INTERNAL]
    passes = {p.kind for p in other.values()}
    for name in names:
        theirs = one[name]
        if theirs.kind in (theirs.VAR_POSITIONAL, theirs.VAR_KEYWORD):
            if theirs.kind not in passes and not wraps_everything(one):
                yield f"no {str(theirs).split(':')[0]}"
        elif name not in other:
            if not stands_for(theirs, other):
                yield f"no {name}"
        elif not same_default(theirs.default, other[name].default):
            yield f"{name}={shown(other[name].default)}, not {shown(theirs.default)}"
    yield from order_differences(one, other)


def wraps_everything(parameters: Parameters) -> bool:
    """Whether `*args, **kwargs` is all that flax says of a function that it wraps."""
    return {"args", "kwargs"} == parameters.keys()


def stands_for(theirs: inspect.Parameter, other: Parameters) -> bool:
    """Whether a parameter that has another name here can still be given as in flax."""
    kinds = {p.kind for p in other.values()}
    if theirs.kind is theirs.POSITIONAL_ONLY:
        return theirs.VAR_POSITIONAL in kinds or len(positional(other)) > 0
    return theirs.VAR_KEYWORD in kinds


def positional(parameters: Parameters) -> list[str]:
    by_place = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    )
    return [n for n, p in parameters.items() if p.kind in by_place]


def order_differences(one: Parameters, other: Parameters) -> Iterator[str]:
    theirs = [n for n in positional(one) if n in other and n not in FLAGS | INTERNAL]
    ours = [n for n in positional(other) if n in one]
    if any(p.kind is p.VAR_POSITIONAL for p in other.values()):
        return
    if ours[: len(theirs)] != theirs:
        yield f"by place: {', '.join(ours)}, not {', '.join(theirs)}"


def same_default(one: Any, other: Any) -> bool:
    """Whether two defaults mean the same; what has no plain form is not compared."""
    empty = inspect.Parameter.empty
    if one is empty:
        return True  # what flax requires may have a default here
    if other is empty:
        return False
    plain = (type(None), bool, int, float, str)
    if isinstance(one, plain) and isinstance(other, plain):
        return one == other
    return not (isinstance(other, plain) and isinstance(one, plain))


def shown(default: Any) -> str:
    return "required" if default is inspect.Parameter.empty else repr(default)
