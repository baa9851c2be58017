"""Random programs over a small stateful model, and their twins in pure JAX.

A program is a tuple of operations: a name, or a name with the programs inside it. Each
takes the model and a vector, may change the model, and gives the next vector. `run`
carries it out with oakum's transforms, `run_pure` with JAX's on a dict of arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from hypothesis import strategies as st

import oakum as nnx

SIZE, TIMES = 3, 2
TURN = 0.037  # where `cond` turns; many programs give a sum of 0, up to rounding
READING = ("scale", "shift", "squash")
WRITES = {"decay": {"w"}, "average": {"s"}, "count": {"n"}, "noise": {"count"}}
WRITING = tuple(WRITES)
WRITES["vmap"] = {"w", "s", "n", "key", "count"}  # it puts a whole model back
Program = tuple[Any, ...]


class Tiny(nnx.Module):
    """A parameter, a statistic, a counter and a stream."""

    def __init__(self) -> None:
        self.w = nnx.Param(jnp.linspace(0.5, 1.0, SIZE))
        self.s = nnx.BatchStat(jnp.linspace(-0.1, 0.1, SIZE))
        # Not weakly typed: JAX 0.10 then takes empty derivatives of two branches of
        # `cond` for different ones, and fails.
        self.n = nnx.Variable(jnp.array(0, jnp.int32))
        self.rngs = nnx.Rngs(noise=0)


def pure_state(model: Tiny) -> dict[str, Any]:
    """The model's state as a dict of arrays."""
    stream = model.rngs.noise
    return {
        "w": model.w.value,
        "s": model.s.value,
        "n": model.n.value,
        "key": stream.key.value,
        "count": stream.count.value,
    }


def programs(depth: int, writes: bool = True, loops: bool = True) -> st.SearchStrategy:
    """Programs of nested transforms.

    Args:
        depth: how deep transforms may nest.
        writes: whether the model may be written.
        loops: whether `while_loop` may stand in it, which has no gradient.
    """
    names = READING + (WRITING if writes else ())
    operation: st.SearchStrategy = st.sampled_from(names)
    if depth > 0:
        inner = programs(depth - 1, writes, loops)
        smooth = programs(depth - 1, writes, False)
        reading = programs(depth - 1, False, loops)
        several = ["jit", "remat", "scan", "fori_loop", *(["vmap"] if writes else [])]
        operation = st.one_of(
            operation,
            st.tuples(st.sampled_from(several), inner),
            st.tuples(st.just("cond"), inner, inner),
            st.tuples(st.sampled_from(["grad", "custom_vjp"]), smooth),
            st.tuples(st.just("vmap_shared"), reading),  # all calls share the model
            *([st.tuples(st.just("while_loop"), inner)] if loops else []),
        )
    return st.lists(operation, min_size=1, max_size=3).map(tuple)


def written(program: Program) -> set[str]:
    """The state that a program writes."""
    found: set[str] = set()
    for operation in program:
        name, *inner = (operation,) if isinstance(operation, str) else operation
        found |= WRITES.get(name, set()).union(*map(written, inner))
    return found


# -- with oakum


def run(program: Program, m: Tiny, x: Any) -> Any:
    """The program, with oakum's transforms."""
    for operation in program:
        if isinstance(operation, str):
            x = _STEPS[operation](m, x)
        else:
            name, *inner = operation
            x = _TRANSFORMS[name](m, x, *[_function(p) for p in inner])
    return x


def _function(program: Program) -> Callable[[Any, Any], Any]:
    return lambda m, x: run(program, m, x)


def _decay(m: Any, x: Any) -> Any:
    m.w.value = 0.9 * m.w.value + 0.1 * jnp.tanh(x)
    return x


def _average(m: Any, x: Any) -> Any:
    m.s.value = 0.9 * m.s.value + 0.1 * x
    return x + m.s.value


def _count(m: Any, x: Any) -> Any:
    m.n.value = m.n.value + 1
    return jnp.tanh(x + 0.1 * m.n.value.astype(jnp.float32))


_STEPS: dict[str, Callable[[Any, Any], Any]] = {
    "scale": lambda m, x: x * m.w.value,
    "shift": lambda m, x: x + m.s.value,
    "squash": lambda m, x: jnp.tanh(x),
    "decay": _decay,
    "average": _average,
    "count": _count,
    "noise": lambda m, x: x + 0.1 * jax.random.normal(m.rngs.noise(), (SIZE,)),
}


def _scan(m: Any, x: Any, f: Any) -> Any:
    def step(carry: Any) -> Any:
        model, y = carry
        return model, f(model, y)

    loop = nnx.scan(step, in_axes=(nnx.Carry,), out_axes=nnx.Carry, length=TIMES)
    return loop((m, x))[1]


def _while_loop(m: Any, x: Any, f: Any) -> Any:
    def step(carry: Any) -> Any:
        i, model, y = carry
        return i + 1, model, f(model, y)

    first = (jnp.array(0), m, x)
    return nnx.while_loop(lambda carry: carry[0] < TIMES, step, first)[2]


def _fori_loop(m: Any, x: Any, f: Any) -> Any:
    def step(i: Any, carry: Any) -> Any:
        return carry[0], f(*carry)

    return nnx.fori_loop(0, TIMES, step, (m, x))[1]


def _grad(m: Any, x: Any, f: Any) -> Any:
    gradient = nnx.grad(lambda model, y: f(model, y).sum())(m, x)
    return jnp.tanh(x + gradient.w.value)


def _custom_vjp(m: Any, x: Any, f: Any) -> Any:
    function = nnx.custom_vjp(f)

    def bwd(residuals: Any, g: Any) -> Any:
        (state_g, _), y_g = g
        state_g = jax.tree.map(jnp.zeros_like, state_g)
        state_g.w.value = 2 * y_g
        return state_g, residuals * y_g

    function.defvjp(lambda model, y: (function(model, y), jnp.cos(y)), bwd)
    return function(m, x)


def _vmap(m: Any, x: Any, f: Any) -> Any:
    models = jax.tree.map(lambda a: jnp.stack([a, a]), m)
    y = nnx.vmap(f)(models, jnp.stack([x, -x]))
    nnx.update(m, jax.tree.map(lambda a: a[1], nnx.state(models)))
    return y.mean(0)


_TRANSFORMS: dict[str, Callable[..., Any]] = {
    "jit": lambda m, x, f: nnx.jit(f)(m, x),
    "remat": lambda m, x, f: nnx.remat(f)(m, x),
    "scan": _scan,
    "while_loop": _while_loop,
    "fori_loop": _fori_loop,
    "cond": lambda m, x, f, g: nnx.cond(x.sum() > TURN, f, g, m, x),
    "grad": _grad,
    "custom_vjp": _custom_vjp,
    "vmap": _vmap,
    "vmap_shared": lambda m, x, f: nnx.vmap(f, in_axes=(None, 0))(
        m, jnp.stack([x, -x])
    ).mean(0),
}


# -- in pure JAX: functions of (state, x) that return (state, x)


def run_pure(program: Program, s: dict[str, Any], x: Any) -> tuple[dict[str, Any], Any]:
    """The twin of `run`."""
    for operation in program:
        if isinstance(operation, str):
            s, x = _PURE_STEPS[operation](s, x)
        else:
            name, *inner = operation
            if name != "custom_vjp":
                inner = [_pure_function(p) for p in inner]
            s, x = _PURE_TRANSFORMS[name](s, x, *inner)
    return s, x


def _pure_function(program: Program) -> Callable[[Any, Any], Any]:
    return lambda s, x: run_pure(program, s, x)


def _pure_average(s: Any, x: Any) -> Any:
    mean = 0.9 * s["s"] + 0.1 * x
    return s | {"s": mean}, x + mean


def _pure_count(s: Any, x: Any) -> Any:
    n = s["n"] + 1
    return s | {"n": n}, jnp.tanh(x + 0.1 * n.astype(jnp.float32))


def _pure_noise(s: Any, x: Any) -> Any:
    key = jax.random.fold_in(s["key"], s["count"])
    new = s | {"count": s["count"] + jnp.ones((), s["count"].dtype)}
    return new, x + 0.1 * jax.random.normal(key, (SIZE,))


_PURE_STEPS: dict[str, Callable[[Any, Any], Any]] = {
    "scale": lambda s, x: (s, x * s["w"]),
    "shift": lambda s, x: (s, x + s["s"]),
    "squash": lambda s, x: (s, jnp.tanh(x)),
    "decay": lambda s, x: (s | {"w": 0.9 * s["w"] + 0.1 * jnp.tanh(x)}, x),
    "average": _pure_average,
    "count": _pure_count,
    "noise": _pure_noise,
}


def _pure_while_loop(s: Any, x: Any, f: Any) -> Any:
    def step(carry: Any) -> Any:
        return carry[0] + 1, *f(*carry[1:])

    first = (jnp.array(0), s, x)
    return jax.lax.while_loop(lambda carry: carry[0] < TIMES, step, first)[1:]


def _pure_grad(s: Any, x: Any, f: Any) -> Any:
    def loss(w: Any) -> Any:
        new, y = f(s | {"w": w}, x)
        return y.sum(), new

    gradient, new = jax.grad(loss, has_aux=True)(s["w"])
    return new, jnp.tanh(x + gradient)


def _pure_custom_vjp(s: Any, x: Any, program: Program) -> Any:
    fixed = {name: s[name] for name in ("n", "key", "count")}

    @jax.custom_vjp
    def function(w: Any, mean: Any, fixed: Any, x: Any) -> Any:
        new, y = run_pure(program, {"w": w, "s": mean, **fixed}, x)
        return {name: new[name] for name in written(program)}, y

    def bwd(residuals: Any, g: Any) -> Any:
        _, y_g = g
        return 2 * y_g, jnp.zeros_like(y_g), None, residuals * y_g

    function.defvjp(lambda w, mean, c, x: (function(w, mean, c, x), jnp.cos(x)), bwd)
    new, y = function(s["w"], s["s"], fixed, x)
    return s | new, y


def _pure_vmap(s: Any, x: Any, f: Any) -> Any:
    states = jax.tree.map(lambda a: jnp.stack([a, a]), s)
    states, y = jax.vmap(f)(states, jnp.stack([x, -x]))
    return jax.tree.map(lambda a: a[1], states), y.mean(0)


def _pure_vmap_shared(s: Any, x: Any, f: Any) -> Any:
    return s, jax.vmap(lambda y: f(s, y)[1])(jnp.stack([x, -x])).mean(0)


_PURE_TRANSFORMS: dict[str, Callable[..., Any]] = {
    "jit": lambda s, x, f: jax.jit(f)(s, x),
    "remat": lambda s, x, f: jax.checkpoint(f)(s, x),
    "scan": lambda s, x, f: jax.lax.scan(
        lambda carry, _: (f(*carry), None), (s, x), length=TIMES
    )[0],
    "while_loop": _pure_while_loop,
    "fori_loop": lambda s, x, f: jax.lax.fori_loop(
        0, TIMES, lambda i, carry: f(*carry), (s, x)
    ),
    "cond": lambda s, x, f, g: jax.lax.cond(x.sum() > TURN, f, g, s, x),
    "grad": _pure_grad,
    "custom_vjp": _pure_custom_vjp,
    "vmap": _pure_vmap,
    "vmap_shared": _pure_vmap_shared,
}
