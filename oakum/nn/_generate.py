"""generate: tokens one after the other, from a model that keeps its keys and values.

There are two compiled steps, whatever the positions: the *prompt* but for its last
token goes through the model as a whole, and all new tokens are one loop, which starts
from that token and ends when every row has met a stop token. So nobody asks for the
logits of the prompt, and XLA leaves them out: most of the memory, where the vocabulary
is large, and 0.4 of the products in a model of 60 million parameters. A model for it is
called as

    logits = model(tokens, caches)
    logits = model(tokens, caches, positions, mask)  # with padding in the prompt

and adds to its caches, which may be any objects with a `KVCache` among them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer

from .._graph import modules_of
from .._rngs import Rngs
from ..errors import ArgumentError, ArgumentValueError, MissingRngError, ShapeError
from ..transforms import jit, while_loop
from .attention._kv_cache import KVCache


class Sampler(NamedTuple):
    """How the next token is drawn from the logits.

    Top-k: Fan, Lewis, Dauphin: Hierarchical Neural Story Generation,
    https://arxiv.org/abs/1805.04833, 2018. Top-p: Holtzman et al.: The Curious Case of
    Neural Text Degeneration, https://arxiv.org/abs/1904.09751, 2019.

    Args:
        temperature: what the logits are divided by; 0 takes the best token.
        top_k: how many of the best tokens to draw from; None is all.
        top_p: draws from the best tokens that have this probability together, after
            the temperature and `top_k`.

    Example:
        >>> import oakum as nnx, jax, jax.numpy as jnp
        >>> logits = jnp.log(jnp.array([[0.5, 0.3, 0.2]]))
        >>> nnx.Sampler(temperature=0.0)(logits, None)
        Array([0], dtype=int32)
        >>> draw = nnx.Sampler(top_p=0.6)
        >>> {int(draw(logits, jax.random.key(i))[0]) for i in range(20)}
        {0, 1}
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __call__(self, logits: jax.Array, key: jax.Array | None) -> jax.Array:
        """The next tokens.

        Args:
            logits: `(batch, vocab)`.
            key: what to draw with.

        Returns:
            An array `(batch,)`, `int32`.

        Raises:
            ArgumentValueError: the options leave no token.
        """
        _check_sampler(self)
        if self.temperature == 0:
            return jnp.argmax(logits, -1).astype(jnp.int32)
        logits = logits.astype(jnp.float32) / self.temperature
        tokens = None  # of each place, where they are in order
        if self.top_k is not None:
            logits, tokens = jax.lax.top_k(logits, min(self.top_k, logits.shape[-1]))
        elif self.top_p is not None:
            tokens = jnp.argsort(logits, axis=-1, descending=True)
            logits = jnp.take_along_axis(logits, tokens, -1)
        if self.top_p is not None:
            shares = jax.nn.softmax(logits)
            # Of the best ones, as long as those before have not reached the share.
            kept = jnp.cumsum(shares, -1) - shares < self.top_p
            logits = jnp.where(kept, logits, -jnp.inf)
        assert key is not None
        places = jax.random.categorical(key, logits)
        if tokens is not None:
            places = jnp.take_along_axis(tokens, places[..., None], -1)[..., 0]
        return places.astype(jnp.int32)


def _check_sampler(sampler: Sampler) -> None:
    temperature, count, share = sampler
    if temperature < 0 or (count is not None and count < 1):
        wrong = f"temperature={temperature}, top_k={count}"
    elif share is not None and not 0 < share <= 1:
        wrong = f"top_p={share}"
    else:
        return
    raise ArgumentValueError(
        f"Sampler with {wrong} leaves no token to draw",
        remedy="a temperature of 0 takes the best token; top_k is 1 or more, top_p "
        "more than 0 and at most 1, and None for all.",
    )


GREEDY = Sampler(0.0)


def generate(
    model: Callable[..., jax.Array],
    tokens: jax.Array,
    caches: Any,
    steps: int,
    sampler: Callable[..., jax.Array] = GREEDY,
    *,
    mask: jax.Array | None = None,
    stop: int | Iterable[int] = (),
    pad: int = 0,
    rngs: Rngs | jax.Array | None = None,
) -> jax.Array:
    """Continues a prompt.

    Args:
        model: gives logits `(batch, seq, vocab)` for `model(tokens, caches)`, and with
            a mask for `model(tokens, caches, positions, mask)`: `positions` are
            `(batch, seq)`, `mask` is `(batch, 1, 1, slots)` and True for the slots of
            the cache that count.
        tokens: `(batch, seq)`, the prompt; its end is what is continued.
        caches: what the model keeps keys and values in, with room for the prompt and
            all but the last of the new tokens. They hold these afterwards.
        steps: the largest number of new tokens.
        sampler: takes logits `(batch, vocab)` and a key, and gives tokens `(batch,)`;
            hashable, so that it is compiled once. The best token by default.
        mask: `(batch, seq)`, False where the prompt is padded, in front.
        stop: tokens after which a row ends.
        pad: the token after that.
        rngs: what to draw with: its `sample` stream, or a key.

    Returns:
        An array `(batch, steps)`, `int32`, of the new tokens.

    Raises:
        ShapeError: `tokens` or `mask` are of another shape.
        ArgumentValueError: the caches have no room, or are rings and `mask` is given.
        ArgumentError: there is no KVCache among them.
        MissingRngError: the sampler draws, and there is nothing to draw with.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> class Counter(nnx.Module):  # the next token is the last and one more
        ...     def __call__(self, tokens, cache):
        ...         x = jnp.ones((*tokens.shape, 1, 1))
        ...         cache.extend(x, x)
        ...         return nnx.one_hot(tokens + 1, 9)
        >>> cache = nnx.KVCache(1, 8, num_heads=1, head_dim=1)
        >>> nnx.generate(Counter(), jnp.array([[1, 2]]), cache, 4, stop=5)
        Array([[3, 4, 5, 0]], dtype=int32)
    """
    tokens = jnp.asarray(tokens)
    _check(tokens, mask, caches, steps)
    key = _key(sampler, rngs)
    stops = (stop,) if isinstance(stop, int) else tuple(stop)
    first, then = _programs(sampler, stops, int(pad), int(steps))
    slot_mask = positions = None
    if mask is not None:
        mask = jnp.asarray(mask).astype(bool)
        slot_mask, positions = _from_mask(mask, _first_cache(caches).max_length)
    if tokens.shape[1] > 1:
        first(model, caches, tokens, slot_mask, positions)
    return then(model, caches, tokens, slot_mask, positions, key)


@functools.partial(jax.jit, static_argnums=1)
def _from_mask(mask: jax.Array, slots: int) -> tuple[jax.Array, jax.Array]:
    """Which slots count, `(batch, 1, 1, slots)`, and positions, `(batch, seq)`."""
    positions = jnp.maximum(jnp.cumsum(mask, 1) - 1, 0)
    later = jnp.ones((len(mask), slots - mask.shape[1]), bool)
    return jnp.concatenate([mask, later], 1)[:, None, None], positions


@functools.lru_cache(maxsize=64)
def _programs(
    sampler: Callable[..., jax.Array], stops: tuple[int, ...], pad: int, steps: int
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The two steps: of the prompt but for its last token, and from that to all."""

    def draw(logits: jax.Array, key: Any, number: Any) -> jax.Array:
        key = None if key is None else jax.random.fold_in(key, number)
        return sampler(logits[:, -1], key)

    def prompt(
        model: Any, caches: Any, tokens: Any, slot_mask: Any, positions: Any
    ) -> None:
        extra = () if positions is None else (positions[:, :-1], slot_mask)
        model(tokens[:, :-1], caches, *extra)

    def rest(
        model: Any, caches: Any, tokens: Any, slot_mask: Any, positions: Any, key: Any
    ) -> jax.Array:
        token = tokens[:, -1].astype(jnp.int32)
        out = jnp.full((len(token), steps), pad, jnp.int32)

        def ended(token: Any, done: Any) -> Any:
            return functools.reduce(jnp.logical_or, [token == s for s in stops], done)

        def going(carry: tuple) -> Any:
            _, number, _, done, _ = carry
            return (number < steps) & ~jnp.all(done)

        def step(carry: tuple) -> tuple:
            caches, number, token, done, out = carry
            extra = ()
            if positions is not None:
                extra = (positions[:, -1:] + number, slot_mask)
            logits = model(token[:, None], caches, *extra)
            token = jnp.where(done, pad, draw(logits, key, number))
            out = out.at[:, number].set(token)
            return caches, number + 1, token, ended(token, done), out

        done = jnp.zeros(token.shape, bool)
        carry = (caches, jnp.asarray(0, jnp.int32), token, done, out)
        return while_loop(going, step, carry)[-1]

    return jit(prompt), jit(rest)


def _check(tokens: jax.Array, mask: Any, caches: Any, steps: int) -> None:
    if tokens.ndim != 2 or not tokens.shape[1]:
        raise ShapeError(
            f"generate expects tokens of shape (batch, seq), got {tokens.shape}",
            remedy="pass one row for each prompt, as in tokens[None].",
        )
    if mask is not None and jnp.shape(mask) != tokens.shape:
        raise ShapeError(
            f"mask has shape {jnp.shape(mask)}, and tokens {tokens.shape}",
            remedy="pass one truth value for each token: mask = tokens != pad.",
        )
    cache = _first_cache(caches)
    if mask is not None and cache.ring:
        raise ArgumentValueError(
            "generate: a padded prompt in a cache that is a ring, whose slots move on",
            remedy="make the caches with window=, nnx.KVCache(..., window=128), which "
            "keep all positions and look at as many.",
        )
    taken = cache.index.value
    taken = 0 if isinstance(taken, Tracer) else int(taken.max())
    needed = taken + tokens.shape[1] + steps - 1
    if steps < 1 or (needed > cache.max_length and not cache.ring):
        raise ArgumentValueError(
            f"generate: {steps} steps after {taken} positions in the cache and "
            f"{tokens.shape[1]} of the prompt, and the cache has max_length="
            f"{cache.max_length}",
            remedy=f"make caches of {max(needed, 1)} positions, and ask for 1 step or "
            "more.",
        )


def _first_cache(caches: Any) -> KVCache:
    for _, module in modules_of(caches):
        if isinstance(module, KVCache):
            return module
    raise ArgumentError(
        f"generate finds no KVCache in caches, a {type(caches).__name__}",
        remedy="pass what the model writes to: caches = model.init_caches(batch, 128).",
    )


def _key(sampler: Any, rngs: Any) -> jax.Array | None:
    if isinstance(sampler, Sampler) and sampler.temperature == 0:
        return None
    if rngs is None:
        raise MissingRngError(
            f"generate: {sampler} draws tokens, and there are no rngs",
            remedy="pass rngs=nnx.Rngs(0), or a key.",
        )
    return rngs.sample() if isinstance(rngs, Rngs) else rngs
