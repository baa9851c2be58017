"""What tracing a transform of stateful code costs: oakum beside the functional twin.

    python bench/transforms.py [--depth 16] [--rounds 15] [--only scan,vmap]

Each case is one program, written with modules and once more by hand over a pytree of
arrays. Both are traced anew each time, without compiling: a fresh function goes to
`jax.jit(...).trace`, and inner functions are made anew as well, since JAX remembers
what it traced. The twin keeps the trace of its normalization, as the layers of oakum
do. Rounds are interleaved, in time of the thread's own, so that other programs on the
machine matter less; medians and the median ratio are printed.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time

import jax
import jax.numpy as jnp
from dispatch import WIDTH, build_nnx
from jax.sharding import Mesh, PartitionSpec

import oakum as nnx

GOAL = 1.3
X = jnp.ones((4, WIDTH))
MESH = Mesh(jax.devices()[:1], ("data",))


def raw_blocks(depth):
    """The parameters of the model by hand, one dict for each block."""

    def block():
        matrix, vector = jnp.ones((WIDTH, WIDTH)), jnp.ones(WIDTH)
        return {
            "aw": matrix,
            "ab": vector,
            "bw": matrix,
            "bb": vector,
            "ns": vector,
            "nb": vector,
        }

    return [block() for _ in range(depth)]


def loss(model, x):
    """A scalar of the module's output."""
    return (model(x) ** 2).mean()


@jax.jit
def normalize(x, scale, bias):
    """Layer normalization by hand, traced once for all blocks."""
    mean = x.mean(-1, keepdims=True)
    var = jnp.maximum(0.0, (x * x).mean(-1, keepdims=True) - mean * mean)
    return (x - mean) * (jax.lax.rsqrt(var + 1e-6) * scale) + bias


def raw_forward(blocks, x):
    """The network by hand."""
    for p in blocks:
        h = normalize(x, p["ns"], p["nb"])
        x = x + jax.nn.relu(h @ p["aw"] + p["ab"]) @ p["bw"] + p["bb"]
    return x


def raw_loss(blocks, x):
    """The same by hand."""
    return (raw_forward(blocks, x) ** 2).mean()


def make_block(rngs):
    """One block of the model."""
    return build_nnx(nnx, 1, rngs).blocks[0]


def cases(depth):
    """Name, oakum's function with its arguments, and the twin's."""
    model, blocks = build_nnx(nnx, depth), raw_blocks(depth)
    stack = nnx.vmap(lambda key: make_block(nnx.Rngs(key)))(
        jax.random.split(jax.random.key(0), depth)
    )
    repeat = nnx.Repeat(lambda rngs: make_block(rngs), depth, rngs=nnx.Rngs(0))
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *blocks)
    ours, raw = (model, X), (blocks, X)
    spec, data = PartitionSpec(), PartitionSpec("data")
    tangents = nnx.state(model), jax.tree.map(jnp.ones_like, blocks)

    def raw_layer(x, block):
        return raw_forward([block], x), None

    return {
        "jit": (lambda m, x: m(x), ours, lambda b, x: raw_forward(b, x), raw),
        "grad": (nnx.grad(loss), ours, jax.grad(raw_loss), raw),
        "value_and_grad": (
            nnx.value_and_grad(loss),
            ours,
            jax.value_and_grad(raw_loss),
            raw,
        ),
        "vmap": (
            nnx.vmap(lambda m, x: m(x), in_axes=(None, 0)),
            ours,
            jax.vmap(lambda b, x: raw_forward(b, x), in_axes=(None, 0)),
            raw,
        ),
        "scan": (
            nnx.scan(lambda x, b: b(x), in_axes=(nnx.Carry, 0), out_axes=nnx.Carry),
            (X, stack),
            lambda x, blocks: jax.lax.scan(lambda x, b: raw_layer(x, b), x, blocks)[0],
            (X, stacked),
        ),
        "Repeat": (
            lambda m, x: m(x),
            (repeat, X),
            lambda blocks, x: jax.lax.scan(lambda x, b: raw_layer(x, b), x, blocks)[0],
            (stacked, X),
        ),
        "remat": (
            nnx.grad(nnx.remat(loss)),
            ours,
            jax.grad(lambda b, x: jax.checkpoint(lambda b, x: raw_loss(b, x))(b, x)),
            raw,
        ),
        "cond": (
            lambda m, x: nnx.cond(x.sum() > 0, loss, lambda m, x: 0.0, m, x),
            ours,
            lambda b, x: jax.lax.cond(
                x.sum() > 0, lambda b, x: raw_loss(b, x), lambda b, x: 0.0, b, x
            ),
            raw,
        ),
        "while_loop": (
            lambda m, x: nnx.while_loop(
                lambda c: c[1].sum() < 9, lambda c: (c[0], c[0](c[1])), (m, x)
            )[1],
            ours,
            lambda b, x: jax.lax.while_loop(
                lambda c: c[1].sum() < 9,
                lambda c: (c[0], raw_forward(c[0], c[1])),
                (b, x),
            )[1],
            raw,
        ),
        "fori_loop": (
            lambda m, x: nnx.fori_loop(0, 3, lambda i, c: (c[0], c[0](c[1])), (m, x))[
                1
            ],
            ours,
            lambda b, x: jax.lax.fori_loop(
                0, 3, lambda i, c: (c[0], raw_forward(c[0], c[1])), (b, x)
            )[1],
            raw,
        ),
        "vjp": (
            lambda m, x: (lambda y, back: back(y))(*nnx.vjp(loss, m, x)),
            ours,
            lambda b, x: (lambda y, back: back(y))(*jax.vjp(raw_loss, b, x)),
            raw,
        ),
        "jvp": (
            lambda m, t, x: nnx.jvp(lambda m: loss(m, x), (m,), (t,)),
            (model, tangents[0], X),
            lambda b, t, x: jax.jvp(lambda b: raw_loss(b, x), (b,), (t,)),
            (blocks, tangents[1], X),
        ),
        "custom_vjp": (nnx.grad(custom(nnx)), ours, jax.grad(custom(jax)), raw),
        "eval_shape": (
            lambda m, x: jnp.zeros(nnx.eval_shape(lambda m, x: m(x), m, x).shape),
            ours,
            lambda b, x: jnp.zeros(
                jax.eval_shape(lambda b, x: raw_forward(b, x), b, x).shape
            ),
            raw,
        ),
        "shard_map": (
            nnx.shard_map(
                lambda m, x: m(x), mesh=MESH, in_specs=(spec, data), out_specs=data
            ),
            ours,
            jax.shard_map(
                lambda b, x: raw_forward(b, x),
                mesh=MESH,
                in_specs=(spec, data),
                out_specs=data,
            ),
            raw,
        ),
    }


def custom(lib):
    """A loss with a backward pass of its own, that calls the one of the plain loss."""
    plain, vjp = (loss, nnx.vjp) if lib is nnx else (raw_loss, jax.vjp)

    @lib.custom_vjp
    def f(model, x):
        return plain(model, x)

    def backward(saved, g):
        if lib is nnx:
            (g,) = g[1:] if isinstance(g, tuple) else (g,)
        return vjp(plain, *saved)[1](g)

    f.defvjp(lambda model, x: (plain(model, x), (model, x)), backward)
    return f


def fresh(jit, function, args):
    """Traces a function that no cache knows."""
    return lambda: jit(lambda *a: function(*a)).trace(*args)


def measure(pair, rounds):
    """Median milliseconds of both, rounds interleaved, and the ratio's median."""
    times = ([], [])
    for case in pair:
        case()
    gc.collect()
    gc.freeze()  # or a collection walks all of jax's objects, in whose time is chance
    for _ in range(rounds):
        for case, taken in zip(pair, times, strict=True):
            start = time.thread_time()
            case()
            taken.append((time.thread_time() - start) * 1e3)
    ratio = statistics.median([a / b for a, b in zip(*times, strict=True)])
    return *map(statistics.median, times), ratio


def main():
    """Reads the command line, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depth", type=int, default=16, help="blocks of the network")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", help="names of cases, separated by commas")
    args = parser.parse_args()
    print(f"{'transform':16s} {'oakum':>9s} {'jax':>9s}  ratio (goal {GOAL})")
    for name, (ours, our_args, raw, raw_args) in cases(args.depth).items():
        if args.only and name not in args.only.split(","):
            continue
        pair = fresh(nnx.jit, ours, our_args), fresh(jax.jit, raw, raw_args)
        ms, raw_ms, ratio = measure(pair, args.rounds)
        mark = "" if ratio <= GOAL else "  over"
        print(
            f"{name:16s} {ms:6.1f} ms {raw_ms:6.1f} ms  {ratio:5.2f}{mark}", flush=True
        )


if __name__ == "__main__":
    main()
