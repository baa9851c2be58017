"""Every way to change state, in every transform, however the state gets there.

A cell is (transform, change, way). `outcome` runs it twice, with a change from outside
in between, and compares with the same body run by plain Python: it is *right*,
*raises*, *warns*, or is *silent*: wrong without a word. The bodies use what flax.nnx
has as well, so that its cells are measured by the same code.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, PartitionSpec

MESH = Mesh(np.array(jax.devices()[:1]), ("data",))
X = jnp.float32(0.5)
SPEC = PartitionSpec()


def make_box(nnx: Any) -> Any:
    """A model with everything that can be changed, in the terms of one library."""

    class Inner(nnx.Module):
        def __init__(self, value: Any):
            self.w = nnx.Param(value)

    class Box(nnx.Module):
        def __init__(self) -> None:
            self.w = nnx.Param(jnp.ones(3))
            self.items = nnx.List([])

        def make(self, value: Any) -> Any:
            return Inner(value)

    box = Box()
    box.norm = nnx.BatchNorm(3, rngs=nnx.Rngs(0))
    box.rngs = nnx.Rngs(noise=0)
    box.linear = Inner(jnp.ones(2))
    box.optimizer = nnx.Optimizer(box.linear, optax.sgd(0.1), wrt=nnx.Param)
    box.metric = nnx.metrics.Average()
    return box


# -- changes: of a box and a number, to a number

Body = Callable[[Any, Any, Any], Any]


def read(nnx: Any, m: Any, x: Any) -> Any:
    return x * m.w[...].sum()


def parameter(nnx: Any, m: Any, x: Any) -> Any:
    m.w[...] = m.w[...] * 0.9 + x
    return x


def batch_norm(nnx: Any, m: Any, x: Any) -> Any:
    m.norm(jnp.ones((2, 3)) * x)
    return x


def rng_draw(nnx: Any, m: Any, x: Any) -> Any:
    return x + jax.random.normal(m.rngs.noise())


def attribute(nnx: Any, m: Any, x: Any) -> Any:
    m.mode = "changed"
    return x


def array_attribute(nnx: Any, m: Any, x: Any) -> Any:
    m.last = nnx.data(x * 2)
    return x


def list_append(nnx: Any, m: Any, x: Any) -> Any:
    m.items.append(nnx.Variable(x * 2))
    return x


def submodule(nnx: Any, m: Any, x: Any) -> Any:
    m.sub = m.make(x * 2)
    return x


def sow(nnx: Any, m: Any, x: Any) -> Any:
    m.sow(nnx.Intermediate, "seen", x * 2)
    return x


def optimizer(nnx: Any, m: Any, x: Any) -> Any:
    grads = jax.tree.map(lambda p: jnp.ones_like(p) * x, nnx.state(m.linear, nnx.Param))
    m.optimizer.update(m.linear, grads)
    return x


def metric(nnx: Any, m: Any, x: Any) -> Any:
    m.metric.update(values=x)
    return x


CHANGES: dict[str, Body] = {
    f.__name__: f
    for f in (
        read,
        parameter,
        batch_norm,
        rng_draw,
        attribute,
        array_attribute,
        list_append,
        submodule,
        sow,
        optimizer,
        metric,
    )
}

# -- ways for the box to get into the function


def by_argument(f: Any, box: Any) -> tuple[Any, tuple]:
    return f, (box,)


def by_closure(f: Any, box: Any) -> tuple[Any, tuple]:
    return lambda x: f(box, x), ()


def by_global(f: Any, box: Any) -> tuple[Any, tuple]:
    names = {"box": box, "f": f}
    exec("def function(x): return f(box, x)", names)
    return names["function"], ()


def by_bound_method(f: Any, box: Any) -> tuple[Any, tuple]:
    class Trainer:
        def __init__(self) -> None:
            self.box = box

        def run(self, x: Any) -> Any:
            return f(self.box, x)

    return Trainer().run, ()


def by_partial(f: Any, box: Any) -> tuple[Any, tuple]:
    return functools.partial(f, box), ()


def by_default(f: Any, box: Any) -> tuple[Any, tuple]:
    def function(x: Any, box: Any = box) -> Any:
        return f(box, x)

    return function, ()


WAYS = {
    f.__name__.removeprefix("by_"): f
    for f in (
        by_argument,
        by_closure,
        by_global,
        by_bound_method,
        by_partial,
        by_default,
    )
}

# -- transforms: of a function and what comes before its number, to a function of the
# number that returns (what the function returned or None, what came back of the box)

Call = Callable[[Any], tuple[Any, Any]]


def _wrap(make: Callable[..., Any], pick: Any = None, given: Any = None) -> Any:
    def transform(nnx: Any, f: Any, state: tuple) -> Call:
        g = make(nnx, f, state)

        def call(x: Any) -> tuple[Any, Any]:
            result = g(*state, x if given is None else given(x))
            return (result if pick is None else pick(result)), None

        return call

    return transform


def _none(_: Any) -> None:
    return None


def _custom_vjp(custom_vjp: Any, f: Any) -> Any:
    g = custom_vjp(f)
    g.defvjp(lambda *args: (f(*args), None), lambda _, t: (t,))
    return g


def _axes(state: tuple) -> tuple:
    return (*[None] * len(state), 0)


def _jax_scan(nnx: Any, f: Any, state: tuple) -> Call:
    def body(carry: Any, x: Any) -> Any:
        return carry, f(*carry, x)

    def call(x: Any) -> tuple[Any, Any]:
        carry, ys = jax.lax.scan(body, state, x[None])
        return ys[0], carry

    return call


def _nnx_scan(nnx: Any, f: Any, state: tuple) -> Call:
    def body(carry: Any, x: Any) -> Any:
        return carry, f(*carry, x)

    loop = nnx.scan(body, in_axes=(nnx.Carry, 0), out_axes=(nnx.Carry, 0))
    return lambda x: (loop(state, x[None])[1][0], None)


def _cond(cond: Callable[[Any], Any]) -> Any:
    def transform(nnx: Any, f: Any, state: tuple) -> Call:
        run = cond(nnx)
        other = functools.partial(_last, f)
        return lambda x: (run(x > 0, f, other, *state, x), None)

    return transform


def _last(_: Any, *args: Any) -> Any:
    return args[-1]


def _while(loop: Callable[[Any], Any], returned: bool) -> Any:
    def transform(nnx: Any, f: Any, state: tuple) -> Call:
        def body(carry: Any) -> Any:
            i, inner, x = carry
            return i + 1, inner, f(*inner, x)

        def call(x: Any) -> tuple[Any, Any]:
            first = (jnp.int32(0), state, x)
            _, carry, y = loop(nnx)(lambda carry: carry[0] < 1, body, first)
            return y, carry if returned else None

        return call

    return transform


def _shard_map(shard_map: Callable[[Any], Any]) -> Any:
    return _wrap(
        lambda nnx, f, state: shard_map(nnx)(
            f, mesh=MESH, in_specs=(SPEC,) * (len(state) + 1), out_specs=SPEC
        )
    )


def _grad(grad: Callable[[Any], Any], pick: Any) -> Any:
    return _wrap(lambda nnx, f, state: grad(nnx)(f, argnums=len(state)), pick)


def _batch(x: Any) -> Any:
    return x[None]


def _first(y: Any) -> Any:
    return y[0]


def _transforms(
    library: str,
    of: Callable[[Any], Any],
    loops: str,
    loops_of: Callable[[Any], Any],
    scan: Any,
    remat: str,
) -> dict[str, Any]:
    """The transforms of one library.

    Args:
        library, loops: what their names begin with, and those of its loops.
        of, loops_of: give where they are, of ours.
        scan: its `scan`, whose arguments are its own.
        remat: what it calls `remat`.
    """

    def vmap(nnx: Any, f: Any, state: tuple) -> Any:
        return of(nnx).vmap(f, in_axes=_axes(state))

    def eval_shape(nnx: Any, f: Any, state: tuple) -> Any:
        return functools.partial(of(nnx).eval_shape, f)

    return {
        f"{library}.jit": _wrap(lambda nnx, f, s: of(nnx).jit(f)),
        f"{library}.grad": _grad(lambda nnx: of(nnx).grad, _none),
        f"{library}.value_and_grad": _grad(lambda nnx: of(nnx).value_and_grad, _first),
        f"{library}.vmap": _wrap(vmap, _first, given=_batch),
        f"{loops}.scan": scan,
        f"{loops}.cond": _cond(lambda nnx: loops_of(nnx).cond),
        f"{loops}.while_loop": _while(
            lambda nnx: loops_of(nnx).while_loop, library == "jax"
        ),
        f"{library}.{remat}": _wrap(lambda nnx, f, s: getattr(of(nnx), remat)(f)),
        f"{library}.custom_vjp": _wrap(
            lambda nnx, f, s: _custom_vjp(of(nnx).custom_vjp, f)
        ),
        f"{library}.eval_shape": _wrap(eval_shape, _none),
        f"{library}.shard_map": _shard_map(lambda nnx: of(nnx).shard_map),
    }


def _ours(nnx: Any) -> Any:
    return nnx


TRANSFORMS: dict[str, Any] = {
    **_transforms(
        "jax", lambda _: jax, "jax.lax", lambda _: jax.lax, _jax_scan, "checkpoint"
    ),
    **_transforms("nnx", _ours, "nnx", _ours, _nnx_scan, "remat"),
}

CELLS = [(t, c, w) for t in TRANSFORMS for c in CHANGES for w in WAYS]

# -- running a cell

errors: dict[tuple[str, str, str], Exception] = {}  # of the cells that raised last


def snapshot(nnx: Any, box: Any) -> dict[Any, Any]:
    """All that a box holds, as NumPy arrays; fails on what is no concrete array."""
    found: dict[Any, Any] = {"mode": getattr(box, "mode", None)}
    for path, leaf in nnx.to_flat_state(nnx.state(box)):
        value = leaf.get_value() if hasattr(leaf, "get_metadata") else leaf
        if isinstance(value, tuple):
            value = jnp.stack(value)
        if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            value = jax.random.key_data(value)
        found[path] = np.asarray(value)
    return found


def same(a: dict[Any, Any], b: dict[Any, Any]) -> bool:
    """Whether two snapshots agree."""
    return a.keys() == b.keys() and all(
        np.allclose(a[k], b[k], rtol=1e-5) if k != "mode" else a[k] == b[k] for k in a
    )


def outcome(nnx: Any, cell: tuple[str, str, str]) -> str:
    """`right`, `raises`, `warns` or `silent`."""
    transform, change, way = cell
    body = functools.partial(CHANGES[change], nnx)
    expected = _run_plainly(nnx, change, transform.endswith("eval_shape"))
    box = make_box(nnx)
    ys = []
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            f, state = WAYS[way](body, box)
            call = TRANSFORMS[transform](nnx, f, state)
            for _ in range(2):
                y, back = call(X)
                ys.append(y)
                box.w[...] = box.w[...] + 1
                if back:
                    (box,) = back
                    box.w[...] = box.w[...] + 1
                    f, state = WAYS[way](body, box)
                    call = TRANSFORMS[transform](nnx, f, state)
        except Exception as error:
            errors[cell] = error
            return "raises" if _usable(nnx, box) else "silent"
    if told:
        return "warns" if _usable(nnx, box) else "silent"
    return "right" if _agrees(nnx, box, ys, expected) else "silent"


@functools.cache
def _run_plainly(nnx: Any, change: str, on_another: bool) -> tuple[dict, list]:
    body = functools.partial(CHANGES[change], nnx)
    box = make_box(nnx)
    ys = []
    for _ in range(2):
        target = make_box(nnx) if on_another else box
        ys.append(body(target, X))
        box.w[...] = box.w[...] + 1
    return snapshot(nnx, box), ys


def _usable(nnx: Any, box: Any) -> bool:
    try:
        snapshot(nnx, box)
    except Exception:
        return False
    return True


def _agrees(nnx: Any, box: Any, ys: list, expected: tuple[dict, list]) -> bool:
    state, results = expected
    if not _usable(nnx, box) or not same(snapshot(nnx, box), state):
        return False
    return all(
        y is None or np.allclose(y, z, rtol=1e-5)
        for y, z in zip(ys, results, strict=True)
    )


# -- as a table

SIGNS = {"right": "✓", "raises": "!", "warns": "w", "silent": "✗"}


def sign(outcomes: dict[tuple[str, str, str], str]) -> str:
    """One transform and change in short: the argument, then the captured ways."""
    ways = {way: SIGNS[outcome] for (_, _, way), outcome in outcomes.items()}
    captured = sorted({s for way, s in ways.items() if way != "argument"})
    return f"{ways['argument']} {''.join(captured)}"


def table(signs: dict[tuple[str, str], str], transforms: list[str]) -> str:
    """A table in Markdown of the signs by (transform, change)."""
    changes = list(dict.fromkeys(change for _, change in signs))
    lines = [
        f"| | {' | '.join(c.replace('_', ' ') for c in changes)} |",
        f"|---|{'---|' * len(changes)}",
    ]
    for transform in transforms:
        row = " | ".join(signs[transform, change] for change in changes)
        lines.append(f"| `{transform}` | {row} |")
    return "\n".join(lines)


def read_table(text: str) -> dict[tuple[str, str], str]:
    """The signs of a table in Markdown."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    changes = [c.replace(" ", "_") for c in rows[0][1:]]
    return {
        (row[0].strip("`"), change): cell
        for row in rows[2:]
        for change, cell in zip(changes, row[1:], strict=True)
    }
