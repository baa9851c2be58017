"""The form of a checkpoint's header and manifest, checked before anything is read.

The digests find what was damaged; this finds what was written by another hand: parts
that are missing, of another type, or that point to where nothing is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Offsets = Mapping[str, tuple[int, int]]


class _Fault(Exception):
    """What is wrong, in words."""


def check_entries(entries: Any) -> str | None:
    """What is wrong with the header of a safetensors file, or None.

    Args:
        entries: the header's content: by the name of each tensor where its bytes are.
    """
    try:
        _need(isinstance(entries, dict), "its header is no table of tensors")
        meta = entries.get("__metadata__")
        _need(isinstance(meta, dict), "its header has no metadata")
        spans = []
        for name, entry in entries.items():
            if name != "__metadata__":
                span: Any = (
                    entry.get("data_offsets") if isinstance(entry, dict) else None
                )
                _need(
                    isinstance(span, list)
                    and len(span) == 2
                    and all(map(_is_count, span))
                    and span[0] <= span[1],
                    f"tensor {name!r} has no place in the file: {span!r}",
                )
                spans.append((span[0], span[1], name))
        _check_disjoint(spans)
    except _Fault as fault:
        return str(fault)
    return None


def _check_disjoint(spans: list[tuple[int, int, str]]) -> None:
    end = 0
    for start, stop, name in sorted(spans):
        _need(start == end, f"the bytes of {name!r} overlap others, or leave a gap")
        end = stop


def check_manifest(content: Any, offsets: Offsets) -> str | None:
    """What is wrong with a manifest of the format that this oakum reads, or None.

    Args:
        content: the manifest, as JSON gives it.
        offsets: the tensors of the file, by name.
    """
    try:
        values = content.get("values")
        _need(isinstance(values, list), "the manifest has no list of values")
        for number, value in enumerate(values):
            _check_value(value, f"value {number}", offsets)
        objects = content.get("objects")
        _need(isinstance(objects, dict), "the manifest has no table of objects")
        for name, entries in objects.items():
            _need(isinstance(entries, list), f"object {name!r} has no list of paths")
            _check_paths(name, entries, len(values))
    except _Fault as fault:
        return str(fault)
    return None


def check_format(content: Any) -> str | None:
    """What is wrong with the number of a manifest's format, or None."""
    number: Any = content.get("format") if isinstance(content, dict) else None
    if _is_count(number) and number > 0:
        return None
    return f"the manifest's format is {number!r}, expected a number from 1"


def _check_paths(name: str, entries: list[Any], count: int) -> None:
    seen: set[Any] = set()
    for entry in entries:
        path: Any = entry.get("path") if isinstance(entry, dict) else None
        where = f"{name}: path {path!r}"
        _need(_is_path(path), f"{where} is no path")
        key = str([(type(step).__name__, step) for step in path])
        _need(key not in seen, f"{where} stands twice")
        seen.add(key)
        if "same" in entry:
            _need(_is_path(entry["same"]), f"{where} refers to no path")
        else:
            value: Any = entry.get("value")
            good = _is_count(value) and value < count
            _need(good, f"{where} has value {value!r}, expected one below {count}")


def _check_value(value: Any, where: str, offsets: Offsets) -> None:
    good = isinstance(value, dict) and isinstance(value.get("type"), str)
    _need(good and isinstance(value.get("leaves"), list), f"{where} has no leaves")
    paths = []
    for leaf in value["leaves"]:
        _need(isinstance(leaf, dict), f"{where} has a leaf without content")
        shape, dtype = leaf.get("shape"), leaf.get("dtype")
        _need(isinstance(leaf.get("path"), str), f"{where} has a leaf without a path")
        good = isinstance(shape, list) and all(map(_is_count, shape))
        _need(good, f"{where} has shape {shape!r}")
        _need(isinstance(dtype, str), f"{where} has dtype {dtype!r}")
        _need(isinstance(leaf.get("weak", False), bool), f"{where}: weak is no boolean")
        if leaf.get("number") is not None:
            _check_number(leaf["number"], dtype, where)
        else:
            _check_tensor(leaf, where, offsets)
        paths.append(leaf["path"])
    _need(len(set(paths)) == len(paths), f"{where} has two leaves at one path")


_NUMBERS: dict[str, Callable[[str], Any]] = {
    "Python int": int,
    "Python float": float,
    "Python complex": complex,
    "Python bool": {"True": True, "False": False}.__getitem__,
}
_NAMED = "Python "  # also begins the names of other numbers that Python code defines


def _check_number(number: Any, dtype: str, where: str) -> None:
    try:
        _need(isinstance(number, str), f"{where}: number {number!r} is no text")
        _need(dtype.startswith(_NAMED), f"{where}: {number!r} is no {dtype}")
        _NUMBERS.get(dtype, str)(number)
    except (KeyError, ValueError):
        raise _Fault(f"{where}: {number!r} is no {dtype}") from None


def _check_tensor(leaf: dict[str, Any], where: str, offsets: Offsets) -> None:
    name, digest = leaf.get("tensor"), leaf.get("sha256")
    known = isinstance(name, str) and name in offsets
    _need(known, f"{where}: there is no tensor {name!r}")
    good = isinstance(digest, str) and len(digest) == 64
    _need(good, f"{where}: {digest!r} is no digest")
    start, end = offsets[str(name)]
    size = _itemsize(leaf["dtype"], where)
    expected = size * math.prod(leaf["shape"])
    good = end - start == expected if size else True
    _need(good, f"{where}: expected {expected} bytes, got {end - start}")


def _itemsize(dtype: str, where: str) -> int:
    """Bytes of an item; 0 where only the implementation of random keys knows."""
    if dtype.startswith("key<") and dtype.endswith(">"):
        return 0
    try:
        return np.dtype(dtype).itemsize
    except (TypeError, ValueError, SyntaxError):
        raise _Fault(f"{where}: there is no dtype {dtype!r}") from None


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_path(path: Any) -> bool:
    return isinstance(path, list) and all(map(_is_step, path))


def _is_step(step: Any) -> bool:
    if isinstance(step, list):
        return len(step) == 2 and all(isinstance(part, str) for part in step)
    return type(step) in (str, int)


def _need(good: Any, otherwise: str) -> None:
    if not good:
        raise _Fault(otherwise)
