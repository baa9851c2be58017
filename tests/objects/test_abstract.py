"""A Variable without a value, used in a computation, says which it is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from oakum.errors import ArgumentError


class Model(nnx.Module):
    def __init__(self, rngs):
        self.layers = [nnx.Linear(2, 2, rngs=rngs), nnx.BatchNorm(2, rngs=rngs)]

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def abstract():
    return nnx.eval_shape(lambda: Model(nnx.Rngs(0)))


USES = {
    "layer": lambda model: model(jnp.ones((1, 2))),
    "jit": lambda model: nnx.jit(lambda m, x: m(x))(model, jnp.ones((1, 2))),
    "operator": lambda model: model.layers[0].kernel + 1,
    "swapped": lambda model: 2.0 * model.layers[0].kernel,
    "unary": lambda model: -model.layers[0].kernel,
    "numpy": lambda model: np.asarray(model.layers[0].kernel),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_an_abstract_variable_is_named_where_it_is_used(use):
    model = abstract()
    text = r"Param `model\.layers\[0\]\.\w+` has no value yet: it is a ShapeDtypeStruct"
    with pytest.raises(ArgumentError, match=text) as caught:
        use(model)
    assert "Instead: give it a value" in str(caught.value)
    assert "nnx.update(model, state)" in str(caught.value)


def test_shapes_are_read_without_values():
    model = abstract()
    assert model.layers[0].kernel.shape == (2, 2)
    shape = nnx.eval_shape(lambda m, x: m(x), model, jnp.ones((1, 2))).shape
    assert shape == (1, 2)


def test_another_type_error_stays_what_it_is():
    @nnx.jit
    def wrong(model):
        return len(3)  # type: ignore[arg-type]

    with pytest.raises(TypeError, match="has no len"):
        wrong(Model(nnx.Rngs(0)))


def test_a_graphdef_lists_its_nodes_parents_first():
    model = Model(nnx.Rngs(0))
    model.again = model.layers[0]
    nodes = nnx.split((model, {"x": jnp.ones(1)}))[0].nodes
    assert [node.type.__name__ for node in nodes] == [
        *("Model", "Linear", "Param", "Param", "list", "BatchNorm"),
        *("Param", "BatchStat", "Param", "BatchStat"),
    ]
    assert jax.tree.leaves(nnx.graphdef(nnx.Param(1.0)).nodes[0].index) == [0]
