"""What one stateful step costs: oakum beside bare jax.jit, flax.nnx and equinox.

    python bench/dispatch.py [--depths 1,4,16,64] [--kinds train,...] [--readme]

One model, one arithmetic, one process. Rounds are interleaved over the libraries, so
that a ratio holds even where the machine drifts; medians are reported.

jax_list      a functional step over a flat list of arrays, as an expert writes it
jax_donate    the same with the state donated: the limit of one jax.jit call
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import re
import statistics
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import optax

WIDTH = 8
KINDS = ("train", "forward", "eager_forward", "trace")
TARGETS = {"train": 1.0, "forward": 1.2, "eager_forward": 1.5, "trace": 1.2}
README = Path(__file__).parent.parent / "README.md"


def build_nnx(nnx, depth, rngs=None):
    """A residual network of `depth` blocks, in oakum or flax.nnx."""
    list_cls = getattr(nnx, "List", list)

    class Block(nnx.Module):
        def __init__(self, rngs):
            self.a = nnx.Linear(WIDTH, WIDTH, rngs=rngs)
            self.b = nnx.Linear(WIDTH, WIDTH, rngs=rngs)
            self.n = nnx.LayerNorm(WIDTH, rngs=rngs)

        def __call__(self, x):
            return x + self.b(nnx.relu(self.a(self.n(x))))

    class Model(nnx.Module):
        def __init__(self, rngs):
            self.blocks = list_cls([Block(rngs) for _ in range(depth)])

        def __call__(self, x):
            for block in self.blocks:
                x = block(x)
            return x

    return Model(rngs or nnx.Rngs(0))


def nnx_cases(nnx, depth, x, y):
    """The cases of oakum, or of flax.nnx, which has the same API."""

    def train(model, opt, x, y):
        loss, grads = nnx.value_and_grad(lambda m: ((m(x) - y) ** 2).mean())(model)
        opt.update(model, grads)
        return loss

    def fresh():
        model = build_nnx(nnx, depth)
        return model, nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)

    trained, forwarded, traced = fresh(), fresh()[0], fresh()
    jit_train, jit_forward = nnx.jit(train), nnx.jit(lambda m, x: m(x))
    cases = {
        "train": lambda: jit_train(*trained, x, y),
        "forward": lambda: jit_forward(forwarded, x),
        "eager_forward": lambda: forwarded(x),
        "trace": lambda: nnx.jit(lambda *a: train(*a)).lower(*traced, x, y),
    }
    if hasattr(nnx, "cached_partial"):
        cached = nnx.cached_partial(nnx.jit(train), *fresh())
        cases["train_cached"] = lambda: cached(x, y)
    return cases


def raw_forward(blocks, x):
    """The same network by hand."""
    for p in blocks:
        mean = x.mean(-1, keepdims=True)
        square = (x * x).mean(-1, keepdims=True)
        var = jnp.maximum(0.0, square - mean * mean)
        h = (x - mean) * (jax.lax.rsqrt(var + 1e-6) * p["ns"]) + p["nb"]
        x = x + jax.nn.relu(h @ p["aw"] + p["ab"]) @ p["bw"] + p["bb"]
    return x


def raw_cases(depth, x, y):
    """The step by hand, over a flat list of arrays."""
    tx = optax.adam(1e-3)
    init = jax.nn.initializers.lecun_normal()

    def block(i):
        first, second = jax.random.split(jax.random.key(i))
        return {
            "aw": init(first, (WIDTH, WIDTH)),
            "ab": jnp.zeros(WIDTH),
            "bw": init(second, (WIDTH, WIDTH)),
            "bb": jnp.zeros(WIDTH),
            "ns": jnp.ones(WIDTH),
            "nb": jnp.zeros(WIDTH),
        }

    blocks = [block(i) for i in range(depth)]
    state = (blocks, tx.init(blocks), jnp.array(0, jnp.uint32))
    flat, treedef = jax.tree.flatten(state)
    params, params_def = jax.tree.flatten(blocks)

    def train(flat, x, y):
        p, o, n = jax.tree.unflatten(treedef, flat)
        loss, g = jax.value_and_grad(lambda p: ((raw_forward(p, x) - y) ** 2).mean())(p)
        u, o = tx.update(g, o, p)
        return jax.tree.leaves((optax.apply_updates(p, u), o, n + 1)), loss

    def cases(**options):
        jit_train, box = jax.jit(train, **options), [[jnp.array(a) for a in flat]]

        def step():
            box[0], loss = jit_train(box[0], x, y)
            return loss

        jit_forward = jax.jit(
            lambda ps, x: raw_forward(jax.tree.unflatten(params_def, ps), x)
        )
        return {
            "train": step,
            "forward": lambda: jit_forward(params, x),
            "eager_forward": lambda: raw_forward(blocks, x),
            "trace": lambda: jax.jit(lambda *a: train(*a)).lower(flat, x, y),
        }

    return {"jax_list": cases(), "jax_donate": cases(donate_argnums=0)}, len(flat)


def equinox_cases(depth, x, y):
    """The cases of equinox."""
    import equinox as eqx

    tx = optax.adam(1e-3)

    class Block(eqx.Module):
        a: eqx.nn.Linear
        b: eqx.nn.Linear
        n: eqx.nn.LayerNorm

        def __init__(self, key):
            self.a = eqx.nn.Linear(WIDTH, WIDTH, key=key)
            self.b = eqx.nn.Linear(WIDTH, WIDTH, key=key)
            self.n = eqx.nn.LayerNorm(WIDTH)

        def __call__(self, x):
            h = jax.nn.relu(jax.vmap(self.a)(jax.vmap(self.n)(x)))
            return x + jax.vmap(self.b)(h)

    class Model(eqx.Module):
        blocks: list

        def __init__(self):
            self.blocks = [Block(jax.random.key(i)) for i in range(depth)]

        def __call__(self, x):
            for block in self.blocks:
                x = block(x)
            return x

    model = Model()
    opt_state = tx.init(eqx.filter(model, eqx.is_array))

    def train(m, o, x, y):
        loss, g = eqx.filter_value_and_grad(lambda m: ((m(x) - y) ** 2).mean())(m)
        u, o = tx.update(g, o, eqx.filter(m, eqx.is_array))
        return eqx.apply_updates(m, u), o, loss

    jit_train, box = eqx.filter_jit(train), [model, opt_state]

    def step():
        box[0], box[1], loss = jit_train(box[0], box[1], x, y)
        return loss

    jit_forward = eqx.filter_jit(lambda m, x: m(x))
    return {
        "train": step,
        "forward": lambda: jit_forward(model, x),
        "trace": lambda: eqx.filter_jit(lambda *a: train(*a)).lower(
            model, opt_state, x, y
        ),
    }


def finish(result):
    """Waits for what a case returned."""
    if not hasattr(result, "compile"):
        jax.block_until_ready(result)


def measure(cases, budget_s=1.5, rounds=9):
    """Median microseconds per call of each case, rounds interleaved over the cases."""
    repeats = {}
    for name, case in cases.items():
        finish(case())
        start = time.perf_counter()
        finish(case())
        took = time.perf_counter() - start
        repeats[name] = max(1, min(500, int(budget_s / rounds / max(took, 1e-6))))
    times = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            start = time.perf_counter()
            for _ in range(repeats[name]):
                result = case()
            finish(result)
            times[name].append((time.perf_counter() - start) / repeats[name] * 1e6)
    return {name: statistics.median(v) for name, v in times.items()}


def run(depths, kinds, peers):
    """Measures, prints and returns one row for each size and kind."""
    x, y = jnp.ones((4, WIDTH)), jnp.zeros((4, WIDTH))
    rows = []
    for depth in depths:
        libraries, leaves = raw_cases(depth, x, y)
        for name in ("oakum", *peers):
            if name == "equinox":
                libraries[name] = equinox_cases(depth, x, y)
                continue
            libraries[name] = nnx_cases(importlib.import_module(name), depth, x, y)
            cached = libraries[name].pop("train_cached", None)
            if cached and name != "oakum":
                libraries[f"{name}.cached_partial"] = {"train": cached}
        for kind in kinds:
            cases = {n: c[kind] for n, c in libraries.items() if kind in c}
            us = measure(cases)
            ratio = {name: value / us["jax_list"] for name, value in us.items()}
            rows.append(
                {"kind": kind, "depth": depth, "leaves": leaves, "us": us}
                | {"ratio": ratio}
            )
            shown = "  ".join(f"{n}={v:.0f}us ({ratio[n]:.2f}x)" for n, v in us.items())
            print(f"{kind:14s} leaves={leaves:5d}  {shown}", flush=True)
    return rows


def as_table(rows):
    """The rows as a Markdown table of ratios."""
    names = list(dict.fromkeys(name for row in rows for name in row["ratio"]))
    lines = [
        f"| {' | '.join(['', 'leaves', 'jax_list', *names[1:], 'target'])} |",
        f"|{'---|' * (len(names) + 3)}",
    ]
    for row in rows:
        cells = [row["kind"].replace("_", " "), str(row["leaves"])]
        cells.append(f"{row['us']['jax_list']:,.0f} µs")
        cells += [
            f"{row['ratio'][n]:.2f}×" if n in row["ratio"] else "" for n in names[1:]
        ]
        cells.append(f"≤ {TARGETS[row['kind']]}×")
        lines.append(f"| {' | '.join(cells)} |")
    machine = f"Python {platform.python_version()}, jax {jax.__version__}"
    lines += ["", f"Medians on {jax.devices()[0].platform.upper()}, {machine}."]
    return "\n".join(lines)


def write_readme(table):
    """Puts the table between the README's marks."""
    text = README.read_text()
    new = re.sub(
        r"(<!-- bench -->\n).*?(\n<!-- /bench -->)",
        lambda match: match[1] + table + match[2],
        text,
        flags=re.S,
    )
    README.write_text(new)


def main():
    """Reads the command line, and measures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depths", default="1,4,16,64", help="blocks of the network")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--peers", default="flax.nnx,equinox")
    parser.add_argument("--json", help="file for all figures")
    parser.add_argument(
        "--readme", action="store_true", help="write the README's table"
    )
    args = parser.parse_args()
    rows = run(
        [int(d) for d in args.depths.split(",")],
        args.kinds.split(","),
        [p for p in args.peers.split(",") if p],
    )
    if args.json:
        Path(args.json).write_text(json.dumps(rows, indent=1))
    if args.readme:
        write_readme(as_table(sorted(rows, key=lambda row: KINDS.index(row["kind"]))))


if __name__ == "__main__":
    main()
