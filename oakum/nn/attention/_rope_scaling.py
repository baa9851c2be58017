"""How fast each pair of features turns: RoPE stretched to more positions than trained.

A scaling is what a model's config says under `rope_parameters`, or `rope_scaling` as it
was called: `rope_type` and the numbers of that type. The formulas are those of:

- linear: Chen et al.: Extending Context Window of Large Language Models via Positional
  Interpolation, https://arxiv.org/abs/2306.15595, 2023.
- dynamic: NTK-aware scaling by the length of the input; yarn: Peng, Quesnelle, Fan,
  Shippole: YaRN, https://arxiv.org/abs/2309.00071, 2023, which describes both.
- longrope: Ding et al.: LongRoPE, https://arxiv.org/abs/2402.13753, 2024.
- llama3: Grattafiori et al.: The Llama 3 Herd of Models,
  https://arxiv.org/abs/2407.21783, 2024, by the code that came with it.
- proportional: only the faster pairs turn, those of a fraction of the features.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from ...errors import ArgumentValueError

Scaling = tuple[tuple[str, Any], ...]  # pairs of a name and a value, hashable

_NEEDED = {
    "default": (),
    "linear": ("factor",),
    "dynamic": ("factor", "max_position_embeddings"),
    "yarn": ("factor", "original_max_position_embeddings"),
    "longrope": ("short_factor", "long_factor", "original_max_position_embeddings"),
    "llama3": (
        "factor",
        "low_freq_factor",
        "high_freq_factor",
        "original_max_position_embeddings",
    ),
    "proportional": (),
}

# Any of these tells by how much longrope stretches.
_STRETCH = {"attention_factor", "factor", "max_position_embeddings"}


def as_scaling(given: Mapping[str, Any] | None) -> Scaling:
    """A scaling as a hashable value, its names checked.

    Raises:
        ArgumentValueError: its type is not known, or lacks a number.
    """
    if given is None:
        return ()
    values = {
        name: tuple(value) if isinstance(value, list | tuple) else value
        for name, value in given.items()
        if value is not None
    }
    kind = values.get("rope_type", values.get("type", "default"))
    if kind not in _NEEDED:
        raise ArgumentValueError(
            f"RoPE knows no scaling of the type {kind!r}",
            remedy=f"pass rope_type as one of {', '.join(map(repr, _NEEDED))}.",
        )
    missing = [name for name in _NEEDED[kind] if name not in values]
    if kind == "longrope" and not _STRETCH & values.keys():
        missing.append("max_position_embeddings")  # of which the amplitude comes
    if missing:
        raise ArgumentValueError(
            f"RoPE's scaling of the type {kind!r} lacks {', '.join(missing)}: it has "
            f"{', '.join(sorted(values))}",
            remedy="take it from the config: scaling={**config['rope_parameters'], "
            f"{missing[0]!r}: config[{missing[0]!r}]}}.",
        )
    return tuple(sorted({**values, "rope_type": kind}.items()))


def settled(
    theta: float | None, fraction: float | None, scaling: Scaling
) -> tuple[float, float]:
    """Theta and the fraction that turns, of which a scaling may tell.

    Raises:
        ArgumentValueError: it has another one than is given.
    """
    values = dict(scaling)
    partial = values.get("partial_rotary_factor")
    if values.get("rope_type") == "proportional":
        partial = None  # it says which pairs stand still, of all features
    theta = _one("theta", theta, "rope_theta", values.get("rope_theta"))
    fraction = _one("fraction", fraction, "partial_rotary_factor", partial)
    return 10000.0 if theta is None else theta, 1.0 if fraction is None else fraction


def _one(name: str, given: float | None, key: str, found: Any) -> float | None:
    if given is not None and found is not None and given != found:
        raise ArgumentValueError(
            f"RoPE got {name}={given}, and scaling with {key}={found}",
            remedy=f"leave {name} out, to take that of the config, or leave {key!r} "
            "out of scaling.",
        )
    return found if given is None else given


def uses_length(scaling: Scaling) -> bool:
    """Whether the frequencies depend on how long the input is."""
    return dict(scaling).get("rope_type") in ("dynamic", "longrope")


def frequencies(
    size: int, theta: float, scaling: Scaling, length: jax.Array | None
) -> jax.Array:
    """The angle of each pair of features from one position to the next: `(size / 2,)`.

    Args:
        size: number of features that turn.
        theta: the base.
        scaling: as `as_scaling` gives it.
        length: how many positions there are, where `uses_length` says so.
    """
    values = dict(scaling)
    kind = values.get("rope_type", "default")
    rule = _RULES.get(kind)
    if rule is None:
        return _plain(size, theta)
    return rule(size, theta, values, length)


def amplitude(scaling: Scaling) -> float:
    """What sines and cosines are multiplied with."""
    values = dict(scaling)
    kind = values.get("rope_type")
    if kind not in ("yarn", "longrope"):
        return 1.0
    if "attention_factor" in values:
        return values["attention_factor"]
    original = values["original_max_position_embeddings"]
    longest = values.get("max_position_embeddings", original)
    factor = values.get("factor", longest / original)
    if kind == "longrope":
        longer = factor > 1
        return math.sqrt(1 + math.log(factor) / math.log(original)) if longer else 1.0
    above, below = values.get("mscale"), values.get("mscale_all_dim")
    if above and below:
        return _temperature(factor, above) / _temperature(factor, below)
    return _temperature(factor, 1)


def _temperature(factor: float, scale: float) -> float:
    return 0.1 * scale * math.log(factor) + 1 if factor > 1 else 1.0


def _plain(size: int, theta: Any) -> jax.Array:
    return 1.0 / theta ** (jnp.arange(0, size, 2, dtype=jnp.float32) / size)


def _linear(size: int, theta: float, values: dict, length: Any) -> jax.Array:
    return _plain(size, theta) / values["factor"]


def _dynamic(size: int, theta: float, values: dict, length: Any) -> jax.Array:
    factor, trained = values["factor"], values["max_position_embeddings"]
    longest = jnp.maximum(length, trained).astype(jnp.float32)
    stretched = (factor * longest / trained - (factor - 1)) ** (size / (size - 2))
    return _plain(size, theta * stretched)


def _yarn(size: int, theta: float, values: dict, length: Any) -> jax.Array:
    original = values["original_max_position_embeddings"]

    def pair(turns: float) -> float:
        """The pair that turns so often within the original positions."""
        return size * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(theta))

    low, high = pair(values.get("beta_fast", 32)), pair(values.get("beta_slow", 1))
    if values.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, size - 1)
    width = high - low or 0.001  # no division by 0
    slow = (jnp.arange(size // 2, dtype=jnp.float32) - low) / width
    slow = jnp.clip(slow, 0, 1)
    plain = _plain(size, theta)
    return plain / values["factor"] * slow + plain * (1 - slow)


def _longrope(size: int, theta: float, values: dict, length: Any) -> jax.Array:
    short, long = (
        jnp.asarray(values[name], jnp.float32)
        for name in ("short_factor", "long_factor")
    )
    longer = length > values["original_max_position_embeddings"]
    return _plain(size, theta) / jnp.where(longer, long, short)


def _llama3(size: int, theta: float, values: dict, length: Any) -> jax.Array:
    low, high = values["low_freq_factor"], values["high_freq_factor"]
    plain = _plain(size, theta)
    turns = values["original_max_position_embeddings"] * plain / (2 * math.pi)
    # Pairs with fewer turns than `low` are slowed, those with more than `high` not.
    kept = jnp.clip((turns - low) / (high - low), 0, 1)
    return (1 - kept) * plain / values["factor"] + kept * plain


def _proportional(size: int, theta: float, values: dict, length: Any) -> jax.Array:
    turning = int(values.get("partial_rotary_factor", 1.0) * size // 2)
    plain = _plain(size, theta) / values.get("factor", 1.0)
    return jnp.where(jnp.arange(size // 2) < turning, plain, 0.0)


_RULES: dict[str, Callable[..., jax.Array]] = {
    "linear": _linear,
    "dynamic": _dynamic,
    "yarn": _yarn,
    "longrope": _longrope,
    "llama3": _llama3,
    "proportional": _proportional,
}
