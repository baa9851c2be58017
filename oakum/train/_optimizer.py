"""Optimizer: an optax transformation with the state that it keeps for a model.

Two forms, as flax.nnx had them one after the other; both stay.

    optimizer = nnx.Optimizer(model, tx)                 # bound: .update(grads)
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)  # free: .update(model, grads)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, overload

import jax
import jax.numpy as jnp
import optax

from .._graph import Path, leaves
from .._modes import takes_modes
from .._objects import OptState, OptVariable, Param, Pytree, is_variable, own_dict
from .._state import State, is_frozen, raw, show
from .._typing import Filter, M
from ..errors import ArgumentError, StructureError
from ._groups import grouped
from ._slots import as_form, bare, begin, store
from ._trained import Trained

if TYPE_CHECKING:
    from .._typed import Transformation

    Transformations = Transformation | Mapping[Any, Transformation]

_MISSING: Any = object()
_ABSENT: Any = object()
Gradients = State | Mapping[Any, Any] | Pytree | Sequence["Gradients"]


class Optimizer(Pytree, Generic[M]):
    """Updates a model's parameters by an optax transformation.

    Without `wrt` the optimizer is bound: it owns the model, `optimizer.model`, and
    `optimizer.update(grads)` suffices. With `wrt` it is free: the model is passed,
    `optimizer.update(model, grads)`.

    Args:
        model: the model, or a pytree of models.
        tx: an `optax.GradientTransformation`, or a mapping from filter to one, where
            the first filter that selects a Variable decides, and `...` takes the rest.
        wrt: a filter for what to train, Variables and bare arrays. Frozen Variables are
            left out: they stay as they are, and take no memory here.

    Raises:
        FilterError: `wrt` selects nothing but what is frozen, or the groups of `tx`
            leave Variables out.

    Example:
        >>> import oakum as nnx, optax, jax.numpy as jnp
        >>> model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
        >>> optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
        >>> grads = nnx.grad(lambda m: m(jnp.ones((1, 2))).sum())(model)
        >>> updates = optimizer.update(model, grads)
        >>> print(model.bias.value)
        [-0.1]
    """

    model: M
    step: OptState
    tx: Any
    opt_state: Any

    @takes_modes
    def __init__(self, model: M, tx: Transformations, *, wrt: Filter = _MISSING):
        if wrt is _MISSING:
            self.model = model
            wrt = Param
        trained = Trained(model, wrt)
        self.step = OptState(jnp.array(0, jnp.uint32))
        for part in tx.values() if isinstance(tx, Mapping) else [tx]:
            _check_transformation(part)
        self.tx = grouped(tx, trained) if isinstance(tx, Mapping) else tx
        self.form, self.opt_state = begin(self.tx, trained)
        self.wrt = wrt
        self.trained = tuple(trained.paths)

    @overload
    def update(self, grads: Gradients, /, **kwargs: Any) -> State: ...
    @overload
    def update(self, model: M, grads: Gradients, **kwargs: Any) -> State: ...
    def update(
        self, model: Any = _MISSING, grads: Any = _MISSING, *more: Any, **kwargs: Any
    ) -> State:
        """Updates the parameters in place.

        Args:
            model: the model that the optimizer trains, where it is free. Where it is
                bound, `update(grads)` suffices.
            grads: a State as `nnx.grad` returns it, or nested dicts, with the shapes of
                the parameters; those of leaves that this optimizer does not train are
                left aside.
            *more: nothing.
            **kwargs: passed on to a transformation that takes more (`value=loss`,
                `grad=grads`), with arrays in place of Variables.

        Returns:
            A State of what was added to each parameter.

        Raises:
            StructureError: the gradients' paths or shapes are not the parameters', or
                Variables were frozen or unfrozen since the optimizer was made with
                state for others; nothing was changed.
        """
        given = tuple(each for each in (model, grads) if each is not _MISSING)
        model, grads = self._arguments((*given, *more))
        trained = Trained(model, self.wrt)
        self._check_trained(model, trained.paths)
        gradients = as_form(self.form, trained, trained.gradients(grads))
        values = as_form(self.form, trained, trained.arrays)
        state = bare(self.opt_state)
        tx = optax.with_extra_args_support(self.tx)
        kwargs = jax.tree.map(raw, kwargs, is_leaf=is_variable)
        # Gradients may be wider than parameters, or slots; both keep their dtypes.
        with jax.numpy_dtype_promotion("standard"):
            updates, new_state = tx.update(gradients, state, values, **kwargs)
            new_values = optax.apply_updates(values, updates)
        step = self.step
        step.set_value(step.get_value() + jnp.ones((), jnp.uint32))
        trained.write(trained.taken(new_values))
        store(self, new_state, trained)
        return trained.tree(trained.taken(updates))

    def _arguments(self, args: tuple) -> tuple[Any, Any]:
        bound = own_dict(self).get("model", _ABSENT)
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

    def _check_trained(self, model: Any, paths: list[Path]) -> None:
        """Raises where the optimizer has its state for other leaves than these."""
        now, then = set(paths), set(self.trained)
        if now == then:
            return
        boxes = jax.tree.leaves(self.opt_state, is_leaf=is_variable)
        if not any(isinstance(box, OptVariable) for box in boxes):
            return
        frozen = {path for path, leaf in leaves(model) if is_frozen(leaf)}
        lines = [
            f"{show(path)}: {'frozen' if path in frozen else 'gone'} since"
            for path in self.trained
            if path not in now
        ]
        lines += [
            f"{show(path)}: not trained then" for path in paths if path not in then
        ]
        raise StructureError(
            "The optimizer was made when other Variables were trained"
            + "".join(f"\n  {line}" for line in lines),
            remedy="freeze and unfreeze first, then make the optimizer: "
            "nnx.Optimizer(model, tx, wrt=nnx.Param).",
        )


class ModelAndOptimizer(Optimizer[M]):
    """The bound form of `Optimizer` by its flax name: it owns the model.

    Args:
        model: the model.
        tx: as for `Optimizer`.
        wrt: a filter for what to train.

    Example:
        >>> import oakum as nnx, optax, jax.numpy as jnp
        >>> model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
        >>> optimizer = nnx.ModelAndOptimizer(model, optax.sgd(0.1))
        >>> grads = nnx.grad(lambda m: m(jnp.ones((1, 2))).sum())(model)
        >>> updates = optimizer.update(grads)
        >>> int(optimizer.step.value)
        1
    """

    @takes_modes
    def __init__(self, model: M, tx: Transformations, *, wrt: Filter = Param):
        super().__init__(model, tx, wrt=wrt)
        self.model = model


def _same(model: Any, bound: Any) -> bool:
    """Whether two models hold the same Variables: a twin beside its original."""
    mine, other = leaves(model), leaves(bound)
    return len(mine) == len(other) and all(
        a[1] is b[1] for a, b in zip(mine, other, strict=True)
    )


def _check_transformation(tx: Any) -> None:
    if not (hasattr(tx, "init") and hasattr(tx, "update")):
        raise ArgumentError(
            f"tx must be an optax.GradientTransformation, got {type(tx).__name__}",
            remedy="nnx.Optimizer(model, optax.adam(1e-3)).",
        )
