"""Attention masks: by definition, and how they are combined."""

import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from oakum.errors import ArgumentValueError, ShapeError


def pairs(seq, allowed):
    """The mask `allowed(query, key)`, written as loops."""
    rows = [[allowed(q, k) for k in range(seq)] for q in range(seq)]
    return np.array(rows, np.float32)


def test_causal_mask_allows_what_came_before():
    mask = nnx.make_causal_mask(jnp.zeros((2, 4)))
    assert mask.shape == (2, 1, 4, 4)
    np.testing.assert_array_equal(mask[1, 0], pairs(4, lambda q, k: k <= q))


WINDOWS = {
    "self-alone": (1, lambda q, k: k == q),
    "last-three": (3, lambda q, k: q - 3 < k <= q),
    "wider-than-seq": (9, lambda q, k: k <= q),
    "pair": ((2, 1), lambda q, k: q - 2 <= k <= q + 1),
    "after-alone": ((0, 2), lambda q, k: q <= k <= q + 2),
    "list": ([1, 0], lambda q, k: q - 1 <= k <= q),
}


@pytest.mark.parametrize(("window", "allowed"), WINDOWS.values(), ids=WINDOWS)
def test_sliding_window_mask_allows_the_window(window, allowed):
    mask = nnx.make_sliding_window_mask(jnp.zeros((2, 5)), window)
    assert (mask.shape, mask.dtype) == ((2, 1, 5, 5), jnp.float32)
    np.testing.assert_array_equal(mask[0, 0], pairs(5, allowed))


def test_sliding_window_mask_has_batch_axes_and_dtype():
    x = jnp.zeros((2, 5))
    mask = nnx.make_sliding_window_mask(x, 2, extra_batch_dims=1, dtype=bool)
    assert (mask.shape, mask.dtype) == ((1, 2, 1, 5, 5), bool)


@pytest.mark.parametrize("window", [0, -1, (-1, 2), (1, -2)], ids=str)
def test_sliding_window_mask_refuses_an_empty_window(window):
    with pytest.raises(ArgumentValueError, match=r"window_size=(.|\n)*1 or more"):
        nnx.make_sliding_window_mask(jnp.zeros(3), window)


def test_masks_of_numpy_arrays_and_integers_combine():
    x = np.ones((2, 3), np.int32)
    padding = nnx.make_attention_mask(x, np.array([[1, 1, 0]] * 2))
    both = nnx.combine_masks(nnx.make_causal_mask(x), None, padding)
    assert both is not None
    np.testing.assert_array_equal(both[0, 0], [[1, 0, 0], [1, 1, 0], [1, 1, 0]])


def test_combining_nothing_gives_none():
    assert nnx.combine_masks() is None
    assert nnx.combine_masks(None, None) is None


@pytest.mark.parametrize("shapes", [((3, 3), (1, 3, 3)), ((2, 3), (4, 3))], ids=str)
def test_masks_that_do_not_fit_name_their_shapes(shapes):
    with pytest.raises(ShapeError) as caught:
        nnx.combine_masks(*map(jnp.ones, shapes))
    assert ", ".join(map(str, shapes)) in str(caught.value)
    assert "same rank" in str(caught.value)
