"""Where weights come from: a folder, a file, or arrays by name."""

from __future__ import annotations

import glob
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import ArgumentError, CheckpointError, MissingCheckpointError
from .._steps import Shape
from ._format import MappedFile, pickle_error, unique

_INDEX = ".safetensors.index.json"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_OF_PICKLES = tuple(f"{ending}.index.json" for ending in _PICKLES)


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
    def __init__(self, homes: dict[str, MappedFile], text: str, folder: str):
        config, doubts = _read_config(folder)
        super().__init__({n: f.entries[n] for n, f in homes.items()}, text, config)
        self.homes = homes
        self.doubts += doubts

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
        arrays = {_name(name): _array(name, x) for name, x in source.items()}
        return Source(arrays, "a dict")
    if not isinstance(source, str | os.PathLike):
        raise ArgumentError(
            f"Weights come from a folder, file or dict, got {type(source).__name__}",
            remedy="nnx.weights.load(model, 'path/of/the/folder', rules).",
        )
    path = os.path.abspath(os.fsdecode(source))
    if os.path.isdir(path):
        return _open_folder(path)
    if path.endswith(_PICKLES + _OF_PICKLES) and os.path.exists(path):
        raise pickle_error(path)
    if path.endswith(_INDEX):
        return _open_index(path)
    file = MappedFile(path)
    return _Files(dict.fromkeys(file.entries, file), path, os.path.dirname(path))


def _open_folder(folder: str) -> Source:
    found = sorted(glob.glob(os.path.join(glob.escape(folder), "*.safetensors")))
    indexes = sorted(glob.glob(os.path.join(glob.escape(folder), f"*{_INDEX}")))
    usual = os.path.join(folder, "model.safetensors")
    if usual in found:
        source = open_source(usual)
        if f"{usual}.index.json" in indexes:
            doubt = "an index of other files is beside model.safetensors, which is read"
            source.doubts.append(doubt)
        return source
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
        if name.endswith(_PICKLES + _OF_PICKLES):
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
    found = _homes(table, files, path)
    homes = {name: files[shard] for name, shard in found.items()}
    source = _Files(homes, path, folder)
    size = sum(file.entries[n].size for n, file in homes.items())
    if total is not None and total != size:
        doubt = f"the index speaks of {total!r} bytes in all, and its files have {size}"
        source.doubts.append(doubt)
    source.doubts += [
        f"the index does not name {name!r}, which is in {shard}"
        for name, shard in found.items()
        if name not in table
    ]
    return source


def _homes(
    table: dict[str, str], files: dict[str, MappedFile], path: str
) -> dict[str, str]:
    """Which file each tensor is in, where the index and its files agree."""
    for shard, file in files.items():
        here = [name for name, home in table.items() if home == shard]
        lost = [name for name in here if name not in file.entries]
        if lost:
            others = [s for s, other in files.items() if lost[0] in other.entries]
            also = f", of which {others[0]} has the first" if others else ""
            raise _differ(path, f"{shard} lacks", lost, also)
    found: dict[str, str] = {}
    for shard, file in files.items():
        twice = [n for n in file.entries if table.get(n, found.get(n, shard)) != shard]
        if twice:
            other = table.get(twice[0], found.get(twice[0]))
            raise _differ(path, f"{shard} has besides", twice, f", and so has {other}")
        found |= dict.fromkeys(file.entries, shard)
    return found


def _differ(path: str, what: str, names: list[str], also: str) -> CheckpointError:
    return CheckpointError(
        f"The index and its files differ: {what} {', '.join(map(repr, names[:5]))}"
        + (f" and {len(names) - 5} more" if names[5:] else "")
        + also,
        where=path,
        remedy="download or copy index and files again, all of one version.",
    )


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
        if shard.endswith(_PICKLES):
            raise pickle_error(os.path.join(os.path.dirname(path), shard))
        if not shard.endswith(".safetensors"):
            raise _leaves_folder(path, name, shard)
    return table, total


def _leaves_folder(path: str, name: str, shard: str) -> CheckpointError:
    return CheckpointError(
        f"The index says that {name!r} is in {shard!r}, which is no file of its folder "
        "by the name of .safetensors",
        where=path,
        remedy="put the files beside the index, and name them without a folder.",
    )


def _read_config(folder: str) -> tuple[dict | None, list[str]]:
    """The config beside the weights, if there is one, and what is wrong with it."""
    try:
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
            config = json.load(file)
        if isinstance(config, dict):
            return config, []
        why = f"it holds a {type(config).__name__}"
    except FileNotFoundError:
        return None, []
    except (OSError, ValueError, RecursionError) as error:
        why = str(error)
    return None, [f"config.json is no table, and nothing was compared with it: {why}"]


def _name(name: Any) -> str:
    if isinstance(name, str):
        return name
    raise ArgumentError(
        f"Weights go by names, and the dict has {name!r}, a {type(name).__name__}",
        remedy="pass arrays by the names of a file: {'fc.weight': ...}, as state_dict "
        "and load_file give them.",
    )


def _array(name: Any, value: Any) -> Any:
    """A dict's value as an array of NumPy or JAX; PyTorch's tensors without a copy."""
    what = f"a {type(value).__name__}"
    if hasattr(value, "detach"):
        try:
            return _of_torch(value)
        except (RuntimeError, TypeError, NotImplementedError) as error:
            what = f"a tensor without plain values ({str(error).splitlines()[0]})"
    elif isinstance(value, np.ndarray | np.generic):
        if not isinstance(value, np.ma.MaskedArray) and value.dtype.kind in "biufcV":
            # JAX takes the order of bytes of the machine alone.
            return value.astype(value.dtype.newbyteorder("="), copy=False)
        what = f"{what} of {value.dtype}"
    elif hasattr(value, "shape") and hasattr(value, "dtype"):
        return value
    raise ArgumentError(
        f"{name!r} of the weights is {what}, no array of numbers",
        remedy="pass a dict of dense arrays by name, such as load_file gives.",
    )


def _of_torch(value: Any) -> np.ndarray:
    value = value.detach().cpu().resolve_conj().resolve_neg()
    kind = str(value.dtype).removeprefix("torch.")
    if kind == "bfloat16" or kind.startswith("float8"):
        torch: Any = sys.modules["torch"]
        bits = torch.int16 if kind == "bfloat16" else torch.uint8
        return value.contiguous().view(bits).numpy().view(kind)
    return value.numpy()
