"""The message of a blocked write: what, where, and the corrected code.

The stack tells which function is traced, by which transform, and under which name it
reaches the object (`_stack`); the remedy is that function with the object, and what
else it captures, among its arguments.
"""

from __future__ import annotations

import inspect
from types import CodeType, FrameType
from typing import Any, NamedTuple

from ..errors import TraceContextError
from ._origin import Origin, describe, first_line, here
from ._stack import iter_roots, names_in, object_path, running_transform, stack_path
from ._trace import ROOT, Frame, context

# What there is in oakum by the same last name.
OWN = frozenset(
    {
        "cond",
        "custom_vjp",
        "eval_shape",
        "fori_loop",
        "grad",
        "jit",
        "jvp",
        "make_jaxpr",
        "pmap",
        "remat",
        "scan",
        "shard_map",
        "switch",
        "value_and_grad",
        "vjp",
        "vmap",
        "while_loop",
    }
)


_OF_THE_FIRST = ("grad", "value_and_grad", "vjp", "jvp")
_IN_ONE_CALL = {
    "cond": "nnx.cond(pred, {f}, ..., {given})",
    "eval_shape": "nnx.eval_shape({f}, {given})",
    "fori_loop": "nnx.fori_loop(lower, upper, {f}, ({given}))",
    "switch": "nnx.switch(index, [{f}, ...], {given})",
    "while_loop": "nnx.while_loop(condition, {f}, ({given}))",
}
"""How those are called that take the function and its arguments together."""


_KEYS_OF_CALLS = """pass the object as an argument, and give each of n calls keys of \
its own (after `import oakum as nnx`):

    axes = (nnx.StateAxes({{nnx.RngState: 0, ...: None}}), 0)
    nnx.split_rngs(splits=n)(nnx.vmap({f}, in_axes=axes))({r}, ...)"""


def own_transform(transform: str) -> str:
    """The name of oakum's own form of a transform; empty where there is none."""
    name = transform.rsplit(".", 1)[-1]
    name = "remat" if name == "checkpoint" else name
    return name if name in OWN else ""


class Place(NamedTuple):
    """Where state is used: the transform that is tracing, what it traces, the line."""

    transform: str
    code: CodeType | None
    line: Origin | None


def place_here() -> Place:
    """Where the code that is running uses state."""
    transform, traced = running_transform()
    return Place(transform, traced.f_code if traced else None, here())


def place_of_function(frame: Frame) -> Place:
    """A place for what is found when a function has ended: its first line."""
    line = first_line(inspect.unwrap(frame.function))
    return Place(f"nnx.{frame.transform}", line and line[0], line)


def leak_error(obj: Any, place: Place | None = None) -> TraceContextError:
    """The error for a write to `obj` outside of its trace.

    Args:
        obj: a Variable or node, or what stands for a plain list or dict.
        place: where it was written, if that has ended by now.
    """
    transform, traced = running_transform() if place is None else (place[0], None)
    code = traced.f_code if traced is not None else place and place.code
    line = here() if place is None else place.line
    named = obj.items if getattr(type(obj), "stands_in", False) else obj
    path, root = stack_path(named, traced)
    kind = type(named).__name__
    name = f"{kind} `{path}`" if path else kind
    shape = getattr(getattr(obj, "_raw", None), "shape", None)
    if shape is not None:
        name += f" of shape {tuple(shape)}"
    what = (
        f"A write to {name} was blocked: `{transform}` is tracing"
        f"{f' `{code.co_name}`' if code else ''}, and the object was made "
        "outside of that trace. The traced value would leak into it, and fail later "
        "with UnexpectedTracerError. Nothing was changed."
    )
    where = f"made at {describe(obj._oakum_origin)}; written at {describe(line)}"
    roots = [*_captured_beside(traced, root), root]
    remedy = _remedy(transform, code, roots)
    if own_transform(transform) == "vmap" and kind.startswith("Rng"):
        function = code.co_name if code and code.co_name.isidentifier() else "f"
        remedy = _KEYS_OF_CALLS.format(f=function, r=_argument_name(root))
    return TraceContextError(what, where=where, remedy=remedy)


def _remedy(transform: str, code: CodeType | None, roots: list[str]) -> str:
    argument = _argument_name(roots[-1])
    transform = own_transform(transform)
    if not transform:
        return (
            "return the new value from the function, and write it to the object "
            f"outside of it: {argument}.value = ..."
        )
    intro = (
        "pass the object as an argument to oakum's own transform, which hands the "
        "update back to it (after `import oakum as nnx`):"
    )
    rest = _arguments_beside(code, argument)
    if transform in ("jit", "remat") and len(roots) > 1:
        intro = intro.replace("the object as an argument", "the objects as arguments")
        intro = intro.replace("the update back to it", "the updates back to them")
        return f"{intro}{_with_all(transform, code, roots, rest)}"
    # A derivative is taken of the first argument, which stays the one that it was.
    last = bool(rest) and transform in _OF_THE_FIRST
    if code is None or code.co_name.startswith("<"):
        given = ", ".join([*rest, argument]) if last else f"{argument}, ..."
        return f"{intro}\n\n    {_call_of(transform, 'f', given)}"
    call = ", ".join([*rest, argument] if last else [argument, *rest])
    name = roots[-1] or argument
    given = ", ".join([*rest, name] if last else [name, *rest])
    if transform in ("jit", "remat"):
        return (
            f"{intro}\n\n    @nnx.{transform}\n    def {code.co_name}({call}):\n"
            f"        ...\n\n    {code.co_name}({given})"
        )
    return (
        f"{intro}\n\n    def {code.co_name}({call}):\n        ...\n\n"
        f"    {_call_of(transform, code.co_name, given)}"
    )


def _arguments_beside(code: CodeType | None, argument: str) -> list[str]:
    """The names of what a function takes as it is now, without `self`."""
    names = list(code.co_varnames[: code.co_argcount]) if code else []
    bound = names[:1] == ["self"]
    return [n for n in names if n != argument and not (bound and n == "self")]


def _call_of(transform: str, function: str, given: str) -> str:
    """A call of a transformed function, as code."""
    if transform in _IN_ONE_CALL:
        return _IN_ONE_CALL[transform].format(f=function, given=given)
    several = "" if function == "f" else ", ..."
    return f"nnx.{transform}({function}{several})({given})"


def _with_all(
    transform: str, code: CodeType | None, roots: list[str], rest: list[str]
) -> str:
    """The corrected code where a function uses several captured objects."""
    arguments = [_argument_name(root) for root in roots]
    if code is None or code.co_name.startswith("<"):
        return f"\n\n    nnx.{transform}(f)({', '.join(arguments)}, ...)"
    rest = [name for name in rest if name not in arguments]
    call, given = (", ".join([*names, *rest]) for names in (arguments, roots))
    return (
        f"\n\n    @nnx.{transform}\n    def {code.co_name}({call}):\n"
        f"        ...\n\n    {code.co_name}({given})"
    )


def _captured_beside(traced: FrameType | None, root: str) -> list[str]:
    """What else of the eager world a traced function names, and should be given.

    Args:
        traced: the frame of the function.
        root: the name of the object that was written to; what it owns comes with it.
    """
    if traced is None:
        return []
    roots = dict(iter_roots(traced))
    owner = roots.pop(root, None)
    if owner is None:
        return []
    mentioned = names_in(traced.f_code)
    found: dict[str, Any] = {}
    for name, value in roots.items():
        known = [owner, *found.values()]
        if (
            name.rsplit(".", 1)[-1] in mentioned
            and getattr(value, "_oakum_mark", None) is ROOT
            and not any(id(value) in frame.twins for frame in context.frames)
            and not any(object_path(other, value) is not None for other in known)
            and object_path(value, owner) is None
        ):
            found[name] = value
    return list(found)


def _argument_name(root: str) -> str:
    name = root.rsplit(".", 1)[-1]
    return name if name.isidentifier() else "model"
