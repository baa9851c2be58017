"""One transformation of several: a mapping from filter to transformation."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import jax
import optax

from .._graph import Path
from .._state import show, to_predicate
from ..errors import FilterError
from ._trained import Trained, keys_of


def grouped(groups: Mapping, trained: Trained) -> Any:
    """One transformation that applies each group's to what its filter selects.

    Raises:
        FilterError: a Variable that no filter, or two filters but for `...`, select.
    """
    filters = list(groups)
    # A function of plain values and not a State, so that a transformation made anew
    # equals this one, and a compiled step is found again.
    names = {path: str(hit) for path, hit in _assigned(filters, trained).items()}

    def label(path: Path) -> str:
        # A Variable that holds a pytree is longer a path for each of its arrays.
        while path not in names:
            path = path[:-1]
        return names[path]

    def label_all(tree: Any) -> Any:
        return jax.tree_util.tree_map_with_path(
            lambda path, _: label(keys_of(path)), tree
        )

    transformations: dict[Hashable, Any] = {
        str(i): groups[filter] for i, filter in enumerate(filters)
    }
    return optax.multi_transform(transformations, label_all)


def _selecting(
    filters: list[Any], trained: Trained
) -> Iterator[tuple[tuple[Path, Any], list[int]]]:
    """Each leaf with its path, and the numbers of the filters that select it."""
    predicates = [(i, to_predicate(f)) for i, f in enumerate(filters) if f is not ...]
    rest = [filters.index(...)] if ... in filters else []
    for path, leaf in zip(trained.paths, trained.leaves, strict=True):
        yield (path, leaf), [i for i, p in predicates if p(path, leaf)] or rest


def _assigned(filters: list[Any], trained: Trained) -> dict[Path, int]:
    """The number of the one filter that selects each leaf, by path."""
    labels: dict[Path, int] = {}
    wrong = []
    for (path, leaf), hits in _selecting(filters, trained):
        if len(hits) == 1:
            labels[path] = hits[0]
        else:
            names = ", ".join(repr(filters[i]) for i in hits) or "none"
            wrong.append(f"{show(path):<32} {type(leaf).__name__:<12} {names}")
    if not wrong:
        idle = [f for i, f in enumerate(filters) if i not in labels.values()]
        wrong = [f"{f!r} selects nothing that is trained" for f in idle if f is not ...]
    if wrong:
        table = "".join(f"\n  {line}" for line in wrong)
        raise FilterError(
            "Each Variable must belong to one group of the optimizer. Path, type, and "
            f"the filters that select it:{table}",
            remedy="make the filters disjoint, and add `...: tx` for the rest.",
        )
    return labels
