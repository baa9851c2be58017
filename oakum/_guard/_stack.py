"""How the code that is running reaches an object: its transform, its path, its roots.

All of it walks the Python stack, so it runs only when a message is being built.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

import jax

from .._repr import path_text
from ._origin import user_frame
from ._trace import context

_JAX = os.path.dirname(os.path.abspath(jax.__file__)) + os.sep
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
# Here names stand for any object: `self`, `variable`.
_OWN = ("_guard", "_objects", "_statics", "_graph", "_state", "_protocols")
_NAMELESS = (_JAX, *(_PACKAGE + folder + os.sep for folder in _OWN))

# Functions of JAX that stand on the stack while a transform runs the user's function,
# by name, or by qualified name where the name alone says too little.
_TRANSFORMS = {
    "scan": "jax.lax.scan",
    "while_loop": "jax.lax.while_loop",
    "fori_loop": "jax.lax.fori_loop",
    "cond": "jax.lax.cond",
    "_cond": "jax.lax.cond",
    "switch": "jax.lax.switch",
    "associative_scan": "jax.lax.associative_scan",
    "vmap_f": "jax.vmap",
    "value_and_grad_f": "jax.grad",
    "grad_f": "jax.grad",
    "vjp": "jax.vjp",
    "_vjp": "jax.vjp",
    "jvp": "jax.jvp",
    "_jvp": "jax.jvp",
    "linearize": "jax.linearize",
    "jacfun": "jax.jacobian",
    "fun_remat": "jax.checkpoint",
    "shard_map": "jax.shard_map",
    "eval_shape": "jax.eval_shape",
    "make_jaxpr_f": "jax.make_jaxpr",
    "cache_miss": "jax.jit",
    "trace": "jax.jit",
    "lower": "jax.jit",
    "jit_trace": "jax.jit",
    "jit_lower": "jax.jit",
    "jit_eval_shape": "jax.eval_shape",
    "custom_vjp.__call__": "jax.custom_vjp",
    "custom_jvp.__call__": "jax.custom_jvp",
    "_shard_map.<locals>.wrapped": "jax.shard_map",
    "pmap.<locals>.wrapped": "jax.pmap",
}


def running_transform() -> tuple[str, FrameType | None]:
    """Names the innermost transform on the stack, and the user's traced frame."""
    frame: FrameType | None = sys._getframe(1)
    inner: FrameType | None = None
    ours_last: FrameType | None = None
    found = ""
    while frame is not None:
        filename = frame.f_code.co_filename
        if filename.startswith(_PACKAGE):
            ours = context.frame
            if ours is not None and frame.f_locals.get("frame") is ours:
                return found or f"nnx.{ours.transform}", inner
            ours_last = frame
        elif filename.startswith(_JAX):
            # The outermost function of JAX above the user's frame is the one that the
            # user called: `grad` runs on `linearize`, `jit` on `trace`. It may have
            # been given one of our layers, with no frame of the user's in between.
            inner = inner or ours_last
            if inner is not None:
                code = frame.f_code
                found = _TRANSFORMS.get(code.co_name, found)
                found = _TRANSFORMS.get(code.co_qualname, found)
        elif found:
            return found, inner
        else:
            inner = frame
        frame = frame.f_back
    return found or "a JAX transform", inner if found else user_frame(2)


def object_path(root: Any, target: Any, name: str = "") -> str | None:
    """The shortest path from `root` to `target`, such as `model.layers[2].kernel`.

    What a twin stands for is as good as the twin.
    """
    targets = _names_of(target)
    queue = [(root, name)]
    seen = {id(root)}
    for node, path in queue:
        if id(node) in targets:
            return path
        for key, child in _children(node):
            if id(child) not in seen:
                seen.add(id(child))
                queue.append((child, path + path_text((key,))))
    return None


def _names_of(target: Any) -> set[int]:
    """The identities of an object and of those that it stands for in this thread."""
    names = {id(target)}
    for frame in reversed(context.frames):
        names |= {i for i, twin in frame.twins.items() if id(twin) in names}
    return names


def _children(node: Any) -> Iterator[tuple[Any, Any]]:
    list_children = getattr(type(node), "_oakum_children", None)
    if list_children is not None:
        for key, child in list_children(node):
            if not isinstance(node, dict | list) and not isinstance(key, str):
                key = str(key)
            elif isinstance(node, dict):
                yield _Item(key), child
                continue
            yield key, child
    elif isinstance(node, tuple | list):
        yield from enumerate(node)
    elif type(node) is dict:
        yield from [(_Item(key), child) for key, child in list(node.items())]


class _Item(tuple):
    """A dict key in a path: shown in brackets."""

    def __new__(cls, key: Any):
        return super().__new__(cls, (key,))

    def __repr__(self) -> str:
        return repr(self[0])


_originals: dict[int, Any] = {}
"""By the identity of a copy: what messages are to call it by."""


def stack_path(target: Any, stop: FrameType | None = None) -> tuple[str, str]:
    """Finds how the code that is running names `target`.

    Args:
        target: a Variable or node.
        stop: the frame to start from, else the outermost that knows it.

    Returns:
        The path of the target, and the name of the root object that it was found in
        (`self.optimizer`); both empty where nothing on the stack reaches it.
    """
    frames = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        filename = frame.f_code.co_filename
        if not filename.startswith(_NAMELESS):
            frames.append(frame)
        frame = frame.f_back
    named = stop is not None and not stop.f_code.co_filename.startswith(_NAMELESS)
    ordered = [stop, *frames[::-1]] if named else frames[::-1]
    for candidate in ordered:
        for name, value in iter_roots(candidate):
            path = object_path(value, target, name)
            if path is None:
                continue
            if id(value) in _originals:
                path = stack_path(_originals[id(value)])[0] + path[len(name) :]
            return path, name
    return "", ""


@contextmanager
def standing_for(copy: Any, original: Any) -> Iterator[None]:
    """Names a copy of the engine's by the path of its original, for a while."""
    _originals[id(copy)] = original
    try:
        yield
    finally:
        del _originals[id(copy)]


def iter_roots(frame: FrameType) -> Iterator[tuple[str, Any]]:
    """The objects that a function's frame names, the likeliest arguments first."""
    names = dict(frame.f_locals)
    for name in frame.f_code.co_names:
        if name in frame.f_globals:
            names.setdefault(name, frame.f_globals[name])
    nodes = [(n, v) for n, v in names.items() if hasattr(type(v), "_oakum_children")]
    # An optimizer owns its model: as the larger root it makes the better argument.
    nodes.sort(key=lambda item: "ptimizer" not in type(item[1]).__name__)
    yield from ((n, v) for n, v in nodes if n != "self" or _is_argument(frame))
    for name, value in names.items():
        yield from _held_by(value, name)
    if "self" in names and hasattr(type(names["self"]), "_oakum_children"):
        yield "self", names["self"]


def _held_by(value: Any, name: str) -> list[tuple[str, Any]]:
    """The objects among the attributes of what is none itself."""
    if hasattr(type(value), "_oakum_children") or inspect.ismodule(value):
        return []
    try:
        inner = vars(value)
    except TypeError:
        return []
    if isinstance(value, type):
        return []
    found = [
        (f"{name}.{key}", child)
        for key, child in inner.items()
        if hasattr(type(child), "_oakum_children")
    ]
    found.sort(key=lambda item: "ptimizer" not in type(item[1]).__name__)
    return found


def _is_argument(frame: FrameType) -> bool:
    code = frame.f_code
    return "self" in code.co_varnames[: code.co_argcount]


def names_in(code: CodeType) -> set[str]:
    """Every name and attribute that a function's text has, functions in it included."""
    inner = [names_in(const) for const in code.co_consts if isinstance(const, CodeType)]
    return {*code.co_names, *code.co_freevars}.union(*inner)
