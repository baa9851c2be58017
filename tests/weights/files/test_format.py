"""A file is checked in full before a byte of a tensor is read."""

import json
import os
import random

import ml_dtypes
import numpy as np
import pytest

import oakum as nnx
from oakum.errors import CheckpointError, MissingCheckpointError
from oakum.weights.files._format import DTYPES, MappedFile
from oakum.weights.files._source import open_source
from tests.weights import families

ARRAYS = {"a": np.arange(6, dtype="f").reshape(2, 3), "b": np.arange(4, dtype=np.int8)}


def _write(path, header, data):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def _entry(shape=(4,), span=(0, 16), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(span)}


FAULTS = {
    "no_json": (b"{]", "no JSON"),
    "no_table": (b"[]", "no table"),
    "twice": (
        b'{"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}, "a": 1}',
        "stands twice",
    ),
    "metadata": ({"__metadata__": {"a": 1}, "a": _entry()}, "metadata"),
    "dtype": ({"a": _entry(dtype="F33")}, "'F33'"),
    "shape": ({"a": _entry(shape=(-4,))}, r"shape \[-4\]"),
    "true": ({"a": _entry(shape=(True,))}, r"shape \[True\]"),
    "no_place": ({"a": {"dtype": "F32", "shape": [4]}}, "no place"),
    "size": ({"a": _entry(shape=(3,))}, "takes 12 bytes, and has 16"),
    "beyond": ({"a": _entry(shape=(8,), span=(0, 32))}, "have 32 bytes"),
    "behind": ({"a": _entry(shape=(3,), span=(0, 12))}, "have 12 bytes"),
    "gap": ({"a": _entry(shape=(3,), span=(4, 16))}, "gap before 'a'"),
    "overlap": (
        {"a": _entry(shape=(3,), span=(0, 12)), "b": _entry(shape=(3,), span=(4, 16))},
        "'b' overlaps 'a'",
    ),
    "huge": ({"a": _entry(shape=(2**62, 2**62), span=(0, 16))}, "takes"),
    "not_utf8": (b'{"\xff": 1}', "no JSON"),
    "deep": (b"[" * 100_000, "no JSON"),
}


@pytest.mark.parametrize(("header", "match"), FAULTS.values(), ids=FAULTS)
def test_a_fault_of_the_header_is_named(tmp_path, header, match):
    file = _write(tmp_path / "model.safetensors", header, bytes(16))
    with pytest.raises(CheckpointError, match=match) as caught:
        MappedFile(str(file))
    assert "copy it again" in str(caught.value)


def test_a_dtype_of_several_values_in_a_byte_is_no_damage(tmp_path):
    header = {"a": _entry((8,), (0, 4), "F4")}
    file = _write(tmp_path / "model.safetensors", header, bytes(4))
    with pytest.raises(CheckpointError, match=r"(?s)'a' has dtype F4.*torch\.uint8"):
        MappedFile(str(file))


@pytest.mark.parametrize("size", [0, 7, 8, 20])
def test_a_file_that_is_too_short_is_named(tmp_path, size):
    file = tmp_path / "model.safetensors"
    families.write(file, ARRAYS)
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(CheckpointError, match=f"it has {size} bytes"):
        MappedFile(str(file))


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
def test_every_dtype_of_the_format_is_read(tmp_path, dtype):
    code = next(name for name, found in DTYPES.items() if found == dtype)
    data = bytes(range(0, 4 * dtype.itemsize)) if code != "BOOL" else b"\0\1\1\0"
    header = {"a": _entry(dtype=code, span=(0, len(data)))}
    view = MappedFile(str(_write(tmp_path / "x", header, data))).view("a")
    assert (view.dtype, view.tobytes()) == (dtype, data)
    assert not view.flags.writeable


def test_a_mutated_file_is_refused_or_means_what_its_header_says(tmp_path):
    """1,000 mutations: bytes changed, cut, doubled or moved, of header and length."""
    file = tmp_path / "model.safetensors"
    families.write(file, {**ARRAYS, "c": np.ones((3, 5), ml_dtypes.bfloat16)})
    whole = file.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    draw = random.Random(0)
    refused = 0
    for _ in range(1000):
        file.write_bytes(_mutated(whole, header, draw))
        try:
            found = MappedFile(str(file))
        except CheckpointError:
            refused += 1
            continue
        ends = [entry.end for entry in found.entries.values()]
        assert max(ends, default=0) <= file.stat().st_size
        for name, entry in found.entries.items():
            view = found.view(name)
            assert view.shape == entry.shape
            assert view.nbytes == entry.end - entry.start
    assert refused > 700


def _mutated(whole, header, draw):
    content = bytearray(whole)
    for _ in range(draw.choice([1, 1, 1, 2, 5])):
        at = draw.randrange(header)
        kind = draw.randrange(5)
        if kind == 0:
            content[at] = draw.randrange(256)
        elif kind == 1:
            content[at] = draw.choice(b'0123456789[]{},:"-eE')
        elif kind == 2:
            del content[at : at + draw.randrange(1, 9)]
        elif kind == 3:
            content[at:at] = content[at : at + draw.randrange(1, 9)]
        else:
            del content[draw.randrange(len(content)) :]
        header = min(header, len(content))
        if not header:
            break
    return bytes(content)


INDEX = "model.safetensors.index.json"


def _folder(tmp_path, table, files=("model-1.safetensors",)):
    for name in files:
        families.write(tmp_path / name, ARRAYS)
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": table}))
    return tmp_path


GOOD = dict.fromkeys(ARRAYS, "model-1.safetensors")
BAD_INDEX = {
    "parent": ({"a": "../model-1.safetensors"}, "no file of its folder"),
    "absolute": ({"a": "/etc/model-1.safetensors"}, "no file of its folder"),
    "windows": ({"a": "..\\model-1.safetensors"}, "no file of its folder"),
    "missing": ({"a": "model-2.safetensors"}, "lacks: model-2.safetensors"),
    "no_text": ({"a": 1}, "no weight_map"),
    "empty": ({}, "no weight_map"),
    "not_there": ({**GOOD, "z": "model-1.safetensors"}, "lacks 'z'"),
    "pickle": ({"a": "pytorch_model.bin"}, "holds a pickle"),
}


@pytest.mark.parametrize(("table", "match"), BAD_INDEX.values(), ids=BAD_INDEX)
def test_a_fault_of_the_index_is_named(tmp_path, table, match):
    with pytest.raises(CheckpointError, match=match):
        open_source(_folder(tmp_path, table))


def test_a_tensor_in_two_files_is_named(tmp_path):
    table = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    folder = _folder(tmp_path, table, ("model-1.safetensors", "model-2.safetensors"))
    with pytest.raises(CheckpointError, match="has besides 'b'"):
        open_source(folder)


def test_a_tensor_that_the_index_does_not_name_is_a_doubt(tmp_path):
    source = open_source(_folder(tmp_path, {"a": "model-1.safetensors"}))
    assert source.doubts == [
        "the index does not name 'b', which is in model-1.safetensors"
    ]


def test_a_tensor_in_two_files_and_not_in_the_index_is_refused(tmp_path):
    files = ("model-1.safetensors", "model-2.safetensors")
    for file, name in zip(files, "ab", strict=True):
        families.write(tmp_path / file, {name: ARRAYS["a"], "c": ARRAYS["b"]})
    folder = _folder(tmp_path, dict(zip("ab", files, strict=True)), ())
    with pytest.raises(CheckpointError, match=r"model-2.* has besides 'c', and so"):
        open_source(folder)


def test_an_index_beside_a_whole_file_is_a_doubt(tmp_path):
    folder = _folder(tmp_path, GOOD)
    families.write(folder / "model.safetensors", ARRAYS)
    assert "an index of other files" in open_source(folder).doubts[0]


@pytest.mark.parametrize("text", ["{", "[]", "3"])
def test_a_config_that_is_none_is_a_doubt(tmp_path, text):
    families.write(tmp_path / "model.safetensors", ARRAYS)
    (tmp_path / "config.json").write_text(text)
    assert "config.json is no table" in open_source(tmp_path).doubts[0]


@pytest.mark.parametrize("name", ["pytorch_model.bin.index.json", "x.pt.index.json"])
def test_an_index_of_pickles_is_refused_as_they_are(tmp_path, name):
    (tmp_path / name).write_text('{"weight_map": {"a": "pytorch_model-1.bin"}}')
    for source in (tmp_path, tmp_path / name):
        with pytest.raises(CheckpointError, match="holds a pickle"):
            open_source(source)


def test_an_archive_of_numpy_is_told_apart_from_a_pickle(tmp_path):
    np.savez(tmp_path / "weights.npz", a=np.ones(3))
    with pytest.raises(CheckpointError, match=r"NumPy's(.|\n)*dict\(np.load\('weights"):
        open_source(tmp_path / "weights.npz")


def test_a_config_is_no_file_of_weights(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(CheckpointError, match="text in JSON, such as a config"):
        open_source(tmp_path / "config.json")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="no plain file"):
        open_source(tmp_path)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    file = tmp_path / "model.safetensors"
    file.symlink_to(file)
    with pytest.raises(CheckpointError, match=r"(?s)cannot be read: .*plain file"):
        open_source(file)


KINDS = {"gguf": (b"GGUF", "a GGUF file"), "hdf5": (b"\x89HDF", "an HDF5 file")}


@pytest.mark.parametrize(("first", "match"), KINDS.values(), ids=KINDS)
def test_a_file_of_another_kind_is_named(tmp_path, first, match):
    (tmp_path / "model.safetensors").write_bytes(first + bytes(range(40, 80)))
    with pytest.raises(CheckpointError, match=match):
        open_source(tmp_path)


def test_shards_are_read_by_their_index(tmp_path):
    source = open_source(_folder(tmp_path, GOOD))
    np.testing.assert_array_equal(source.view("a"), ARRAYS["a"])


def test_an_index_of_a_link_is_followed(tmp_path):
    families.write(tmp_path / "blob", ARRAYS)
    folder = tmp_path / "snapshot"
    folder.mkdir()
    (folder / "model-1.safetensors").symlink_to(tmp_path / "blob")
    (folder / INDEX).write_text(json.dumps({"weight_map": GOOD}))
    assert set(open_source(folder).tensors) == set(ARRAYS)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth"])
def test_a_pickle_is_refused_with_how_to_convert_it(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK\3\4")
    for source in (tmp_path, tmp_path / name):
        with pytest.raises(CheckpointError, match="any program") as caught:
            nnx.weights.load(nnx.Linear(2, 2, rngs=nnx.Rngs(0)), source)
        assert f"torch.load({name!r}, weights_only=True)" in str(caught.value)


def test_a_pickle_by_another_name_is_refused(tmp_path):
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"PK\3\4" + bytes(100))
    with pytest.raises(CheckpointError, match="any program"):
        open_source(file)


def test_a_folder_without_weights_is_named(tmp_path):
    with pytest.raises(MissingCheckpointError, match=r"no \.safetensors file"):
        open_source(tmp_path)
    with pytest.raises(MissingCheckpointError, match="check the path"):
        open_source(tmp_path / "model.safetensors")


def test_several_files_without_an_index_are_named(tmp_path):
    for name in "xy":
        families.write(tmp_path / f"{name}.safetensors", ARRAYS)
    with pytest.raises(CheckpointError, match=r"x\.safetensors, y\.safetensors"):
        open_source(tmp_path)


def test_what_is_no_source_is_named():
    with pytest.raises(TypeError, match="got int"):
        open_source(3)
    with pytest.raises(TypeError, match="the dict has 3, a int"):
        open_source({3: np.ones(2)})


class _Sparse:
    """A tensor that PyTorch does not give to NumPy."""

    dtype = "torch.float32"

    def detach(self):
        raise TypeError("can't convert Sparse layout tensor to numpy")


NO_ARRAYS = {
    "text": ("b", "a str"),
    "texts": (np.array(["b"]), "a ndarray of <U1"),
    "objects": (np.array([None]), "a ndarray of object"),
    "masked": (np.ma.array([1.0]), "a MaskedArray of float64"),
    "sparse": (_Sparse(), "without plain values .*Sparse layout"),
}


@pytest.mark.parametrize(("value", "match"), NO_ARRAYS.values(), ids=NO_ARRAYS)
def test_what_is_no_array_of_numbers_is_named(value, match):
    with pytest.raises(TypeError, match=f"(?s)'a' of the weights is.*{match}.*dense"):
        open_source({"a": value})


def test_an_array_in_another_order_of_bytes_is_taken():
    model = nnx.Linear(2, 1, use_bias=False, rngs=nnx.Rngs(0))
    nnx.weights.load(model, {"weight": np.array([[1, 2]], ">f4")})
    np.testing.assert_array_equal(model.kernel.value, [[1], [2]])
