"""Where weights come from: a folder, a file, or arrays by name."""

from __future__ import annotations

import glob
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ArgumentError, CheckpointError, MissingCheckpointError
from ._format import MappedFile, pickle_error, unique
from ._steps import Shape

_INDEX = ".safetensors.index.json"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


class Source:
    """Tensors by name, of which shape and dtype are known before one is read.

    Args:
        tensors: for each name what has a `shape` and a `dtype`.
        text: what it is, for messages.
        config: the content of `config.json`, where there is one.
    """

    def __init__(
        self, tensors: Mapping[str, Any], text: str, config: dict | None = None
    ):
        self.tensors = dict(tensors)
        self.text = text
        self.config = config or {}
        self.doubts: list[str] = []  # on the whole of it

    def shape(self, name: str) -> Shape:
        """A tensor's shape."""
        return tuple(self.tensors[name].shape)

    def dtype(self, name: str) -> np.dtype:
        """A tensor's dtype."""
        return np.dtype(self.tensors[name].dtype)

    def view(self, name: str) -> Any:
        """A tensor, as an array that is read when it is used."""
        return self.tensors[name]

    def place(self, name: str) -> Any:
        """What to sort by to read tensors in the order in which they lie."""
        return 0


class _Files(Source):
    def __init__(self, homes: dict[str, MappedFile], text: str, config: dict | None):
        super().__init__({n: f.entries[n] for n, f in homes.items()}, text, config)
        self.homes = homes

    def view(self, name: str) -> np.ndarray:
        return self.homes[name].view(name)

    def place(self, name: str) -> Any:
        return self.homes[name].path, self.tensors[name].start


def open_source(source: Any) -> Source:
    """Opens a folder, a file or a dict of arrays, and checks every header.

    Raises:
        ArgumentError: it is none of these.
        CheckpointError: a file is missing, damaged or a pickle.
    """
    if isinstance(source, Source):
        return source
    if isinstance(source, Mapping):
        return Source({name: _array(name, x) for name, x in source.items()}, "a dict")
    if not isinstance(source, str | os.PathLike):
        raise ArgumentError(
            f"Weights come from a folder, file or dict, got {type(source).__name__}",
            remedy="nnx.weights.load(model, 'path/of/the/folder', rules).",
        )
    path = os.path.abspath(os.fsdecode(source))
    if os.path.isdir(path):
        return _open_folder(path)
    if path.endswith(_PICKLES) and os.path.exists(path):
        raise pickle_error(path)
    if path.endswith(_INDEX):
        return _open_index(path)
    file = MappedFile(path)
    config = _read_config(os.path.dirname(path))
    return _Files(dict.fromkeys(file.entries, file), path, config)


def _open_folder(folder: str) -> Source:
    found = sorted(glob.glob(os.path.join(glob.escape(folder), "*.safetensors")))
    indexes = sorted(glob.glob(os.path.join(glob.escape(folder), f"*{_INDEX}")))
    usual = os.path.join(folder, "model.safetensors")
    if usual in found:
        return open_source(usual)
    if f"{usual}.index.json" in indexes or len(indexes) == 1:
        named = f"{usual}.index.json"
        return _open_index(named if named in indexes else indexes[0])
    if len(found) == 1:
        return open_source(found[0])
    if found or indexes:
        names = ", ".join(os.path.basename(p) for p in [*found, *indexes])
        raise CheckpointError(
            f"The folder has several files and no index of them: {names}",
            where=folder,
            remedy="name the file that is meant.",
        )
    for name in sorted(os.listdir(folder)):
        if name.endswith(_PICKLES):
            raise pickle_error(os.path.join(folder, name))
    raise MissingCheckpointError(
        "The folder has no .safetensors file",
        where=folder,
        remedy="check the path; it is the folder with model.safetensors in it.",
    )


def _open_index(path: str) -> Source:
    folder = os.path.dirname(path)
    table, total = _read_index(path)
    shards = sorted(set(table.values()))
    missing = [s for s in shards if not os.path.isfile(os.path.join(folder, s))]
    if missing:
        raise MissingCheckpointError(
            "The index names files that the folder lacks: "
            + ", ".join(f"{shard} (for {_some_of(table, shard)})" for shard in missing),
            where=path,
            remedy="download or copy them, beside the index.",
        )
    files = {shard: MappedFile(os.path.join(folder, shard)) for shard in shards}
    absent = [name for name, shard in table.items() if name not in files[shard].entries]
    twice = [
        name
        for shard, file in files.items()
        for name in file.entries
        if table.get(name, shard) != shard
    ]
    for names, what in ((absent, "lacks"), (twice, "has besides")):
        if names:
            raise CheckpointError(
                f"The index and its files differ: a file {what} "
                f"{', '.join(map(repr, names[:5]))}",
                where=path,
                remedy="download or copy index and files again, all of one version.",
            )
    homes = {name: file for file in files.values() for name in file.entries}
    source = _Files(homes, path, _read_config(folder))
    size = sum(file.entries[n].size for n, file in homes.items())
    if total is not None and total != size:
        doubt = f"the index speaks of {total!r} bytes in all, and its files have {size}"
        source.doubts.append(doubt)
    return source


def _some_of(table: dict[str, str], shard: str) -> str:
    """Tensors that are said to be in a file."""
    names = [name for name, home in table.items() if home == shard]
    return repr(names[0]) + (f" and {len(names) - 1} more" if names[1:] else "")


def _read_index(path: str) -> tuple[dict[str, str], Any]:
    """The table of tensors and files, and the size that the index has for all."""
    total = None
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file, object_pairs_hook=unique)
        table = content["weight_map"]
        if isinstance(content.get("metadata"), dict):
            total = content["metadata"].get("total_size")
        good = bool(table) and all(isinstance(v, str) for v in table.values())
    except FileNotFoundError:
        raise MissingCheckpointError(
            "There is no such index", where=path, remedy="check the path."
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        table, good = {}, False
    if not good:
        raise CheckpointError(
            "The index has no weight_map, a table of tensors and files",
            where=path,
            remedy="download or copy it again.",
        )
    for name, shard in table.items():
        # A plain name of this folder: what it holds must not lead out of it.
        if os.path.basename(shard) != shard or "\\" in shard or "\0" in shard:
            raise _leaves_folder(path, name, shard)
        if not shard.endswith(".safetensors"):
            raise pickle_error(os.path.join(os.path.dirname(path), shard))
    return table, total


def _leaves_folder(path: str, name: str, shard: str) -> CheckpointError:
    return CheckpointError(
        f"The index says that {name!r} is in {shard!r}, which is no file of its folder",
        where=path,
        remedy="put the files beside the index, and name them without a folder.",
    )


def _read_config(folder: str) -> dict | None:
    try:
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
            config = json.load(file)
    except (OSError, ValueError, RecursionError):
        return None
    return config if isinstance(config, dict) else None


def _array(name: Any, value: Any) -> Any:
    """A dict's value as an array of NumPy or JAX; PyTorch's tensors without a copy."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        kind = str(value.dtype).removeprefix("torch.")
        if kind == "bfloat16" or kind.startswith("float8"):
            torch: Any = sys.modules["torch"]
            bits = torch.int16 if kind == "bfloat16" else torch.uint8
            return value.contiguous().view(bits).numpy().view(kind)
        return value.numpy()
    if not (hasattr(value, "shape") and hasattr(value, "dtype")):
        raise ArgumentError(
            f"{name!r} of the weights is a {type(value).__name__}, no array",
            remedy="pass a dict of arrays by name, such as load_file gives.",
        )
    return value
