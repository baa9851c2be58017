"""What a user sees of an error in a traced function: their lines, and what raised."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import oakum as nnx
from oakum.errors import ArgumentError, ShapeError

ROOT = Path(__file__).parents[2]
OAKUM = os.path.dirname(nnx.__file__) + os.sep
JAX = os.path.dirname(jax.__file__) + os.sep


class Net(nnx.Module):
    def __init__(self):
        self.linear = nnx.Linear(2, 4, rngs=nnx.Rngs(0))

    def __call__(self, x):
        return self.linear(x)


def loss(model, x):
    return model(x).sum()


def with_vjp(model, x):
    function = nnx.custom_vjp(loss)
    function.defvjp(lambda m, x: (loss(m, x), None), lambda r, g: (None, None))
    return function(model, x)


def in_backward(model, x):
    function = nnx.custom_vjp(lambda m, x: x.sum())
    function.defvjp(lambda m, x: (x.sum(), (m, x)), lambda r, g: loss(*r))
    return nnx.grad(function, argnums=1)(model, x)


def scanned(model, x):
    axes: Any = (nnx.Carry, 0)
    return nnx.scan(lambda m, x: (m, loss(m, x)), in_axes=axes, out_axes=axes)(
        model, x[None]
    )[1].sum()


def again(carry):
    return carry[0], carry[0](carry[1])


def known_structure(model, x):
    step = nnx.jit(loss)
    step(model, jnp.ones((1, 2)))
    return step(model, x)


def nested(model, x):
    return nnx.jit(lambda m, x: nnx.grad(nnx.remat(scanned))(m, x))(model, x)


# Each fails in the Linear of a Net, whose own frame is one of those counted.
CASES: dict[str, tuple[Any, int]] = {
    "eager": (loss, 1),
    "jit": (lambda m, x: nnx.jit(loss)(m, x), 1),
    "jit_again": (known_structure, 1),
    "jit_static": (lambda m, x: nnx.jit(loss, static_argnums=())(m, x=x), 1),
    "jit_of_model": (lambda m, x: nnx.jit(m)(x), 2),
    "lower": (lambda m, x: nnx.jit(loss).lower(m, x), 1),
    "grad": (lambda m, x: nnx.grad(loss)(m, x), 1),
    "value_and_grad": (lambda m, x: nnx.value_and_grad(loss)(m, x), 1),
    "vjp": (lambda m, x: nnx.vjp(loss, m, x), 1),
    "jvp": (lambda m, x: nnx.jvp(loss, (m, x), (jax.tree.map(lambda a: a, m), x)), 1),
    "vmap": (lambda m, x: nnx.vmap(loss, in_axes=(None, 0))(m, x[None]), 1),
    "scan": (scanned, 1),
    "cond": (lambda m, x: nnx.cond(True, loss, loss, m, x), 1),
    "switch": (lambda m, x: nnx.switch(0, [loss, loss], m, x), 1),
    "while_loop": (
        lambda m, x: nnx.while_loop(lambda c: c[1].sum() < 9, again, (m, x)),
        1,
    ),
    "fori_loop": (lambda m, x: nnx.fori_loop(0, 2, lambda i, c: again(c), (m, x)), 1),
    "remat": (lambda m, x: nnx.remat(loss)(m, x), 1),
    "custom_vjp": (with_vjp, 1),
    "backward": (in_backward, 1),
    "eval_shape": (lambda m, x: nnx.eval_shape(loss, m, x), 1),
    "make_jaxpr": (lambda m, x: nnx.make_jaxpr(loss)(m, x), 1),
    "checkify": (lambda m, x: nnx.checkify(loss)(m, x), 1),
    "pmap": (lambda m, x: nnx.pmap(loss, in_axes=(None, 0))(m, x[None]), 1),
    "jit_of_grad": (lambda m, x: nnx.jit(nnx.grad(loss))(m, x), 1),
    "nested": (nested, 1),
    "in_jax": (lambda m, x: jax.jit(lambda m, x: nested(m, x))(m, x), 1),
    "around_jax": (lambda m, x: nnx.jit(lambda m, x: jax.jit(loss)(m, x))(m, x), 1),
}


@contextlib.contextmanager
def filtering(mode: str) -> Iterator[None]:
    before = jax.config.jax_traceback_filtering  # type: ignore[attr-defined]
    jax.config.update("jax_traceback_filtering", mode)
    try:
        yield
    finally:
        jax.config.update("jax_traceback_filtering", before)


def failure(function: Any, mode: str, kind: Any = ShapeError) -> Any:
    with filtering(mode), pytest.raises(kind) as caught:
        function(Net(), jnp.ones((1, 3)))
    return caught.value


def frames(error: BaseException, of: str = "") -> list[tuple[str, int | None, str]]:
    """File, line and function of each frame: of oakum, of the user, or all."""
    found = []
    for entry in traceback.extract_tb(error.__traceback__):
        place = "oakum" if entry.filename.startswith(OAKUM) else "user"
        place = "jax" if entry.filename.startswith(JAX) else place
        if of in ("", place):
            found.append((entry.filename, entry.lineno, entry.name))
    return found


@pytest.mark.parametrize("mode", ["auto", "remove_frames", "tracebackhide"])
@pytest.mark.parametrize("case", CASES)
def test_frames_of_oakum_in_a_traceback(case, mode):
    function, expected = CASES[case]
    whole, error = failure(function, "off"), failure(function, mode)
    assert len(frames(error, "oakum")) == expected <= 3
    assert frames(error, "user") == frames(whole, "user")
    assert frames(error)[-1] == frames(whole)[-1]
    assert error.__context__ is None


@pytest.mark.parametrize("case", ["jit", "grad", "vmap", "scan", "cond", "nested"])
def test_the_switch_of_jax_keeps_all_frames(case):
    error = failure(CASES[case][0], "off")
    assert len(frames(error, "oakum")) > 5
    assert len(frames(error, "jax")) > 3


SCRIPT = """
import jax, jax.numpy as jnp
import oakum as nnx

class Net(nnx.Module):
    def __init__(self):
        self.linear = nnx.Linear(2, 4, rngs=nnx.Rngs(0))
    def __call__(self, x):
        return self.linear(x)

@nnx.jit
def step(model, x):
    return nnx.value_and_grad(lambda m: m(x).sum())(model)

def main():
    model = Net()
    step(model, jnp.ones((1, 2)))
    step(model, jnp.ones((1, 3)))

main()
"""


def test_what_a_script_prints(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run = [sys.executable, str(script)]
    printed = subprocess.run(run, env=environment, capture_output=True, text=True)
    lines = printed.stderr.splitlines()
    names = [line.split(", in ")[-1] for line in lines if line.startswith("  File ")]
    own = ["<module>", "main", "step", "<lambda>", "__call__"]
    assert names == [*own, "__call__"], printed.stderr
    assert printed.stderr.count("Traceback") == 1
    assert "Linear expects 2 at axis -1" in printed.stderr


# -- what does not change


def new_in_a_scan(model, x):
    def write(m, x):
        m.new = nnx.BatchStat(x)
        return x

    return nnx.scan(write, in_axes=(None, 0), out_axes=0)(model, x)


@pytest.mark.parametrize(
    "function",
    [lambda m, x: nnx.jit(loss)(m, "text"), new_in_a_scan],
    ids=["argument", "result"],
)
def test_an_error_of_the_engine_ends_where_it_was_raised(function):
    whole = failure(function, "off", ArgumentError)
    error = failure(function, "auto", ArgumentError)
    assert frames(error)[-1] == frames(whole)[-1]
    assert frames(error, "user") == frames(whole, "user")
    assert len(frames(error, "oakum")) == 1 < len(frames(whole, "oakum"))


class Boom(Exception):
    pass


def test_an_error_goes_out_as_the_object_it_is():
    cause, error = KeyError("cause"), Boom(3)

    def fail(model, x):
        error.add_note("a note")
        try:
            raise KeyError("context")
        except KeyError:
            raise error from cause

    caught = failure(nnx.jit(nnx.grad(fail)), "auto", Boom)
    assert caught is error
    assert caught.__cause__ is cause
    assert str(caught.__context__) == "'context'"
    assert caught.__notes__[0] == "a note"
    assert pickle.loads(pickle.dumps(caught)).args == (3,)


def test_an_error_of_the_second_way_knows_nothing_of_the_first():
    held, tries = nnx.Param(jnp.ones(())), []

    def reads_other_state(x):
        tries.append(1)
        if len(tries) > 1:
            raise Boom
        return x + held.value

    error = failure(
        lambda m, x: nnx.cond(True, reads_other_state, jnp.sin, x), "auto", Boom
    )
    assert len(tries) == 2
    assert error.__context__ is None


def test_an_interrupt_keeps_all_frames():
    def fail(model, x):
        raise KeyboardInterrupt

    error = failure(nnx.jit(fail), "auto", KeyboardInterrupt)
    assert len(frames(error, "oakum")) > 5


def test_what_is_caught_inside_is_as_it_was():
    seen = []

    def careful(model, x):
        try:
            nnx.grad(loss)(model, x)
        except ShapeError as error:
            seen.append(error)
        return x

    result = nnx.jit(careful)(Net(), jnp.ones((1, 3)))
    assert result.shape == (1, 3)
    assert [name for _, _, name in frames(seen[0])][-2:] == ["__call__", "__call__"]
    assert len(frames(seen[0], "oakum")) == 1
