"""Every message of the guard says what is wrong, where, and what to write instead."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec

import oakum as nnx
from oakum import errors
from oakum._guard._explain import OWN
from tests.guard.matrix import MESH

HERE = __file__.rsplit("/", 1)[-1]
X = jnp.ones(3)


def write(v: Any, x: Any) -> Any:
    v.value = v.value * 2
    return x.sum()


def lose(v: Any) -> None:
    with nnx.guard(lost="error"):
        jax.jit(write).trace(v, X)


def bake_in(v: Any) -> None:
    with nnx.guard(stale="error"):
        jax.jit(lambda x: x * v).trace(X)


def leak(v: Any) -> None:
    jax.jit(lambda x: v.set_value(x))(X)


def escape(v: Any) -> None:
    def make(x: Any) -> Any:
        nonlocal v
        v = nnx.Param(x)
        return x

    jax.eval_shape(make, X)
    v.value += 1


def donate(v: Any) -> None:
    jax.jit(lambda x: x + 1, donate_argnums=0)(v.value)
    v.value += 1


# The mistake; its class; what is wrong, where (times), and the remedy.
MESSAGES: dict[Any, tuple[type[Exception], list[str], int, list[str]]] = {
    leak: (
        errors.TraceContextError,
        ["Param `v` of shape (3,)", "`jax.jit` is tracing", "Nothing was changed"],
        2,
        ["nnx.jit(f)(v, ...)", "as an argument"],
    ),
    escape: (
        errors.TraceContextError,
        ["Param `v`", "made in a trace that has ended"],
        2,
        ["return the object", "pass it as an argument"],
    ),
    donate: (
        errors.DeletedArrayError,
        ["Param `v` was donated"],
        2,
        ["donate_argnums", "nnx.jit", "variable.value = "],
    ),
    bake_in: (
        errors.StaleStateWarning,
        ["Param `v` of shape (3,) is read inside `jax.jit`", "constant"],
        2,
        ["nnx.jit instead of jax.jit", "f(v, ...)", "guard(stale='off')"],
    ),
    lose: (
        errors.LostUpdateWarning,
        ["A write to Param is lost", "`jax.jit` ran the function on a copy"],
        1,
        ["nnx.jit instead of jax.jit", "return the object"],
    ),
}


@pytest.mark.parametrize("mistake", MESSAGES, ids=lambda f: f.__name__)
def test_a_message_says_what_and_where_and_what_to_do(mistake):
    kind, what, lines, remedy = MESSAGES[mistake]
    v = nnx.Param(jnp.ones(3))
    with pytest.raises(kind) as caught:
        mistake(v)
    error = caught.value
    assert type(error) is kind
    for part in what:
        assert part in error.what
    assert error.where.count(f"{HERE}:") == lines
    for part in remedy:
        assert part in error.remedy
    assert str(error).splitlines()[-1] == f"More: oakum explain {kind.__name__}"


KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.Explained)
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_can_be_pickled_and_copied(kind):
    error = kind("what", where="here", remedy="this")
    for other in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert type(other) is kind
        assert str(other) == str(error)
        assert (other.what, other.where, other.remedy) == ("what", "here", "this")


def custom(make: Any, rule: str) -> Any:
    def call(f: Any, *args: Any) -> Any:
        g = make(f)
        getattr(g, rule)(*[f] * (2 if rule == "defvjp" else 1))
        return g(*args)

    return call


def shard_map(f: Any, *args: Any) -> Any:
    spec = PartitionSpec()
    return jax.shard_map(f, mesh=MESH, in_specs=spec, out_specs=spec)(*args)


# How each transform of JAX's calls a function of (object, array), and ours for it.
NAMES: dict[str, tuple[Any, str]] = {
    "jax.jit": (lambda f, *args: jax.jit(f).lower(*args), "nnx.jit"),
    "jax.vmap": (lambda f, *args: jax.vmap(f)(*args), "nnx.vmap"),
    "jax.checkpoint": (lambda f, *args: jax.checkpoint(f)(*args), "nnx.remat"),
    "jax.vjp": (lambda f, *args: jax.vjp(f, *args), "nnx.vjp"),
    "jax.jvp": (lambda f, *args: jax.jvp(f, args, args), "nnx.jvp"),
    "jax.linearize": (lambda f, *args: jax.linearize(f, *args), ""),
    "jax.custom_vjp": (custom(jax.custom_vjp, "defvjp"), "nnx.custom_vjp"),
    "jax.custom_jvp": (custom(jax.custom_jvp, "defjvp"), ""),
    "jax.shard_map": (shard_map, "nnx.shard_map"),
    "jax.pmap": (lambda f, *args: jax.pmap(f)(*args), "nnx.pmap"),
    "jax.lax.cond": (lambda f, *args: jax.lax.cond(True, f, other, *args), "nnx.cond"),
    "jax.lax.switch": (lambda f, *args: jax.lax.switch(0, [f, f], *args), "nnx.switch"),
}


def other(v: Any, x: Any) -> Any:
    return x.sum()


@pytest.mark.parametrize("name", NAMES)
def test_a_lost_update_names_the_transform_and_ours_if_there_is_one(name):
    call, ours = NAMES[name]
    v, x = nnx.Param(jnp.ones((1, 3))), jnp.ones((1, 3))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        call(lambda v, x: write(v, x), v, x)  # a new function: it is traced anew
    (message,) = {str(w.message) for w in told}
    assert f"lost: `{name}` ran the function" in message
    assert (f"({ours} instead of {name})" in message) == bool(ours)
    assert "return the object and use what comes back" in message


def test_the_transforms_that_messages_name_are_there():
    for name in OWN:
        assert callable(getattr(nnx, name))


def test_a_blocked_write_in_a_transform_that_is_jaxs_alone_says_how_else():
    v = nnx.Param(jnp.ones(3))
    with pytest.raises(errors.TraceContextError) as caught:
        jax.jacrev(lambda x: write(v, x))(X)
    assert "`jax.jacobian` is tracing" in caught.value.what
    assert "return the new value" in caught.value.remedy
    assert "v.value = ..." in caught.value.remedy


CALLS = {
    "cond": (lambda f: nnx.cond(True, f, jnp.sum, X), "nnx.cond(pred, f, ..., v, ...)"),
    "switch": (
        lambda f: nnx.switch(0, [f, f], X),
        "nnx.switch(index, [f, ...], v, ...)",
    ),
    "fori_loop": (
        lambda f: nnx.fori_loop(0, 2, lambda i, x: f(x), X.sum()),
        "nnx.fori_loop(lower, upper, f, (v, ...))",
    ),
    "while_loop": (
        lambda f: nnx.while_loop(lambda x: x < 0, f, X.sum()),
        "nnx.while_loop(condition, f, (v, ...))",
    ),
    "vmap": (lambda f: nnx.vmap(f)(X), "nnx.vmap(f)(v, ...)"),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_remedy_of_a_blocked_write_calls_the_transform_as_it_is_called(name):
    call, remedy = CALLS[name]
    v = nnx.Param(jnp.ones(3))
    with pytest.raises(errors.TraceContextError) as caught:
        call(lambda x: write(v, x))
    assert remedy in caught.value.remedy


@pytest.mark.parametrize("vmap", [jax.vmap, nnx.vmap])
def test_the_remedy_of_a_draw_under_vmap_gives_each_call_keys_of_its_own(vmap):
    rngs, n = nnx.Rngs(0), 3

    def draw(x):
        return x + jax.random.normal(rngs(), ())

    with pytest.raises(errors.TraceContextError) as caught:
        vmap(draw)(jnp.zeros(n))
    code = caught.value.remedy.partition("\n\n")[2].replace("(rngs, ...)", "(rngs, x)")

    def draw_of(rngs, x):
        return x + jax.random.normal(rngs(), ())

    names = {"nnx": nnx, "n": n, "draw": draw_of, "rngs": rngs, "x": jnp.zeros(n)}
    *before, call = [line.strip() for line in code.splitlines()]
    exec("\n".join(before), names)
    assert len(set(eval(call, names).tolist())) == n
