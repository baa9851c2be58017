"""Pytree and Module: objects whose attributes are their children.

An attribute that holds state (a Variable, a node, an array, or a pytree of such) is
data; any other is static, part of the structure. `data(...)` and `static(...)` say so
where the rule would decide otherwise.
"""

from __future__ import annotations

import dataclasses
import inspect
import operator
from collections.abc import Callable
from copy import deepcopy
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    TypeVar,
    dataclass_transform,
    overload,
)

import jax

from .. import _guard as guard
from .._compat import EAGER, tracing
from .._guard import active, context, quiet
from .._keywords import FOREIGN, check_keywords
from ..errors import (
    ArgumentError,
    ArgumentValueError,
    StaticValueError,
    TraceContextError,
)
from ._annotations import annotated_kinds
from ._classes import NodeType
from ._containers import Dict, List, Marked, adopt
from ._nodes import (
    ALIAS,
    BOOKKEEPING,
    DATA_TYPES,
    is_data,
    is_object,
    stamp,
)
from ._pickle import pack
from ._setup import ObjectTrace, setup_state
from ._vars import WithDict, blank, observed, own_dict
from ._version import bump

if TYPE_CHECKING:
    from typing import Self

T = TypeVar("T")
_MISSING = object()
_SKIP = frozenset((*BOOKKEEPING, ALIAS, "__dict__"))
_SIMPLE = frozenset({int, float, str, bool})
_read = object.__getattribute__


@overload
def data(value: T, /) -> T: ...
@overload
def data(*, default: T, **kwargs: Any) -> T: ...
@overload
def data(*, default_factory: Callable[[], T], **kwargs: Any) -> T: ...
@overload
def data(**kwargs: Any) -> Any: ...
def data(value: Any = _MISSING, **kwargs: Any) -> Any:
    """Marks an attribute as data, whatever its value.

    Args:
        value: the value; a Python number becomes a leaf that transforms trace.
        **kwargs: in a dataclass, what `dataclasses.field` takes (`default`, ...).

    Returns:
        What to assign: `self.x = nnx.data(3.0)`.

    Example:
        >>> import oakum as nnx, jax
        >>> class Scale(nnx.Module):
        ...     def __init__(self): self.factor = nnx.data(2.0)
        >>> jax.tree.leaves(Scale())
        [2.0]
    """
    return _mark(value, "data", kwargs)


@overload
def static(value: T, /) -> T: ...
@overload
def static(*, default: T, **kwargs: Any) -> T: ...
@overload
def static(*, default_factory: Callable[[], T], **kwargs: Any) -> T: ...
@overload
def static(**kwargs: Any) -> Any: ...
def static(value: Any = _MISSING, **kwargs: Any) -> Any:
    """Marks an attribute as static: part of the structure, compared by value.

    Args:
        value: the value, hashable, or of lists, dicts and NumPy arrays of such.
        **kwargs: in a dataclass, what `dataclasses.field` takes.

    Returns:
        What to assign: `self.sizes = nnx.static([1, 2])`.
    """
    return _mark(value, "static", kwargs)


def _mark(value: Any, kind: str, kwargs: dict) -> Any:
    if value is not _MISSING and kwargs:
        raise ArgumentError(
            f"nnx.{kind} got a value and {', '.join(kwargs)} too",
            remedy=f"nnx.{kind}(value) for an attribute, nnx.{kind}(default=value) for "
            "a field of a dataclass.",
        )
    if value is not _MISSING:
        return Marked(value, kind)
    metadata = {**kwargs.pop("metadata", {}), "oakum": kind}
    return dataclasses.field(metadata=metadata, **kwargs)


class Pytree(WithDict, metaclass=NodeType):
    """An object with named children, which JAX and oakum take apart and rebuild.

    Subclass it as any class; it is registered with JAX, so that `jax.tree.map` works.
    """

    __slots__ = ()
    _oakum_kinds: ClassVar[dict[str, str]] = {}
    """Kind of the attributes that annotations or fields mark, inherited ones too."""

    _pytree__state = property(setup_state)
    _trace_state = property(ObjectTrace)

    def _check_valid_context(self, error_msg: Callable[[], str]) -> None:
        """Refuses a write; a class that knows it to be harmless overrides this."""
        del error_msg
        guard.refuse(self)

    def __init_subclass__(cls, **kwargs: Any):
        kwargs.pop("pytree", None)
        super().__init_subclass__(**kwargs)
        _check_slots(cls)
        if kinds := annotated_kinds(cls):
            cls._oakum_kinds = {**cls._oakum_kinds, **kinds}
        for register in ON_SUBCLASS:
            register(cls)

    def _oakum_children(self) -> list[tuple[str, Any]]:
        return sorted(own_dict(self).items(), key=operator.itemgetter(0))

    def _oakum_fill(self, content: dict[Any, Any]) -> None:
        # New values first: another thread that reads meanwhile finds every name.
        own = own_dict(self)
        dict.update(own, content)
        if len(own) != len(content):
            for gone in set(own).difference(content):
                dict.pop(own, gone, None)

    def _oakum_slot(self) -> Any:
        return own_dict(self)

    def _oakum_order(self) -> Any:
        return own_dict(self)

    # A checker that saw these would take every name for an attribute, of any type.
    if not TYPE_CHECKING:

        def __new__(cls, *args: Any, **kwargs: Any):
            if not FOREIGN.isdisjoint(kwargs):
                check_keywords(cls, kwargs)
            if (args or kwargs) and cls.__init__ is object.__init__:
                # Python itself is silent, since `__new__` is not its own.
                raise ArgumentError(
                    f"{cls.__name__}() takes no arguments, got "
                    f"{', '.join([*map(repr, args), *kwargs])}",
                    remedy="define __init__, or put @nnx.dataclass above a class "
                    "whose annotations are its fields.",
                )
            further = super().__new__
            if further is object.__new__:
                self = stamp(blank(cls))
            else:  # of a class that comes after ours
                self = _stamped(further(cls, *args, **kwargs))
            if cls._oakum_kinds:
                object.__setattr__(self, "_oakum_marks", dict(cls._oakum_kinds))
            return self

        def __getattribute__(self, name: str) -> Any:
            # Inside a transform a captured object stands for its twin; eager reads pay
            # for the test of an empty list and no more.
            try:
                outer = (
                    active
                    and (name == "__dict__" or (name[:2] != "__" and name not in _SKIP))
                    and _read(self, "_oakum_frame") is not context.frame
                )
            except AttributeError:  # another class's `__new__` is making it here
                outer = False
            if outer:
                self = guard.resolve(self)
            value = _read(self, name)
            if tracing.value is not EAGER:
                if name == "__dict__":
                    _note_all(self, value)
                elif (
                    type(value) not in quiet and name[:2] != "__" and name not in _SKIP
                ):
                    guard.note_plain(_stamped(self), value)
            return value

        def __setattr__(self, name: str, value: Any) -> None:
            if name in _SKIP:
                if name == "__dict__":
                    own_dict(self).clear()
                    own_dict(self).update(value)
                elif name != ALIAS:
                    object.__setattr__(self, name, value)
                return
            try:
                target = guard.writable(self)
            except AttributeError:
                target = _stamped(self)
            except TraceContextError:
                # Of a property, what its setter does decides.
                if not hasattr(
                    inspect.getattr_static(type(self), name, None), "__set__"
                ):
                    raise
                return object.__setattr__(self, name, value)
            target._oakum_put(name, value, object.__setattr__)

        def __delattr__(self, name: str) -> None:
            guard.writable(self)._oakum_drop(name, object.__delattr__)

    def _oakum_put(self, name: str, value: Any, store: Callable) -> None:
        """Sets an attribute, and notes the edit."""
        before = _read(self, "_oakum_marks")
        if type(value) is Marked:
            if value.kind == "static" and is_data(value.value):
                _check_static(self, name, value.value, StaticValueError)
            marks = {**(before or {}), name: value.kind}
            object.__setattr__(self, "_oakum_marks", marks)
            value = value.value if value.kind == "static" else adopt(value.value)
        elif before is None or before.get(name) != "static":
            value = adopt(value)
        elif is_data(value):
            _check_static(self, name, value)
        old = own_dict(self).get(name, _MISSING)
        store(self, name, value)
        same = value is old or (type(value) in _SIMPLE and _same(value, old))
        if not same or _read(self, "_oakum_marks") != before:
            bump(self)

    def _oakum_drop(self, name: str, remove: Callable) -> None:
        """Deletes an attribute, and notes the edit."""
        remove(self, name)
        marks = _read(self, "_oakum_marks")
        if marks and name in marks:
            # What is set next is another attribute, unless the class declares it.
            kinds = type(self)._oakum_kinds
            marks = {k: v for k, v in marks.items() if k != name}
            if name in kinds:
                marks[name] = kinds[name]
            object.__setattr__(self, "_oakum_marks", marks or None)
        bump(self)

    def __getstate__(self) -> dict[str, Any]:
        return {"attributes": dict(own_dict(self)), "marks": self._oakum_marks}

    def __setstate__(self, state: dict[str, Any]) -> None:
        stamp(self)
        dict.update(own_dict(self), state["attributes"])
        object.__setattr__(self, "_oakum_marks", state["marks"])
        bump(self)

    def __reduce__(self):
        state = self.__getstate__()
        state["attributes"] = {k: pack(v) for k, v in state["attributes"].items()}
        return _new, (type(self),), state

    def __copy__(self) -> Self:
        new = _new(type(self))
        new.__setstate__(self.__getstate__())
        return new

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        guard.note_taken((self,))
        # Not by __reduce__, which takes functions apart.
        memo[id(self)] = new = _new(type(self))
        new.__setstate__(deepcopy(self.__getstate__(), memo))
        return new


def _stamped(node: Any) -> Any:
    """An object that another class's `__new__` made, or is making: one of ours."""
    try:
        _read(node, "_oakum_mark")
    except AttributeError:
        return stamp(observed(node))
    return node


def _note_all(node: Any, own: dict) -> None:
    """Notes that a traced function reads all attributes of a node at once."""
    # Python's own dict, where it is not ours yet, and nothing is captured.
    found = () if type(own) is dict else dict.values(own)
    for item in found:
        if type(item) not in quiet:
            guard.note_plain(node, item)


def _check_slots(cls: type) -> None:
    """State in slots would be in no state: not trained, not saved.

    Raises:
        ArgumentError: the class, or one that it inherits from, has slots.
    """
    own = __name__.partition(".")[0]
    for base in cls.__mro__:
        slots = vars(base).get("__slots__")
        if slots and base.__module__.partition(".")[0] != own:
            raise ArgumentError(
                f"{cls.__name__} has __slots__ = {slots!r}"
                + ("" if base is cls else f", by {base.__name__}"),
                remedy="leave __slots__ out: the attributes of a module are its state, "
                "and those in slots would be neither trained nor saved.",
            )


def _check_static(
    module: Any, name: str, value: Any, error: Any = ArgumentValueError
) -> None:
    """State under a name that is marked as static would be in no state.

    NumPy arrays may be constants, compared by value.

    Raises:
        StaticValueError, ArgumentValueError: the value is or holds a Variable, an
            object or an array; the first where it is being marked.
    """
    leaves = jax.tree.leaves(value, is_leaf=is_object)
    if any([is_object(leaf) or isinstance(leaf, jax.Array) for leaf in leaves]):
        raise error(
            f"{type(module).__name__}.{name} is marked as static, and is set to "
            f"a {type(value).__name__}, which is or holds state",
            remedy=f"self.{name} = nnx.data(...) makes it data; or use another name, "
            f"or `del self.{name}` first.",
        )


def _same(new: Any, old: Any) -> bool:
    if type(new) is not type(old) or new != old:
        return False
    return new != 0 or repr(new) == repr(old)  # zeros differ by their sign


def _new(cls: type) -> Any:
    return stamp(blank(cls))


ON_SUBCLASS: list[Callable[[type], None]] = []


class Module(Pytree):
    """Base class of models and layers.

    Attributes that hold Variables, modules, arrays, or lists, tuples and dicts of these
    are the state; all others are configuration. Transforms take a module as argument
    and update it in place. What `object.__setattr__` sets between two compiled calls is
    looked for where the text of the program has it: some 30 ns for each attribute.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> class Model(nnx.Module):
        ...     def __init__(self, rngs):
        ...         self.layers = [nnx.Linear(2, 2, rngs=rngs) for _ in range(3)]
        ...     def __call__(self, x):
        ...         for layer in self.layers:
        ...             x = nnx.relu(layer(x))
        ...         return x
        >>> Model(nnx.Rngs(0))(jnp.ones((1, 2))).shape
        (1, 2)
    """

    __slots__ = ()


# By their layout in memory they are a list and a dict, and can be no subclasses.
Module.register(List)
Module.register(Dict)


def is_layer(kind: type) -> bool:
    """Whether a class is a module, and no List or Dict of them."""
    return issubclass(kind, Module) and not issubclass(kind, (List, Dict))


@overload
@dataclass_transform(field_specifiers=(dataclasses.field, data, static))
def dataclass(cls: type[T], /) -> type[T]: ...
@overload
def dataclass(**kwargs: Any) -> Callable[[type[T]], type[T]]: ...
def dataclass(cls: Any = None, **kwargs: Any) -> Any:
    """`dataclasses.dataclass` for Pytrees and Modules.

    Fields may be `nnx.data(...)` or `nnx.static(...)`. As with any dataclass, instances
    compare by their fields and cannot be hashed; `eq=False` keeps identity for both.

    Args:
        cls: the class; left out where used with arguments.
        **kwargs: as for `dataclasses.dataclass`.

    Example:
        >>> import oakum as nnx
        >>> @nnx.dataclass
        ... class Config(nnx.Module):
        ...     width: int = nnx.static(default=8)
        >>> Config().width
        8
    """
    if cls is None:
        return lambda c: dataclass(c, **kwargs)
    for name in inspect.get_annotations(cls):
        default = cls.__dict__.get(name)
        if type(default) is Marked:
            field = dataclasses.field(
                default=default.value, metadata={"oakum": default.kind}
            )
            setattr(cls, name, field)
    made = dataclasses.dataclass(**{"repr": False, **kwargs})(cls)
    fields = dataclasses.fields(made)
    kinds = {f.name: f.metadata["oakum"] for f in fields if "oakum" in f.metadata}
    if kinds:
        made._oakum_kinds = {**getattr(made, "_oakum_kinds", {}), **kinds}
    return made


def register_data_type(type_: type[T]) -> type[T]:
    """Makes attributes of a type data rather than static.

    Args:
        type_: a class of your own that JAX takes as a leaf.
    """
    DATA_TYPES.add(type_)
    return type_


def has_data(value: Any) -> bool:
    """Whether a pytree holds any data: arrays, Variables or nodes."""
    return is_data(value)
