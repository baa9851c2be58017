"""FLOPs of calls: closed forms, loops, and what cannot be told."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

import oakum as nnx
from tests.display.models import Inner
from tests.display.tables import by_path

X = jnp.ones((2, 4))
LINEAR = 2 * 2 * 4 * 4 + 2 * 4  # a matrix product, and the bias
BACKWARD = LINEAR + 2 * (2 * 2 * 4 * 4) + 4  # products for two gradients; XLA's sum


def flops(model, *args, column="flops"):
    options = {f"compute_{column}": True}
    rows = by_path(nnx.tabulate(model, *args, **options))
    return {path: row[column].replace(",", "") for path, row in rows.items()}


def test_a_matrix_product(rngs):
    found = flops(Inner(rngs), X)
    assert found == {"": str(LINEAR), "linear": str(LINEAR), "Total": "Total"}
    found = flops(Inner(rngs), X, column="vjp_flops")
    assert abs(int(found["linear"]) - BACKWARD) <= 8


class Loops(nnx.Module):
    """A loop in a loop, in a branch or not."""

    def __init__(self, rngs, branch=False):
        self.linear = nnx.Linear(4, 4, rngs=rngs)
        self.branch = branch

    def __call__(self, x):
        def row(x, _):
            return self.linear(x), None

        def rows(x, _):
            return jax.lax.scan(row, x, None, length=5)[0], None

        def run(x):
            return jax.lax.scan(rows, x, None, length=3)[0]

        return (
            jax.lax.cond(x[0, 0] > 0.0, run, lambda x: x, x) if self.branch else run(x)
        )


@pytest.mark.parametrize("branch", [False, True], ids=["plain", "in-a-branch"])
def test_each_round_of_a_scan_counts(rngs, branch):
    count = int(flops(Loops(rngs, branch), X)[""])
    # XLA adds one for each counter of rounds and its comparison.
    assert 15 * LINEAR <= count <= 15 * LINEAR + 50


def test_stacked_layers_cost_what_separate_ones_do(rngs):
    found = flops(nnx.Repeat(Inner, 6, rngs=rngs), X, column="vjp_flops")
    one = int(found["layers"])
    assert 6 * one * 0.95 <= int(found[""]) <= 6 * one * 1.05


class Branches(nnx.Module):
    def __call__(self, x, flag):
        return x @ x.T if flag else x


def test_flags_among_the_arguments_are_compiled_in():
    assert flops(Branches(), X, True)[""] == "32"
    assert flops(Branches(), X, False)[""] == "0"


class Named(nnx.Module):
    """A norm that needs the name of an axis, which its layer alone does not have."""

    def __init__(self, rngs):
        self.norm = nnx.BatchNorm(4, axis_name="batch", rngs=rngs)

    def __call__(self, x):
        run = nnx.vmap(
            lambda m, x: m(x), in_axes=(None, 0), axis_name="batch", out_axes=0
        )
        return run(self.norm, x[:, None])


def test_what_xla_cannot_tell_is_a_question_mark(rngs):
    found = flops(Named(rngs), X)
    assert found["norm"] == "?"
    assert int(found[""]) > 0


def test_equal_layers_are_lowered_once(rngs, monkeypatch):
    from oakum._display import _cost

    class Deep(nnx.Module):
        def __init__(self, rngs):
            self.layers = [Inner(rngs) for _ in range(5)]

        def __call__(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    counted = []
    count = _cost._count
    monkeypatch.setattr(_cost, "_count", lambda *a: counted.append(a) or count(*a))
    found = flops(Deep(rngs), X)
    assert len(counted) == 3  # the whole, Inner, Linear
    assert found["layers/4/linear"] == str(LINEAR)
