"""ToLinen: an oakum module inside Linen.

The module is made anew in each call, as Linen's are, and gets its state from Linen's
collections; what it wrote goes back into those that may change. Streams of random keys
come from Linen and are no state there.
"""

import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .._graph import iter_modules, leaves
from .._objects import Module, RngState, Variable, variable_name_from_type
from .._rngs import Rngs
from .._state.traversals import flatten_mapping, unflatten_mapping
from ..errors import ArgumentError
from ._flax import core, linen
from ._to_nnx import ToNNX, initializing, mutable_around
from ._variables import to_box, unboxed

Method = Callable[..., Any] | str | None


class ToLinen(linen.Module):
    """An oakum module as a Linen module.

    Args:
        nnx_class: the class of the module, or a function that makes it.
        args, kwargs: what it is called with, besides `rngs`.
        skip_rng: whether it takes no `rngs`.
        metadata_fn: what Linen holds of a Variable; by default its value, in a box
            where it has metadata. None for the bare value.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> import oakum as nnx
        >>> model = nnx.bridge.ToLinen(nnx.Linear, args=(2, 3))
        >>> variables = model.init(jax.random.key(0), jnp.ones((1, 2)))
        >>> variables["params"]["kernel"].shape
        (2, 3)
    """

    nnx_class: Callable[..., Any]
    args: Sequence = ()
    kwargs: Mapping[str, Any] = core.FrozenDict({})
    skip_rng: bool = False
    metadata_fn: Callable[[Variable], Any] | None = to_box

    @linen.compact
    def __call__(self, *args: Any, nnx_method: Method = None, **kwargs: Any) -> Any:
        """Calls a method of the module.

        Args:
            *args, **kwargs: what the method takes.
            nnx_method: which one, `__call__` if left out.
        """
        module = self.nnx_class(*self.args, **self._module_kwargs())
        method = _method_of(module, nnx_method)
        scope: Any = self.scope
        token = mutable_around.set(scope.mutable)
        try:
            if self.is_initializing():
                done = self._put(module)  # as it is before the call
                with initializing(module):
                    result = method(module, *args, **kwargs)
                self._put(module, done)
            else:
                self._take(module)
                result = method(module, *args, **kwargs)
                self._put(module)
        finally:
            mutable_around.reset(token)
        return result

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            known = self.__dict__
            if name in known.get("kwargs", {}):
                return known["kwargs"][name]
            method = getattr(known.get("nnx_class"), name, None)
            if name.startswith("_") or not callable(method):
                raise
        bound: Any = functools.partial(self.__call__, nnx_method=method)
        bound.__self__ = self
        return bound

    def _module_kwargs(self) -> dict[str, Any]:
        kwargs = dict(self.kwargs)
        if not self.skip_rng:
            scope: Any = self.scope
            keys: dict[str, Any] = {n: self.make_rng(n) for n in scope.rngs}
            if not self.is_initializing():
                keys.setdefault("default", 0)
            kwargs["rngs"] = Rngs(**keys)
        return kwargs

    def _take(self, module: Module) -> None:
        """Gives the module what Linen's collections hold."""
        known = dict(leaves(module))
        by_text = {tuple(map(str, path)): path for path in known}
        linens = {p: m for p, m in iter_modules(module) if isinstance(m, ToNNX)}
        unknown = []
        variables: Any = self.variables
        for collection, tree in core.unfreeze(variables).items():
            for path, value in flatten_mapping(tree).items():
                place = by_text.get(tuple(map(str, path)))
                owner = next((p for p in linens if path[: len(p)] == p), None)
                if place is not None:
                    known[place].set_raw_value(unboxed(value))
                elif owner is not None:
                    below = unflatten_mapping({path[len(owner) :]: value})
                    linens[owner].take({collection: below})
                else:
                    unknown.append(path)
        if unknown:
            lines = "".join([f"\n  - {'/'.join(map(str, p))}" for p in unknown])
            warnings.warn(
                f"Found unknown module paths in incoming state:{lines}", stacklevel=3
            )

    def _put(self, module: Module, done: frozenset = frozenset()) -> frozenset:
        """Hands state to Linen, but for what is done; returns the paths of all."""
        groups: dict[str, dict[tuple, Any]] = {}
        paths = set()
        for path, leaf in leaves(module):
            if isinstance(leaf, Variable) and not isinstance(leaf, RngState):
                paths.add(path)
                name = variable_name_from_type(type(leaf), allow_register=True)
                held = leaf.get_value() if self.metadata_fn is None else leaf
                box = held if self.metadata_fn is None else self.metadata_fn(leaf)
                groups.setdefault(name, {})[path] = box
        for name, flat in groups.items():
            if self.is_mutable_collection(name) and not done >= set(flat):
                for key, value in unflatten_mapping(flat).items():
                    self.put_variable(name, key, value)
        return frozenset(paths)


def _method_of(module: Module, method: Method) -> Callable[..., Any]:
    """A method of a module's class.

    Raises:
        ArgumentError: there is none that can be called.
    """
    named = "__call__" if method is None else method
    found = getattr(type(module), named, None) if isinstance(named, str) else named
    if not callable(found):
        raise ArgumentError(
            f"'{type(module).__name__}.{named}' must be a callable, got {type(found)}",
            remedy="name a method: nnx_method='encode', or nnx_method=Model.encode.",
        )
    return found


def to_linen(
    nnx_class: Callable[..., Any],
    *args: Any,
    metadata_fn: Callable[[Variable], Any] | None = to_box,
    name: str | None = None,
    skip_rng: bool = False,
    abstract_init: bool = True,
    **kwargs: Any,
) -> ToLinen:
    """An oakum module as a Linen module, made with these arguments.

    Args:
        nnx_class: the class of the module, or a function that makes it.
        *args, **kwargs: what it is called with, besides `rngs`.
        metadata_fn, skip_rng: as for `ToLinen`.
        name: the name of the Linen module.
        abstract_init: accepted for programs written for flax.nnx, without effect.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> import oakum as nnx
        >>> model = nnx.bridge.to_linen(nnx.Linear, 2, out_features=3)
        >>> y, _ = model.init_with_output(jax.random.key(0), jnp.ones((1, 2)))
        >>> y.shape
        (1, 3)
    """
    return ToLinen(
        nnx_class,
        args=args,
        kwargs=core.FrozenDict(kwargs),
        metadata_fn=metadata_fn,
        skip_rng=skip_rng,
        name=name,
    )


def to_linen_class(
    base_nnx_class: type[Module],
    base_metadata_fn: Callable[[Variable], Any] | None = to_box,
    base_skip_rng: bool = False,
    **partial_kwargs: Any,
) -> type[ToLinen]:
    """A Linen class of an oakum class, which takes the arguments of the latter.

    Args:
        base_nnx_class: the class.
        base_metadata_fn, base_skip_rng: as `metadata_fn`, `skip_rng` of `ToLinen`.
        **partial_kwargs: keyword arguments that are given already.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> import oakum as nnx
        >>> Linear = nnx.bridge.to_linen_class(nnx.Linear, use_bias=False)
        >>> model = Linear(in_features=2, out_features=3)
        >>> sorted(model.init(jax.random.key(0), jnp.ones((1, 2)))["params"])
        ['kernel']
    """

    class ToLinenPartial(ToLinen):
        """A Linen module of one oakum class."""

        def __init_subclass__(cls, **kwargs: Any) -> None:
            super().__init_subclass__(**kwargs)
            setattr(cls, "__init__", __init__)  # noqa: B010 - in place of Linen's

    def __init__(
        self: Any,
        args: Sequence | None = None,
        kwargs: Mapping[str, Any] | None = None,
        nnx_class: Any = None,
        skip_rng: bool | None = None,
        metadata_fn: Any = None,
        **others: Any,
    ) -> None:
        own = {key: others.pop(key) for key in ("name", "parent") if key in others}
        given = {**partial_kwargs, **(kwargs or {}), **others}
        ToLinen.__init__(
            self,
            nnx_class=nnx_class or base_nnx_class,
            args=args or (),
            kwargs=core.FrozenDict(given),
            skip_rng=skip_rng or base_skip_rng,
            metadata_fn=metadata_fn or base_metadata_fn,
            **own,
        )

    setattr(ToLinenPartial, "__init__", __init__)  # noqa: B010 - likewise
    ToLinenPartial.__name__ = ToLinenPartial.__qualname__ = base_nnx_class.__name__
    return ToLinenPartial
