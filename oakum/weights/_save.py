"""save: a model's arrays as a PyTorch program names and lays them out."""

from __future__ import annotations

import glob
import json
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import ArgumentError, ArgumentValueError, CheckpointError
from ..train.checkpoint._workplace import workplace
from ._beside import beside
from ._places import Slot, find_slots
from ._plan import check_float
from ._rules import Rules
from ._steps import Shape, convert, inverse
from .files._format import LENGTH, NAMES

_FILE = "model.safetensors"
_CONFIG_DTYPES = ("float16", "bfloat16", "float32", "float64")
_QUANTIZED = "quantization_config"


def save(
    model: Any,
    folder: str | os.PathLike[str],
    rules: Any = None,
    *,
    dtype: Any = None,
    config: Any = None,
    max_shard_size: int = 50_000_000_000,
) -> list[str]:
    """Saves the weights of a model as a PyTorch program reads them.

    The rules are those of `load`, read backwards: what was loaded comes back bit for
    bit. Arrays are written one at a time, and the files appear when all are written.

    Args:
        model: a module.
        folder: where `model.safetensors` is to be, or shards of it and their index; it
            is made if it is missing. Older weights in it are replaced.
        rules: as for `load`.
        dtype: what floating-point arrays are written as; None leaves them as they are.
        config: the content of `config.json`, or the folder or file to copy it from;
            None writes none. Its `dtype` becomes that of what is written.
        max_shard_size: from how many bytes on to begin another file.

    Returns:
        The names of the tensors.

    Raises:
        ArgumentError: an array has no value yet, or a dtype that the format lacks.
        ArgumentValueError: two arrays go by one name.

    Example:
        >>> import oakum as nnx, os, tempfile
        >>> folder = tempfile.mkdtemp()
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> nnx.weights.save(model, folder, {'fc': ''})
        ['fc.bias', 'fc.weight']
        >>> os.listdir(folder)
        ['model.safetensors']
    """
    if dtype is not None:
        check_float(dtype, "save")
    rules = Rules.of(rules, model)
    content = _config(config)
    tensors = _tensors(model, rules, dtype)
    if content is not None and content.get("tie_word_embeddings"):
        _leave_out_tied(tensors, rules)
    path = os.path.abspath(os.fsdecode(folder))
    os.makedirs(path, exist_ok=True)
    shards = _shards(tensors, max_shard_size)
    with workplace(os.path.join(path, _FILE)) as temporary:
        names = _shard_names(len(shards))
        for name, shard in zip(names, shards, strict=True):
            _write(os.path.join(temporary, name), shard)
        written = list(names)
        if len(shards) > 1:
            index = {
                "metadata": _totals(tensors),
                "weight_map": {
                    tensor: name
                    for name, shard in zip(names, shards, strict=True)
                    for tensor in shard
                },
            }
            written.append(f"{_FILE}.index.json")
            _write_json(os.path.join(temporary, written[-1]), index)
        if content is not None:
            content = _with_dtype(content, tensors, dtype is not None)
            written.append("config.json")
            _write_json(os.path.join(temporary, "config.json"), content)
        for name in written:
            os.replace(os.path.join(temporary, name), os.path.join(path, name))
    _remove_older(path, written)
    return sorted(tensors)


class _Tensor:
    """A tensor to be written: one slot, or several that hold a part each."""

    def __init__(self, name: str, shape: Shape, dtype: np.dtype):
        self.name = name
        self.shape = shape
        self.dtype = dtype
        self.slots: list[tuple[Slot, int]] = []
        self.given: np.ndarray | None = None

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def read(self) -> np.ndarray:
        """The array, in one piece and in order."""
        if self.given is not None:
            return self.given
        whole = None
        for slot, number in self.slots:
            ref = slot.refs[number]
            value = slot.leaf.value
            value = value[slot.index] if slot.index else value
            # What the layer adds up stands in the first; the others are zeros.
            value = value if number == 0 else np.zeros(slot.shape, value.dtype)
            dtype = jax.dtypes.canonicalize_dtype(self.dtype)
            back = convert([value], (None,), inverse(slot.steps), dtype)
            piece = np.asarray(back).astype(self.dtype, copy=False)
            if ref.part is None:
                return np.ascontiguousarray(piece).reshape(self.shape)
            whole = np.zeros(self.shape, self.dtype) if whole is None else whole
            ref.part.put(whole, piece)
        assert whole is not None
        return whole


def _tensors(model: Any, rules: Rules, dtype: Any) -> dict[str, _Tensor]:
    tensors: dict[str, _Tensor] = {}
    slots, _ = find_slots(model, rules)
    for slot in slots:
        if slot.leaf.same:
            continue
        stored = _dtype(slot, dtype)
        for number, ref in enumerate(slot.refs):
            shape = slot.tensor_shape(ref)
            tensor = tensors.setdefault(ref.name, _Tensor(ref.name, shape, stored))
            if tensor.slots and (ref.part is None or tensor.shape != shape):
                raise ArgumentValueError(
                    f"Two arrays go by the name {ref.name!r}: "
                    f"{tensor.slots[0][0].path} and {slot.path}",
                    remedy="give each a rule of its own, or share one Variable.",
                )
            tensor.slots.append((slot, number))
        for name, array in beside(slot):
            tensors[name] = _Tensor(name, array.shape, array.dtype)
            tensors[name].given = array
    return tensors


def _dtype(slot: Slot, dtype: Any) -> np.dtype:
    value = slot.leaf.value
    if isinstance(value, jax.ShapeDtypeStruct):
        raise ArgumentError(
            f"{slot.path} has no value yet: the model is abstract",
            remedy="load it first: nnx.weights.load(model, source, rules).",
        )
    stored = np.dtype(value.dtype)
    if slot.leaf.form is not None and slot.leaf.form.stored is not None:
        return slot.leaf.form.stored
    if dtype is not None and jnp.issubdtype(stored, np.floating):
        stored = np.dtype(dtype)
    if stored not in NAMES:
        raise _no_place(slot.path, stored)
    return stored


def _no_place(path: str, dtype: np.dtype) -> ArgumentError:
    """The error for a dtype that no file of this kind has."""
    if jnp.issubdtype(dtype, np.floating):
        remedy = "save in another: nnx.weights.save(..., dtype=jnp.bfloat16)"
    else:
        remedy = (
            "give each value a byte before: variable.value = "
            "variable.value.astype(jnp.int8); or pack two into one as uint8"
        )
    remedy += ". nnx.save keeps it as it is, for oakum alone."
    return ArgumentError(
        f"{path} is {dtype.name}, which safetensors files have no place for",
        remedy=remedy,
    )


def _leave_out_tied(tensors: dict[str, _Tensor], rules: Rules) -> None:
    """Lets go of what a reader takes from another tensor."""
    for name, other in rules.tied.items():
        if name not in tensors or other not in tensors:
            continue
        one, two = tensors[name].read(), tensors[other].read()
        if one.shape == two.shape and one.tobytes() == two.tobytes():
            del tensors[name]


def _totals(tensors: dict[str, _Tensor]) -> dict[str, int]:
    """What an index says of all its files."""
    counts = [math.prod(tensor.shape) for tensor in tensors.values()]
    sizes = [tensor.size for tensor in tensors.values()]
    return {"total_parameters": sum(counts), "total_size": sum(sizes)}


def _shards(tensors: dict[str, _Tensor], limit: int) -> list[dict[str, _Tensor]]:
    shards: list[dict[str, _Tensor]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        if shards[-1] and size + tensor.size > limit:
            shards.append({})
            size = 0
        shards[-1][name] = tensor
        size += tensor.size
    return shards


def _shard_names(count: int) -> list[str]:
    if count == 1:
        return [_FILE]
    return [f"model-{i + 1:05d}-of-{count:05d}.safetensors" for i in range(count)]


def _write(path: str, tensors: Mapping[str, _Tensor]) -> None:
    """Writes a file, one tensor in memory at a time."""
    # Wider dtypes first, so that each tensor lies at a multiple of its item's size.
    ordered = sorted(tensors.values(), key=lambda t: (-t.dtype.itemsize, t.name))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    for tensor, start in _with_starts(ordered):
        header[tensor.name] = {
            "dtype": NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, start + tensor.size],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % LENGTH)
    with open(path, "xb") as file:
        file.write(len(text).to_bytes(LENGTH, "little"))
        file.write(text)
        for tensor in ordered:
            file.write(tensor.read().reshape(-1).view(np.uint8).data)
        file.flush()
        os.fsync(file.fileno())


def _with_starts(tensors: list[_Tensor]) -> Iterator[tuple[_Tensor, int]]:
    start = 0
    for tensor in tensors:
        yield tensor, start
        start += tensor.size


def _write_json(path: str, content: Any) -> None:
    with open(path, "x", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.write("\n")


def _config(config: Any) -> dict | None:
    if config is None or isinstance(config, dict):
        return config
    path = os.fsdecode(config)
    path = os.path.join(path, "config.json") if os.path.isdir(path) else path
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"There is no config to copy: {error}",
            where=path,
            remedy="pass a dict, or the folder that the weights came from.",
        ) from None


def _with_dtype(config: dict, tensors: dict[str, _Tensor], added: bool) -> dict:
    """The config with the dtype that most of the weights have, of those it may name."""
    sizes: dict[str, int] = {}
    for tensor in tensors.values():
        if tensor.dtype.name in _CONFIG_DTYPES:
            sizes[tensor.dtype.name] = sizes.get(tensor.dtype.name, 0) + tensor.size
    if not sizes:
        return config
    most = max(sizes, key=lambda name: sizes[name])
    new = dict(config)
    for key, value in config.items():
        if key in ("dtype", "torch_dtype"):
            new[key] = value if value in sizes else most
        elif key.endswith("_config") and isinstance(value, dict) and key != _QUANTIZED:
            new[key] = _with_dtype(value, tensors, False)
    if added and not {"dtype", "torch_dtype"} & new.keys():
        new["dtype"] = most
    return new


def _remove_older(folder: str, written: list[str]) -> None:
    """Removes weights that were there before, which a reader might take for these."""
    shards = os.path.join(glob.escape(folder), "model-*-of-*.safetensors")
    older = [os.path.basename(path) for path in glob.glob(shards)]
    for name in (*older, _FILE, f"{_FILE}.index.json"):
        path = os.path.join(folder, name)
        if name not in written and os.path.exists(path):
            os.remove(path)
