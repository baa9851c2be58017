"""A window larger than its padded input is refused; one that just fits is not."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from oakum.errors import ShapeError


class Net(nnx.Module):
    def __init__(self, layer):
        self.layers = [layer]

    def __call__(self, x):
        return self.layers[0](x)


def shape_of(function, *shape):
    """The shape of the result, for an input of ones; nothing is compiled."""
    return nnx.eval_shape(function, jax.ShapeDtypeStruct(shape, jnp.float32)).shape


def conv(*size, kind=nnx.Conv, **options):
    return Net(kind(1, 2, size, rngs=nnx.Rngs(0), **options))


TRANSPOSE = {"kind": nnx.ConvTranspose, "padding": 0}
TOO_LARGE = {
    "valid": (conv(5, 2, padding="VALID"), (1, 3, 3, 1), "spans (5, 2)", "(3, 3)"),
    "one-axis": (conv(1, 4, padding="VALID"), (3, 3, 1), "spans (1, 4)", "(3, 3)"),
    "amounts": (conv(5, padding=((0, 1),)), (2, 3, 1), "spans (5,)", "(4,)"),
    "strides": (conv(4, padding=0, strides=2), (1, 3, 1), "spans (4,)", "(3,)"),
    "dilated": (
        conv(3, padding="VALID", kernel_dilation=2),
        (1, 4, 1),
        "kernel_size=(3,), kernel_dilation=(2,), spans (5,)",
        "(4,)",
    ),
    "spread": (conv(6, padding=0, input_dilation=2), (1, 3, 1), "spans (6,)", "(5,)"),
    "transpose": (conv(4, **TRANSPOSE, strides=2), (1, 2, 1), "spans (4,)", "(3,)"),
}


@pytest.mark.parametrize(
    ("model", "shape", "window", "padded"), TOO_LARGE.values(), ids=TOO_LARGE
)
def test_a_kernel_larger_than_its_input_names_path_sizes_and_remedy(
    model, shape, window, padded
):
    with pytest.raises(ShapeError) as caught:
        nnx.eval_shape(
            lambda model, x: model(x), model, jax.ShapeDtypeStruct(shape, jnp.float32)
        )
    error = caught.value
    assert error.where == "model.layers[0]"
    assert window in error.what
    assert f"input of shape {shape} spans {padded} with its padding" in error.what
    assert "more padding or a smaller kernel_size" in error.remedy


@pytest.mark.parametrize("kind", [nnx.Conv, nnx.ConvTranspose])
def test_a_kernel_is_refused_exactly_where_it_fits_nowhere(kind):
    sizes = itertools.product((1, 2, 3), (1, 2, 3), (1, 2), (1, 2), (0, 1))
    for n, k, dilation, spread, pad in sizes:
        name = "strides" if kind is nnx.ConvTranspose else "input_dilation"
        options = {"kernel_dilation": dilation, name: spread, "padding": ((pad, 0),)}
        model = conv(k, kind=kind, **options)
        room = spread * (n - 1) + 1 + pad - dilation * (k - 1)
        if room > 0:
            assert shape_of(model, 2, n, 1) == (2, room, 2)
        else:
            with pytest.raises(ShapeError, match="fits nowhere"):
                shape_of(model, 2, n, 1)


@pytest.mark.parametrize("pool", [nnx.avg_pool, nnx.max_pool, nnx.min_pool])
def test_a_window_of_pooling_larger_than_its_input_is_refused(pool):
    text = r"spans \(4, 2\), but .* \(1, 2, 2, 1\) spans \(3, 2\)(.|\n)*window_shape"
    padding = ((1, 0), (0, 0))
    with pytest.raises(ShapeError, match=text):
        pool(jnp.ones((1, 2, 2, 1)), (4, 2), (2, 2), padding)
    assert shape_of(lambda x: pool(x, (3, 2), padding=padding), 2, 2, 1) == (1, 1, 1)
    assert shape_of(lambda x: pool(x, (4, 4), padding="SAME"), 2, 2, 1) == (2, 2, 1)


@pytest.mark.parametrize("shape", [(0, 3, 1), (2, 0, 1), (0, 4, 3, 1)])
def test_what_goes_in_empty_comes_out_empty(shape):
    for function in (
        conv(4, padding="VALID"),
        conv(4, **TRANSPOSE),
        lambda x: nnx.max_pool(x, (4,)),
        lambda x: nnx.avg_pool(x, (4,), count_include_pad=False),
    ):
        assert 0 in shape_of(function, *shape)


def test_no_features_are_no_missing_window():
    zeros = nnx.initializers.zeros_init()
    layer = nnx.Conv(1, 0, (3,), padding="VALID", kernel_init=zeros)
    assert shape_of(layer, 2, 3, 1) == (2, 1, 0)


@pytest.mark.parametrize("pool", ["avg_pool", "max_pool", "min_pool"])
def test_a_number_stands_for_all_axes(pool):
    x = jnp.arange(49.0).reshape(1, 7, 7, 1)
    run = getattr(nnx, pool)
    full = run(x, (2, 2), (2, 2), ((1, 1), (1, 1)))
    for strides, padding in [(2, 1), ((2, 2), (1, 1)), (np.int64(2), ((1, 1), 1))]:
        np.testing.assert_array_equal(run(x, (2, 2), strides, padding), full)
