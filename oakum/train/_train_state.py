"""TrainState: what a training loop in functional form carries from step to step."""

from __future__ import annotations

import dataclasses
from typing import Any, Generic, TypeVar, dataclass_transform

import jax
import jax.numpy as jnp
import optax

from .._graph import GraphDef
from .._state import State, call
from ..errors import ArgumentError

M = TypeVar("M")


@dataclass_transform(frozen_default=True)
@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class TrainState(Generic[M]):
    """Structure, parameters and optimizer state of a model, as one immutable pytree.

    A subclass adds fields by annotations: each is a pytree of arrays, or static where
    its `dataclasses.field` has `metadata={'pytree_node': False}`.

    Args:
        graphdef: the structure of the model.
        params: its parameters.
        opt_state: the state of `tx`.
        step: how many steps were taken, `()` of an integer dtype.
        tx: the optax transformation; static.

    Example:
        >>> import oakum as nnx, jax, optax
        >>> graphdef, params = nnx.split(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        >>> state = nnx.TrainState.create(graphdef, params=params, tx=optax.sgd(0.1))
        >>> state = state.apply_gradients(jax.tree.map(jax.numpy.ones_like, params))
        >>> int(state.step)
        1
    """

    graphdef: GraphDef
    params: Any
    opt_state: Any
    step: Any
    tx: Any = dataclasses.field(metadata={"pytree_node": False})

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        dataclasses.dataclass(frozen=True, repr=False, eq=False)(cls)
        _register(cls)

    @classmethod
    def create(
        cls, graphdef: GraphDef, *, params: Any, tx: Any, step: int = 0, **fields: Any
    ) -> Any:
        """A TrainState whose optimizer starts anew.

        Args:
            graphdef: the structure of the model.
            params: its parameters, a State.
            tx: the optax transformation.
            step: the number of the first step.
            **fields: those of a subclass.
        """
        return cls(
            graphdef=graphdef,
            params=params,
            opt_state=tx.init(params),
            step=jnp.asarray(step),
            tx=tx,
            **fields,
        )

    def replace(self, **fields: Any) -> Any:
        """A TrainState with other values of some fields."""
        return dataclasses.replace(self, **fields)  # type: ignore[type-var]

    def apply(self, state: Any, *states: Any) -> Any:
        """What stands for the model of these States, as `GraphDef.apply` gives it.

        Args:
            state, *states: States, or names of fields that hold one.

        Raises:
            ArgumentError: a field of such a name holds no State.
        """
        found = [self._field(x) if isinstance(x, str) else x for x in (state, *states)]
        return call((self.graphdef, *found))

    def _field(self, name: str) -> Any:
        found = getattr(self, name)
        if isinstance(found, State):
            return found
        raise ArgumentError(
            f"{type(self).__name__}.{name} is a {type(found).__name__}, expected a "
            "State",
            remedy="state.apply('params', ...), with fields that hold a State.",
        )

    def apply_gradients(self, grads: Any, **fields: Any) -> Any:
        """The TrainState after a step along these gradients.

        Args:
            grads: of the structure of `params`.
            **fields: new values of other fields.
        """
        updates, opt_state = self.tx.update(grads, self.opt_state, self.params)
        return self.replace(
            params=optax.apply_updates(self.params, updates),
            opt_state=opt_state,
            step=self.step + 1,
            **fields,
        )


def _register(cls: Any) -> None:
    """Makes a dataclass a pytree."""
    fields = dataclasses.fields(cls)
    static = [f.name for f in fields if not f.metadata.get("pytree_node", True)]
    data = [f.name for f in fields if f.name not in static]
    jax.tree_util.register_dataclass(cls, data, static)


_register(TrainState)
