"""Compact text for Variables and nodes.

A Variable shows its type, shape and dtype, and its values where they are few; a node
shows its type, how much state it holds, and its children by name. Objects yield their
parts; this file knows none of their classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

_INDENT = "  "
_FEW = 8


def array_repr(value: Any) -> str:
    """An array as `float32[2,3]`, with its values where they are few."""
    shape = getattr(value, "shape", None)
    dtype = getattr(value, "dtype", None)
    if shape is None or dtype is None:
        text = repr(value)
        return text if len(text) <= 80 else text[:77] + "..."
    head = shape_text(value)
    if np.prod(shape, dtype=int) > _FEW or not isinstance(dtype, np.dtype):
        return head
    try:
        values = np.array2string(np.asarray(value), precision=4, separator=", ")
    except Exception:  # a tracer, an abstract value, or a donated array has no values
        return head
    return f"{head} {' '.join(values.split())}"


def shape_text(array: Any) -> str:
    """Dtype and shape, as `float32[2,3]`."""
    return f"{array.dtype}[{','.join(map(str, array.shape))}]"


def path_text(path: Iterable[Any]) -> str:
    """A path below an object as Python writes it: `.layers[0].kernel`."""
    return "".join(
        [f".{step}" if isinstance(step, str) else f"[{step!r}]" for step in path]
    )


def size_note(sizes: dict[str, tuple[int, int]]) -> str:
    """Elements and bytes by type, as `  # Param: 9 (36 B)`; may be empty."""
    if not sizes:
        return ""
    parts = [f"{name}: {n:,} ({bytes_text(size)})" for name, (n, size) in sizes.items()]
    return f"  # {', '.join(parts)}"


def bytes_text(size: float) -> str:
    """A number of bytes, as `1.5 KB`."""
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def node_repr(
    name: str, note: str, parts: Iterable[tuple[str, str]], brackets: str = "()"
) -> str:
    """A node with its parts, one a line, or on one line where it is short.

    Args:
        name: its type.
        note: a comment for its first line, or the empty string.
        parts: label and text of each child; an empty label shows the text alone.
        brackets: what they stand in.
    """
    left, right = brackets
    sign = ": " if left == "{" else "="
    lines = [f"{label}{sign}{text}" if label else text for label, text in parts]
    flat = f"{name}{left}{', '.join(lines)}{right}"
    if (
        len(flat) + len(note) <= 80
        and "\n" not in flat
        and not any("#" in s for s in lines)
    ):
        return flat + note
    body = "".join(indented(_comma(line)) + "\n" for line in lines)
    return f"{name}{left}{note}\n{body}{right}"


def _comma(text: str) -> str:
    """Adds the comma before the comment where the text is one line that has one."""
    if "\n" not in text and "  # " in text:
        head, note = text.split("  # ", 1)
        return f"{head},  # {note}"
    return text + ","


def indented(text: str) -> str:
    return "\n".join(_INDENT + line for line in text.split("\n"))


def variable_repr(variable: Any) -> str:
    """A Variable with its value and metadata on one line."""
    meta = {k: v for k, v in variable._meta.items() if not k.startswith("on_")}
    parts = [array_repr(variable.get_raw_value())]
    parts += [f"{name}={value!r}" for name, value in meta.items()]
    return f"{type(variable).__name__}({', '.join(parts)})"


def value_size(value: Any) -> tuple[int, int]:
    """Elements and bytes of one array; zeros for what is none."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is None or dtype is None:
        return 0, 0
    n = int(np.prod(shape, dtype=int))
    return n, n * getattr(dtype, "itemsize", 0)
