"""A module class in the manner of Linen: `init` gives its state, `apply` takes it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from .._rngs import Rngs
from .._state import split
from ..errors import ArgumentValueError


@dataclasses.dataclass
class Functional:
    """A module class and what it is made with.

    Args:
        module_type: the class.
        graphdef: the structure of the module that `init` made.
        args, kwargs: what the class is called with.
    """

    module_type: Any
    graphdef: Any
    args: tuple
    kwargs: dict[str, Any]

    def init(self, *, rngs: Rngs | None = None) -> Any:
        """The state of a new module.

        Args:
            rngs: streams of random keys, passed on where given.
        """
        given = {} if rngs is None else {"rngs": rngs}
        module = self.module_type(*self.args, **self.kwargs, **given)
        self.graphdef, state = split(module)
        return state

    def apply(self, *states: Any) -> Any:
        """Calls methods on a module with these states: `f.apply(state)(x)`.

        Raises:
            ArgumentValueError: `init` was not called.
        """
        if self.graphdef is None:
            raise ArgumentValueError(
                f"functional({self.module_type.__name__}).apply before init: its "
                "structure is not known yet",
                remedy="state = f.init(rngs=nnx.Rngs(0)) first.",
            )
        return self.graphdef.apply(*states)


def functional(cls: Any) -> Callable[..., Functional]:
    """Makes a module class functional.

    Args:
        cls: the class.

    Returns:
        A function of the class's arguments that gives a `Functional`.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> linear = nnx.bridge.functional(nnx.Linear)(2, 3)
        >>> state = linear.init(rngs=nnx.Rngs(0))
        >>> y, _ = linear.apply(state)(jnp.ones((1, 2)))
        >>> y.shape
        (1, 3)
    """
    return lambda *args, **kwargs: Functional(cls, None, args, kwargs)
