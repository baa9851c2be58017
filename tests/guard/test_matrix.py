"""No way to change state in a transform goes wrong without a word."""

from __future__ import annotations

from pathlib import Path

import jax
import pytest

import oakum as nnx
from oakum.errors import OakumError, OakumWarning
from tests.guard import matrix

PAGE = Path(__file__).parents[2] / "docs" / "hazards.md"
PUBLISHED = matrix.read_table(PAGE.read_text().split("## oakum")[1].split("## ")[0])
IS_PUBLISHED = f"(jax {jax.__version__})" in PAGE.read_text()
# A batch of changes at a time: a cell takes 30 ms, a test of its own as much again.
GROUPS = sorted({(transform, change) for transform, change, _ in matrix.CELLS})


@pytest.mark.parametrize(("transform", "change"), GROUPS)
def test_no_cell_is_silent(transform, change):
    cells = [(transform, change, way) for way in matrix.WAYS]
    outcomes = {cell: matrix.outcome(nnx, cell) for cell in cells}
    assert "silent" not in outcomes.values(), outcomes
    if IS_PUBLISHED:
        assert PUBLISHED[transform, change] == matrix.sign(outcomes)
    # JAX itself refuses a carry whose structure changes.
    ours = (OakumError, OakumWarning)
    if transform not in ("jax.lax.scan", "jax.lax.while_loop"):
        for cell, kind in outcomes.items():
            assert kind != "raises" or isinstance(matrix.errors[cell], ours)


def test_what_oakum_can_carry_out_is_right():
    """The transforms of oakum are told to change their arguments, and do."""
    for transform in matrix.TRANSFORMS:
        for change in ("parameter", "batch_norm", "rng_draw", "optimizer", "metric"):
            if transform.startswith("nnx.") and transform != "nnx.vmap":
                cell = (transform, change, "argument")
                assert matrix.outcome(nnx, cell) == "right", cell


def test_captured_state_is_fresh_in_oakums_own_transforms():
    for transform in matrix.TRANSFORMS:
        for way in matrix.WAYS:
            if transform.startswith("nnx."):
                cell = (transform, "read", way)
                assert matrix.outcome(nnx, cell) == "right", cell


@pytest.mark.parametrize("transform", matrix.TRANSFORMS)
def test_jaxs_own_checks_find_nothing_and_change_nothing(transform):
    cell = (transform, "optimizer", "argument")
    with jax.checking_leaks(), jax.debug_nans(True):
        outcome = matrix.outcome(nnx, cell)
    assert outcome != "silent"
    if IS_PUBLISHED:
        assert PUBLISHED[cell[:2]][0] == matrix.SIGNS[outcome]
    if outcome == "raises":
        assert isinstance(matrix.errors[cell], OakumError), matrix.errors[cell]
