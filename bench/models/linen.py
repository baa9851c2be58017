"""The four models in Flax Linen, with a donated `TrainState`."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax.training.train_state import TrainState

from . import DEPTHS, RATE, batch
from . import sizes as s


class Residual(nn.Module):
    """A chain of `depth` blocks of two Linears and a norm."""

    depth: int

    @nn.compact
    def __call__(self, x):
        """Give an array of the shape of `x`."""
        for _ in range(self.depth):
            h = nn.relu(nn.Dense(s.WIDTH)(nn.LayerNorm()(x)))
            x = x + nn.Dense(s.WIDTH)(h)
        return x


class Convolutions(nn.Module):
    """Convolutions, each with BatchNorm, and a Linear."""

    @nn.compact
    def __call__(self, x):
        """Give the logits of the images `x`."""
        for i, channels in enumerate(s.CHANNELS):
            x = nn.Conv(channels, (3, 3), strides=1 + (i > 0))(x)
            x = nn.relu(nn.BatchNorm(use_running_average=False)(x))
        return nn.Dense(s.CLASSES)(x.mean((1, 2)))


class Transformer(nn.Module):
    """A causal transformer with learned positions."""

    @nn.compact
    def __call__(self, tokens):
        """Give the logits of the next tokens."""
        x = nn.Embed(s.VOCABULARY, s.FEATURES)(tokens)
        x = x + nn.Embed(s.TOKENS, s.FEATURES)(jnp.arange(s.TOKENS))
        mask = nn.make_causal_mask(tokens)
        for _ in range(s.BLOCKS):
            attention = nn.MultiHeadDotProductAttention(s.HEADS)
            x = x + attention(nn.LayerNorm()(x), mask=mask)
            h = nn.gelu(nn.Dense(4 * s.FEATURES)(nn.LayerNorm()(x)))
            x = x + nn.Dense(s.FEATURES)(h)
        return nn.Dense(s.VOCABULARY)(nn.LayerNorm()(x))


class State(TrainState):
    """A TrainState that keeps running statistics too."""

    statistics: dict


def train(name):
    """One step of the model `name`, and its number of parameters."""
    x, y = map(jnp.asarray, batch(name))
    if name in DEPTHS:
        model = Residual(DEPTHS[name])
    else:
        model = {"convolutions": Convolutions, "transformer": Transformer}[name]()
    variables = model.init(jax.random.key(0), x)
    state = State.create(
        apply_fn=model.apply,
        params=variables["params"],
        tx=optax.adam(RATE),
        statistics=variables.get("batch_stats", {}),
    )

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state, x, y):
        def loss_of(params):
            out, changed = state.apply_fn(
                {"params": params, "batch_stats": state.statistics},
                x,
                mutable=["batch_stats"],
            )
            if name in DEPTHS:
                return ((out - y) ** 2).mean(), changed
            losses = optax.softmax_cross_entropy_with_integer_labels(out, y)
            return losses.mean(), changed

        (loss, changed), grads = jax.value_and_grad(loss_of, has_aux=True)(state.params)
        state = state.apply_gradients(grads=grads)
        return state.replace(statistics=changed.get("batch_stats", {})), loss

    def run():
        nonlocal state
        state, loss = step(state, x, y)
        return loss

    return run, sum(p.size for p in jax.tree.leaves(state.params))
