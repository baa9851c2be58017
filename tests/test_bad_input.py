"""The mistakes that users make: each is named with its remedy, and changes nothing."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import optax
import pytest

import oakum as nnx
from oakum import errors
from tests.models import snapshot

X = jnp.ones((4, 2))


class Model(nnx.Module):
    def __init__(self):
        self.layers = [nnx.Linear(2, 2, rngs=nnx.Rngs(0)) for _ in range(2)]
        self.norm = nnx.BatchNorm(2, rngs=nnx.Rngs(0))

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


def setting(folder: Path) -> Any:
    """A model with its optimizer, and both as they were saved."""
    model = Model()
    optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)
    nnx.save(folder / "saved", model=model)
    model.layers[0].kernel.value += 1.0
    return SimpleNamespace(model=model, optimizer=optimizer, folder=folder)


def change(s: Any, edit: Any) -> Path:
    """The saved file with other bytes."""
    path = s.folder / "saved"
    path.write_bytes(bytes(edit(bytearray(path.read_bytes()))))
    return path


def flip_last_byte(data: bytearray) -> bytearray:
    data[-1] ^= 1
    return data


def params(s: Any, **changes: Any) -> Any:
    state = nnx.state(s.model, nnx.Param)
    state["layers"][1].update(changes)
    return state


def without_bias(s: Any) -> Any:
    state = params(s)
    del state["layers"][1]["bias"]
    return state


def with_static(s: Any) -> Any:
    model = nnx.clone(s.model)
    model.layers[1].options = nnx.static(jnp.ones(3))
    return nnx.split(model)


def pure(s: Any) -> Any:
    return nnx.split(s.model, nnx.Param, ...)


LAYER = r"layers\.1\."
ROWS = {
    "input-width": (
        lambda s: nnx.jit(lambda m, x: m(x))(s.model, jnp.ones((4, 3))),
        errors.ShapeError,
        ["Linear expects 2", r"shape \(4, 3\)", r"layers\[0\]", "in_features=3"],
    ),
    "gradients-of-another-structure": (
        lambda s: s.optimizer.update(s.model, nnx.state(s.model.layers[0])),
        errors.StructureError,
        [LAYER + "kernel: no gradient", r"nnx\.DiffState\(0, wrt\)"],
    ),
    "update-shape": (
        lambda s: nnx.update(s.model, params(s, bias=jnp.ones(3))),
        errors.StructureError,
        [LAYER + r"bias: expected shape \(2,\), got \(3,\)", "strict=False"],
    ),
    "update-missing": (
        lambda s: nnx.update(s.model, without_bias(s), strict=True),
        errors.StructureError,
        [LAYER + "bias: missing", "correct the State"],
    ),
    "update-unknown": (
        lambda s: nnx.update(s.model, params(s, extra=jnp.ones(2)), strict=True),
        errors.StructureError,
        [LAYER + "extra: unknown path", "correct the State"],
    ),
    "optimizer-of-nothing": (
        lambda s: nnx.Optimizer(s.model, optax.adam(1e-3), wrt=nnx.Cache),
        errors.FilterError,
        [
            "wrt=Cache selects no Variable and no array",
            "BatchStat, Param",
            "wrt=nnx.Param",
        ],
    ),
    "gradient-of-nothing": (
        lambda s: nnx.grad(lambda m: m(X).sum(), argnums=nnx.DiffState(0, nnx.Cache))(
            s.model
        ),
        errors.FilterError,
        ["argument 0 holds nothing that Cache selects", r"nnx\.DiffState\(0, filter\)"],
    ),
    "static-array": (
        with_static,
        errors.StaticValueError,
        ["marked as static", r"Linear\.options", r"nnx\.data\("],
    ),
    "no-array-in-a-variable": (
        lambda s: setattr(s.model.layers[0].kernel, "value", "text"),
        errors.ArgumentError,
        [
            "Param holds an array",
            "not str: 'text'",
            r"made at .*test_bad_input\.py",
            r"jnp\.asarray",
        ],
    ),
    "merge-missing": (
        lambda s: nnx.merge(*pure(s)[:2]),
        errors.StructureError,
        [r"missing norm\.mean", "all the States that split returned"],
    ),
    "merge-surplus": (
        lambda s: nnx.merge(*pure(s), nnx.State({"extra": jnp.ones(1)})),
        errors.StructureError,
        ["surplus extra", "all the States that split returned"],
    ),
    "load-missing": (
        lambda s: nnx.load(s.folder / "nothing", model=s.model),
        errors.MissingCheckpointError,
        ["no checkpoint", "nothing", r"check the path, or nnx\.save"],
    ),
    "load-truncated": (
        lambda s: nnx.load(change(s, lambda data: data[:-7]), model=s.model),
        errors.CheckpointError,
        ["saved", "Instead: "],
    ),
    "load-altered": (
        lambda s: nnx.load(change(s, flip_last_byte), model=s.model),
        errors.CheckpointError,
        ["altered", r"model\.\w+\.\w+' are not", "saved", "copy the file again"],
    ),
    "load-foreign": (
        lambda s: nnx.load(change(s, lambda data: b"PK" + data), model=s.model),
        errors.CheckpointError,
        ["saved", "Instead: "],
    ),
    "static-model": (
        lambda s: nnx.jit(lambda m: m(X), static_argnums=0)(s.model),
        errors.ArgumentError,
        ["Argument 0 of .* is static, but a Model", "leave it out of static_argnums"],
    ),
    "donated-and-kept": (
        lambda s: nnx.jit(lambda a, b: a(b(X)), donate_argnums=0)(s.model, s.model),
        errors.ArgumentError,
        ["argument 1 is donated, but the same is kept by 0", r"jnp\.copy\(x\)"],
    ),
    "result-no-array": (
        lambda s: nnx.jit(lambda m: (m(X), "text"))(s.model),
        errors.ArgumentError,
        ["str is not an array", "'text'", "return arrays, numbers and oakum objects"],
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_mistake_is_named_with_its_remedy_and_changes_nothing(name, tmp_path):
    mistake, kind, parts = ROWS[name]
    s = setting(tmp_path)
    before = snapshot(s.model, s.optimizer)
    with pytest.raises(kind) as caught:
        mistake(s)
    message = str(caught.value)
    for part in [*parts, "Instead: "]:
        assert re.search(part, message), message
    assert snapshot(s.model, s.optimizer) == before
