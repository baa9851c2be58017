"""The numbers of the table are those of flax's, column by column."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import pytest

import oakum
from tests.display.models import net_class
from tests.display.tables import by_path, sizes

pytestmark = pytest.mark.peer
X = jnp.ones((2, 4))
OPTIONS = {"console_kwargs": {"width": 400, "force_terminal": False}}


def tables(make: Any, *args: Any, **options: Any) -> list[str]:
    flax = pytest.importorskip("flax.nnx")
    return [
        lib.tabulate(make(lib), *args, **OPTIONS, **options) for lib in (oakum, flax)
    ]


@pytest.fixture(scope="module")
def pair() -> list[str]:
    """The table of one model, ours and flax's."""
    return tables(lambda lib: net_class(lib)(lib.Rngs(0)), X)


def test_sizes_and_totals(pair):
    got, expected = map(sizes, pair)
    assert expected.keys() <= got.keys()
    assert {path: got[path] for path in expected} == expected


def test_types_shapes_and_what_goes_in_and_out(pair):
    ours, theirs = map(by_path, pair)
    for path, row in theirs.items():
        for column in ("type", "inputs", "outputs", "Param", "BatchStat"):
            got, expected = ours[path][column], row[column]
            assert sorted(got.split("\n")) == sorted(expected.split("\n")), path


@pytest.mark.parametrize("layer", ["Linear", "LayerNorm"])
def test_flops(layer):
    def make(lib: Any) -> Any:
        sizes = (4, 4) if layer == "Linear" else (4,)
        return getattr(lib, layer)(*sizes, rngs=lib.Rngs(0))

    columns = ("flops", "vjp_flops")
    options = {f"compute_{column}": True for column in columns}
    ours, theirs = [by_path(t)[""] for t in tables(make, X, **options)]
    assert all(int(theirs[column]) > 0 for column in columns)
    got = [ours[column].replace(",", "") for column in columns]
    assert got == [theirs[column] for column in columns]
