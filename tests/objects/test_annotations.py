"""nnx.Data[T] and nnx.Static[T] mark attributes of a class."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx


class Evaluated(nnx.Module):
    number: nnx.Data[float]
    table: nnx.Static[np.ndarray]

    def __init__(self):
        self.number = 2.0
        self.table = np.ones(3)
        self.other = 3.0


class Text(nnx.Module):
    number: "nnx.Data[float]"
    table: "Static[np.ndarray]"  # type: ignore[name-defined]  # noqa: F821
    unknown: "Nowhere"  # type: ignore[name-defined]  # noqa: F821

    __init__ = Evaluated.__init__


class Heir(Evaluated):
    more: nnx.Data[float] = 1.0

    def __init__(self):
        super().__init__()
        self.more = 5.0


@nnx.dataclass
class Fields(nnx.Module):
    number: nnx.Data[float]
    table: nnx.Static[np.ndarray]
    size: int = nnx.static(default=8)


@dataclasses.dataclass
class Plain(nnx.Module):
    number: nnx.Data[float]
    table: nnx.Static[np.ndarray]


def fields(cls):
    return lambda: cls(2.0, np.ones(3))


MADE = {
    "evaluated": Evaluated,
    "text": Text,
    "nnx.dataclass": fields(Fields),
    "dataclasses.dataclass": fields(Plain),
}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_an_annotation_says_what_is_data(make):
    assert jax.tree.leaves(make()) == [2.0]
    assert jax.tree.leaves(nnx.clone(make())) == [2.0]


def test_annotations_are_inherited():
    assert sorted(jax.tree.leaves(Heir())) == [2.0, 5.0]


@pytest.mark.parametrize("skip", [None, jnp.ones(2)], ids=["none", "array"])
def test_data_may_be_none(skip):
    class Block(nnx.Module):
        skip: nnx.Data[jax.Array | None]

    block = Block()
    block.skip = skip
    assert len(jax.tree.leaves(block)) == (skip is not None)
