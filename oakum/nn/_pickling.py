"""Lets models that hold a function of JAX, such as `jax.nn.relu`, be pickled.

A compiled function or one with a derivative of its own (`jax.jit`, `jax.custom_jvp`)
pickles as the plain function that it wraps, whose name leads back to the wrapper, and
pickle refuses. Here such a function, where it can be imported by name, pickles as that
name, like any other function. It also stays itself when it is copied, so that a model
and its deep copy have equal structures.
"""

from __future__ import annotations

import copyreg
import importlib
from typing import Any

import jax

# Tried before the module where JAX happens to define a function, as that may move.
_PUBLIC = ("jax.nn", "jax.numpy", "jax.lax")


def _find(module: str, name: str) -> Any:
    """What `module` calls `name`."""
    return getattr(importlib.import_module(module), name)


def _reduce(function: Any) -> tuple:
    name = getattr(function, "__qualname__", "")
    for module in (*_PUBLIC, getattr(function, "__module__", "")):
        try:
            if _find(module, name) is function:
                return _find, (module, name)
        except (AttributeError, ImportError, TypeError, ValueError):
            continue
    return function.__reduce_ex__(4)


for _wrapper in (type(jax.jit(lambda: None)), jax.custom_jvp, jax.custom_vjp):
    copyreg.pickle(_wrapper, _reduce)
