"""First values of parameters, by programs that compile quickly.

Making a model costs what XLA takes to compile a program for each shape: on CPU a third
of a second for a `truncated_normal` that then runs once, for a millisecond. With fewer
optimizations it compiles in a third of the time, to the same bits. What comes after it,
a product with a scale, stays a program of its own: in one with it, XLA joins the scale
with a factor of the draw, and a quarter of initializers and shapes get other bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .._compat import EAGER, tracing
from .._compat._programs import quick_function, quick_options
from .._typing import Dtype, Initializer

# What draws each value by itself; of what decomposes a matrix the bits might differ.
_FAMILIES = ("normal", "truncated_normal", "uniform", "variance_scaling")
_SETTINGS = ("jax_enable_x64", "jax_threefry_partitionable")  # on which bits depend
_MODULE = jax.nn.initializers.normal().__module__
_MOST = 4096
_programs: dict[Any, Callable[[Any], list[jax.Array]]] = {}


def first_value(
    init: Initializer, key: Any, shape: tuple[int, ...], dtype: Dtype
) -> Any:
    """What an initializer gives, bit for bit, sooner where it is one of JAX's.

    Args:
        init: takes a key, a shape and a dtype.
        key: a random key.
        shape: the shape of the value.
        dtype: its dtype.
    """
    if key is None or not _is_known(init) or not _is_eager():
        return init(key, shape, dtype)
    options = quick_options(jax.default_backend())
    # Equal initializers, made anew for each layer, share a program.
    held = [cell.cell_contents for cell in init.__closure__ or ()]
    asked = (init.__code__, *held, tuple(shape), jnp.dtype(dtype), jax.typeof(key))
    known = (*asked, *[getattr(jax.config, name) for name in _SETTINGS])
    try:
        program = _programs.get(known)
    except TypeError:  # a scale that is an array
        options = program = None
    if program is None:
        if options is None or len(_programs) >= _MOST:
            return init(key, shape, dtype)
        jaxpr = jax.make_jaxpr(lambda key: init(key, shape, dtype))(key)
        try:
            program = _programs[known] = quick_function(jaxpr, options)
        except (AttributeError, ImportError):  # another JAX
            return init(key, shape, dtype)
    (value,) = program(key)
    return value


def _is_known(init: Initializer) -> bool:
    """Whether it draws each value by itself, by one function of `jax.random`."""
    if getattr(init, "__module__", None) != _MODULE:
        return False
    family, _, inner = init.__qualname__.partition(".")
    return family in _FAMILIES and inner != ""


def _is_eager() -> bool:
    """Whether values are made here and now, without a mesh to spread them over."""
    return (
        tracing is not None
        and tracing.value is EAGER
        and not jax.config.jax_disable_jit  # type: ignore[attr-defined]
        and jax.sharding.get_abstract_mesh().empty
    )
