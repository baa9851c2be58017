"""A bare array in the place of a Variable: it serves, or an error says what to do."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from oakum.errors import ArgumentError, StructureError
from tests.registry import ROWS

# They change, or map, the parameters of the layers inside, and refuse bare arrays.
WRAPPERS = ("weight-norm", "spectral-norm", "repeat")
LAYERS = [
    row for row in ROWS if not row.id.endswith("bfloat16") and row.id not in WRAPPERS
]


def strip(model):
    """Puts the bare array in the place of every Param; returns how many."""
    count = 0
    for _, module in nnx.iter_modules(model):
        for name, child in list(getattr(module, "__dict__", {}).items()):
            if isinstance(child, nnx.Param):
                setattr(module, name, child[...])
                count += 1
    return count


@pytest.mark.parametrize("row", LAYERS, ids=lambda row: row.id)
def test_a_layer_takes_bare_arrays_for_parameters(row):
    layer, bare, x = row.layer(), row.layer(), row.inputs()
    has_params = bool(nnx.to_flat_state(nnx.state(layer, nnx.Param)))
    assert bool(strip(bare)) == has_params
    assert not nnx.to_flat_state(nnx.state(bare, nnx.Param))
    apply = nnx.jit(lambda layer, x: layer(x))
    np.testing.assert_array_equal(apply(bare, x), apply(layer, x))


def test_a_bare_array_is_a_constant_of_training():
    layer = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    layer.kernel = np.ones((2, 3), np.float32)
    grads = nnx.grad(lambda layer: layer(jnp.ones((1, 2))).sum())(layer)
    assert list(grads) == ["bias"]
    assert layer(jnp.ones((1, 2))).tolist() == [[2.0] * 3]


@pytest.mark.parametrize("kind", [nnx.WeightNorm, nnx.SpectralNorm])
def test_a_bare_array_is_not_left_as_it_is_where_it_should_be_normalized(kind):
    rngs = nnx.Rngs(0)
    layer = kind(nnx.Sequential(nnx.Linear(2, 3, rngs=rngs)), rngs=rngs)
    layer.layer_instance.layers[0].kernel = jnp.ones((2, 3))
    with pytest.raises(StructureError, match=r"no Param layers.0.kernel") as caught:
        layer(jnp.ones((1, 2)))
    assert f"in a {kind.__name__}" in caught.value.what
    assert "[...] = array" in caught.value.remedy


WRONG = {"list": [[1.0, 2.0]], "number": 1.0, "text": "ones"}


@pytest.mark.parametrize("value", WRONG.values(), ids=WRONG)
def test_what_is_no_array_is_named_with_its_path_and_the_remedy(value):
    model = nnx.Sequential(nnx.Linear(1, 2, rngs=nnx.Rngs(0)))
    model.layers[0].kernel = value
    with pytest.raises(ArgumentError, match="kernel of a Linear") as caught:
        model(jnp.ones((1, 1)))
    assert caught.value.where.endswith("layers[0].kernel")
    assert type(model.layers[0].kernel).__name__ in caught.value.what
    assert "layer.kernel[...] = array" in caught.value.remedy
    assert "layer.kernel = nnx.Param(array)" in caught.value.remedy


@pytest.mark.parametrize("name", ["mean", "var"])
def test_batch_norm_reads_bare_statistics_and_says_that_it_cannot_write_them(name):
    layer, x = nnx.BatchNorm(2), jnp.array([[1.0, 2.0], [3.0, 6.0]])
    setattr(layer, name, jnp.ones(2))
    with pytest.raises(ArgumentError, match=f"{name} of a BatchNorm") as caught:
        layer(x)
    assert caught.value.where == f"layer.{name}"
    assert f"layer.{name} = nnx.BatchStat(array)" in caught.value.remedy
    other = layer.var if name == "mean" else layer.mean
    assert other[...].tolist() == [float(name == "mean")] * 2
    assert layer(x, use_running_average=True).shape == (2, 2)
    setattr(layer, name, nnx.BatchStat(jnp.ones(2)))
    assert layer(x).shape == (2, 2)


class Held:
    """Gives an array for `[...]`, as a Variable does."""

    def __init__(self, value):
        self.value = value

    def __getitem__(self, index):
        return self.value[index]


def test_a_call_takes_what_looks_like_the_layer():
    layer = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    names = ("dtype", "promote_dtype", "dot_general", "precision")
    settings = {name: getattr(layer, name) for name in names}
    alike = SimpleNamespace(
        **settings,
        kernel=Held(layer.kernel[...]),
        bias=None,
        preferred_element_type=None,
    )
    x = jnp.ones((4, 2))
    np.testing.assert_array_equal(nnx.Linear.__call__(alike, x), layer(x))  # pyright: ignore[reportArgumentType]
