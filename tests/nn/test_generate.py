"""generate: greedy, drawn, stopped, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from oakum.errors import ArgumentError, ArgumentValueError, MissingRngError, ShapeError

VOCAB = 9


class Counter(nnx.Module):
    """The next token is the last one and one more; counts its calls."""

    calls = 0

    def __call__(self, tokens, caches, positions=None, mask=None):
        type(self).calls += 1
        x = jnp.ones((*tokens.shape, 1, 1))
        caches[0].extend(x, x)
        return 5.0 * nnx.one_hot(tokens + 1, VOCAB)


def _caches(batch=1, length=8):
    return [nnx.KVCache(batch, length, num_heads=1, head_dim=1)]


def test_the_best_token_is_taken():
    tokens = nnx.generate(Counter(), jnp.array([[1, 2]]), _caches(), 4)
    np.testing.assert_array_equal(tokens, [[3, 4, 5, 6]])


def test_a_row_ends_at_a_stop_token_and_the_loop_with_the_last():
    caches = _caches(2)
    prompt = jnp.array([[1], [3]])
    tokens = nnx.generate(Counter(), prompt, caches, 7, stop=(5,), pad=8)
    np.testing.assert_array_equal(tokens, [[2, 3, 4, 5, 8, 8, 8], [4, 5, *[8] * 5]])
    assert int(caches[0].index.value) == 4  # the prompt and three steps


def test_all_positions_and_calls_share_two_traces():
    model = Counter()
    Counter.calls = 0
    for start in (1, 2):
        nnx.generate(model, jnp.array([[start]]), _caches(), 5, stop=7)
    assert Counter.calls <= 4  # the prompt's and the loop's, each at most twice


def test_a_cache_that_has_positions_is_continued():
    caches = _caches()
    nnx.generate(Counter(), jnp.array([[1]]), caches, 3)
    tokens = nnx.generate(Counter(), jnp.array([[4]]), caches, 2)
    np.testing.assert_array_equal(tokens, [[5, 6]])


def test_logits_in_bfloat16_are_drawn_evenly():
    logits = jnp.zeros((2000, 1000), jnp.bfloat16)
    drawn = nnx.Sampler()(logits, jax.random.key(0))
    assert 0.45 < float(jnp.mean(drawn < 500)) < 0.55


def test_draws_repeat_with_their_key():
    def run(seed):
        rngs = nnx.Rngs(sample=seed)
        sampler = nnx.Sampler(temperature=3.0)
        return nnx.generate(Counter(), [[1]], _caches(1, 40), 40, sampler, rngs=rngs)

    np.testing.assert_array_equal(run(0), run(0))
    assert (run(0) != run(1)).any()


LOGITS = jnp.log(jnp.array([[0.4, 0.3, 0.2, 0.1]]))
SAMPLERS = {
    "all": (nnx.Sampler(), {0, 1, 2, 3}),
    "top_k": (nnx.Sampler(top_k=2), {0, 1}),
    "top_k_of_more": (nnx.Sampler(top_k=9), {0, 1, 2, 3}),
    "top_p": (nnx.Sampler(top_p=0.65), {0, 1}),
    "top_p_of_one": (nnx.Sampler(top_p=0.1), {0}),
    "both": (nnx.Sampler(top_k=3, top_p=0.5), {0, 1}),
    "cold": (nnx.Sampler(temperature=1e-3), {0}),
}


@pytest.mark.parametrize(
    ("options", "count"),
    [({"top_p": 0.5}, 2), ({"top_k": 2}, 2), ({"top_k": 3, "top_p": 0.5}, 2), ({}, 4)],
)
def test_of_tokens_as_good_as_each_other_no_more_are_drawn(options, count):
    sampler, logits = nnx.Sampler(**options), jnp.zeros((200, 4))
    assert len(set(sampler(logits, jax.random.key(0)).tolist())) == count


@pytest.mark.parametrize(
    "options",
    [{"top_k": 0}, {"top_p": 0.0}, {"top_p": 1.5}, {"temperature": -1.0}],
)
def test_a_sampler_that_leaves_no_token_is_refused(options):
    with pytest.raises(ArgumentValueError, match=r"leaves no token(.|\n)*None for all"):
        nnx.Sampler(**options)(jnp.zeros((1, 4)), jax.random.key(0))


@pytest.mark.parametrize(("sampler", "expected"), SAMPLERS.values(), ids=SAMPLERS)
def test_a_sampler_draws_from_the_best(sampler, expected):
    keys = jax.random.split(jax.random.key(0), 200)
    drawn = jax.vmap(lambda key: sampler(LOGITS, key)[0])(keys)
    assert set(np.asarray(drawn).tolist()) == expected


def test_shares_of_draws_are_those_of_the_temperature():
    keys = jax.random.split(jax.random.key(0), 20_000)
    sampler = nnx.Sampler(temperature=0.5)
    drawn = jax.vmap(lambda key: sampler(LOGITS, key)[0])(keys)
    expected = np.array([16, 9, 4, 1]) / 30
    shares = np.bincount(drawn, minlength=4) / len(keys)
    np.testing.assert_allclose(shares, expected, atol=0.015)


REFUSED = {
    "one_row": (lambda c: ([1, 2], c, 2), {}, ShapeError, r"tokens\[None\]"),
    "mask": (
        lambda c: ([[1, 2]], c, 2),
        {"mask": np.ones((1, 3))},
        ShapeError,
        r"mask has shape \(1, 3\)",
    ),
    "ring": (
        lambda c: ([[1]], nnx.KVCache(1, 8, num_heads=1, head_dim=1, ring=True), 2),
        {"mask": np.ones((1, 1))},
        ArgumentValueError,
        "window=128",
    ),
    "room": (lambda c: ([[1] * 6], c, 4), {}, ArgumentValueError, "caches of 9"),
    "steps": (lambda c: ([[1]], c, 0), {}, ArgumentValueError, "1 step or more"),
    "no_cache": (lambda c: ([[1]], [], 2), {}, ArgumentError, "init_caches"),
    "rngs": (
        lambda c: ([[1]], c, 2, nnx.Sampler()),
        {},
        MissingRngError,
        r"rngs=nnx.Rngs\(0\)",
    ),
}


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "match"), REFUSED.values(), ids=REFUSED
)
def test_what_cannot_be_is_refused(arguments, options, kind, match):
    with pytest.raises(kind, match=match):
        nnx.generate(Counter(), *arguments(_caches()), **options)
