"""Dropout: sets a random part of its input to zero while training."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from .._objects import Module, module_path
from .._rngs import Rngs, RngStream
from ..errors import ArgumentError, ArgumentValueError, MissingRngError, ShapeError
from ._params import check_kind, plain


@functools.partial(jax.jit, static_argnums=(2, 3))
def drop(
    key: jax.Array, inputs: jax.Array, keep: float, broadcast_dims: tuple[int, ...]
) -> jax.Array:
    """Keeps each element with probability `keep`, scaled by its inverse."""
    shape = list(inputs.shape)
    for dim in broadcast_dims:
        shape[dim] = 1
    sharding = jax.typeof(inputs).sharding
    mask = jax.random.bernoulli(key, p=keep, shape=shape, out_sharding=sharding)
    mask = jnp.broadcast_to(mask, inputs.shape)
    return lax.select(mask, inputs / keep, jnp.zeros_like(inputs))


class Dropout(Module):
    """Sets elements to zero at random, and scales the others to keep the mean.

    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov: Dropout,
    https://jmlr.org/papers/v15/srivastava14a.html, 2014. Scales while training, where
    the paper scales the weights afterwards.

    `model.train()` turns it on, `model.eval()` off.

    Args:
        rate: probability that an element is set to zero.
        broadcast_dims: axes along which all elements share one draw.
        deterministic: whether to return the input as it is.
        rng_collection: name of the stream to draw from.
        rngs: gives the stream; the layer keeps a fork of it.

    Raises:
        ArgumentValueError: `rate` is outside of 0 to 1.
        ArgumentError: `rngs` is of another kind.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> layer = nnx.Dropout(0.5, rngs=nnx.Rngs(0))
        >>> sorted(set(layer(jnp.ones(100)).tolist()))
        [0.0, 2.0]
        >>> layer(jnp.ones(3), deterministic=True)
        Array([1., 1., 1.], dtype=float32)
    """

    def __init__(
        self,
        rate: float,
        *,
        broadcast_dims: Sequence[int] = (),
        deterministic: bool | None = False,
        rng_collection: str = "dropout",
        rngs: Rngs | RngStream | None = None,
    ):
        if not 0 <= rate <= 1:
            raise ArgumentValueError(
                f"rate={rate} of a Dropout is no probability",
                remedy="pass a rate from 0 (keep all) to 1 (drop all).",
            )
        self.rate = plain(rate)
        self.broadcast_dims = plain(broadcast_dims)
        self.deterministic = deterministic
        self.rng_collection = rng_collection
        self.rngs = None
        if rngs is not None:
            self.rngs = _stream(self, rngs).fork()

    def __call__(
        self,
        inputs: jax.Array,
        *,
        deterministic: bool | None = None,
        rngs: Rngs | RngStream | jax.Array | None = None,
    ) -> jax.Array:
        """Drops elements, or returns the input as it is.

        Args:
            inputs: any shape, inexact.
            deterministic: takes precedence over that of the constructor.
            rngs: streams, a stream or a key; take precedence over those of the
                constructor.

        Returns:
            An array of the shape of `inputs`.

        Raises:
            ArgumentError: the input is of integers.
            ArgumentValueError: `deterministic` is given neither here nor before.
            ShapeError: the input lacks an axis of `broadcast_dims`.
            MissingRngError: there is nothing to draw from.
        """
        if deterministic is None:
            deterministic = self.deterministic
        if deterministic is None:
            raise ArgumentValueError(
                "Dropout does not know whether to drop: deterministic is None",
                where=module_path(self),
                remedy="call model.train() or model.eval(), or pass "
                "deterministic=True or False to the call or the constructor.",
            )
        if deterministic or self.rate == 0:
            return inputs
        if self.rate == 1:  # 0 / 0 would give a NaN gradient
            return jnp.zeros_like(inputs)
        rngs = self.rngs if rngs is None else rngs
        if rngs is None:
            raise MissingRngError(
                f"Dropout with rate={self.rate} has no rngs to draw from",
                where=module_path(self),
                remedy="build it with nnx.Dropout(rate, rngs=rngs), pass rngs= to the "
                "call, or call model.eval().",
            )
        _check_input(self, inputs)
        key = rngs if isinstance(rngs, jax.Array) else _stream(self, rngs)()
        return drop(key, inputs, 1.0 - self.rate, self.broadcast_dims)

    def set_view(self, deterministic: bool | None = None) -> None:
        """Sets the mode, for `nnx.view`.

        Args:
            deterministic: whether nothing is dropped; None leaves it.
        """
        if deterministic is not None:
            self.deterministic = deterministic


def _check_input(layer: Dropout, inputs: jax.Array) -> None:
    what = "Dropout scales floating-point numbers, but the input has"
    cast = "pass layer(x.astype(jnp.float32))."
    check_kind(layer, inputs, jnp.inexact, what, cast, ArgumentError)
    ndim, dims = inputs.ndim, layer.broadcast_dims
    if not all(-ndim <= dim < ndim for dim in dims):
        raise ShapeError(
            f"Dropout with broadcast_dims={dims} expects these axes, but the input "
            f"has shape {inputs.shape}",
            where=module_path(layer),
            remedy="pass an input that has them, or build the layer with others.",
        )


def _stream(layer: Dropout, rngs: Rngs | RngStream) -> RngStream:
    if isinstance(rngs, Rngs):
        return rngs[layer.rng_collection]
    if isinstance(rngs, RngStream):
        return rngs
    raise ArgumentError(
        f"rngs of a Dropout is a {type(rngs).__name__}; expected Rngs, RngStream, "
        "or in a call a key",
        where=module_path(layer),
        remedy="pass rngs=nnx.Rngs(0).",
    )
