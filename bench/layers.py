"""What a layer costs: oakum beside flax.nnx and JAX by hand, forward and backward.

    python bench/layers.py [--layers linear,conv,...] [--rounds 15]

Each layer is jitted with the gradient of its parameters and its input, in one process,
in interleaved rounds; medians are reported. Then the step of decoding with a key/value
cache, at several positions.
"""

from __future__ import annotations

import argparse
import importlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from dispatch import measure
from jax import lax

LIMIT = 1.05


class Layer(NamedTuple):
    """A layer in both forms, and its input.

    Attributes:
        make: builds the layer with the given library.
        hand: the same as a function of the parameters by path, and of the input.
        shape: shape of the input.
        call: keyword arguments of the call.
    """

    make: Any
    hand: Any
    shape: tuple[int, ...]
    call: dict = {}  # noqa: RUF012 (never written)


def normalized(x, axes):
    mean = x.mean(axes, keepdims=True)
    var = jnp.maximum(0.0, (x * x).mean(axes, keepdims=True) - mean * mean)
    return (x - mean) * lax.rsqrt(var + 1e-6)


def conv(p, x):
    dims = ("NHWC", "HWIO", "NHWC")
    out = lax.conv_general_dilated(
        x, p["kernel"], (1, 1), "SAME", dimension_numbers=dims
    )
    return out + p["bias"]


def conv_transpose(p, x):
    return lax.conv_transpose(x, p["kernel"], (2, 2), "SAME") + p["bias"]


def batch_norm(p, x):
    """With the statistics that it keeps."""
    mean = x.mean((0, 1, 2))
    var = jnp.maximum(0.0, (x * x).mean((0, 1, 2)) - mean * mean)
    out = (x - mean) * lax.rsqrt(var + 1e-5) * p["scale"] + p["bias"]
    return out, (0.99 * p["mean"] + 0.01 * mean, 0.99 * p["var"] + 0.01 * var)


def group_norm(p, x):
    grouped = x.reshape(*x.shape[:-1], 8, -1)
    out = normalized(grouped, (1, 2, 4)).reshape(x.shape)
    return out * p["scale"] + p["bias"]


def attention(p, x):
    def project(name):
        kernel, bias = p[f"{name}/kernel"], p[f"{name}/bias"]
        return jnp.einsum("btd,dhk->bthk", x, kernel) + bias

    out = jax.nn.dot_product_attention(
        project("query"), project("key"), project("value"), is_causal=True
    )
    return jnp.einsum("bthk,hkd->btd", out, p["out/kernel"]) + p["out/bias"]


def scanned(step, carry, x):
    return lax.scan(step, carry, x.swapaxes(0, 1))[1].swapaxes(0, 1)


def lstm(p, x):
    """With the product of the input inside the loop, as cells have it."""

    def step(carry, x):
        c, h = carry
        sums = x @ p["cell/dense_i/kernel"]
        sums += h @ p["cell/dense_h/kernel"] + p["cell/dense_h/bias"]
        i, f, g, o = jnp.split(sums, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (c, h), h

    zero = jnp.zeros((x.shape[0], p["cell/dense_h/kernel"].shape[0]))
    return scanned(step, (zero, zero), x)


def gru(p, x):
    def step(h, x):
        ir, iz, new = jnp.split(
            x @ p["cell/dense_i/kernel"] + p["cell/dense_i/bias"], 3, axis=-1
        )
        hr, hz, hn = jnp.split(h @ p["cell/dense_h/kernel"], 3, axis=-1)
        r, z = jax.nn.sigmoid(ir + hr), jax.nn.sigmoid(iz + hz)
        h = (1 - z) * jnp.tanh(new + r * hn) + z * h
        return h, h

    return scanned(step, jnp.zeros((x.shape[0], p["cell/dense_h/kernel"].shape[0])), x)


LAYERS = {
    "linear": Layer(
        lambda nnx, **o: nnx.Linear(512, 512, **o),
        lambda p, x: x @ p["kernel"] + p["bias"],
        (512, 512),
    ),
    "linear general": Layer(
        lambda nnx, **o: nnx.LinearGeneral(512, (8, 64), **o),
        lambda p, x: jnp.einsum("td,dhk->thk", x, p["kernel"]) + p["bias"],
        (512, 512),
    ),
    "conv": Layer(
        lambda nnx, **o: nnx.Conv(32, 32, (3, 3), **o), conv, (8, 32, 32, 32)
    ),
    "conv transpose": Layer(
        lambda nnx, **o: nnx.ConvTranspose(32, 32, (3, 3), (2, 2), **o),
        conv_transpose,
        (8, 16, 16, 32),
    ),
    "layer norm": Layer(
        lambda nnx, **o: nnx.LayerNorm(256, **o),
        lambda p, x: normalized(x, -1) * p["scale"] + p["bias"],
        (16, 256, 256),
    ),
    "rms norm": Layer(
        lambda nnx, **o: nnx.RMSNorm(256, **o),
        lambda p, x: x * lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6) * p["scale"],
        (16, 256, 256),
    ),
    "batch norm": Layer(
        lambda nnx, **o: nnx.BatchNorm(64, **o), batch_norm, (16, 32, 32, 64)
    ),
    "group norm": Layer(
        lambda nnx, **o: nnx.GroupNorm(64, 8, **o), group_norm, (16, 32, 32, 64)
    ),
    "attention": Layer(
        lambda nnx, **o: nnx.MultiHeadAttention(4, 128, decode=False, **o),
        attention,
        (8, 128, 128),
        {"is_causal": True},
    ),
    "embed": Layer(
        lambda nnx, **o: nnx.Embed(4096, 256, **o),
        lambda p, x: p["embedding"][x],
        (16, 256),
    ),
    "lstm": Layer(
        lambda nnx, **o: nnx.RNN(nnx.OptimizedLSTMCell(256, 256, **o)),
        lstm,
        (16, 512, 256),
    ),
    "gru": Layer(
        lambda nnx, **o: nnx.RNN(nnx.GRUCell(256, 256, **o)), gru, (16, 128, 256)
    ),
}


def objects_case(nnx, layer, x):
    """Forward and backward with oakum, or flax.nnx; and the parameters by path."""
    made = layer.make(nnx, rngs=nnx.Rngs(0))
    wrt = 0 if jnp.issubdtype(x.dtype, jnp.integer) else (0, 1)

    def loss_fn(made, x):
        return (made(x, **layer.call) ** 2).mean()

    run = nnx.jit(lambda made, x: nnx.grad(loss_fn, argnums=wrt)(made, x))
    state = {
        "/".join(map(str, path)): jnp.array(variable[...])
        for path, variable in nnx.to_flat_state(nnx.state(made))
        if jnp.issubdtype(variable[...].dtype, jnp.floating)
    }
    return lambda: run(made, x), state


def hand_case(layer, params, x):
    """The same over a dict of arrays; a pair of output and statistics is allowed."""
    wrt = 0 if jnp.issubdtype(x.dtype, jnp.integer) else (0, 1)
    kept = {name: params[name] for name in ("mean", "var") if name in params}
    learned = {name: params[name] for name in params if name not in kept}

    def loss_fn(learned, x, kept):
        out = layer.hand({**learned, **kept}, x)
        out, new = out if isinstance(out, tuple) else (out, kept)
        return (out**2).mean(), new

    run = jax.jit(jax.grad(loss_fn, argnums=wrt, has_aux=True))
    return lambda: run(learned, x, kept)


def inputs(name, shape):
    key = jax.random.key(1)
    if name == "embed":
        return jax.random.randint(key, shape, 0, 4096)
    return jax.random.normal(key, shape)


def run_layers(names, rounds):
    """Prints the time of each layer, as a ratio to the fastest of the three."""
    for name in names:
        layer, cases = LAYERS[name], {}
        x = inputs(name, layer.shape)
        for library in ("oakum", "flax.nnx"):
            nnx = importlib.import_module(library)
            cases[library], params = objects_case(nnx, layer, x)
            if library == "oakum":
                cases["by hand"] = hand_case(layer, params, x)
        show(name, measure(cases, budget_s=0.4 * rounds, rounds=rounds))


def show(name, us):
    best = min(us.values())
    times = "  ".join(f"{n}={v:.0f}us ({v / best:.2f}x)" for n, v in us.items())
    over = f"  over {LIMIT}" if us.get("oakum", 0) > LIMIT * best else ""
    print(f"{name:15s} {times}{over}", flush=True)


def run_decoding(length, rounds):
    """Prints the time of a decoding step at several positions."""
    import flax.nnx

    import oakum

    @oakum.jit
    def step(cache, query, key, value):
        keys, values, mask = cache.extend(key, value)
        return oakum.dot_product_attention(query, keys, values, mask=mask)

    one = (jax.random.normal(jax.random.key(0), (4, 1, 8, 64)),) * 3
    cases = {}
    for position in (0, length // 2, length - 1):
        cache = oakum.KVCache(4, length, 8, 64)

        def decode(cache=cache, index=jnp.array(position)):  # noqa: B008 (once each)
            cache.index.value = index
            return step(cache, *one)

        cases[f"KVCache at {position}"] = decode
    for nnx in (oakum, flax.nnx):
        layer = nnx.MultiHeadAttention(8, 512, decode=True, rngs=nnx.Rngs(0))
        layer.init_cache((4, length, 512))
        run = nnx.jit(lambda layer, x: layer(x))
        x = jax.random.normal(jax.random.key(0), (4, 1, 512))
        name = f"{nnx.__name__} MultiHeadAttention"
        cases[name] = lambda run=run, layer=layer, x=x: run(layer, x)
    show(f"decode {length}", measure(cases, budget_s=0.4 * rounds, rounds=rounds))
    print("programs compiled for the positions:", step._cache_size())


def main():
    """Reads the command line, and measures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", default=",".join([*LAYERS, "decode"]))
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    names = args.layers.split(",")
    run_layers([name for name in names if name != "decode"], args.rounds)
    if "decode" in names:
        run_decoding(2048, args.rounds)


if __name__ == "__main__":
    main()
