"""What a class refuses when an object is made, or an attribute is set."""

import jax.numpy as jnp
import pytest

import oakum as nnx
from oakum.errors import ArgumentError, StaticValueError


def test_a_class_without_init_takes_no_arguments():
    class Point(nnx.Module):
        x: int

    message = r"Point\(\) takes no arguments, got 1, y(?s:.*)@nnx\.dataclass"
    with pytest.raises(ArgumentError, match=message):
        Point(1, y=2)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: jnp.ones(2), "ArrayImpl"),
        (lambda: nnx.Param(jnp.ones(2)), "Param"),
        (lambda: [nnx.Linear(1, 1, rngs=nnx.Rngs(0))], "list"),
    ],
    ids=["array", "variable", "list_of_layers"],
)
def test_state_cannot_be_marked_as_static(make, kind):
    module = nnx.Module()
    message = rf"Module\.x is marked as static, and is set to a {kind}"
    with pytest.raises(StaticValueError, match=message + r"(?s:.*)nnx\.data"):
        module.x = nnx.static(make())
    assert not hasattr(module, "x")
    module.x = [1]  # the mark is not left behind
    module.x.append(jnp.ones(1))
