"""The state that optax keeps, as an optimizer holds it: arrays in Variables.

optax compares the tree of parameters with the masks and labels that the user gave it,
and takes no State for a dict. So parameters and gradients reach it in the form of
those trees: as a State, or where that does not do, as nested dicts. Which it is turns
out as the optimizer is made.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from .._compat._shardings import like
from .._guard import place_of
from .._objects import (
    Dict,
    List,
    OneByOne,
    OptArray,
    OptVariable,
    Variable,
    is_variable,
    spread,
    using_eager_sharding,
)
from .._state import to_pure_dict
from ..errors import ArgumentValueError
from ..sharding import lying_as, mesh_of
from ._trained import Trained, is_weak, keys_of

FORMS = ("state", "dicts")
_MISFIT = (ValueError, TypeError, KeyError, AttributeError)


class Slots(OneByOne, Dict):
    """A dict in an optimizer's state, as `hyperparams`: its Variables stay.

    Setting an item to an array or number writes it into the Variable that is there, so
    that a compiled step is found again.
    """

    __slots__ = ()

    def __setitem__(self, key: Any, value: Any) -> None:
        old: Any = self.get(key)
        if is_variable(old) and not is_variable(value):
            old.set_value(strong(jnp.asarray(value), old.dtype))
        else:
            super().__setitem__(key, value)


def begin(tx: Any, trained: Trained) -> tuple[str, Any]:
    """optax's first state, and the form in which it takes parameters.

    Raises:
        ArgumentValueError: the transformation takes them in none.
    """
    errors = []
    for form in FORMS:
        try:
            with mesh_of(trained.arrays):
                first = tx.init(as_form(form, trained, trained.arrays))
            return form, wrap(first, trained)
        except _MISFIT as error:
            errors.append(error)
    if not isinstance(errors[0], ValueError):
        raise errors[0]
    raise ArgumentValueError(
        f"The optax transformation does not take the parameters: {errors[0]}",
        where=f"as nested dicts: {errors[1]}",
        remedy="give all masks and labels as plain dicts of the model's names, or all "
        "as States of plain values: nnx.map_state(lambda path, v: v.ndim > 1, "
        "nnx.state(model, nnx.Param)), not with jax.tree.map, which keeps Variables; "
        "or a dict from filter to transformation: "
        "nnx.Optimizer(model, {nnx.PathContains('head'): optax.adam(1e-3), "
        "...: optax.set_to_zero()}, wrt=nnx.Param).",
    ) from errors[0]


def as_form(form: str, trained: Trained, arrays: list[list[Any]]) -> Any:
    """The arrays of what is trained, as the tree that optax takes."""
    state = trained.tree(arrays)
    return to_pure_dict(state) if form == "dicts" else state


def wrap(opt_state: Any, trained: Trained) -> Any:
    """Puts each array of optax's state into a Variable.

    One that has the path of a parameter is an OptVariable; where it has its shape too
    (and not one row of it, as for adafactor) it carries the parameter's metadata.
    """
    by_path = trained.by_path()

    def box(path: Any, value: Any) -> Any:
        if isinstance(value, jax.Array):
            value = strong(value, value.dtype)
        keys = keys_of(path)
        for start in range(len(keys)):
            leaf, array = by_path.get(keys[start:], (None, None))
            if isinstance(leaf, Variable):
                same = getattr(value, "shape", None) == jnp.shape(array)
                meta = _metadata(leaf) if same else {}
                if same:  # where the compiler places it, it knows no better than we
                    value = like(lying_as(value, array), array, place_of(array))
                if using_eager_sharding():
                    value = spread(value, meta)
                return OptVariable.from_metadata(value, meta)
        return OptArray(value)

    boxed = jax.tree_util.tree_map_with_path(box, opt_state)
    return _observed(boxed)


def _metadata(param: Variable) -> dict[str, Any]:
    meta = param.get_metadata()
    if "optimizer_sharding" in meta:
        meta["out_sharding"] = meta.pop("optimizer_sharding")
    return meta


def _observed(tree: Any) -> Any:
    """The tree with its dicts as Slots."""

    def convert(part: Any) -> Any:
        if type(part) is dict:
            return Slots({key: _observed(below) for key, below in part.items()})
        return part

    return jax.tree.map(
        convert, tree, is_leaf=lambda x: is_variable(x) or type(x) is dict
    )


def bare(opt_state: Any) -> Any:
    """The state as optax made it: arrays, plain dicts and lists."""

    def convert(part: Any) -> Any:
        if is_variable(part):
            return part.get_raw_value()
        if isinstance(part, Dict):
            return {key: bare(below) for key, below in part.items()}
        if isinstance(part, List):
            return [bare(below) for below in part]
        return part

    return jax.tree.map(
        convert,
        opt_state,
        is_leaf=lambda x: is_variable(x) or isinstance(x, Dict | List),
    )


def store(optimizer: Any, new_state: Any, trained: Trained) -> None:
    """Puts new arrays into the Variables; a state of another form replaces them."""
    boxes, _ = jax.tree.flatten(optimizer.opt_state, is_leaf=is_variable)
    values = jax.tree.leaves(new_state)
    same = all(map(is_variable, boxes)) and _paths(optimizer.opt_state) == _paths(
        new_state
    )
    if not same:
        optimizer.opt_state = wrap(new_state, trained)
        return
    for box, value in zip(boxes, values, strict=True):
        new = strong(value, box.dtype)
        if isinstance(new, Tracer):  # an explicit axis of its type would be a new trace
            new = lying_as(new, box.get_raw_value())
        box.set_value(new)


def _paths(opt_state: Any) -> list[tuple[str, ...]]:
    """The path of each leaf by names alone, whatever the types of the nodes on it."""
    flat, _ = jax.tree_util.tree_flatten_with_path(opt_state, is_leaf=is_variable)
    return [keys_of(path) for path, _ in flat]


def strong(value: Any, dtype: Any) -> Any:
    """A value for a slot, of a dtype that gives way to none."""
    return value.astype(dtype) if value.dtype != dtype or is_weak(value) else value
