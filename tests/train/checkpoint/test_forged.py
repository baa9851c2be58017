"""load of a file whose header was written by another hand, digests and all."""

from __future__ import annotations

import copy
import hashlib
import json
import random
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from oakum.errors import CheckpointError


def make(value: float) -> nnx.Dict:
    return nnx.Dict(
        a=nnx.Param(jnp.full(4, value)),
        b=nnx.Variable(jnp.full(4, value, jnp.bfloat16)),
        key=nnx.RngKey(jax.random.key(int(value))),
        pair=(np.full(2, value), nnx.Param(jnp.full((2, 1), value))),
        rate=nnx.data(value),
    )


def content(model: Any) -> list[bytes]:
    leaves = jax.tree.leaves((nnx.state(model)["key"], model))
    return [
        np.asarray(jax.random.key_data(x) if "key" in str(x.dtype) else x).tobytes()
        for x in leaves
        if hasattr(x, "dtype")
    ]


class Forger:
    """Writes a checkpoint anew with another header, and with its digest."""

    def __init__(self, folder: Any):
        self.saved, self.forged = folder / "saved", folder / "forged"
        nnx.save(self.saved, it=make(1.0))
        raw = self.saved.read_bytes()
        end = 8 + int.from_bytes(raw[:8], "little")
        self.header = json.loads(raw[8:end])
        self.manifest = json.loads(self.header["__metadata__"]["oakum"])
        self.data = raw[end:]

    def load(self, header: Any, manifest: Any) -> None:
        if isinstance(manifest, dict):
            manifest = {"digest": "0" * 64, **manifest}
            manifest["digest"] = "0" * 64
        if isinstance(header, dict) and isinstance(header.get("__metadata__"), dict):
            header["__metadata__"]["oakum"] = json.dumps(manifest)
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        whole = len(text).to_bytes(8, "little") + text
        digest = hashlib.sha256(whole).hexdigest().encode()
        self.forged.write_bytes(whole.replace(b"0" * 64, digest, 1) + self.data)
        model = make(0.0)
        before = content(model)
        try:
            nnx.load(self.forged, it=model)
        except CheckpointError:
            assert content(model) == before
            raise


@pytest.fixture
def forger(tmp_path):
    """A checkpoint that can be written anew."""
    return Forger(tmp_path)


def leaf(manifest: dict, kind: str = "tensor") -> dict:
    return next(v["leaves"][0] for v in manifest["values"] if kind in v["leaves"][0])


def tensor(header: dict, offsets: list) -> None:
    header["it.a"]["data_offsets"] = offsets


def entry(manifest: dict) -> dict:
    return manifest["objects"]["it"][0]


FORGED = {
    "offsets reversed": (
        lambda h, m: h["it.a"].update(data_offsets=[16, 0]),
        "no place",
    ),
    "offsets not whole": (
        lambda h, m: h["it.a"].update(data_offsets=[0.5, 16]),
        "place",
    ),
    "tensor without a place": (lambda h, m: h["it.a"].clear(), "no place"),
    "tensors that overlap": (
        lambda h, m: tensor(h, h["it.b"]["data_offsets"]),
        "overlap",
    ),
    "value too large": (lambda h, m: entry(m).update(value=99), "below"),
    "value negative": (lambda h, m: entry(m).update(value=-1), "below"),
    "value a boolean": (lambda h, m: entry(m).update(value=True), "below"),
    "path no list": (lambda h, m: entry(m).update(path="a"), "no path"),
    "path twice": (
        lambda h, m: m["objects"]["it"].append(entry(m)),
        "twice",
    ),
    "same no path": (lambda h, m: entry(m).update(same=3), "no path"),
    "no tensor": (lambda h, m: leaf(m).update(tensor="elsewhere"), "no tensor"),
    "other shape": (lambda h, m: leaf(m).update(shape=[5]), "expected 20 bytes"),
    "negative shape": (lambda h, m: leaf(m).update(shape=[-4]), "shape"),
    "unknown dtype": (lambda h, m: leaf(m).update(dtype="float31"), "no dtype"),
    "no digest": (lambda h, m: leaf(m).pop("sha256"), "no digest"),
    "number no number": (lambda h, m: leaf(m, "number").update(number="x"), "Python"),
    "format a text": (lambda h, m: m.update(format="x"), "format"),
    "no format": (lambda h, m: m.pop("format"), "format"),
    "objects a list": (lambda h, m: m.update(objects=[]), "table of objects"),
    "entries no list": (lambda h, m: m["objects"].update(it=3), "list of paths"),
    "no values": (lambda h, m: m.pop("values"), "list of values"),
    "value no leaves": (lambda h, m: m["values"].insert(0, {"type": "x"}), "no leaves"),
    "two leaves at one path": (
        lambda h, m: m["values"][0]["leaves"].append(m["values"][0]["leaves"][0]),
        "two leaves",
    ),
}


@pytest.mark.parametrize("case", FORGED)
def test_a_header_of_another_hand_is_refused(forger, case):
    change, match = FORGED[case]
    change(forger.header, forger.manifest)
    with pytest.raises(CheckpointError, match=match):
        forger.load(forger.header, forger.manifest)


JUNK = [None, True, -1, 0, 1, 99, 0.5, "", "x", "float32", [], [0], {}, {"path": []}]


def places(tree: Any) -> list[tuple[Any, Any]]:
    """Every container and key of a tree of lists and dicts."""
    keys = list(tree) if isinstance(tree, dict) else range(len(tree))
    found = [(tree, key) for key in keys]
    for key in keys:
        if isinstance(tree[key], dict | list):
            found += places(tree[key])
    return found


def mutate(tree: Any, random: random.Random) -> None:
    """Changes one place of a tree: by junk, by another part of it, or by its lack."""
    container, key = random.choice(places(tree))
    way = random.randrange(4)
    if way == 0 and isinstance(container, dict):
        del container[key]
    elif way == 1:
        other, part = random.choice(places(tree))
        container[key] = copy.deepcopy(other[part])
    elif way == 2 and isinstance(container, list):
        container.append(copy.deepcopy(random.choice(container)))
    else:
        container[key] = random.choice(JUNK)


@pytest.mark.slow
def test_any_rewritten_header_loads_or_is_refused(forger):
    refused = 0
    for seed in range(2000):
        draw = random.Random(seed)
        parts = copy.deepcopy({"h": forger.header, "m": forger.manifest})
        for _ in range(draw.choice([1, 1, 2, 3])):
            mutate(parts["h" if draw.random() < 0.2 and "h" in parts else "m"], draw)
        try:
            forger.load(parts["h"], parts["m"])
        except CheckpointError:
            refused += 1
    assert refused > 1000
