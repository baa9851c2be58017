"""The four models in Keras 3 on its JAX backend, by `train_on_batch`."""

import os

os.environ["KERAS_BACKEND"] = "jax"

import keras
from keras import layers, ops

from . import DEPTHS, RATE, batch
from . import sizes as s


class Places(layers.Layer):
    """Learned positions, added."""

    def build(self, shape):
        """Make the weight."""
        self.weight = self.add_weight((s.TOKENS, s.FEATURES), name="places")

    def call(self, x):
        """Give an array of the shape of `x`."""
        return x + self.weight


def residual(depth):
    """A chain of `depth` blocks of two Linears and a norm."""
    x = first = layers.Input((s.WIDTH,))
    for _ in range(depth):
        h = layers.Dense(s.WIDTH, "relu")(layers.LayerNormalization()(x))
        x = x + layers.Dense(s.WIDTH)(h)
    return keras.Model(first, x)


def convolutions():
    """Convolutions, each with BatchNorm, and a Linear."""
    x = first = layers.Input((s.SIDE, s.SIDE, 1))
    for i, channels in enumerate(s.CHANNELS):
        x = layers.Conv2D(channels, 3, strides=1 + (i > 0), padding="same")(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(first, layers.Dense(s.CLASSES)(x))


def transformer():
    """A causal transformer with learned positions."""
    first = layers.Input((s.TOKENS,), dtype="int32")
    x = Places()(layers.Embedding(s.VOCABULARY, s.FEATURES)(first))
    for _ in range(s.BLOCKS):
        h = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(s.HEADS, s.FEATURES // s.HEADS)(
            h, h, use_causal_mask=True
        )
        h = layers.Dense(4 * s.FEATURES)(layers.LayerNormalization()(x))
        x = x + layers.Dense(s.FEATURES)(keras.activations.gelu(h, approximate=True))
    x = layers.LayerNormalization()(x)
    return keras.Model(first, layers.Dense(s.VOCABULARY)(x))


def train(name):
    """One step of the model `name`, and its number of parameters."""
    if name in DEPTHS:
        model, loss = residual(DEPTHS[name]), "mse"
    else:
        make = {"convolutions": convolutions, "transformer": transformer}[name]
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model = make()
    model.compile(keras.optimizers.Adam(RATE), loss)
    x, y = batch(name)
    count = sum(int(ops.size(w)) for w in model.trainable_weights)
    return (lambda: model.train_on_batch(x, y)), count
