"""For every layer: arguments, making and reading a parameter, refusing an input."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._guard import abstract_error
from .._objects import Module, Param, Variable, is_array, module_path
from .._rngs import Rngs
from .._typing import Dtype, Initializer
from ..errors import (
    ArgumentError,
    ArgumentValueError,
    MissingRngError,
    OakumError,
    ShapeError,
)
from ._first_values import first_value


def plain(value: Any) -> Any:
    """A number, or a nested list of such, as Python numbers and tuples.

    So a layer has the same structure, and a step that takes it one trace, whether its
    sizes and rates come from NumPy or from Python.
    """
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, str) or not isinstance(value, Sequence):
        return value
    return tuple(plain(item) for item in value)


def as_tuple(value: Any) -> tuple:
    """Numbers as a tuple of Python's: one alone, or several of any kind."""
    value = plain(value)
    return value if isinstance(value, tuple) else (value,)


def as_array(value: Any) -> Any:
    """A layer's input as an array: nested lists and numbers become one."""
    return value if hasattr(value, "shape") else jnp.asarray(value)


def first_from(*args: Any, error_msg: str) -> Any:
    """The first argument that is not None: what a call says, then the constructor.

    Raises:
        ArgumentValueError: all are None; `error_msg` is its text.
    """
    for value in args:
        if value is not None:
            return value
    raise ArgumentValueError(error_msg, remedy="give one of the values.")


def make_param(
    init: Initializer,
    rngs: Rngs | None,
    shape: tuple[int, ...],
    dtype: Dtype,
    metadata: Mapping[str, Any],
    name: str,
    kind: Any = Param,
) -> Param:
    """A Param (or `kind`) of `shape`, its key drawn from the `params` stream.

    A key is drawn even for an initializer that ignores it, so that the layers made
    next get the keys that flax gives them. Without `rngs`, only such an initializer
    succeeds.
    """
    if rngs is not None:
        value = first_value(init, rngs.params(), shape, dtype)
        return kind(value, **metadata)
    try:
        value = init(None, shape, dtype)  # type: ignore[arg-type]
    except TypeError as error:
        raise MissingRngError(
            f"{name} of shape {shape} starts at random and got no rngs",
            remedy="pass rngs=nnx.Rngs(0) to the layer.",
        ) from error
    return kind(value, **metadata)


def param_maker(
    layer: Module, rngs: Rngs | None, dtype: Dtype, kind: Any = Param
) -> Callable[..., Param]:
    """What makes the parameters of a layer: `make(name, init, shape, metadata)`."""

    def make(
        name: str,
        init: Initializer,
        shape: tuple[int, ...],
        metadata: Mapping[str, Any],
    ) -> Param:
        name = f"{type(layer).__name__}.{name}"
        return make_param(init, rngs, shape, dtype, metadata, name, kind)

    return make


def make_late_param(init: Initializer, rngs: Rngs | None, *given: Any) -> Param:
    """As `make_param`, but draws a key only where the initializer needs one.

    For parameters for which flax draws none, so that later layers get flax's keys.
    """
    try:
        return make_param(init, None, *given)
    except MissingRngError:
        return make_param(init, rngs, *given)


def value_of(layer: Module, name: str) -> Any:
    """The array of a parameter, or None where the layer has none.

    A bare array that was put in a Variable's place serves as well: a constant; so does
    what gives an array for `[...]`, as a Variable does.
    """
    leaf = getattr(layer, name)
    if isinstance(leaf, Variable):
        value = leaf.get_value()
        if type(value) is jax.ShapeDtypeStruct:
            raise abstract_error(leaf)
        return value
    if leaf is None or is_array(leaf):
        return leaf
    read = getattr(type(leaf), "__getitem__", None)
    if read is None or isinstance(leaf, (Sequence, Mapping)):
        raise no_variable(layer, name, "Param")
    return read(leaf, ...)


def no_variable(layer: Module, name: str, kind: str) -> ArgumentError:
    """The error for an attribute that was a Variable of this kind and is none now."""
    leaf = getattr(layer, name)
    return ArgumentError(
        f"The {name} of a {type(layer).__name__} is to be a {kind}, but is a "
        f"{type(leaf).__name__}: {leaf!r:.60}",
        where=f"{module_path(layer)}.{name}",
        remedy=f"put the array in the Variable, layer.{name}[...] = array, or a new "
        f"one in its place, layer.{name} = nnx.{kind}(array).",
    )


def broadcasts(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Whether an array of `shape` broadcasts to `target`."""
    pairs = zip(shape[::-1], target[::-1], strict=False)
    return len(shape) <= len(target) and all(got in (1, size) for got, size in pairs)


def check_last_axis(layer: Module, inputs: jax.Array, size: int, argument: str) -> None:
    """Raises a ShapeError unless the last axis of the input has a size.

    Args:
        layer: the layer.
        inputs: what it was given.
        size: the size that fits.
        argument: the constructor argument that set it.
    """
    if inputs.shape[-1:] != (size,):
        raise last_axis_error(layer, inputs, size, argument)


def last_axis_error(
    layer: Module, inputs: jax.Array, size: int, argument: str
) -> ShapeError:
    """The error of `check_last_axis`, for a layer that raises it in its own frame."""
    got = inputs.shape[-1] if inputs.shape else None
    return size_error(layer, inputs, axis=-1, expected=size, got=got, argument=argument)


def check_kind(
    layer: Module,
    array: jax.Array,
    kind: Any,
    what: str,
    cast: str,
    error: type[OakumError] = ArgumentValueError,
) -> None:
    """Raises an error where an array is of another kind of dtype.

    Args:
        layer: the layer.
        array: what it was given.
        kind: the kind, such as `jnp.integer`.
        what: the array, and what it is for, as the start of a sentence.
        cast: the call with the array cast.
        error: of the class that flax.nnx raises there.
    """
    if not jnp.issubdtype(array.dtype, kind):
        raise error(
            f"{what} dtype {array.dtype}", where=module_path(layer), remedy=cast
        )


def size_error(
    module: Module, inputs: Any, *, axis: Any, expected: int, got: Any, argument: str
) -> ShapeError:
    """The error for an input whose `axis` has another size than the layer was made for.

    Args:
        module: the layer.
        inputs: what it was given.
        axis: the axis, or axes, that do not fit.
        expected: the size that fits.
        got: the size found, None where the input lacks the axis.
        argument: the constructor argument that set the size.
    """
    kind = type(module).__name__
    dims = f"axis {axis}"
    found = f"has no {dims}" if got is None else f"has {got} at {dims}"
    rebuild = "" if got is None else f", or build it with {argument}={got}"
    return ShapeError(
        f"{kind} expects {expected} at {dims} ({argument}={expected}), but the input "
        f"of shape {tuple(inputs.shape)} {found}",
        where=module_path(module),
        remedy=f"pass the layer an input that has {expected} at {dims}{rebuild}.",
    )
