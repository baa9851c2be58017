"""Variable: a box that holds one array (or a pytree of arrays), and its types.

A Variable has a type (`Param`, `BatchStat`, ...), by which filters select it, and
metadata. `v.value` and `v[...]` read and write the array; arithmetic and `jnp`
functions take a Variable as they take its array. Metadata may hold hooks, functions
that run as the value is read, written or created.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any, ClassVar, overload

import jax
import numpy as np

from ... import _guard as guard
from ..._compat import EAGER, ConcreteArray, tracing
from ..._guard import ROOT, active, consuming, context, current_trace, here
from ..._repr import variable_repr
from ...errors import ArgumentError, ArgumentValueError
from .._declared import A, VariableBase
from .._pickle import pack
from .._setup import EditedMetadata, ObjectTrace
from .._version import bump, clock, noted
from ._axis_names import NAME_KEYS, UNUSED_NAMES, axis_names, one_entry, spread
from ._metadata import HOOKS, VariableMetadata
from ._operators import OPERATORS, value_of
from ._owned import CONTAINERS, check_value, handed_out, kept, owned, set_at, without

if TYPE_CHECKING:
    from typing import Self

    from jax.typing import ArrayLike

_set = object.__setattr__  # past `__setattr__`, which users override
_MISSING: Any = type("Missing", (), {"__repr__": lambda self: "..."})()


class Variable(VariableBase[A]):
    """A box that holds one array, or a pytree of arrays.

    Subclass it to make a type of your own that filters can select.

    Args:
        value: the array, `(...)` of any dtype, or a pytree of arrays.
        hijax, ref: accepted for flax.nnx programs, without effect.
        eager_sharding: False leaves the array where it is, though the metadata names
            its axes and a mesh is known.
        **metadata: names and values to remember, such as `sharding=('data', None)`.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> class Counter(nnx.Variable): pass
        >>> count = Counter(jnp.array(0), unit='steps')
        >>> count[...] += 1
        >>> int(count.value), count.unit
        (1, 'steps')
    """

    __slots__ = (
        "__weakref__",
        "_meta",
        "_oakum_frame",
        "_oakum_mark",
        "_oakum_origin",
        "_oakum_version",
        "_raw",
    )
    _raw: Any
    _hooks: ClassVar[dict[str, Callable]] = {}
    required_metadata: ClassVar[frozenset[str]] = frozenset()
    __array_priority__: ClassVar[int] = 100
    """That of `jax.Array`: a NumPy array on the left leaves the operator to us."""

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        own = {n: getattr(cls, n) for n in HOOKS if hasattr(cls, n)}
        cls._hooks = own

    def __init__(
        self,
        value: A | VariableMetadata[A] | Variable[A],
        *,
        hijax: Any = None,
        ref: Any = None,
        eager_sharding: Any = None,
        **metadata: Any,
    ):
        del hijax, ref
        if isinstance(value, VariableMetadata):
            metadata = {**value.hooks, **metadata, **value.metadata}
            value = value.raw_value
        elif isinstance(value, Variable):
            value = value.get_value()
        if not isinstance(value, jax.Array):
            check_value(type(self), value)
        meta = {**self._hooks, **metadata} if self._hooks else metadata
        if not UNUSED_NAMES.isdisjoint(meta):
            meta = one_entry(meta)
        for hook in _as_hooks(meta.get("on_create_value")):
            value = hook(self, value)
        if type(self).create_value is not Variable.create_value:
            value = self.create_value(value)
        value = owned(value)
        if meta and eager_sharding is None:
            eager_sharding = context.eager_sharding
        if meta and eager_sharding:
            value = spread(value, meta)
        place(self, value, meta)

    # -- value

    def create_value(self, value: Any) -> Any:
        """What a new Variable holds of the value that it is given; for subclasses."""
        return value

    @overload
    def get_value(self) -> A: ...
    @overload
    def get_value(self, *, index: Any) -> Any: ...
    def get_value(self, *, index: Any = _MISSING) -> Any:
        """The array, or the part of it that `index` selects."""
        if active or self._oakum_mark is not ROOT or tracing.value is not EAGER:
            self = guard.readable(self)
        value: Any = self._raw
        if consuming:  # asked after the read
            value = guard.settled(self)
        if type(value) is ConcreteArray:
            if value.is_deleted():
                value = guard.outlived(self)
            if index is not _MISSING and index is not ...:
                value = value[index]
        else:
            if index is not _MISSING:
                value = _item_of(value, index)
            if type(value) in CONTAINERS:
                value = handed_out(value)
        if self._meta:
            for hook in _as_hooks(self._meta.get("on_get_value")):
                value = hook(self, value)
        return value

    def set_value(self, value: Any, *, index: Any = _MISSING) -> None:
        """Puts a new array in the box, or new values at `index`.

        Raises:
            TraceContextError: the Variable was made outside of the running trace.
            ArgumentError: it is text or a class.
        """
        self = guard.writable(self)
        if isinstance(value, Variable):
            value = value.get_value()
        elif not hasattr(value, "dtype"):
            check_value(type(self), value, self._oakum_origin)
        if self._meta:
            for hook in _as_hooks(self._meta.get("on_set_value")):
                value = hook(self, value)
        if index is not _MISSING:
            value = set_at(self._raw, index, value)
        elif not isinstance(value, jax.Array):
            value = owned(value, self._raw)
        set_value(self, noted(self, value) if clock.places else value)

    @property
    def value(self) -> A:
        """The array."""
        return self.get_value()

    @value.setter
    def value(self, value: A | ArrayLike | Variable[A]) -> None:
        self.set_value(value)

    def get_raw_value(self) -> A:
        """The array as it is stored, without hooks."""
        if active or self._oakum_mark is not ROOT or tracing.value is not EAGER:
            self = guard.readable(self)
        value = self._raw
        return guard.settled(self) if consuming else value

    def set_raw_value(self, value: Any, *, _unsafe_bypass_check: bool = False) -> None:
        """Stores an array without hooks."""
        self = guard.writable(self)
        if not isinstance(value, jax.Array):
            value = owned(value, self._raw)
        set_value(self, noted(self, value) if clock.places else value)

    raw_value = property(
        get_raw_value,
        lambda self, value: self.set_raw_value(value),
        doc="The array as it is stored, without hooks.",
    )

    # As programs that look inside of flax's Variables have them.
    _raw_value = raw_value
    _trace_state = property(ObjectTrace)
    _var_metadata = property(
        lambda self: EditedMetadata(self),
        lambda self, metadata: self.set_metadata(dict(metadata)),
    )

    def copy_from(self, other: Variable[A]) -> None:
        """Takes over value and metadata of another Variable of the same type.

        Raises:
            ArgumentValueError: the types differ.
        """
        if type(other) is not type(self):
            raise ArgumentValueError(
                f"A {type(self).__name__} cannot copy from a {type(other).__name__}",
                remedy="copy only between Variables of the same type.",
            )
        self = guard.writable(self)
        set_value(self, owned(other.get_raw_value()))
        _set_meta(self, dict(other._meta))
        bump(self)

    def update_from_state(self, variable_state: Variable[A]) -> None:
        """Takes over value and metadata of a Variable taken from a State."""
        self.copy_from(variable_state)

    # -- metadata

    def get_metadata(
        self,
        name: str | None = None,
        default: Any = _MISSING,
        *,
        exclude_required: bool | None = None,
    ) -> Any:
        """One metadata value by name, or all of them as a dict.

        Raises:
            KeyError: there is no such metadata, and no default was given.
            ArgumentError: a default without a name.
        """
        del exclude_required
        meta = _meta_here(self)
        if name is None and default is _MISSING:
            return dict(meta)
        if name is None:
            raise ArgumentError(
                f"get_metadata got the default {default!r}, and no name",
                remedy="get_metadata('name', default).",
            )
        name = NAME_KEYS.get(name, name)
        if name not in meta and default is not _MISSING:
            return default
        return meta[name]

    def has_metadata(self, name: str) -> bool:
        """Whether there is metadata of this name."""
        return NAME_KEYS.get(name, name) in _meta_here(self)

    def set_metadata(self, *args: Any, **kwargs: Any) -> None:
        """Sets metadata: `set_metadata(a=1)`, or `set_metadata('a', 1)`.

        `set_metadata({...})` replaces all of it.

        Raises:
            ArgumentError: none of these three forms.
        """
        if len(args) == 1 and isinstance(args[0], Mapping) and not kwargs:
            meta = one_entry(args[0])
        elif len(args) == 2 and not kwargs:
            meta = {**self._meta, **one_entry({str(args[0]): args[1]})}
        elif kwargs and not args:
            meta = {**self._meta, **one_entry(kwargs)}
        else:
            raise ArgumentError(
                f"set_metadata got {len(args)} positional and {len(kwargs)} named "
                "arguments",
                remedy="set_metadata(name=value, ...), set_metadata('name', value), "
                "or set_metadata({...}) to replace all.",
            )
        self = guard.writable(self)
        _set_meta(self, meta)
        bump(self)

    def del_metadata(self, name: str) -> None:
        """Removes one metadata value.

        Raises:
            KeyError: there is no such metadata.
        """
        self, name = guard.writable(self), NAME_KEYS.get(name, name)
        if name not in self._meta:
            raise KeyError(name)
        _set_meta(self, {k: v for k, v in self._meta.items() if k != name})
        bump(self)

    @classmethod
    def from_metadata(cls, value: Any, attributes: Mapping[str, Any]) -> Self:
        """A Variable of this type from a value and its metadata; no hook runs."""
        return place(object.__new__(cls), owned(value), one_entry(attributes))

    @property
    def type(self) -> type[Variable[A]]:
        """The type of the Variable."""
        return type(self)

    var_type = type

    @property
    def hijax(self) -> bool:
        """Always false: for flax.nnx programs."""
        return False

    @property
    def ref(self) -> bool:
        """Always false: for flax.nnx programs."""
        return False

    @property
    def sharding_names(self) -> Any:
        """The axis names in the metadata, or None."""
        return axis_names(_meta_here(self))

    def add_axis(self, axis_index: int, axis_name: str | None) -> None:
        """Runs the `on_add_axis` hooks, as `vmap` and `scan` do for stacked state."""
        for hook in _as_hooks(self._meta.get("on_add_axis")):
            hook(self, axis_index, axis_name)

    def remove_axis(self, axis_index: int, axis_name: str | None) -> None:
        """Runs the `on_remove_axis` hooks, as `vmap` and `scan` do."""
        for hook in _as_hooks(self._meta.get("on_remove_axis")):
            hook(self, axis_index, axis_name)

    # -- copies

    def replace(
        self, value: Any = _MISSING, *, _copy_ref: bool = True, **updates: Any
    ) -> Self:
        """A Variable of the same type with another value or other metadata."""
        if value is _MISSING:
            value = self.get_raw_value()
        elif isinstance(value, Variable):
            value = value.get_raw_value()
        elif not isinstance(value, jax.Array):
            value = owned(value)
        meta = {**self._meta, **one_entry(updates)} if updates else dict(self._meta)
        return place(object.__new__(type(self)), value, meta)

    if TYPE_CHECKING:  # an array has a `copy` of another type

        def copy(
            self, value: Any = ..., *, _copy_ref: bool = True, **updates: Any
        ) -> Self: ...

    else:
        copy = replace
    to_state = replace

    def __copy__(self) -> Self:
        return self.replace()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        guard.note_taken((self,))
        value = jax.tree.map(
            lambda x: x.copy() if hasattr(x, "copy") else x, self.get_raw_value()
        )
        new = memo[id(self)] = place(object.__new__(type(self)), value, {})
        _set_meta(new, deepcopy(self._meta, memo))
        return new

    def __reduce__(self):
        meta = {name: pack(value) for name, value in self._meta.items()}
        return _new, (type(self),), (self.get_raw_value(), meta)

    def __setstate__(self, state: tuple[Any, dict[str, Any]]) -> None:
        set_value(self, state[0])
        _set_meta(self, state[1])

    # -- as an array

    if not TYPE_CHECKING:  # a checker takes these from VariableBase

        def __jax_array__(self) -> Any:
            return value_of(self)

        def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
            array = np.asarray(value_of(self), dtype=dtype)
            return array.copy() if copy else array

        @property
        def shape(self) -> tuple[int, ...]:
            """Shape of the array."""
            return (guard.resolve(self) if active else self)._raw.shape

        def __setattr__(self, name: str, value: Any) -> None:
            if name in _SETTABLE or hasattr(getattr(type(self), name, None), "__set__"):
                object.__setattr__(self, name, value)
            elif any(map(_has_dict, type(self).__mro__)):
                self._set_of_mixin(name, value)
            else:
                raise AttributeError(
                    f"Cannot set {name!r} on a {type(self).__name__}.\nInstead: "
                    f"variable.set_metadata({name}=...) for metadata, "
                    "variable.value = ... for the array."
                )

        def _set_of_mixin(self, name: str, value: Any) -> None:
            """Keeps what another base class sets as metadata: it stays in copies."""
            if hasattr(type(self), name):
                object.__setattr__(self, name, value)  # what the class has goes first
            else:
                self.set_metadata(name, value)

        def __getitem__(self, key: Any) -> Any:
            return self.get_value(index=key)

        def __setitem__(self, key: Any, value: Any) -> None:
            self.set_value(value, index=key)

        def __delitem__(self, key: Any) -> None:
            self.set_value(without(self.get_value(), key))

    def __getattr__(self, name: str) -> Any:
        # Reached only for names that the class does not have.
        if name.startswith("__") or name in Variable.__slots__:
            raise AttributeError(name)
        meta = self._meta if not active else _meta_here(self)
        if name in meta:
            return meta[name]
        value = self.get_value()  # of a list or dict the stored one, to `append` to
        own = self.get_raw_value() if type(value) in CONTAINERS else value
        return getattr(own, name)

    __hash__ = None  # type: ignore[assignment]  # `==` compares arrays, elementwise

    def __repr__(self) -> str:
        return variable_repr(self)

    # Nodes and Variables answer the same question: what stands below you?
    def _oakum_children(self) -> tuple:
        return ()


def _item_of(value: Any, index: Any) -> Any:
    """An item of what is no concrete array; all of it at `...`, but of a dict."""
    return value if index is ... and type(value) is not dict else value[index]


def _meta_here(variable: Variable[Any]) -> dict[str, Any]:
    """The metadata of a Variable or its twin; it is noted as read, as its value is."""
    return (guard.resolve(variable) if active else variable)._meta


@functools.cache
def _has_dict(base: type) -> bool:
    """Whether a class that is no Variable gives its objects a `__dict__`."""
    return "__dict__" in vars(base) and not issubclass(base, Variable)


_SETTABLE = frozenset(Variable.__slots__)
get_value: Callable[[Any], Any] = operator.attrgetter("_raw")
get_meta: Callable[[Any], Any] = operator.attrgetter("_meta")
"""The stored value of a Variable, without a look at who asks."""
set_value: Callable[[Any, Any], None] = Variable.__dict__["_raw"].__set__
"""Stores a value in C, of which nobody is told."""


for _name, _method in OPERATORS.items():
    setattr(Variable, _name, _method)


# The slots by their descriptors, which takes two thirds of the time by name.
_set_meta, _set_frame, _set_mark, _set_origin, _set_version = [
    Variable.__dict__[name].__set__
    for name in (
        "_meta",
        "_oakum_frame",
        "_oakum_mark",
        "_oakum_origin",
        "_oakum_version",
    )
]


_NO_META: dict[str, Any] = {}  # of all that have none: metadata is replaced, not edited


def fill_slots(
    variable: Any, value: Any, meta: dict[str, Any], frame: Any, mark: Any, origin: Any
) -> Any:
    """Fills the slots of a new Variable, and gives it."""
    set_value(variable, value)
    _set_meta(variable, meta or _NO_META)
    _set_frame(variable, frame)
    _set_mark(variable, mark)
    _set_origin(variable, origin)
    _set_version(variable, 0)
    return variable


def place(variable: Any, value: Any, meta: dict[str, Any]) -> Any:
    """Fills the slots of a new Variable, made here and now."""
    mark = current_trace()
    return fill_slots(variable, kept(value), meta, context.frame, mark, here())


def _new(cls: type[Variable]) -> Variable:
    return place(object.__new__(cls), None, {})


def _as_hooks(hooks: Any) -> Any:
    if hooks is None:
        return ()
    return hooks if isinstance(hooks, tuple | list) else (hooks,)
