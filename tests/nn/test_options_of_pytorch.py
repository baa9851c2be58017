"""Options by which layers do what PyTorch's do; the defaults are those of flax.nnx."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from oakum.errors import ArgumentValueError

RNGS = nnx.Rngs(0)


@pytest.mark.parametrize("row", [2, -3])
def test_a_row_of_padding_is_zeros_and_gets_no_gradient(row):
    layer = nnx.Embed(5, 3, padding_idx=row, rngs=RNGS)
    tokens = jnp.array([2, 0, -3])
    grads = nnx.grad(lambda layer: layer(tokens).sum())(layer)
    np.testing.assert_array_equal(layer.embedding[2], 0)
    np.testing.assert_array_equal(grads["embedding"][:, 0], [1, 0, 0, 0, 0])


def test_a_row_of_padding_that_there_is_not_is_named():
    with pytest.raises(ArgumentValueError, match=r"padding_idx=5(.|\n)*from -5 to 4"):
        nnx.Embed(5, 3, padding_idx=5, rngs=RNGS)


PADDINGS = {
    "unknown": {"padding_mode": "wrap"},
    "word": {"padding": "CAUSAL", "padding_mode": "reflect"},
    "negative": {"padding": -1, "padding_mode": "reflect"},
    "dilated": {"padding": 1, "padding_mode": "circular", "input_dilation": 2},
}


@pytest.mark.parametrize("options", PADDINGS.values(), ids=PADDINGS)
def test_a_padding_mode_without_a_meaning_is_named(options):
    mode = options["padding_mode"]
    with pytest.raises(ArgumentValueError, match=f"{mode!r}(.|\n)*'replicate'"):
        nnx.Conv(2, 2, 3, **options, rngs=RNGS)


def test_groups_that_do_not_divide_the_channels_are_named():
    with pytest.raises(ArgumentValueError, match="out_features=3 of a ConvTranspose"):
        nnx.ConvTranspose(4, 3, 3, feature_group_count=2, rngs=RNGS)


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("padding", ["SAME", "VALID", "CIRCULAR", [(1, 0)]])
def test_groups_of_a_transposed_convolution_are_layers_of_their_own(padding, swapped):
    options = {"strides": 3, "padding": padding, "transpose_kernel": swapped}
    both = nnx.ConvTranspose(4, 6, 4, **options, feature_group_count=2, rngs=RNGS)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 4)), jnp.float32)
    outs = []
    for half in range(2):
        layer = nnx.ConvTranspose(2, 3, 4, **options, rngs=RNGS)
        at = slice(2 * half, None) if swapped else slice(3 * half, None)
        size = layer.kernel.shape[-1]
        layer.kernel.value = both.kernel.value[..., at][..., :size]
        outs.append(layer(x[..., 2 * half : 2 * half + 2]))
    np.testing.assert_allclose(both(x), jnp.concatenate(outs, -1), atol=1e-5)


def test_an_unbiased_variance_counts_what_the_mask_leaves():
    layer = nnx.BatchNorm(1, momentum=0.0, unbiased_variance=True)
    x = jnp.array([[1.0], [3.0], [100.0]])
    layer(x, mask=jnp.array([[True], [True], [False]]))
    np.testing.assert_allclose(layer.var.value, [2.0])


def test_an_adaptive_pool_of_two_axes_leaves_one_that_is_none():
    x = jnp.arange(12.0).reshape(1, 4, 3, 1)
    assert nnx.adaptive_avg_pool(x, (2, None)).shape == (1, 2, 3, 1)
    np.testing.assert_allclose(nnx.adaptive_avg_pool(x, (1, 1)).ravel(), [5.5])


def test_an_adaptive_pool_says_what_fits():
    with pytest.raises(ValueError, match=r"output_shape=0(.|\n)*1 or more"):
        nnx.adaptive_max_pool(jnp.ones((1, 4, 1)), 0)
    with pytest.raises(ValueError, match=r"2 spatial axes(.|\n)*channels"):
        nnx.adaptive_avg_pool(jnp.ones((4, 1)), (2, 2))


def test_a_projected_lstm_says_the_sizes_of_its_carry():
    cell = nnx.OptimizedLSTMCell(3, 5, projection_features=2, rngs=RNGS)
    memory, last = cell.initialize_carry((4, 3))
    assert (memory.shape, last.shape) == ((4, 5), (4, 2))
    with pytest.raises(ValueError, match=r"\(4, 5\) and \(4, 2\)"):
        cell((memory, memory), jnp.ones((4, 3)))


def test_spectral_norm_of_two_vectors_finds_the_largest_singular_value():
    layer = nnx.SpectralNorm(nnx.Linear(4, 3, rngs=RNGS), keep_v=True, rngs=RNGS)
    for _ in range(50):
        layer(jnp.ones((1, 4)))
    kernel = layer.layer_instance.kernel.value
    sigma = layer.batch_stats["kernel", "sigma"].value
    np.testing.assert_allclose(sigma, jnp.linalg.norm(kernel, 2), rtol=1e-5)


def _attention(**options):
    return nnx.MultiHeadAttention(
        4, 16, num_kv_heads=2, qk_norm=nnx.RMSNorm, rngs=RNGS, **options
    )


def _noise(*shape):
    return jnp.asarray(np.random.default_rng(1).normal(size=shape), jnp.float32)


@pytest.mark.parametrize("window", [None, 3])
def test_attention_through_a_cache_is_that_of_the_whole(window):
    layer = _attention(rope=nnx.RoPE(), window=window, softcap=20.0, scale=0.3)
    cache = nnx.KVCache(2, 8, layer.num_kv_heads, layer.head_dim, window=window)
    x = _noise(2, 7, 16)
    parts = [layer(x[:, :4], cache=cache)]
    parts += [layer(x[:, i : i + 1], cache=cache) for i in range(4, 7)]
    whole = layer(x, is_causal=True)
    np.testing.assert_allclose(jnp.concatenate(parts, 1), whole, atol=1e-5)


@pytest.mark.parametrize("window", [None, 3])
def test_attention_with_rotated_keys_decodes_with_its_own_cache(window):
    layer = _attention(rope=nnx.RoPE(), window=window)
    layer.init_cache((2, 7, 16))
    x = _noise(2, 7, 16)
    parts = [layer(x[:, i : i + 1], decode=True) for i in range(7)]
    whole = layer(x, is_causal=True)
    np.testing.assert_allclose(jnp.concatenate(parts, 1), whole, atol=1e-5)


def test_attention_takes_one_cache():
    layer = _attention()
    layer.init_cache((2, 7, 16))
    cache = nnx.KVCache(2, 8, 2, 4)
    with pytest.raises(ArgumentValueError, match=r"decode=True(.|\n)*one of them"):
        layer(_noise(2, 1, 16), cache=cache, decode=True)


@pytest.mark.parametrize("options", [{}, {"window": 3}, {"ring": True}])
def test_rows_of_a_cache_count_their_own_positions(options):
    layer = _attention(rope=nnx.RoPE())
    size = 3 if options.get("ring") else 8
    x = _noise(2, 7, 16)
    cache = nnx.KVCache(2, size, 2, 4, per_row=True, **options)
    layer(x[:, :2], cache=cache)
    cache.index.value = jnp.array([2, 0])  # the second row begins anew
    outs = [layer(jnp.stack([x[0, i : i + 2], x[1, i - 2 : i]]), cache=cache)
            for i in (2, 4)]  # fmt: skip
    outs.append(layer(jnp.stack([x[0, 6:7], x[1, 4:5]]), cache=cache))
    for row, seq, first in ((0, 7, 2), (1, 5, 0)):
        alone = nnx.KVCache(1, size, 2, 4, **options)
        parts = [layer(x[row : row + 1, i : i + 1], cache=alone) for i in range(seq)]
        expected = jnp.concatenate(parts, 1)[0, first:]
        got = jnp.concatenate(outs, 1)[row]
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_rows_of_a_cache_are_one_trace():
    layer, traces = _attention(rope=nnx.RoPE()), []

    @nnx.jit
    def step(layer, x, cache):
        traces.append(0)
        return layer(x, cache=cache)

    cache = nnx.KVCache(2, 8, 2, 4, per_row=True)
    for _ in range(3):
        step(layer, _noise(2, 1, 16), cache)
        cache.index[1] = 0
    assert len(traces) == 1
    assert jax.device_get(cache.index.value).tolist() == [3, 0]
