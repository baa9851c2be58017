"""load refuses what is damaged, foreign or does not fit, and then changes nothing."""

import random
import shutil
import struct
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

import oakum as nnx
from oakum.errors import CheckpointError
from oakum.train.checkpoint import _checkpoint, _contents


class Holder(nnx.Module):
    """Holds whatever it is given."""

    def __init__(self, **attributes):
        for name, value in attributes.items():
            setattr(self, name, value)


def make(value=0.0):
    return Holder(
        w=nnx.Param(jnp.full((3, 2), value)),
        stat=nnx.BatchStat(jnp.full((2,), value, jnp.bfloat16)),
        bare=jnp.full((2,), value),
        pair=(np.full(2, value), 1),
        rate=nnx.data(value),
    )


def content(model):
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(model)]


@pytest.fixture
def path(tmp_path):
    """A checkpoint of a small model, as `it`."""
    path = tmp_path / "it.safetensors"
    nnx.save(path, it=make(1.0))
    return path


def refuse(path, match=".", **objects):
    """Checks that loading raises, and changes nothing."""
    objects = objects or {"it": make()}
    before = [content(obj) for obj in objects.values()]
    with pytest.raises(CheckpointError, match=match) as error:
        nnx.load(path, **objects)
    assert [content(obj) for obj in objects.values()] == before
    assert str(path) in str(error.value)
    return str(error.value)


# -- damage


@pytest.mark.parametrize("seed", range(8))
def test_any_byte_that_changed_is_found(path, seed):
    rng = random.Random(seed)
    whole = path.read_bytes()
    for position in range(seed, len(whole), 8):  # together, the seeds try each byte
        damaged = bytearray(whole)
        damaged[position] ^= rng.randrange(1, 256)
        path.write_bytes(damaged)
        refuse(path)
    path.write_bytes(whole)
    nnx.load(path, it=make())


def test_any_truncation_is_found(path):
    whole = path.read_bytes()
    for length in range(0, len(whole), 13):
        path.write_bytes(whole[:length])
        refuse(path, r"truncated: expected \d+ bytes, got \d+(?s:.*)earlier checkpoint")


def test_bytes_after_the_end_are_found(path):
    path.write_bytes(path.read_bytes() + b"\0" * 5)
    refuse(path, "altered or damaged: 5 bytes follow after its end")


def test_a_tensor_of_another_checkpoint_is_found(path, tmp_path):
    # The bytes of one file below the header of another of the same structure.
    other = tmp_path / "other"
    nnx.save(other, it=make(2.0))
    mine, theirs = path.read_bytes(), other.read_bytes()
    start = 8 + int.from_bytes(mine[:8], "little")
    path.write_bytes(mine[:start] + theirs[start:])
    refuse(path, r"the bytes of 'it\..*' are not those that were saved")


def test_blocks_of_zeros_are_found(path):
    whole = path.read_bytes()
    for start in range(0, len(whole) - 64, 64):
        zeroed = whole[:start] + bytes(64) + whole[start + 64 :]
        if zeroed != whole:
            path.write_bytes(zeroed)
            refuse(path)


def test_damage_elsewhere_does_not_matter_to_what_is_loaded(tmp_path):
    path = tmp_path / "two"
    nnx.save(path, a=[np.ones(4, np.float32)], b=[np.zeros(4, np.float32)])
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    target = [np.zeros(4, np.float32)]
    nnx.load(path, a=target)
    assert target[0].sum() == 4
    refuse(path, "the bytes of 'b.0'", b=[np.zeros(4, np.float32)])


# -- foreign files


def test_a_file_of_another_program_is_named(tmp_path):
    path = tmp_path / "foreign"
    safetensors.numpy.save_file({"w": np.ones(2)}, path)
    refuse(path, r"without oakum's manifest(?s:.*)safetensors.numpy.load_file")
    safetensors.numpy.save_file({"w": np.ones(2)}, path, metadata={"format": "pt"})
    refuse(path, "without oakum's manifest")


@pytest.mark.parametrize(
    "data",
    [
        b"PK\x03\x04 a zip file, as torch and numpy write",
        b"\x93NUMPY\x01\x00v\x00{'descr': '<f4'}",
        b"hello, world",
        struct.pack("<Q", 4) + b"abcd",
        struct.pack("<Q", 2) + b"[]",
        bytes(range(256)) * 8,
    ],
    ids=["zip", "npy", "text", "short", "json", "noise"],
)
def test_what_is_no_safetensors_file_is_named(tmp_path, data):
    path = tmp_path / "foreign"
    path.write_bytes(data)
    refuse(path, "Not a checkpoint of oakum: it is not a safetensors file")


def test_a_json_header_without_tensors_is_refused(tmp_path):
    path = tmp_path / "foreign"
    path.write_bytes(struct.pack("<Q", 8) + b'{"a": 1}')
    refuse(path, "without oakum's manifest")
    path.write_bytes(struct.pack("<Q", 8) + b'{"a": 1,')
    refuse(path, "its header cannot be read")
    path.write_bytes(struct.pack("<Q", 20) + b'{"__metadata__":  1}')
    refuse(path, "without oakum's manifest|cannot be read")


def test_a_missing_file_is_a_file_not_found_error(path):
    missing = path.with_name("gone")
    refuse(missing, r"There is no checkpoint(?s:.*)has: it.safetensors")
    with pytest.raises(FileNotFoundError, match=r"no folder '.*nowhere'"):
        nnx.load(path.parent / "nowhere" / "it", it=make())


def test_a_folder_is_refused(tmp_path):
    refuse(tmp_path, "no checkpoint of orbax in the folder")


# -- objects that differ from what was saved


def test_every_mismatch_is_listed(path):
    target = make()
    target.w = nnx.Param(jnp.zeros((2, 3)))
    target.stat = nnx.Param(jnp.zeros((2,), jnp.float32))
    target.bare = jnp.zeros((2,), jnp.int32)
    target.rate = nnx.data(1)
    del target.pair
    target.extra = nnx.Cache(jnp.zeros(()))
    text = refuse(path, it=target, other=make())
    for line in (
        "8 mismatches. Nothing was changed.",
        "it.w: expected shape (2, 3), got (3, 2)",
        "it.stat: expected type Param, got BatchStat",
        "it.stat: expected dtype float32, got bfloat16",
        "it.bare: expected dtype int32, got float32",
        "it.rate: expected dtype Python int, got Python float",
        "it.extra: missing from the checkpoint (Cache float32[])",
        "it.pair[0]: only in the checkpoint (array float64[2])",
        "other: not in the checkpoint, which has: it",
    ):
        assert line in text, line
    assert "Instead: build the objects as they were" in text


def test_a_value_of_another_form_is_named(tmp_path):
    path = tmp_path / "it"
    nnx.save(path, it=nnx.Intermediate((jnp.ones(2), {"a": jnp.ones(1)})))
    text = refuse(path, it=nnx.Intermediate((jnp.ones(2), [jnp.ones(1)])))
    assert "it[1][0]: expected float32[1], got nothing" in text
    assert "it[1]['a']: expected nothing, got float32[1]" in text


def test_keys_of_another_kind_are_named(tmp_path):
    path = tmp_path / "it"
    nnx.save(path, it=nnx.RngKey(jax.random.key(0)))
    target = nnx.RngKey(jax.random.key(0, impl="rbg"))
    with pytest.raises(CheckpointError, match=r"key<rbg>, got key<threefry2x32>"):
        nnx.load(path, it=target)
    with pytest.raises(CheckpointError, match=r"dtype uint32, got key<threefry2x32>"):
        nnx.load(path, it=nnx.RngKey(jnp.zeros((), jnp.uint32)))


@pytest.mark.parametrize(
    ("saved", "target"),
    [({0: 1.0}, {"0": 1.0}), ({"0": 1.0}, [1.0]), ({True: 1.0}, {1: 1.0})],
    ids=["int", "list", "bool"],
)
def test_keys_that_look_alike_are_told_apart(tmp_path, saved, target):
    path = tmp_path / "it"
    nnx.save(path, it=saved)
    if isinstance(target, list) or 0 in saved or True in saved:
        with pytest.raises(CheckpointError, match="missing"):
            nnx.load(path, it=target)


def test_a_failure_while_reading_changes_nothing(path, monkeypatch):
    target = make()
    before = content(target)
    calls = []

    def fail(file, slot):
        calls.append(slot)
        if len(calls) == 3:
            raise OSError("Input/output error")
        return slot.old

    monkeypatch.setattr(_checkpoint, "_restore", fail)
    with pytest.raises(OSError, match="Input/output"):
        nnx.load(path, it=target)
    assert content(target) == before


def test_an_object_that_cannot_be_written_to_keeps_all_others(path, monkeypatch):
    target = make()
    before = content(target)

    def refuse_bare(obj):
        if isinstance(obj, Holder):
            raise nnx.TraceContextError("not now")
        return obj

    monkeypatch.setattr(_contents.guard, "writable", refuse_bare)
    with pytest.raises(nnx.TraceContextError, match="not now"):
        nnx.load(path, it=target)
    assert content(target) == before


def test_an_interrupt_at_any_line_leaves_all_or_nothing(path):
    file, interrupted = _contents.__file__, 0
    for stop in range(10_000):
        target, seen = make(), [0]

        def trace(frame, event, arg, stop=stop, seen=seen):
            if frame.f_code.co_filename != file:
                return None
            if event == "line":
                seen[0] += 1
                if seen[0] == stop + 1:
                    raise KeyboardInterrupt
            return trace

        sys.settrace(trace)
        try:
            nnx.load(path, it=target)
        except KeyboardInterrupt:
            interrupted += 1
        finally:
            sys.settrace(None)
        assert content(target) in (content(make()), content(make(1.0)))
        if seen[0] <= stop:
            break
    assert interrupted > 100


def test_a_copied_file_loads(path, tmp_path):
    shutil.copy(path, tmp_path / "copy")
    target = make()
    nnx.load(tmp_path / "copy", it=target)
    assert content(target) == content(make(1.0))
