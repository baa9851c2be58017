"""ToNNX: a Linen module as a part of an oakum model."""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax

from .._graph import iter_modules
from .._objects import Module, Variable
from .._rngs import Rngs
from .._state.traversals import unflatten_mapping
from ..errors import ArgumentValueError
from ._flax import errors, linen
from ._variables import to_attributes, to_collections

_PREFIX = "to_nnx__"
mutable_around: contextvars.ContextVar[Any] = contextvars.ContextVar(
    "mutable", default=False
)
"""The collections that the Linen module around may change."""


class ToNNX(Module):
    """A Linen module as an oakum module, with its variables as attributes.

    Linen makes variables when it sees an input, so `lazy_init` comes first. Random keys
    are drawn from `rngs` in each call, a key for each of its streams.

    Args:
        module: the Linen module.
        rngs: streams of random keys, or a key for parameters.

    Example:
        >>> import flax.linen as nn, jax.numpy as jnp
        >>> import oakum as nnx
        >>> dense = nnx.bridge.ToNNX(nn.Dense(3), rngs=nnx.Rngs(0))
        >>> dense = dense.lazy_init(jnp.ones((1, 2)))
        >>> dense.kernel.shape, dense(jnp.ones((4, 2))).shape
        ((2, 3), (4, 3))
    """

    def __init__(self, module: linen.Module, rngs: Rngs | jax.Array | None = None):
        self.to_nnx__module = module
        if isinstance(rngs, Rngs):
            rngs = rngs.fork()
        elif rngs is not None:
            rngs = Rngs(params=rngs)
        self.to_nnx__rngs = rngs
        self.to_nnx__initializing = False

    def lazy_init(self, *args: Any, **kwargs: Any) -> Any:
        """Makes the variables by a call with these arguments; returns the module."""
        return lazy_init(self, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        # The short names, unless a variable or a submodule has them.
        if name in ("module", "rngs"):
            return getattr(self, _PREFIX + name)
        if not name.startswith(("_", _PREFIX)):
            method = getattr(type(self.to_nnx__module), name, None)
            if callable(method):
                bound: Any = functools.partial(self.__call__, method=method)
                bound.__self__ = self
                return bound
        raise AttributeError(
            f"{type(self).__name__!r} object has no attribute {name!r}", name=name
        )

    def __call__(
        self,
        *args: Any,
        rngs: Rngs | jax.Array | None = None,
        method: Callable[..., Any] | str | None = None,
        mutable: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Applies the Linen module.

        Args:
            *args, **kwargs: what its method takes.
            rngs: streams, or a key for parameters; those of the module if left out.
            method: which method, `__call__` if left out.
            mutable: the collections that may change, as in Linen's `apply`; within
                `ToLinen` those that may change there, else none.

        Returns:
            What the method returns. What changed is kept in the module.
        """
        keys = _keys(self.to_nnx__rngs if rngs is None else rngs)
        if self.to_nnx__initializing:
            result, updates = self.to_nnx__module.init_with_output(
                keys, *args, method=method, **kwargs
            )
            self.take(updates)
            return result
        variables = to_collections(self._variables())
        mutable = mutable_around.get() if mutable is None else mutable
        try:
            result = self.to_nnx__module.apply(
                variables, *args, rngs=keys, method=method, mutable=mutable, **kwargs
            )
        except errors.FlaxError as e:
            if not variables:
                name = type(self.to_nnx__module).__name__
                e.add_note(
                    f"ToNNX({name}) has no variables yet.\n"
                    "Instead: model.lazy_init(x), with an input, before it is used."
                )
            raise
        if mutable is False:
            return result
        result, updates = result
        self.take(updates)
        return result

    def take(self, updates: Mapping[str, Any]) -> None:
        """Keeps variables of Linen: in the Variables that are there, or as new ones.

        Args:
            updates: collections, as Linen's `init` and `apply` return them.
        """
        new: dict[str, dict[tuple, Variable]] = {}
        for path, variable in to_attributes(updates).items():
            known = self.find(path)
            if type(known) is type(variable):
                known.set_raw_value(variable.get_raw_value())
            else:
                new.setdefault(path[0], {})[path[1:]] = variable
        for name, below in new.items():
            if () in below:
                setattr(self, name, below[()])
                continue
            old = self._variables().get(name, {})
            setattr(self, name, _merged(old, unflatten_mapping(below)))

    def find(self, path: tuple) -> Any:
        """The Variable at a path, or None."""
        value: Any = self._variables()
        for key in path:
            if not isinstance(value, Mapping) or key not in value:
                return None
            value = value[key]
        return value

    def _variables(self) -> dict[str, Any]:
        slot = self._oakum_slot()
        return {k: v for k, v in slot.items() if not k.startswith(_PREFIX)}


def _merged(old: Any, new: Any) -> Any:
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return new
    return {**old, **{k: _merged(old.get(k), v) for k, v in new.items()}}


def _keys(rngs: Any) -> dict[str, jax.Array]:
    """A key for each stream; Linen's 'params' is our 'default'."""
    if rngs is None:
        return {}
    if not isinstance(rngs, Rngs):
        return {"params": rngs}
    keys = {name: stream() for name, stream in rngs.items()}
    if "params" not in keys and "default" in keys:
        keys["params"] = keys.pop("default")
    return keys


@contextmanager
def initializing(module: Module) -> Iterator[None]:
    """Every ToNNX in a module makes its variables when it is called."""
    wrapped = [m for _, m in iter_modules(module) if isinstance(m, ToNNX)]
    for one in wrapped:
        one.to_nnx__initializing = True
    try:
        yield
    finally:
        for one in wrapped:
            one.to_nnx__initializing = False


def lazy_init(fn: Any, *args: Any, **kwargs: Any) -> Any:
    """Makes the variables of every `ToNNX` in a module, by a call of a method.

    Args:
        fn: a module, or a method of one.
        *args, **kwargs: what it is called with.

    Returns:
        `fn`.

    Raises:
        ArgumentValueError: it is neither.
    """
    module = fn if isinstance(fn, Module) else getattr(fn, "__self__", None)
    if not isinstance(module, Module):
        raise ArgumentValueError(
            f"lazy_init: fn = {fn!r:.80} needs to be a module, or a method of one",
            remedy="nnx.bridge.lazy_init(model, x), or (model.encode, x).",
        )
    call: Any = fn
    with initializing(module):
        call(*args, **kwargs)
    return fn
