"""KVCache: decoding equals attention over everything, in place and in one trace."""

import math
import re

import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from oakum.errors import ArgumentValueError, ShapeError

SEQ, WINDOW = 9, 4


def draw(heads, seq=SEQ, batch=(2,), seed=0):
    shape = (*batch, seq, heads, 6)
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def cache_of(ring, **options):
    length = WINDOW if ring else SEQ
    return nnx.KVCache(2, length, num_heads=2, head_dim=6, ring=ring, **options)


def attend(cache, query, key, value):
    keys, values, mask = cache.extend(key, value)
    return nnx.dot_product_attention(query, keys, values, mask=mask)


def in_parts(cache, sizes, step, query, key, value):
    """Runs a step on consecutive pieces of the sequence, and joins what it returns."""
    ends = np.cumsum(sizes)[:-1]
    split = [jnp.split(x, ends, axis=-3) for x in (query, key, value)]
    pieces = zip(*split, strict=True)
    return jnp.concatenate([step(cache, *piece) for piece in pieces], axis=-3)


def expected(ring, query, key, value):
    x = jnp.ones(query.shape[-3])
    mask = nnx.make_sliding_window_mask(x, WINDOW) if ring else nnx.make_causal_mask(x)
    return nnx.dot_product_attention(query, key, value, mask=mask)


RINGS = pytest.mark.parametrize("ring", [False, True], ids=["full", "ring"])
SIZES = {
    "one-by-one": [1] * SEQ,
    "prompt-first": [5, 1, 1, 1, 1],
    "prompts-between": [1, 3, 1, 4],
    "all-at-once": [SEQ],
}


@RINGS
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_decoding_equals_attention_over_the_whole_sequence(ring, sizes):
    arrays = draw(4, seed=1), draw(2, seed=2), draw(2, seed=3)
    out = in_parts(cache_of(ring), sizes, nnx.jit(attend), *arrays)
    np.testing.assert_allclose(out, expected(ring, *arrays), atol=1e-6)


@RINGS
def test_a_step_is_traced_once_for_all_positions(ring):
    step, arrays = nnx.jit(attend), (draw(4), draw(2), draw(2))
    in_parts(cache_of(ring), [1] * SEQ, step, *arrays)
    assert step._cache_size() == 1


@RINGS
@pytest.mark.parametrize("batch", [1, 2])
def test_a_step_takes_the_memory_of_the_cache_and_copies_none_of_it(ring, batch):
    cache = nnx.KVCache(batch, 64, 2, 6, ring=ring)
    one = [draw(heads, 1, (batch,)) for heads in (4, 2, 2)]
    program = nnx.jit(attend).lower(cache, *one).compile().as_text()
    assert len(re.findall(r"\{\d\}: \(\d, \{\}", program.splitlines()[0])) == 3
    moved = re.findall(r"f32\[([\d,]+)\]\S* (?:copy|transpose)\(", program)
    sizes = [math.prod(map(int, shape.split(","))) for shape in moved]
    assert max(sizes, default=0) < cache.keys.value.size


def test_the_old_arrays_are_given_up_in_a_step():
    cache = cache_of(True)
    pointer = cache.keys.value.unsafe_buffer_pointer()
    nnx.jit(attend)(cache, draw(4, 1), draw(2, 1), draw(2, 1))
    assert cache.keys.value.unsafe_buffer_pointer() == pointer


@RINGS
def test_a_cache_of_half_precision_returns_the_dtype_it_was_given(ring):
    cache = cache_of(ring, dtype=jnp.bfloat16)
    keys, values, _ = cache.extend(draw(2, 3), draw(2, 3))
    assert cache.keys.value.dtype == cache.values.value.dtype == jnp.bfloat16
    assert keys.dtype == values.dtype == jnp.float32


@RINGS
def test_there_may_be_several_batch_axes_or_none(ring):
    for batch in ((), (2, 3)):
        cache = nnx.KVCache(batch, WINDOW if ring else SEQ, 2, 6, ring=ring)
        arrays = (draw(4, batch=batch), draw(2, batch=batch), draw(2, batch=batch))
        out = in_parts(cache, [5, 4], nnx.jit(attend), *arrays)
        np.testing.assert_allclose(out, expected(ring, *arrays), atol=1e-6)


@RINGS
def test_a_cache_that_was_reset_begins_anew(ring):
    cache, arrays = cache_of(ring), (draw(4, 3), draw(2, 3), draw(2, 3))
    first = attend(cache, *arrays)
    assert cache.positions(2).tolist() == [3, 4]
    cache.reset()
    assert cache.positions().tolist() == [0]
    np.testing.assert_array_equal(attend(cache, *arrays), first)


def test_a_full_cache_raises_before_it_is_written():
    cache, one = cache_of(False), draw(2, 1)
    cache.extend(draw(2), draw(2))
    before = cache.keys.value
    with pytest.raises(ArgumentValueError, match=r"max_length=9, 9(.|\n)*ring=True"):
        cache.extend(one, one)
    assert cache.keys.value is before
    with pytest.raises(ArgumentValueError, match="no room for 10 more"):
        nnx.jit(nnx.KVCache.extend)(cache_of(False), draw(2, 10), draw(2, 10))


def test_a_full_cache_gives_nan_in_a_compiled_step_until_its_reset():
    cache, step, one = cache_of(False), nnx.jit(attend), (draw(4, 1), draw(2, 1))
    cache.extend(draw(2), draw(2))
    assert np.isnan(step(cache, *one, one[1])).all()
    cache.reset()
    assert np.isfinite(step(cache, *one, one[1])).all()


BAD = {
    "heads": (draw(3), draw(3), r"\(2, 9, 2, 6\), got \(2, 9, 3, 6\)"),
    "value": (draw(2), draw(2, 3), r"got \(2, 9, 2, 6\) and \(2, 3, 2, 6\)"),
    "rank": (jnp.ones(6), jnp.ones(6), r"\(2, 1, 2, 6\), got \(6,\)"),
}


@pytest.mark.parametrize(("key", "value", "text"), BAD.values(), ids=BAD)
def test_wrong_shapes_are_named_with_the_remedy(key, value, text):
    text = rf"{text}(.|\n)*'caches'\]\[0\](.|\n)*KVCache\("
    model = nnx.Dict(caches=[cache_of(False)])
    with pytest.raises(ShapeError, match=text):
        model.caches[0].extend(key, value)


def test_a_cache_has_room_for_one_position_at_least():
    with pytest.raises(ArgumentValueError, match=r"max_length=0(.|\n)*1 or more"):
        nnx.KVCache(2, 0, num_heads=1, head_dim=4)
