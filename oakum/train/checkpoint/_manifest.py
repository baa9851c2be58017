"""The manifest of a checkpoint: its form as JSON, and its comparison with objects.

    {"format": 1, "oakum": "0.1.0",
     "objects": {"model": [{"path": ["layers", 0, "kernel"], "value": 0}, ...]},
     "values": [{"type": "Param", "leaves": [{"path": "", "dtype": "float32",
        "shape": [2, 3], "tensor": "...", "sha256": "..."}]}, ...]}

Each object lists all its own paths, so that it can be loaded without the others. Paths
with the same value number share a Variable. A key of a path that is neither a string
nor an integer is written as its type and text.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ..._graph import Path
from ...errors import CheckpointError
from ._contents import Item, Spec, path_text
from ._schema import check_manifest
from ._tensors import TensorFile

FORMAT = 1


@dataclasses.dataclass
class Entry:
    """A place of state below an object: the number of its value.

    A node that is met again has its first path instead, `same`.
    """

    path: Path
    value: int = -1
    same: Path | None = None


@dataclasses.dataclass
class Leaf:
    """An array or number of a value: where it stands in the file, or its text."""

    path: str
    spec: Spec
    tensor: str = ""
    digest: str = ""
    weak: bool = False
    number: str | None = None


class Manifest:
    """What a checkpoint says of its content.

    Args:
        names: the names of the objects.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.objects: dict[str, list[Entry]] = {name: [] for name in names}
        self.values: list[tuple[str, list[Leaf]]] = []
        self.hint = ""  # what to do where it does not fit, first

    def find(self, path: Path) -> Entry:
        """The entry of a path that starts with the name of an object."""
        return self._index[path[0], _encode(path[1:])]

    @functools.cached_property
    def _index(self) -> dict[tuple[str, Path], Entry]:
        return {
            (name, entry.path): entry
            for name, entries in self.objects.items()
            for entry in entries
        }

    def add(self, item: Item, value: int = -1) -> None:
        """Lists an item: the number of its value, unless it is a node met again."""
        same = None if item.same is None else _encode(item.same[1:])
        self.objects[item.path[0]].append(Entry(_encode(item.path[1:]), value, same))

    def add_parts(self, names: Iterable[str]) -> None:
        """Lists the parts of objects that names with dots stand for, `model.body`."""
        for name in names:
            first, *steps = name.split(".")
            if name in self.objects or first not in self.objects or not steps:
                continue
            below = tuple(int(step) if step.isdigit() else step for step in steps)
            n = len(below)
            part = [
                Entry(entry.path[n:], entry.value, entry.same and entry.same[n:])
                for entry in self.objects[first]
                if entry.path[:n] == below
                and (entry.same is None or entry.same[:n] == below)
            ]
            if part:
                self.objects[name] = part

    def to_json(self) -> dict[str, Any]:
        """The manifest as JSON can hold it."""
        return {
            "format": FORMAT,
            "oakum": _version(),
            "objects": {
                name: [_entry_json(entry) for entry in entries]
                for name, entries in self.objects.items()
            },
            "values": [
                {"type": kind, "leaves": [_leaf_json(leaf) for leaf in leaves]}
                for kind, leaves in self.values
            ],
        }

    @classmethod
    def of_file(cls, file: TensorFile) -> Manifest:
        """The manifest of a file.

        Raises:
            CheckpointError: a later version of oakum wrote it, or it is not in order.
        """
        content = file.manifest
        if content["format"] > FORMAT:
            raise CheckpointError(
                f"The checkpoint has format {content['format']}, and this oakum reads "
                f"up to format {FORMAT}; oakum {content.get('oakum')} wrote it",
                where=file.path,
                remedy="pip install --upgrade oakum",
            )
        fault = check_manifest(content, file.offsets)
        if fault is not None:
            raise file.altered(fault)
        return cls.from_json(content)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Manifest:
        self = cls()
        for name, entries in content["objects"].items():
            self.objects[name] = [
                Entry(
                    _decode(entry["path"]),
                    entry.get("value", -1),
                    _decode(entry["same"]) if "same" in entry else None,
                )
                for entry in entries
            ]
        for value in content["values"]:
            leaves = [_leaf_from_json(leaf) for leaf in value["leaves"]]
            self.values.append((value["type"], leaves))
        return self


def _version() -> str:
    try:
        return version("oakum")
    except PackageNotFoundError:  # pragma: no cover - a folder that is not installed
        return "unknown"


def _entry_json(entry: Entry) -> dict[str, Any]:
    if entry.same is not None:
        return {"path": entry.path, "same": entry.same}
    return {"path": entry.path, "value": entry.value}


def _leaf_json(leaf: Leaf) -> dict[str, Any]:
    common = {"path": leaf.path, "dtype": leaf.spec.dtype, "shape": leaf.spec.shape}
    if leaf.number is not None:
        return {**common, "number": leaf.number}
    weak = {"weak": True} if leaf.weak else {}
    return {**common, "tensor": leaf.tensor, "sha256": leaf.digest, **weak}


def _leaf_from_json(leaf: dict[str, Any]) -> Leaf:
    return Leaf(
        leaf["path"],
        Spec(leaf["dtype"], tuple(leaf["shape"])),
        tensor=leaf.get("tensor", ""),
        digest=leaf.get("sha256", ""),
        weak=leaf.get("weak", False),
        number=leaf.get("number"),
    )


def _encode(path: Path) -> Path:
    return tuple(
        key if type(key) in (str, int) else (type(key).__name__, repr(key))
        for key in path
    )


def _decode(path: list[Any]) -> Path:
    return tuple(tuple(key) if isinstance(key, list) else key for key in path)


def mismatches(
    manifest: Manifest, names: Iterable[str], items: list[Item], whole: Iterable[str]
) -> list[str]:
    """What keeps a checkpoint from being loaded into objects, a line each.

    Args:
        manifest: what the checkpoint says.
        names: the names of the objects.
        items: the places of state in them.
        whole: the names of which the checkpoint may have no more.
    """
    known = manifest.objects
    lines = [
        f"{name}: not in the checkpoint, which has: {', '.join(known)}"
        for name in names
        if name not in known
    ]
    given = {(i.path[0], _encode(i.path[1:])): i for i in items if i.path[0] in known}
    sharing = _Sharing()
    for place, item in given.items():
        entry = manifest._index.get(place)
        if entry is None:
            from ..._elsewhere import of_missing

            lines.append(
                f"{path_text(item.path)}: missing from the checkpoint "
                f"({_item_text(item)}){of_missing(item.path)}"
            )
        else:
            lines += _differences(manifest, entry, item)
            lines += sharing.differences(entry, item)
    for (name, path), entry in manifest._index.items():
        if name in whole and (name, path) not in given:
            lines.append(
                f"{_text(name, path)}: only in the checkpoint "
                f"({_entry_text(manifest, name, entry)})"
            )
    return lines


def fits(manifest: Manifest, items: list[Item]) -> list[Item]:
    """The items of which the checkpoint has the value."""
    sharing = _Sharing()
    fitting = []
    for item in items:
        entry = manifest._index.get((item.path[0], _encode(item.path[1:])))
        if entry is None or item.same is not None or entry.same is not None:
            continue
        if not (
            _differences(manifest, entry, item) or sharing.differences(entry, item)
        ):
            fitting.append(item)
    return fitting


def _differences(manifest: Manifest, entry: Entry, item: Item) -> list[str]:
    """How the value of one path differs from what was saved."""
    where = path_text(item.path)
    if entry.same is not None or item.same is not None:
        same = None if item.same is None else _encode(item.same[1:])
        if same == entry.same:
            return []
        text = _entry_text(manifest, item.path[0], entry)
        return [f"{where}: expected {_item_text(item)}, got {text}"]
    kind, saved_leaves = manifest.values[entry.value]
    lines = []
    if kind != item.kind:
        lines.append(f"{where}: expected type {item.kind}, got {kind}")
    here = {path: Spec.of(leaf) for path, leaf in item.leaves()}
    saved = {leaf.path: leaf.spec for leaf in saved_leaves}
    for path in dict.fromkeys([*here, *saved]):
        differing = _differing(here.get(path), saved.get(path))
        lines += [f"{where}{path}: {difference}" for difference in differing]
    return lines


def _differing(expected: Spec | None, got: Spec | None) -> list[str]:
    if expected is None or got is None:
        return [f"expected {_or_nothing(expected)}, got {_or_nothing(got)}"]
    lines = []
    if expected.shape != got.shape:
        lines.append(f"expected shape {expected.shape}, got {got.shape}")
    if expected.dtype != got.dtype:
        lines.append(f"expected dtype {expected.dtype}, got {got.dtype}")
    return lines


class _Sharing:
    """Whether the same paths share a Variable here and in the checkpoint."""

    def __init__(self) -> None:
        self.here: dict[int, tuple[int, Item]] = {}
        self.there: dict[int, tuple[int, Item]] = {}

    def differences(self, entry: Entry, item: Item) -> list[str]:
        if entry.same is not None or not item.is_variable:
            return []
        ident, where = id(item.value), path_text(item.path)
        number, first = self.here.setdefault(ident, (entry.value, item))
        if number != entry.value:
            return [
                f"{where}: expected one Variable with {path_text(first.path)}, got two"
            ]
        other, first = self.there.setdefault(entry.value, (ident, item))
        if other != ident:
            return [
                f"{where}: expected a Variable of its own, got one with "
                f"{path_text(first.path)}"
            ]
        return []


def _or_nothing(spec: Spec | None) -> str:
    return "nothing" if spec is None else str(spec)


def _item_text(item: Item) -> str:
    if item.same is not None:
        return f"the same object as {path_text(item.same)}"
    specs = ", ".join(str(Spec.of(leaf)) for _, leaf in item.leaves())
    return f"{item.kind} {specs}"


def _entry_text(manifest: Manifest, name: str, entry: Entry) -> str:
    if entry.same is not None:
        return f"the same object as {_text(name, entry.same)}"
    kind, leaves = manifest.values[entry.value]
    return f"{kind} {', '.join(str(leaf.spec) for leaf in leaves)}"


def _text(name: str, path: Path) -> str:
    keys = [_Verbatim(key[1]) if isinstance(key, tuple) else key for key in path]
    return path_text((name, *keys))


class _Verbatim:
    """A key of which only the text is known."""

    def __init__(self, text: str):
        self.text = text

    def __repr__(self) -> str:
        return self.text
