"""Optimizer: an optax transformation with the state that it keeps for a model.

Two forms, as flax.nnx had them one after the other; both stay.

    optimizer = nnx.Optimizer(model, tx)                 # bound: .update(grads)
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)  # free: .update(model, grads)
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from .._graph import Path, leaves
from .._objects import (
    Node,
    OptArray,
    OptState,
    OptVariable,
    Param,
    Pytree,
    Variable,
    is_variable,
)
from .._state import (
    State,
    filter_name,
    flat_items,
    from_flat_state,
    is_frozen,
    partition,
    raw,
    to_predicate,
)
from ..errors import ArgumentError, FilterError, StructureError

_MISSING: Any = object()
_ABSENT: Any = object()


class Optimizer(Pytree):
    """Updates a model's parameters by an optax transformation.

    Without `wrt` the optimizer is bound: it owns the model, `optimizer.model`, and
    `optimizer.update(grads)` suffices. With `wrt` it is free: the model is passed,
    `optimizer.update(model, grads)`.

    Args:
        model: the model, or a pytree of models.
        tx: an `optax.GradientTransformation`, or a mapping from filter to one, where
            the first filter that selects a Variable decides, and `...` takes the rest.
        wrt: a filter for what to train. Frozen Variables are left out: they stay as
            they are, and take no memory here.

    Raises:
        FilterError: `wrt` selects nothing but what is frozen, or the groups of `tx`
            leave Variables out.

    Example:
        >>> import oakum as nnx, optax, jax.numpy as jnp
        >>> model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
        >>> optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
        >>> grads = nnx.grad(lambda m: m(jnp.ones((1, 2))).sum())(model)
        >>> optimizer.update(model, grads)
        >>> print(model.bias.value)
        [-0.1]
    """

    def __init__(self, model: Any, tx: Any, *, wrt: Any = _MISSING):
        if wrt is _MISSING:
            self.model = model
            wrt = Param
        params = _select(model, wrt)
        self.step = OptState(jnp.array(0, jnp.uint32))
        for part in tx.values() if isinstance(tx, Mapping) else [tx]:
            _check_transformation(part)
        self.tx = _grouped(tx, params) if isinstance(tx, Mapping) else tx
        self.opt_state = _wrap(self.tx.init(_arrays(params)), params)
        self.wrt = wrt
        self.trained = tuple(path for path, _ in params)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Updates the parameters in place.

        Args:
            *args: `(grads)` where the optimizer is bound, `(model, grads)` where it is
                free. The gradients are a State as `nnx.grad` returns it, or nested
                dicts, with the shapes of the parameters.
            **kwargs: passed on to a transformation that takes more (`value=loss`,
                `grad=grads`), with arrays in place of Variables.

        Raises:
            StructureError: the gradients' paths or shapes are not the parameters', or
                Variables were frozen or unfrozen since the optimizer was made with
                state for others; nothing was changed.
        """
        model, grads = self._arguments(args, kwargs)
        params = _select(model, self.wrt)
        self._check_trained(model, params)
        gradients = _like_params(grads, params)
        values = _arrays(params)
        state = jax.tree.map(raw, self.opt_state, is_leaf=is_variable)
        tx = optax.with_extra_args_support(self.tx)
        kwargs = jax.tree.map(raw, kwargs, is_leaf=is_variable)
        # Gradients may be wider than parameters, or slots; both keep their dtypes.
        with jax.numpy_dtype_promotion("standard"):
            updates, new_state = tx.update(gradients, state, values, **kwargs)
            new_values = optax.apply_updates(values, updates)
        step = self.step
        step.set_value(step.get_value() + jnp.ones((), jnp.uint32))
        old, new = dict(flat_items(values)), dict(flat_items(new_values))
        for path, variable in params:
            variable.set_value(_as_weak(new[path], old[path]))
        self._store(new_state)

    def _arguments(self, args: tuple, kwargs: dict) -> tuple[Any, Any]:
        bound = vars(self).get("model", _ABSENT)
        args = (*args, *[kwargs.pop(n) for n in ("model", "grads") if n in kwargs])
        if len(args) == 2:
            if (
                bound is not _ABSENT
                and args[0] is not bound
                and not _same(args[0], bound)
            ):
                raise ArgumentError(
                    "This optimizer is bound to a model, and got another one",
                    remedy="optimizer.update(grads), or build it with wrt=nnx.Param.",
                )
            return args
        if len(args) == 1 and bound is not _ABSENT:
            return bound, args[0]
        raise ArgumentError(
            f"Optimizer.update got {len(args)} positional arguments",
            remedy="optimizer.update(grads) where it was built without wrt, "
            "optimizer.update(model, grads) where it was built with it.",
        )

    def _check_trained(self, model: Any, params: list[tuple[Path, Variable]]) -> None:
        """Raises where the optimizer has its state for other Variables than these."""
        now, then = {path for path, _ in params}, set(self.trained)
        if now == then:
            return
        boxes = jax.tree.leaves(self.opt_state, is_leaf=is_variable)
        if not any(isinstance(box, OptVariable) for box in boxes):
            return
        frozen = {path for path, leaf in leaves(model) if is_frozen(leaf)}
        lines = [
            f"{_show(path)}: {'frozen' if path in frozen else 'gone'} since"
            for path in self.trained
            if path not in now
        ]
        lines += [
            f"{_show(path)}: not trained then" for path, _ in params if path not in then
        ]
        raise StructureError(
            "The optimizer was made when other Variables were trained"
            + "".join(f"\n  {line}" for line in lines),
            remedy="freeze and unfreeze first, then make the optimizer: "
            "nnx.Optimizer(model, tx, wrt=nnx.Param).",
        )

    def _store(self, new_state: Any) -> None:
        """Puts new arrays into the Variables; a state of another form replaces them."""
        boxes, treedef = jax.tree.flatten(self.opt_state, is_leaf=is_variable)
        values, new_treedef = jax.tree.flatten(new_state)
        # What is a dict in the new state is an observed Dict in ours.
        changed = treedef != new_treedef
        if changed and _names(self.opt_state) != _names(new_state):
            self.opt_state = jax.tree.map(OptArray, new_state)
            return
        for box, value in zip(boxes, values, strict=True):
            box.set_value(_strong(value, box.dtype))


class ModelAndOptimizer(Optimizer):
    """The bound form of `Optimizer` by its flax name: it owns the model.

    Args:
        model: the model.
        tx: as for `Optimizer`.
        wrt: a filter for what to train.

    Example:
        >>> import oakum as nnx, optax, jax.numpy as jnp
        >>> model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
        >>> optimizer = nnx.ModelAndOptimizer(model, optax.sgd(0.1))
        >>> optimizer.update(nnx.grad(lambda m: m(jnp.ones((1, 2))).sum())(model))
        >>> int(optimizer.step.value)
        1
    """

    def __init__(self, model: Any, tx: Any, *, wrt: Any = Param):
        super().__init__(model, tx, wrt=wrt)
        self.model = model


def _names(opt_state: Any) -> list[tuple[str, ...]]:
    """The path of each leaf by names alone, whatever the types of the nodes on it."""
    flat, _ = jax.tree_util.tree_flatten_with_path(opt_state, is_leaf=is_variable)
    return [tuple(name for key in path for name in _key_names(key)) for path, _ in flat]


def _key_names(key: Any) -> list[str]:
    simple = jax.tree_util.keystr((key,), simple=True)
    return [str(name) for name in getattr(key, "path", [simple])]


def _same(model: Any, bound: Any) -> bool:
    """Whether two models hold the same Variables: a twin beside its original."""
    mine, other = leaves(model), leaves(bound)
    return len(mine) == len(other) and all(
        a[1] is b[1] for a, b in zip(mine, other, strict=True)
    )


def _select(model: Any, wrt: Any) -> list[tuple[Path, Variable]]:
    """The Variables to train, with paths.

    Raises:
        FilterError: there are none.
    """
    groups, _ = partition(leaves(model), (wrt,))
    held = [(p, v) for p, v in groups[0] if isinstance(v, Variable)]
    params = [(p, v) for p, v in held if not is_frozen(v)]
    name = filter_name(wrt)
    if held and not params:
        raise FilterError(
            f"Nothing to train: all that wrt={name} selects of {type(model).__name__} "
            f"is frozen ({len(held)} Variable{'s' * (len(held) > 1)})",
            remedy="nnx.unfreeze(model, filter) what is to be trained.",
        )
    if not params:
        kinds = sorted({type(v).__name__ for _, v in leaves(model)})
        raise FilterError(
            f"Nothing to train: wrt={name} selects no Variable of "
            f"{type(model).__name__}",
            where=f"it holds: {', '.join(kinds) or 'no state'}",
            remedy="give a filter that selects what is to be trained, as in "
            "nnx.Optimizer(model, tx, wrt=nnx.Param).",
        )
    return params


def _arrays(params: list[tuple[Path, Variable]]) -> State:
    return from_flat_state([(path, v.get_value()) for path, v in params])


def _check_transformation(tx: Any) -> None:
    if not (hasattr(tx, "init") and hasattr(tx, "update")):
        raise ArgumentError(
            f"tx must be an optax.GradientTransformation, got {type(tx).__name__}",
            remedy="nnx.Optimizer(model, optax.adam(1e-3)).",
        )


def _is_weak(value: Any) -> bool:
    """Whether JAX takes the dtype of a value for a Python number's, which gives way.

    A parameter made as `jnp.array(0.5)` or `jnp.full(3, 0.5)` is. A step that took such
    types and returned others would be traced again by the next call.
    """
    return isinstance(value, jax.Array) and jax.typeof(value).weak_type


def _strong(value: Any, dtype: Any) -> Any:
    """A value for a slot, of a dtype that gives way to none."""
    return value.astype(dtype) if value.dtype != dtype or _is_weak(value) else value


def _as_weak(value: Any, old: Any) -> Any:
    """The new value of a parameter, of a dtype that gives way if the old one's did."""
    # JAX documents no cast to a weak type; writing to all of an array keeps it.
    return old.at[...].set(value) if _is_weak(old) else value


def _wrap(opt_state: Any, params: list[tuple[Path, Variable]]) -> Any:
    """Puts each array of an optimizer's state into a Variable.

    One that has the path of a parameter is an OptVariable; where it has its shape too
    (and not one row of it, as for adafactor) it carries the parameter's metadata.
    """
    by_path = dict(params)

    def wrap(path: Any, value: Any) -> Any:
        if isinstance(value, jax.Array):
            value = _strong(value, value.dtype)
        keys = [getattr(entry, "key", None) for entry in path]
        for start in range(len(keys)):
            param = by_path.get(tuple(keys[start:]))
            if param is not None:
                same = getattr(value, "shape", None) == param.shape
                return OptVariable.from_metadata(value, param._meta if same else {})
        return OptArray(value)

    return jax.tree_util.tree_map_with_path(wrap, opt_state)


def _like_params(grads: Any, params: list[tuple[Path, Variable]]) -> State:
    """The gradients as a State of arrays, checked against the parameters."""
    given = dict(_gradients(grads, ()))
    lines = []
    for path, variable in params:
        if path not in given:
            lines.append(f"{_show(path)}: no gradient")
        elif jnp.shape(raw(given[path])) != jnp.shape(variable.get_value()):
            expected = jnp.shape(variable.get_value())
            got = jnp.shape(raw(given[path]))
            lines.append(f"{_show(path)}: expected shape {expected}, got {got}")
    wanted = {path for path, _ in params}
    lines += [f"{_show(p)}: unknown path, or frozen" for p in given if p not in wanted]
    if lines:
        raise StructureError(
            "The gradients do not fit the parameters"
            + "".join(f"\n  {line}" for line in lines),
            remedy="take them with the optimizer's wrt: "
            "nnx.grad(loss, argnums=nnx.DiffState(0, wrt)).",
        )
    return from_flat_state([(path, raw(given[path])) for path, _ in params])


def _gradients(grads: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """The (path, leaf) pairs of a State, of models, or of a pytree of these."""
    if isinstance(grads, Mapping) and not is_variable(grads):
        items = grads._oakum_children() if isinstance(grads, State) else grads.items()
        for key, part in items:
            yield from _gradients(part, (*path, key))
    elif isinstance(grads, list | tuple):
        for key, part in enumerate(grads):
            yield from _gradients(part, (*path, key))
    elif isinstance(grads, Node):
        yield from (((*path, *below), leaf) for below, leaf in leaves(grads))
    else:
        yield path, grads


def _show(path: Path) -> str:
    return ".".join(map(str, path))


def _grouped(groups: Mapping, params: list[tuple[Path, Variable]]) -> Any:
    """One transformation that applies each group's to what its filter selects.

    Raises:
        FilterError: a Variable that no filter, or two filters but for `...`, select.
    """
    filters = list(groups)
    predicates = [None if f is ... else to_predicate(f) for f in filters]
    labels: dict[Path, int] = {}
    wrong = []
    for path, variable in params:
        hits = [
            i for i, p in enumerate(predicates) if p is not None and p(path, variable)
        ]
        if not hits and ... in filters:
            hits = [filters.index(...)]
        if len(hits) == 1:
            labels[path] = hits[0]
        else:
            names = ", ".join(repr(filters[i]) for i in hits) or "none"
            wrong.append(f"{_show(path):<32} {type(variable).__name__:<12} {names}")
    for i, filter in enumerate(filters):
        if i not in labels.values() and not wrong and filter is not ...:
            wrong.append(f"{filter!r} selects nothing that is trained")
    if wrong:
        table = "".join(f"\n  {line}" for line in wrong)
        raise FilterError(
            "Each Variable must belong to one group of the optimizer. Path, type, and "
            f"the filters that select it:{table}",
            remedy="make the filters disjoint, and add `...: tx` for the rest.",
        )
    # A function of plain values and not a State, so that a transformation made anew
    # equals this one, and a compiled step is found again.
    names = {path: str(label) for path, label in labels.items()}

    def label_all(tree: Any) -> State:
        return from_flat_state([(path, names[path]) for path, _ in flat_items(tree)])

    transformations: dict[Hashable, Any] = {
        str(i): groups[filter] for i, filter in enumerate(filters)
    }
    return optax.multi_transform(transformations, label_all)
