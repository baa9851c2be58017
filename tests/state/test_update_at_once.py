"""update writes a State that fits at once, and says the same of one that does not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx


class Net(nnx.Module):
    def __init__(self):
        self.layers = nnx.List([nnx.Linear(2, 2, rngs=nnx.Rngs(i)) for i in range(2)])
        self.count = nnx.BatchStat(jnp.zeros(()))


def doubled(model):
    return jax.tree.map(lambda x: 2 * x, nnx.state(model))


def test_all_values_are_written_and_the_variables_stay():
    model = Net()
    kept, new = nnx.state(model), doubled(model)
    variables = jax.tree.leaves(kept, is_leaf=lambda x: isinstance(x, nnx.Variable))
    nnx.update(model, new)
    after = jax.tree.leaves(
        nnx.state(model), is_leaf=lambda x: isinstance(x, nnx.Variable)
    )
    assert all(a is b for a, b in zip(variables, after, strict=True))
    for a, b in zip(jax.tree.leaves(model), jax.tree.leaves(new), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_part_is_written_and_another_dtype_taken():
    model = Net()
    part = nnx.State({"layers": {1: {"bias": nnx.Param(jnp.ones(2, jnp.bfloat16))}}})
    nnx.update(model, part)
    assert model.layers[1].bias.dtype == jnp.bfloat16
    assert float(model.layers[0].bias.sum()) == 0


def test_nothing_is_written_where_one_shape_misfits():
    model, new = Net(), doubled(Net())
    new.layers[1].kernel = nnx.Param(jnp.ones((5, 5)))
    before = jax.tree.leaves(model)
    with pytest.raises(nnx.errors.StructureError, match=r"layers\.1\.kernel"):
        nnx.update(model, new)
    assert all(a is b for a, b in zip(jax.tree.leaves(model), before, strict=True))


def test_metadata_goes_over_with_the_values():
    model, new = Net(), doubled(Net())
    new.layers[0].bias.set_metadata(tag="x")
    nnx.update(model, new)
    assert model.layers[0].bias.get_metadata("tag") == "x"


def test_a_tied_variable_has_one_value():
    model = Net()
    model.layers[1].kernel = model.layers[0].kernel
    nnx.update(model, doubled(model))
    assert model.layers[1].kernel is model.layers[0].kernel


def test_a_model_captured_by_a_foreign_trace_is_not_written():
    model, new = Net(), doubled(Net())

    @jax.jit
    def leak(x):
        nnx.update(model, new)
        return x

    with nnx.guard(stale="off"), pytest.raises(nnx.errors.TraceContextError):
        leak(jnp.ones(()))


def test_inside_a_transform_the_twin_is_written():
    model = Net()

    @nnx.jit
    def write(model, new):
        nnx.update(model, new)

    new = doubled(model)
    write(model, new)
    for a, b in zip(jax.tree.leaves(model), jax.tree.leaves(new), strict=True):
        np.testing.assert_array_equal(a, b)
