"""The safetensors format: a header that is checked in full, and a map of the file.

Eight bytes hold the length of the header, JSON text that has for each tensor its dtype,
shape and place; the bytes of the tensors follow. The reader is our own, since that of
the safetensors package gives NumPy no float8, and reads into memory what may be mapped.
Format: https://github.com/huggingface/safetensors, Hugging Face, 2022.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import math
import mmap
import os
import stat
from typing import Any, NoReturn

import jax.numpy as jnp
import numpy as np

from ...errors import CheckpointError, MissingCheckpointError

LENGTH = 8  # bytes that hold the length of the header
_LONGEST_HEADER = 100_000_000  # as the safetensors package has it

DTYPES: dict[str, np.dtype] = {
    "BOOL": np.dtype(bool),
    "U8": np.dtype("<u1"),
    "I8": np.dtype("<i1"),
    "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"),
    "F16": np.dtype("<f2"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "C64": np.dtype("<c8"),
    "BF16": np.dtype(jnp.bfloat16),
    "F8_E4M3": np.dtype(jnp.float8_e4m3fn),
    "F8_E5M2": np.dtype(jnp.float8_e5m2),
    "F8_E8M0": np.dtype(jnp.float8_e8m0fnu),
    "F8_E4M3FNUZ": np.dtype(jnp.float8_e4m3fnuz),
    "F8_E5M2FNUZ": np.dtype(jnp.float8_e5m2fnuz),
}
# Of the format too, but several values in a byte, in an order of each maker's own.
_NARROW = ("F4", "F6_E2M3", "F6_E3M2")
# What files of other kinds begin with.
_OTHERS = {
    b"GGUF": "a GGUF file, whose quantized blocks are another format",
    b"\x89HDF": "an HDF5 file",
    b"\x1f\x8b": "compressed by gzip",
}
NAMES = {dtype.newbyteorder("="): name for name, dtype in DTYPES.items()}


@dataclasses.dataclass(frozen=True)
class Entry:
    """What a header says of one tensor.

    Args:
        name: its name.
        dtype: its dtype.
        shape: its shape.
        start, end: where its bytes are, counted from the end of the header.
    """

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return self.end - self.start


class MappedFile:
    """A safetensors file, its header checked and its tensors mapped, not read.

    Args:
        path: the file.

    Attributes:
        entries: what the header says, by the name of each tensor.
        metadata: the texts beside them.

    Raises:
        CheckpointError: it is missing, no safetensors file, or its header is at odds
            with itself or with the size of the file.
    """

    def __init__(self, path: str):
        self.path = path
        try:
            if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would never open
                raise OSError(errno.EINVAL, "it is no plain file")
            with open(path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                header = self._read_header(file, size)
                self._data = LENGTH + len(header)
                self.entries, self.metadata = parse_header(
                    header, size - self._data, path
                )
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError:
            raise MissingCheckpointError(
                "There is no file of weights", where=path, remedy="check the path."
            ) from None
        except OSError as error:
            raise CheckpointError(
                f"The file of weights cannot be read: {error.strerror}",
                where=path,
                remedy="it is to be a plain file that this program may read.",
            ) from None

    def view(self, name: str) -> np.ndarray:
        """A tensor, read-only: its bytes stay in the file until they are used."""
        entry = self.entries[name]
        count = math.prod(entry.shape)
        start = self._data + entry.start
        flat = np.frombuffer(self._map, entry.dtype, count, start)
        return flat.reshape(entry.shape)

    def _read_header(self, file: Any, size: int) -> bytes:
        first = file.read(LENGTH)
        length = int.from_bytes(first, "little")
        if len(first) < LENGTH or length > min(size - LENGTH, _LONGEST_HEADER):
            why = f"it has {size} bytes, and its header is to have {length}"
            if first.lstrip().startswith((b"{", b"[")):
                why = "it is text in JSON, such as a config or an index of other files"
            fault(self.path, why, first)
        return file.read(length)


def parse_header(
    header: bytes, size: int, path: str
) -> tuple[dict[str, Entry], dict[str, str]]:
    """The entries and metadata of a header.

    Args:
        header: its bytes.
        size: of the data after it, in bytes.
        path: the file, for errors.

    Raises:
        CheckpointError: no bytes of the file can be trusted to be what it says.
    """
    try:
        content = json.loads(header.decode(), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        fault(path, f"its header is no JSON ({error})", header)
    if not isinstance(content, dict):
        fault(path, "its header is no table of tensors")
    metadata = content.pop("__metadata__", {})
    texts = isinstance(metadata, dict) and all(
        isinstance(value, str) for value in metadata.values()
    )
    if not texts:
        fault(path, "its metadata is no table of texts")
    entries = {name: _entry(name, given, path) for name, given in content.items()}
    _check_places(entries, size, path)
    return entries, metadata


def fault(path: str, why: str, seen: bytes = b"") -> NoReturn:
    """Raises for a file that is damaged, or of another kind."""
    if seen.startswith(b"PK") and path.endswith(".npz"):
        raise CheckpointError(
            "The file of weights is an archive of NumPy's",
            where=path,
            remedy="pass what it holds: nnx.weights.load(model, dict(np.load("
            f"{os.path.basename(path)!r})), rules).",
        )
    if seen.startswith((b"PK", b"\x80")):
        raise pickle_error(path)
    if seen.startswith(b"version "):
        raise CheckpointError(
            "The file of weights is a pointer of Git LFS, in place of the file itself",
            where=path,
            remedy="fetch it: git lfs pull, or download the file by its address.",
        )
    kind = next((k for first, k in _OTHERS.items() if seen.startswith(first)), None)
    if kind is not None:
        why = f"it is {kind}"
    if seen.lstrip().startswith(b"<"):
        why = "it is a page of the web, such as one that asks to sign in"
    raise CheckpointError(
        f"The file of weights is damaged, or no safetensors file: {why}. Nothing of it "
        "was read",
        where=path,
        remedy="download or copy it again.",
    )


def pickle_error(path: str) -> CheckpointError:
    """The error for a file that holds a pickle, which may run any program."""
    return CheckpointError(
        "A file of torch.save holds a pickle, which can run any program when it is "
        "read, so oakum does not",
        where=path,
        remedy="write it anew, where PyTorch is installed and the file is trusted:"
        "\n\n    import torch, safetensors.torch"
        f"\n    state = torch.load({os.path.basename(path)!r}, weights_only=True)"
        "\n    state = {k: v.clone().contiguous() for k, v in state.items()}"
        "\n    safetensors.torch.save_file(state, 'model.safetensors', {'format': "
        "'pt'})",
    )


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A table of JSON in which no name stands twice: readers differ on which holds."""
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{double!r} stands twice")
    return table


def _entry(name: str, given: Any, path: str) -> Entry:
    if not isinstance(given, dict):
        fault(path, f"{name!r} has no dtype, shape and place")
    code, shape, span = (given.get(k) for k in ("dtype", "shape", "data_offsets"))
    dtype = DTYPES.get(code) if isinstance(code, str) else None
    if code in _NARROW:
        raise CheckpointError(
            f"{name!r} has dtype {code}, several values in a byte, which oakum does "
            "not read",
            where=path,
            remedy="write it anew as U8 or in a wider dtype, with the program that "
            "made it: tensor.view(torch.uint8), or tensor.float().",
        )
    if dtype is None:
        fault(path, f"{name!r} has a dtype that is not known: {code!r}")
    if not (isinstance(shape, list) and all(map(_is_count, shape))):
        fault(path, f"{name!r} has shape {shape!r}")
    if not (isinstance(span, list) and len(span) == 2 and all(map(_is_count, span))):
        fault(path, f"{name!r} has no place in the file: {span!r}")
    start, end = span
    expected = math.prod(shape) * dtype.itemsize
    if end - start != expected:
        fault(
            path,
            f"{name!r}, {code}{shape}, takes {expected} bytes, and has {end - start}",
        )
    return Entry(name, dtype, tuple(shape), start, end)


def _check_places(entries: dict[str, Entry], size: int, path: str) -> None:
    """Tensors follow each other without gap or overlap, up to the end of the file."""
    end, last = 0, ""
    for entry in sorted(entries.values(), key=lambda e: (e.start, e.end)):
        if entry.start < end:
            fault(path, f"{entry.name!r} overlaps {last!r}")
        if entry.start > end:
            fault(path, f"there is a gap before {entry.name!r}")
        end, last = entry.end, entry.name
    if end != size:
        fault(path, f"its tensors have {end} bytes, and the file has {size} for them")


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0
