"""What tracing a transform costs: each of oakum's beside the same program in pure JAX.

    python bench/transforms.py [--depth 16] [--rounds 9] [--only scan,cond]

Each program is the transform inside `jit`, traced anew each time and not compiled, over
the model of `dispatch.py` and over a list of dicts of arrays. Rounds are interleaved;
medians; the ratio should not pass 1.3.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from dispatch import WIDTH, build_nnx, raw_forward
from jax.sharding import Mesh, PartitionSpec

import oakum as nnx

LIMIT = 1.3
STEPS = 4
MESH = Mesh(np.array(jax.devices()[:1]), ("data",))
P = PartitionSpec()


def forward(m: Any, x: Any) -> Any:
    return m(x)


def loss(m: Any, x: Any) -> Any:
    return (m(x) ** 2).mean()


def raw_loss(ps: Any, x: Any) -> Any:
    return (raw_forward(ps, x) ** 2).mean()


def ours_custom_vjp(m: Any, x: Any) -> Any:
    f = nnx.custom_vjp(loss)

    def bwd(residuals: Any, g: Any) -> Any:
        (m_g, _), _ = g
        return m_g, residuals

    f.defvjp(lambda m, x: (f(m, x), x), bwd)
    return nnx.grad(lambda m: f(m, x))(m)


def raw_custom_vjp(ps: Any, x: Any) -> Any:
    f = jax.custom_vjp(raw_loss)
    f.defvjp(
        lambda ps, x: (f(ps, x), (ps, x)),
        lambda r, g: (jax.tree.map(jnp.zeros_like, r[0]), r[1]),
    )
    return jax.grad(lambda ps: f(ps, x))(ps)


def ours_scan(m: Any, x: Any) -> Any:
    loop = nnx.scan(
        lambda m, x: m(x), in_axes=(None, nnx.Carry), out_axes=nnx.Carry, length=STEPS
    )
    return loop(m, x)


def raw_scan(ps: Any, x: Any) -> Any:
    return jax.lax.scan(lambda x, _: (raw_forward(ps, x), None), x, length=STEPS)[0]


def ours_while(m: Any, x: Any) -> Any:
    return nnx.while_loop(
        lambda c: c[0] < STEPS, lambda c: (c[0] + 1, c[1], c[1](c[2])), (0, m, x)
    )[2]


def raw_while(ps: Any, x: Any) -> Any:
    return jax.lax.while_loop(
        lambda c: c[0] < STEPS,
        lambda c: (c[0] + 1, c[1], raw_forward(c[1], c[2])),
        (0, ps, x),
    )[2]


PROGRAMS: dict[str, tuple[Callable, Callable]] = {
    "jit": (
        lambda m, x: nnx.jit(lambda m, x: m(x))(m, x),
        lambda ps, x: jax.jit(lambda ps, x: raw_forward(ps, x))(ps, x),
    ),
    "grad": (nnx.grad(loss), jax.grad(raw_loss)),
    "value_and_grad": (nnx.value_and_grad(loss), jax.value_and_grad(raw_loss)),
    "vmap": (
        lambda m, x: nnx.vmap(forward, in_axes=(None, 0))(m, x),
        lambda ps, x: jax.vmap(raw_forward, in_axes=(None, 0))(ps, x),
    ),
    "scan": (ours_scan, raw_scan),
    "remat": (
        lambda m, x: nnx.remat(lambda m, x: m(x))(m, x),
        lambda ps, x: jax.checkpoint(lambda ps, x: raw_forward(ps, x))(ps, x),
    ),
    "cond": (
        lambda m, x: nnx.cond(x.sum() > 0, forward, lambda m, x: m(-x), m, x),
        lambda ps, x: jax.lax.cond(
            x.sum() > 0, raw_forward, lambda ps, x: raw_forward(ps, -x), ps, x
        ),
    ),
    "while_loop": (ours_while, raw_while),
    "fori_loop": (
        lambda m, x: nnx.fori_loop(0, STEPS, lambda i, x: m(x), x),
        lambda ps, x: jax.lax.fori_loop(0, STEPS, lambda i, x: raw_forward(ps, x), x),
    ),
    "vjp": (
        lambda m, x: nnx.vjp(loss, m, x)[1](jnp.ones(())),
        lambda ps, x: jax.vjp(raw_loss, ps, x)[1](jnp.ones(())),
    ),
    "jvp": (
        lambda m, x: nnx.jvp(lambda x: m(x), (x,), (x,)),
        lambda ps, x: jax.jvp(lambda x: raw_forward(ps, x), (x,), (x,)),
    ),
    "custom_vjp": (ours_custom_vjp, raw_custom_vjp),
    "eval_shape": (
        lambda m, x: x + nnx.eval_shape(lambda m, x: m(x), m, x).size,
        lambda ps, x: x + jax.eval_shape(lambda ps, x: raw_forward(ps, x), ps, x).size,
    ),
    "shard_map": (
        lambda m, x: nnx.shard_map(
            lambda m, x: m(x), mesh=MESH, in_specs=(P, P), out_specs=P
        )(m, x),
        lambda ps, x: jax.shard_map(
            lambda ps, x: raw_forward(ps, x), mesh=MESH, in_specs=(P, P), out_specs=P
        )(ps, x),
    ),
}


def raw_model(depth: int) -> list[dict[str, Any]]:
    """The parameters of the model as a list of dicts."""
    square, line = jnp.ones((WIDTH, WIDTH)), jnp.ones(WIDTH)
    names = {"aw": square, "bw": square, "ab": line, "bb": line, "ns": line, "nb": line}
    return [dict(names) for _ in range(depth)]


def repeated(depth: int) -> tuple[Any, Callable, Any, Callable]:
    """`Repeat`, and a scan over stacked parameters."""
    block = type(build_nnx(nnx, 1).blocks[0])
    model = nnx.Repeat(block, depth, rngs=nnx.Rngs(0))
    stacked = jax.tree.map(lambda *a: jnp.stack(a), *raw_model(depth))

    def scanned(ps: Any, x: Any) -> Any:
        return jax.lax.scan(lambda x, p: (raw_forward([p], x), None), x, ps)[0]

    return model, forward, stacked, scanned


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depth", type=int, default=16, help="blocks of the model")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", default="", help="some transforms, by name")
    given = parser.parse_args()
    model, params = build_nnx(nnx, given.depth), raw_model(given.depth)
    cases = {n: (model, ours, params, raw) for n, (ours, raw) in PROGRAMS.items()}
    cases["Repeat"] = repeated(given.depth)
    x = jnp.ones((4, WIDTH))
    for name in given.only.split(",") if given.only else cases:
        model, ours, params, raw = cases[name]
        pair = {
            "oakum": lambda o=ours, m=model: nnx.jit(lambda *a: o(*a)).trace(m, x),
            "jax": lambda r=raw, p=params: jax.jit(lambda *a: r(*a)).trace(p, x),
        }
        taken: dict[str, list[float]] = {library: [] for library in pair}
        for _ in range(given.rounds):
            for library, run in pair.items():
                start = time.perf_counter()
                run()
                taken[library].append(time.perf_counter() - start)
        own, pure = (statistics.median(times) * 1e3 for times in taken.values())
        mark = "" if own / pure <= LIMIT else "  over"
        print(f"{name:16}{own:8.1f} ms {pure:8.1f} ms {own / pure:6.2f}x{mark}")


if __name__ == "__main__":
    main()
