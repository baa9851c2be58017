"""What the rules take a public class for is what it is."""

import inspect

import pytest

import oakum as nnx
from oakum.lint._source import kind_of_class

OWN = {"rngs": (nnx.Rngs, nnx.RngStream), "optimizer": nnx.Optimizer}
OWN |= {"metric": (nnx.Metric, nnx.EMA), "variable": nnx.Variable}
CLASSES = {n: c for n, c in vars(nnx).items() if inspect.isclass(c) and n[0].isupper()}


def kind(cls):
    """The kind of a class by what it is derived from."""
    for name, bases in OWN.items():
        if issubclass(cls, bases):
            return name
    holders = (nnx.Pytree, nnx.List, nnx.Dict)
    return "module" if issubclass(cls, holders) else None


@pytest.mark.parametrize("name", CLASSES)
def test_a_public_class_is_of_its_kind(name):
    assert kind_of_class(f"nnx.{name}") == kind(CLASSES[name])
