"""Checkpoints that are damaged, of every family: each kind is named, nothing changes.

A kind of damage gets the folder of a checkpoint, in two shards and their index, and the
name of one of its matrices; it returns what the refusal has to name.
"""

import gzip
import json
import random
import re

import jax
import numpy as np
import pytest

import oakum as nnx
from oakum.errors import CheckpointError
from tests.weights import families

INDEX = "model.safetensors.index.json"


def _read(file):
    """The header of a file, and the bytes behind it."""
    content = file.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:end]), content[end:]


def _write(file, header, data):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + data)


def _home(folder, name):
    return folder / json.loads((folder / INDEX).read_text())["weight_map"][name]


def _entry(change):
    """Damage to what a header says of a tensor."""

    def damage(folder, name):
        header, data = _read(_home(folder, name))
        change(header, name)
        _write(_home(folder, name), header, data)
        return name

    return damage


def _indexed(change):
    """Damage to the table of the index."""

    def damage(folder, name):
        content = json.loads((folder / INDEX).read_text())
        named = change(content["weight_map"], name) or name
        (folder / INDEX).write_text(json.dumps(content))
        return named

    return damage


def _tensors(change):
    """Another set of tensors, in a sound file."""

    def damage(folder, name):
        shards = sorted(folder.glob("model-*"))
        source = families.open_source(folder)
        tensors = {key: np.array(source.view(key)) for key in source.tensors}
        named = change(tensors, name) or name
        for path in [*shards, folder / INDEX]:
            path.unlink()
        contiguous = {k: np.ascontiguousarray(x) for k, x in tensors.items()}
        families.write(folder / "model.safetensors", contiguous)
        return named

    return damage


def _bytes(change):
    def damage(folder, name):
        file = _home(folder, name)
        file.write_bytes(change(file.read_bytes()))
        return file.name

    return damage


def _renamed(tensors, name):
    tensors[f"{name}s"] = tensors.pop(name)


def _without_layer(tensors, name):
    layer = re.sub(r"\.1\..*", ".1.", name)
    for key in [key for key in tensors if layer in key]:
        del tensors[key]


def _one_more_layer(tensors, name):
    tensors[name.replace(".1.", ".7.")] = tensors[name]
    return name.replace(".1.", ".7.")


def _doubled(folder, name):
    text = (folder / INDEX).read_text()
    shard = json.dumps(_home(folder, name).name)
    entry = f"{json.dumps(name)}: {shard}"
    (folder / INDEX).write_text(text.replace(entry, f"{entry}, {entry}"))
    return INDEX


def _index_text(change):
    def damage(folder, name):
        text = (folder / INDEX).read_text()
        (folder / INDEX).write_text(change(text), "utf-8")
        return INDEX

    return damage


def _header_text(change):
    def damage(folder, name):
        header, data = _read(_home(folder, name))
        _write(_home(folder, name), change(json.dumps(header).encode()), data)
        return _home(folder, name).name

    return damage


def _exchanged(folder, name):
    one, two = sorted(folder.glob("model-*"))
    content = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(content)
    return f"{one.name} lacks"


def _dropped(folder, name):
    """Leaves the bytes of a tensor to nobody."""
    header, data = _read(_home(folder, name))
    del header[name]
    _write(_home(folder, name), header, data)
    return _home(folder, name).name


def _folded_norm(tensors, name):
    norm = next(k for k, x in tensors.items() if x.shape == (32,) and "1.w" not in k)
    tensors[norm] = tensors[norm].reshape(4, 8)
    return norm


def _lost(folder, name):
    file = _home(folder, name)
    file.unlink()
    return file.name


def _overlap(header, name):
    start, end = header[name]["data_offsets"]
    header[f"{name}.copy"] = dict(header[name], data_offsets=[start, end])


def _change(key, value):
    return _entry(lambda header, name: header[name].update({key: value}))


def _other_file(table, name):
    table[name] = next(shard for shard in table.values() if shard != table[name])


def _to(place):
    return _indexed(lambda table, name: table.update({name: place}))


REFUSED = {
    "missing": _tensors(lambda t, name: t.pop(name) is None),
    "missing_layer": _tensors(_without_layer),
    "renamed": _tensors(_renamed),
    "cut": _tensors(lambda t, name: t.update({name: t[name][:-1]})),
    "longer": _tensors(lambda t, name: t.update({name: np.tile(t[name], (2, 1))})),
    "flat": _tensors(lambda t, name: t.update({name: t[name].reshape(-1)})),
    "scalar": _tensors(lambda t, name: t.update({name: np.float32(1)})),
    "extra": _tensors(lambda t, name: t.update({f"{name}.lora_A": t[name]})),
    "extra_layer": _tensors(_one_more_layer),
    "dtype_unknown": _change("dtype", "F33"),
    "shape_negative": _change("shape", [-1, 4]),
    "size_wrong": _change("shape", [1]),
    "offsets_beyond": _change("data_offsets", [0, 2**40]),
    "offsets_reversed": _change("data_offsets", [8, 0]),
    "overlap": _entry(_overlap),
    "entry_empty": _entry(lambda header, name: header.update({name: {}})),
    "cut_file": _bytes(lambda content: content[:-100]),
    "longer_file": _bytes(lambda content: content + bytes(64)),
    "empty_file": _bytes(lambda content: b""),
    "pickle": _bytes(lambda content: b"PK\3\4" + content),
    "pointer": _bytes(lambda content: b"version https://git-lfs.github.com/spec/v1\n"),
    "web_page": _bytes(lambda content: b"<!doctype html><html></html>" * 20),
    "shard_lost": _lost,
    "index_leaves": _to("../model-00001-of-00002.safetensors"),
    "index_elsewhere": _to("model-00003-of-00002.safetensors"),
    "index_other_file": _indexed(_other_file),
    "index_more": _indexed(
        lambda table, name: (table.update({"x": table[name]}), "x")[1]
    ),
    "index_twice": _doubled,
    "index_empty_name": _to(""),
    "index_itself": _to(INDEX),
    "index_other_case": _to("MODEL.SAFETENSORS"),
    "index_url": _to("https://example.org/model.safetensors"),
    "index_no_json": _index_text(lambda text: text[:-2]),
    "index_of_marks": _index_text(lambda text: "\ufeff" + text),
    "shards_exchanged": _exchanged,
    "last_byte": _bytes(lambda content: content[:-1]),
    "one_byte_more": _bytes(lambda content: content + b"\0"),
    "header_alone": _bytes(lambda c: c[: 8 + int.from_bytes(c[:8], "little")]),
    "header_length_huge": _bytes(lambda c: (2**63).to_bytes(8, "little") + c[8:]),
    "header_length_zero": _bytes(lambda content: bytes(8) + content[8:]),
    "header_length_reversed": _bytes(lambda c: c[7::-1] + c[8:]),
    "header_of_marks": _header_text(lambda text: b"\xef\xbb\xbf" + text),
    "header_in_utf16": _header_text(lambda text: text.decode().encode("utf-16")),
    "header_then_zeros": _header_text(lambda text: text + b"\0\0"),
    "header_null": _header_text(lambda text: b"null"),
    "header_without_tensors": _header_text(lambda text: b"{}"),
    "entry_twice": _header_text(
        lambda t: t.replace(b'{"dtype"', b'{"dtype": 1, "dtype"')
    ),
    "gzip": _bytes(gzip.compress),
    "gguf": _bytes(lambda content: b"GGUF\3\0\0\0" + content),
    "shape_of_floats": _change("shape", [4.0, 4]),
    "shape_nested": _change("shape", [[4], 4]),
    "offsets_of_text": _change("data_offsets", ["0", "16"]),
    "offsets_negative": _change("data_offsets", [-16, 0]),
    "dtype_in_small": _change("dtype", "f32"),
    "dtype_narrower": _change("dtype", "BF16"),
    "entry_dropped": _dropped,
    "other_case": _tensors(lambda t, name: t.update({name.upper(): t.pop(name)})),
    "one_axis_more": _tensors(lambda t, name: t.update({name: t[name][None]})),
    "no_rows": _tensors(lambda t, name: t.update({name: t[name][:0]})),
    "norm_of_two_axes": _tensors(_folded_norm),
}
SEEN = {
    "bit_of_an_exponent": _tensors(lambda t, name: t[name].put(7, 1e30)),
    "rest_unwritten": _tensors(lambda t, name: t[name][len(t[name]) // 2 :].fill(0)),
    "infinite_once": _tensors(lambda t, name: t[name].put(5, np.inf)),
    "complex": _tensors(lambda t, name: t.update({name: t[name].astype("c8")})),
    "truth_values": _tensors(lambda t, name: t.update({name: t[name] > 0})),
    "not_a_number": _tensors(lambda t, name: t[name].fill(np.nan)),
    "zeros": _tensors(lambda t, name: t[name].fill(0)),
    "integers": _tensors(lambda t, name: t.update({name: t[name].astype("i1")})),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Each family's checkpoint as two shards and their index."""
    root = tmp_path_factory.mktemp("families")
    for family in families.MAKERS:
        folder, tensors = root / family, list(families.tensors(family).items())
        folder.mkdir()
        config = (families.FOLDER / family / "config.json").read_text()
        (folder / "config.json").write_text(config)
        table, total = {}, sum(x.nbytes for _, x in tensors)
        for number, part in enumerate((tensors[::2], tensors[1::2])):
            name = f"model-0000{number + 1}-of-00002.safetensors"
            families.write(folder / name, dict(part))
            table |= dict.fromkeys(dict(part), name)
        content = {"metadata": {"total_size": total}, "weight_map": table}
        (folder / INDEX).write_text(json.dumps(content))
    return root


def _copy(folders, family, tmp_path):
    folder = tmp_path / family
    folder.mkdir()
    for path in (folders / family).iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def _victim(family):
    """A matrix of the second layer, not square."""
    for name, x in families.tensors(family).items():
        if ".1." in name and x.ndim == 2 and x.shape[0] != x.shape[1]:
            return name
    raise LookupError(family)


def _some(number):
    """Two families, so that all have their turn."""
    names = list(families.MAKERS)
    return names[number % 7], names[(number + 3) % 7]


@pytest.mark.parametrize(
    ("number", "kind"), list(enumerate(REFUSED)), ids=list(REFUSED)
)
def test_damage_is_named_and_nothing_changes(folders, tmp_path, number, kind):
    for family in _some(number):
        folder = _copy(folders, family, tmp_path)
        named = REFUSED[kind](folder, _victim(family))
        model = families.abstract(family)
        before = [leaf.get_raw_value() for leaf in _variables(model)]
        with pytest.raises(CheckpointError) as caught:
            nnx.weights.load(model, folder)
        assert named in str(caught.value)
        after = [leaf.get_raw_value() for leaf in _variables(model)]
        assert all(a is b for a, b in zip(before, after, strict=True))


def _variables(model):
    is_leaf = lambda x: isinstance(x, nnx.Variable)  # noqa: E731
    return jax.tree.leaves(nnx.state(model), is_leaf=is_leaf)


@pytest.mark.parametrize(("number", "kind"), list(enumerate(SEEN)), ids=list(SEEN))
def test_what_fits_and_is_damaged_is_suspicious(folders, tmp_path, number, kind):
    for family in _some(number):
        folder = _copy(folders, family, tmp_path)
        named = SEEN[kind](folder, _victim(family))
        report = nnx.weights.plan(families.abstract(family), folder)
        assert named in [line.name for line in report.suspicious]


@pytest.mark.parametrize("total", [1, -5, "4 GB", None])
def test_a_size_in_the_index_that_is_another_is_suspicious(folders, tmp_path, total):
    folder = _copy(folders, "llama", tmp_path)
    content = json.loads((folder / INDEX).read_text())
    content["metadata"]["total_size"] = total
    (folder / INDEX).write_text(json.dumps(content))
    lines = nnx.weights.plan(families.abstract("llama"), folder).suspicious
    assert [f"{total!r} bytes in all" in line.text for line in lines] == [True][
        : total is not None
    ]


NAMES = ["a", "b", "c", "d"]


def _tiny(folder):
    """A folder of four tensors in two shards, and a model for it."""
    model = nnx.Dict(
        {name: nnx.Param(np.full((2, 3), i)) for i, name in enumerate("abcd")}
    )
    nnx.weights.save(model, folder, max_shard_size=48)
    return model


def _mutated_index(content, draw):
    """One mutation of an index, as a structure or as text."""
    table = content["weight_map"]
    name, shard = draw.choice(NAMES), draw.choice(sorted(set(table.values())))
    bad = draw.choice(
        [
            "../x",
            "/etc/passwd",
            "..\\x",
            "a/" + shard,
            "",
            ".",
            "x.bin",
            3,
            None,
            [shard],
        ]
    )
    kinds = [
        lambda: table.update({name: bad}),
        lambda: table.update({name: f"model-{draw.randrange(9)}.safetensors"}),
        lambda: table.update({name: shard}),
        lambda: table.pop(name),
        lambda: table.update({f"{name}{draw.randrange(3)}": shard}),
        lambda: content.update(weight_map=draw.choice([[], "x", None, 1, {}])),
        lambda: content.pop("weight_map"),
        lambda: content["metadata"].update(total_size=draw.choice([-1, "x", 2**70])),
        lambda: content.update(metadata=draw.choice([None, [], "x", {"a": []}])),
    ]
    draw.choice(kinds)()
    text = json.dumps(content)
    if draw.random() < 0.3:
        at = draw.randrange(len(text))
        text = (
            text[:at] + draw.choice('{}[]",:x\\\0é0') + text[at + draw.randrange(3) :]
        )
    if draw.random() < 0.1:
        text = text.replace(f'"{name}":', f'"{name}": "{shard}", "{name}":')
    return text


def _mutated_header(file, draw):
    header, data = _read(file)
    entry = header[draw.choice([key for key in header if key != "__metadata__"])]
    kinds = [
        lambda: entry.update(
            dtype=draw.choice(["F33", "f32", "", None, 3, "I32", "U8"])
        ),
        lambda: entry.update(shape=draw.choice([[3, 2], [6], [2, 4], [2, -3], "x"])),
        lambda: entry.update(data_offsets=[draw.randrange(60), draw.randrange(60)]),
    ]
    draw.choice(kinds)()
    _write(file, header, data[: draw.choice([None, None, -4])])


def test_a_mutated_index_is_refused_or_means_what_it_did(tmp_path):
    """1,000 mutations of the index, or of what it says together with a header."""
    model = _tiny(tmp_path)
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    before = [leaf.get_raw_value() for leaf in _variables(model)]
    draw, refused = random.Random(0), 0
    for number in range(1000):
        for path, content in files.items():
            path.write_bytes(content)
        if number % 4:
            content = json.loads(files[tmp_path / INDEX])
            text = _mutated_index(content, draw)
            (tmp_path / INDEX).write_text(text, "utf-8")
        else:
            _mutated_header(draw.choice([p for p in files if p.name != INDEX]), draw)
        try:
            source = families.open_source(tmp_path)
            report = nnx.weights.plan(model, source)
            nnx.weights.load(model, source) if not report.fits else None
        except CheckpointError:
            refused += 1
            continue
        assert sorted(source.tensors) == NAMES
        assert all(source.shape(name) == (2, 3) for name in NAMES)
    assert refused > 600
    after = [leaf.get_raw_value() for leaf in _variables(model)]
    assert all(a is b for a, b in zip(before, after, strict=True))
