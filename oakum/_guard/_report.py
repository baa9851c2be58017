"""How the user is told of a hazard other than a leak: what, where, and the remedy."""

from __future__ import annotations

import inspect
import time
import warnings
import weakref
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np

from .._compat import asks_for_structure
from .._repr import shape_text
from ..errors import (
    ArgumentError,
    DeletedArrayError,
    ForeignStateWarning,
    LostUpdateWarning,
    OakumWarning,
    StaleStateWarning,
    TraceContextError,
)
from ._explain import own_transform
from ._origin import Origin, describe, first_line, here, position
from ._stack import running_transform, stack_path
from ._threads import PATIENCE, consuming
from ._trace import Frame, context

# Transforms that look at shapes alone, and keep no value that they read.
_SHAPES_ALONE = ("jax.eval_shape", "jax.make_jaxpr", "nnx.eval_shape")
consumed: dict[int, tuple[Any, str]] = {}
_told: dict[int, tuple[Any, set[tuple[str, int]]]] = {}


def tell_stale(variable: Any) -> None:
    """Tells that captured state is read where JAX keeps what it reads as a constant.

    Raises:
        StaleStateWarning: where `guard` makes it an error.
    """
    found = stale_read(variable)
    if found is not None:
        tell_stale_read(variable, *found)


def tell_stale_cast(array: np.ndarray, old: np.ndarray) -> None:
    """Tells of a NumPy array that was edited in place, of which JAX has old values.

    Args:
        array: the array.
        old: what JAX takes it for.

    Raises:
        StaleStateWarning: where `guard` makes it an error.
    """
    line = here()
    warning = StaleStateWarning(
        f"a NumPy array of {array.dtype}, part of what is compiled, was "
        "edited in place; a program of JAX alone has it too, so that JAX goes on with "
        f"the values from before: {old!r:.80}",
        where=f"found at {describe(line)}",
        remedy="put a new array in its place instead of an edit, or make it of "
        f"{old.dtype}, which JAX does not cast.",
    )
    _tell(warning, line, "stale")


def stale_read(variable: Any) -> tuple[StaleStateWarning, Origin | None] | None:
    """What is to be told of a read of captured state, and its line; None if nothing."""
    if asks_for_structure():
        return None
    transform, traced = running_transform()
    line = here(beyond_jax=True)
    if transform in _SHAPES_ALONE or _is_told(variable, position(line)):
        return None
    path, root = stack_path(variable, traced)
    shape = getattr(variable._raw, "shape", None)
    name = f"{type(variable).__name__} `{path}`" if path else type(variable).__name__
    argument = root.rsplit(".", 1)[-1]
    argument = argument if argument.isidentifier() else "model"
    warning = StaleStateWarning(
        f"{name}{'' if shape is None else f' of shape {tuple(shape)}'} is read inside "
        f"`{transform}`, but is no argument: its value now becomes a constant of the "
        "compiled function, which later calls use though the Variable has changed.",
        where=f"made at {describe(variable._oakum_origin)}; read at {describe(line)}",
        remedy="pass the object as an argument, or use oakum's own transform, which "
        f"reads it anew at each call: nnx.jit instead of jax.jit, or f({argument}, "
        "...). If it never changes, nnx.guard(stale='off').",
    )
    return warning, line


def tell_stale_read(
    variable: Any, warning: StaleStateWarning, line: Origin | None
) -> None:
    """Tells of a read of captured state, once for each Variable and line.

    Raises:
        StaleStateWarning: where `guard` makes it an error.
    """
    if _first(variable, position(line)):
        _tell(warning, line, "stale")


def tell_lost(name: str, transform: str, line: Origin, merged: bool = False) -> None:
    """Tells that a write went to a copy of an argument, and that the copy is gone.

    Args:
        name: what was written.
        transform: what copied it, as users write it.
        line: where it was written.
        merged: whether `merge` copied it, of a State that the function captures.

    Raises:
        LostUpdateWarning: where `guard` makes it an error.
    """
    if transform in _SHAPES_ALONE:
        return
    own = own_transform(transform)
    instead = (
        "use oakum's own transform, which updates its arguments in place "
        f"(nnx.{own} instead of {transform}), or "
    )
    what = (
        f"`{transform}` ran the function on a copy of its argument, and the function "
        "returned without it. The object that was passed has its old value."
    )
    remedy = f"{instead if own else ''}return the object and use what comes back."
    if merged:
        what = (
            f"`merge` copied it from a State that `{transform}` does not get as an "
            "argument, and the function returned without it. The State has its old "
            "value."
        )
        remedy = (
            "pass the State, or the model, as an argument; or return "
            "nnx.state(model) and use what comes back."
        )
    warning = LostUpdateWarning(
        f"A write to {name} is lost: {what}",
        where=f"written at {describe(line)}",
        remedy=remedy,
    )
    _tell(warning, line, "lost")


def tell_put_in(name: str, kind: str, frame: Frame) -> None:
    """Tells that an object was put in a list or dict that is an argument of its own.

    Args:
        name: the class of the object.
        kind: the class of the argument.
        frame: the running transform.

    Raises:
        LostUpdateWarning: where `guard` makes it an error.
    """
    function = inspect.unwrap(frame.function)
    line = first_line(function)
    function = getattr(function, "__name__", "the function")
    warning = LostUpdateWarning(
        f"`{function}` put a {name} in a {kind} that is an argument of "
        f"`{frame.transform}` by itself: the caller's {kind} does not get it, since "
        f"JAX takes a {kind} apart and the function has another one.",
        where=f"the function at {describe(line)}",
        remedy=f"pass nnx.{kind.title()}(...), or a module that has the {kind} as an "
        f"attribute, which are updated in place; or return the {kind}.",
    )
    _tell(warning, line, "lost")


def tell_left_behind(path: str, kind: str, transform: str, function: Any) -> None:
    """Tells that a traced value is left in what the program itself goes on to use.

    Args:
        path: where it is, as the function names it.
        kind: the class of what it is in; empty for a name.
        transform: the running transform.
        function: the function that it runs.

    Raises:
        LostUpdateWarning: where `guard` makes it an error.
    """
    line = first_line(function)
    function = getattr(function, "__name__", "the function")
    root = path.partition("[")[0].partition(".")[0]
    warning = LostUpdateWarning(
        f"`{function}` left a traced value in `{path}`{f' ({kind})' * bool(kind)}, "
        f"which outlives the trace of `nnx.{transform}`: it means nothing there "
        "(UnexpectedTracerError where it is used), and a call that traces nothing puts "
        "nothing there.",
        where=f"the function at {describe(line)}",
        remedy=f"return the value, and put it in `{root}` outside of the function; or "
        "make it an attribute of a module that is an argument, which is updated in "
        "place.",
    )
    _tell(warning, line, "lost")


def tell_drawn(function: Any, kind: str) -> None:
    """Tells that a function drew from an iterator that it captures, as it was traced.

    Args:
        function: the user's function.
        kind: the class of the iterator.

    Raises:
        LostUpdateWarning: where `guard` makes it an error.
    """
    line = first_line(inspect.unwrap(function))
    name = getattr(function, "__name__", "the function")
    warning = LostUpdateWarning(
        f"{name} draws from a {kind} that it captures as it is traced, and what it got "
        "is compiled in: later calls draw nothing.",
        where=f"the function at {describe(line)}",
        remedy=f"draw outside, and pass what was drawn: {name}(..., next(iterator)).",
    )
    _tell(warning, line, "lost")


def tell_foreign(name: str, what: str, remedy: str) -> None:
    """Tells of state in a part of a model that oakum does not take for state.

    Args:
        name: the class of the part.
        what: what it is.
        remedy: what to write instead.
    """
    line = here()
    warning = ForeignStateWarning(
        f"{name}, now a part of a model, is {what}. That is configuration here: it is "
        "compared, but neither trained nor saved.",
        where=f"set at {describe(line)}",
        remedy=remedy,
    )
    filename, number = position(line)
    warnings.warn_explicit(warning, None, filename, number)  # type: ignore[arg-type]


def escaped_error(variable: Any) -> TraceContextError:
    """The error for state whose trace has ended, but which still holds its tracer."""
    path, _ = stack_path(variable)
    name = f"{type(variable).__name__} `{path}`" if path else type(variable).__name__
    return TraceContextError(
        f"{name} was made in a trace that has ended: it holds a traced value, which "
        "means nothing outside of it.",
        where=f"made at {describe(variable._oakum_origin)}; used at {describe(here())}",
        remedy="return the object from the traced function and use what comes back, or "
        "make it outside and pass it as an argument to oakum's own transform.",
    )


def deleted_error(names: list[str], by: str, where: str) -> DeletedArrayError:
    """The error for state whose array was given away.

    Args:
        names: type and path of each Variable.
        by: what is known of who gave it away.
        where: where they were made or used.
    """
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return DeletedArrayError(
        f"The array of {', '.join(names[:3])}{more} was donated, and is gone{by}",
        where=where,
        remedy="do not pass arrays of state to donate_argnums of jax.jit; nnx.jit "
        "donates by itself, safely. Load the last checkpoint, or give it a new value: "
        "variable.value = ...",
    )


def check_values(variables: Iterable[Any]) -> None:
    """Names the first Variable that has no value, before JAX refuses it namelessly.

    Raises:
        ArgumentError: it is abstract.
    """
    for variable in variables:
        if type(variable._raw) is jax.ShapeDtypeStruct:
            raise abstract_error(variable)


def abstract_error(variable: Any) -> ArgumentError:
    """The error for a Variable that is computed with before it has a value."""
    value = variable._raw
    path, _ = stack_path(variable)
    name = f"{type(variable).__name__} `{path}`" if path else type(variable).__name__
    return ArgumentError(
        f"{name} has no value yet: it is a ShapeDtypeStruct, {shape_text(value)}",
        where=f"made at {describe(variable._oakum_origin)}",
        remedy="give it a value before the model computes: nnx.update(model, state) or "
        "nnx.load with a State that has it, or variable.value = array; nnx.eval_shape "
        "finds shapes without values.",
    )


def outlived(variable: Any) -> Any:
    """The array of a Variable whose last one was given away.

    A step in another thread may have consumed it a moment ago, and not have written the
    new one yet.

    Raises:
        DeletedArrayError: there is none.
    """
    end = time.monotonic() + PATIENCE
    while variable._raw.is_deleted() and consuming and time.monotonic() < end:
        time.sleep(1e-4)
    if not variable._raw.is_deleted() or context.levels["donated"] == "off":
        return variable._raw
    path, _ = stack_path(variable)
    name = f"{type(variable).__name__} `{path}`" if path else type(variable).__name__
    where = f"made at {describe(variable._oakum_origin)}; read at {describe(here())}"
    known, step = consumed.get(id(variable), (lambda: None, ""))
    by = f": `{step}` failed after it had given it away." if step else "."
    raise deleted_error([name], by if known() is variable else ".", where)


def note_consumed(variables: list[Any], step: str) -> None:
    """Notes that a step failed half-way, with the arrays of these given away."""
    for variable in variables:
        ident = id(variable)
        ref = weakref.ref(variable, lambda _, ident=ident: consumed.pop(ident, None))
        consumed[ident] = ref, step


def _is_told(variable: Any, line: tuple[str, int]) -> bool:
    """Whether this Variable has been told of at this line."""
    known = _told.get(id(variable))
    return known is not None and known[0]() is variable and line in known[1]


def _first(variable: Any, line: tuple[str, int]) -> bool:
    """Whether this Variable is told of for the first time at this line."""
    ident = id(variable)
    known = _told.get(ident)
    if known is None or known[0]() is not variable:
        ref = weakref.ref(variable, lambda ref: _forget(ident, ref))
        known = _told[ident] = (ref, set())
    if line in known[1]:
        return False
    known[1].add(line)
    return True


def _forget(ident: int, ref: Any) -> None:
    if ident in _told and _told[ident][0] is ref:
        del _told[ident]


def _tell(warning: OakumWarning, line: Origin | None, hazard: str) -> None:
    if context.levels[hazard] == "error":
        raise warning
    if context.levels[hazard] == "warn":
        filename, number = position(line)
        warnings.warn_explicit(warning, None, filename, number)  # type: ignore[arg-type]
