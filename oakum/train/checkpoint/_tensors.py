"""Arrays of any dtype in a safetensors file whose every byte is accounted for.

A safetensors file is a header (JSON) and the bytes of the tensors. The header carries a
*manifest*, text of ours, and every tensor's digest stands in there. The header's own
digest stands there too: it is taken with zeros in its place. So a byte that changed
anywhere is found, and a reader that needs some of the tensors checks only these.

    write(path, tensors, manifest)
    with TensorFile(path) as file:
        file.manifest, file.read(name)
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import stat
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from ...errors import CheckpointError, MissingCheckpointError
from ._schema import check_entries, check_format
from ._workplace import check_regular, workplace

_ENTRY = "oakum"  # the manifest's name among the metadata of the header
ZEROS = "0" * 64
_DIGEST = re.compile(rb'\\"digest\\": ?\\"([0-9a-f]{64})\\"')
_LENGTH = 8  # bytes that hold the length of the header

# Stored under their own name, for other programs to read. Of what else there is, the
# format or its readers know one part or another: that is stored as bytes.
_NATIVE = {"bool": "BOOL", "bfloat16": "BF16"} | {
    f"{kind}{bits}": f"{letter}{bits}"
    for kind, letter, sizes in (
        ("float", "F", (16, 32, 64)),
        ("int", "I", (8, 16, 32, 64)),
        ("uint", "U", (8, 16, 32, 64)),
    )
    for bits in sizes
}


class Stored(NamedTuple):
    """A tensor that is to be written.

    Attributes:
        dtype: its dtype.
        shape: its shape.
        read: gives its values, when it is its turn.
        done: takes their digest.
        is_split: whether all processes have to read it, for one of them to write it.
    """

    dtype: np.dtype
    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]
    done: Callable[[str], None]
    is_split: bool = False

    def entry(self, start: int) -> dict[str, Any]:
        """What the header says of it, where its bytes begin at `start`."""
        count = math.prod(self.shape)
        size = count * self.dtype.itemsize
        name = _NATIVE.get(self.dtype.name)
        return {
            "dtype": name or "U8",
            "shape": list(self.shape) if name else [size],
            "data_offsets": [start, start + size],
        }


def _as_bytes(array: np.ndarray) -> np.ndarray:
    """The bytes of an array, little-endian and in order."""
    array = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
    return array.reshape(-1).view(np.uint8)


def from_stored(data: np.ndarray, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """The array of a dtype and shape whose bytes are `data`, `(bytes,)` uint8."""
    stored = np.dtype(dtype).newbyteorder("<")
    return data.view(stored).reshape(shape).astype(np.dtype(dtype), copy=False)


def digest(array: np.ndarray) -> str:
    """The SHA-256 of an array's bytes, in hexadecimal."""
    # SHA-256 is the fastest of hashlib's where the processor has instructions for it.
    return hashlib.sha256(array.reshape(-1).view(np.uint8).data).hexdigest()


def in_file_order(tensors: Mapping[str, Stored]) -> list[tuple[str, Stored]]:
    """Tensors in the order in which they are read and written.

    Wider dtypes come first, so that each lies at a multiple of its item's size.
    """
    return sorted(tensors.items(), key=lambda pair: (-_width(pair[1]), pair[0]))


def _width(tensor: Stored) -> int:
    return tensor.dtype.itemsize if tensor.dtype.name in _NATIVE else 1


def write(
    path: str, tensors: Mapping[str, Stored], manifest: Callable[[], dict]
) -> None:
    """Writes a file whole or not at all, with one tensor in memory at a time.

    It is written in a folder of its own beside `path`, brought to the disk, and
    renamed. What saves to this path left there when their process was killed is
    removed.

    Args:
        path: where the file is to be; what was there stays until all is written.
        tensors: what is written, by name.
        manifest: gives what JSON can hold, in which all digests are of one length.
    """
    check_regular(path)
    with workplace(path) as folder:
        temporary = os.path.join(folder, "new")
        with open(temporary, "xb") as file:
            with contextlib.suppress(FileNotFoundError):
                os.chmod(temporary, stat.S_IMODE(os.stat(path).st_mode))
            try:
                _write_all(file, in_file_order(tensors), manifest)
            except OSError as error:
                raise CheckpointError(
                    f"The checkpoint could not be written: {error}", where=path
                ) from error
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    _sync_folder(os.path.dirname(path))


def _write_all(
    file: BinaryIO, tensors: list[tuple[str, Stored]], manifest: Callable[[], dict]
) -> None:
    entries: dict[str, Any] = {}
    end = 0
    for name, tensor in tensors:
        entries[name] = tensor.entry(end)
        end = entries[name]["data_offsets"][1]
    # The digests stand before what they are taken of, so the header is written twice.
    file.write(_header(manifest(), entries))
    for _, tensor in tensors:
        data = _as_bytes(tensor.read())
        tensor.done(digest(data))
        file.write(data.data)
    header = _header(manifest(), entries)
    start = _find_digest(header)
    assert start is not None
    sealed = hashlib.sha256(header).hexdigest().encode()
    file.seek(0)
    file.write(header[:start] + sealed + header[start + len(sealed) :])


def _header(manifest: dict[str, Any], entries: dict[str, Any]) -> bytes:
    text = json.dumps({"digest": ZEROS, **manifest})
    content = {"__metadata__": {_ENTRY: text}, **entries}
    data = json.dumps(content, separators=(",", ":")).encode()
    data += b" " * (-len(data) % _LENGTH)
    return len(data).to_bytes(_LENGTH, "little") + data


def _find_digest(header: bytes) -> int | None:
    found = _DIGEST.search(header)
    return None if found is None else found.start(1)


def _sync_folder(folder: str) -> None:
    """Brings a rename to the disk, where the system can do that for a folder."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class TensorFile:
    """A file that `write` wrote, open for reading, its header checked.

    Args:
        path: the file.

    Attributes:
        manifest: what stands in the header, its form not yet checked.
        offsets: where the bytes of each tensor begin and end, by name.

    Raises:
        CheckpointError: it is missing, truncated, altered, or another program's.
    """

    def __init__(self, path: str):
        self.path = path
        check_regular(path)
        try:
            self._file = open(path, "rb")  # noqa: SIM115 - closed by __exit__
        except FileNotFoundError:
            raise MissingCheckpointError(
                "There is no checkpoint", where=path, remedy=_remedy_missing(path)
            ) from None
        except IsADirectoryError:
            raise self._error(
                "A folder is no checkpoint", "name the file in it that was saved."
            ) from None
        try:
            self.manifest = self._read_header()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> TensorFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    def read(self, name: str, expected: str) -> np.ndarray:
        """The bytes of a tensor, `(bytes,)` uint8, checked against their digest."""
        start, end = self.offsets[name]
        data = np.empty(end - start, np.uint8)
        self._file.seek(self._start + start)
        count = self._file.readinto(data.data) if data.size else 0
        if count != data.size or digest(data) != expected:
            raise self.altered(f"the bytes of {name!r} are not those that were saved")
        return data

    def offset(self, name: str) -> int:
        """Where a tensor begins; reading in this order reads the disk in order."""
        return self.offsets[name][0]

    def _read_header(self) -> dict[str, Any]:
        size = os.fstat(self._file.fileno()).st_size
        first = self._file.read(_LENGTH)
        length = int.from_bytes(first, "little")
        if size < _LENGTH:
            raise self._truncated(size, _LENGTH + length)
        if length > size - _LENGTH:
            if size == _LENGTH or self._file.read(1) == b"{":
                raise self._truncated(size, _LENGTH + length)
            raise self._foreign("it is not a safetensors file")
        self._file.seek(0)
        header = self._file.read(_LENGTH + length)
        entries, manifest = self._parse(header)
        self._start = _LENGTH + length
        self.offsets = {
            name: (entry["data_offsets"][0], entry["data_offsets"][1])
            for name, entry in entries.items()
            if name != "__metadata__"
        }
        end = self._start + max([0, *[end for _, end in self.offsets.values()]])
        if size < end:
            raise self._truncated(size, end)
        if size > end:
            raise self.altered(f"{size - end} bytes follow after its end")
        return manifest

    def _parse(self, header: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
        start = _find_digest(header)
        if start is None:
            raise self._unsealed(header[_LENGTH:])
        found = header[start : start + len(ZEROS)].decode()
        cleared = header[:start] + ZEROS.encode() + header[start + len(ZEROS) :]
        if hashlib.sha256(cleared).hexdigest() != found:
            raise self.altered("its header is not the one that was saved")
        entries: Any = None
        manifest: Any = None
        try:
            entries = json.loads(header[_LENGTH:])
            fault = check_entries(entries)
            if fault is None:
                manifest = json.loads(entries["__metadata__"][_ENTRY])
                fault = check_format(manifest)
        except (ValueError, TypeError, KeyError, RecursionError):
            fault = "its header cannot be read"
        if fault is not None:
            raise self.altered(fault)
        return entries, manifest

    def _unsealed(self, text: bytes) -> CheckpointError:
        """The error for a header without a digest."""
        try:
            entries = json.loads(text)
            ours = _ENTRY in entries.get("__metadata__", {})
        except (ValueError, AttributeError, TypeError, RecursionError):
            if text[:1] != b"{":
                return self._foreign("it is not a safetensors file")
            return self.altered("its header cannot be read")
        if ours:
            return self.altered("its header is not the one that was saved")
        return self._foreign("it is a safetensors file without oakum's manifest")

    def _error(self, what: str, remedy: str) -> CheckpointError:
        return CheckpointError(what, where=self.path, remedy=remedy)

    def _truncated(self, size: int, expected: int) -> CheckpointError:
        return self._error(
            f"The checkpoint is truncated: expected {expected} bytes, got {size}",
            "copy the file again, or load an earlier checkpoint.",
        )

    def altered(self, why: str) -> CheckpointError:
        """The error for a file that is not as it was saved."""
        return self._error(
            f"The checkpoint was altered or damaged: {why}",
            "copy the file again, or load an earlier checkpoint.",
        )

    def _foreign(self, why: str) -> CheckpointError:
        return self._error(
            f"Not a checkpoint of oakum: {why}",
            "load takes what nnx.save wrote; read other safetensors files with "
            "safetensors.numpy.load_file, and nnx.update the model with the arrays.",
        )


def _remedy_missing(path: str) -> str:
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        return f"check the path: there is no folder {folder!r}."
    found = sorted(n for n in os.listdir(folder) if n.endswith(".safetensors"))[:5]
    listing = f" {folder!r} has: {', '.join(found)}" if found else ""
    return f"check the path, or nnx.save(path, model=model) first.{listing}"
