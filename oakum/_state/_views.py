"""view: another mode of a model, such as evaluation, that shares its state.

A class takes part by a method `set_view`, whose parameters are what can be set.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from .._graph._walk import walk
from .._modes import takes_modes
from .._objects._nodes import Node
from .._typing import Filter, M
from ..errors import FilterError
from ._filters import to_predicate
from ._verbs import clone


@takes_modes
def view(
    node: M, /, *, only: Filter = ..., raise_if_not_found: bool = True, **kwargs: Any
) -> M:
    """A copy of a graph in another mode; it shares the Variables.

    Args:
        node: the graph.
        only: a filter for which modules.
        raise_if_not_found: whether a mode that no module has is an error.
        **kwargs: modes and values, given to the `set_view` of each module.

    Raises:
        FilterError: no selected module has one of the modes.

    Example:
        >>> import oakum as nnx
        >>> dropout = nnx.Dropout(0.5, rngs=nnx.Rngs(0))
        >>> nnx.view(dropout, deterministic=True).deterministic, dropout.deterministic
        (True, False)
    """
    new = clone(node, variables=False)
    missing = set(kwargs)
    for module, names in _modes(new, only):
        chosen = {n: kwargs[n] for n in kwargs if names is None or n in names}
        module.set_view(**chosen)
        missing -= set(chosen)
    if missing and raise_if_not_found:
        raise FilterError(
            f"No selected module has the modes {sorted(missing)}",
            remedy="print(nnx.view_info(model)) lists what there is.",
        )
    return new


@takes_modes
def view_info(node: Any, /, *, only: Any = ...) -> str:
    """The modes that `view` can set, by class, as text.

    Args:
        node: the graph.
        only: a filter for which modules.

    Example:
        >>> import oakum as nnx
        >>> print(nnx.view_info(nnx.Dropout(0.5)))
        Dropout:
          deterministic: bool | None = None
            whether nothing is dropped; None leaves it.
    """
    classes = {type(module) for module, _ in _modes(node, only)}
    ordered = sorted(classes, key=lambda cls: cls.__qualname__)
    return "\n".join(line for cls in ordered for line in _described(cls))


def _described(cls: type) -> Iterator[str]:
    """The modes of a class: each with its type, default and description."""
    yield f"{cls.__qualname__}:"
    method: Any = cls.set_view  # type: ignore[attr-defined]
    signature, text = inspect.signature(method), inspect.getdoc(method)
    if text is None:
        yield f"  set_view{signature}"
        return
    described = _descriptions(text)
    for name, parameter in list(signature.parameters.items())[1:]:
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            yield f"  {_shown(parameter)}"
            yield from described.get(name, ())


def _shown(parameter: inspect.Parameter) -> str:
    kind, text = parameter.annotation, parameter.name
    if kind is not parameter.empty:
        text += f": {kind if isinstance(kind, str) else inspect.formatannotation(kind)}"
    if parameter.default is parameter.empty:
        return text
    return f"{text} = {parameter.default!r}"


def _descriptions(text: str) -> dict[str, list[str]]:
    """The lines that a docstring has for each of its `Args`."""
    found: dict[str, list[str]] = {}
    lines = iter(text.partition("Args:\n")[2].splitlines())
    names: list[str] = []
    margin = None
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if not line.strip() or not indent:
            break  # the section ends
        margin = indent if margin is None else margin
        if indent == margin:
            before, _, line = line.partition(":")
            names = [name.strip() for name in before.split(",")]
        for name in names:
            found.setdefault(name, []).append(f"    {line.strip()}")
    return found


def _modes(node: Any, only: Any) -> Iterator[tuple[Any, list[str] | None]]:
    """The modules with modes, and their names; None where any name goes."""
    predicate = to_predicate(only)
    for path, module in list(walk(node)):
        if (
            isinstance(module, Node)
            and hasattr(type(module), "set_view")
            and predicate(path, module)
        ):
            parameters = inspect.signature(module.set_view).parameters.values()  # type: ignore[attr-defined]
            open_ended = any(p.kind == p.VAR_KEYWORD for p in parameters)
            yield module, None if open_ended else [p.name for p in parameters]
