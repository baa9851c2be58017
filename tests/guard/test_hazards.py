"""Lost, stale, escaped, donated, rebound state: told at the line, with the remedy."""

from __future__ import annotations

import contextlib
import copy
import gc
import subprocess
import sys
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from oakum._guard import _copies
from oakum.errors import (
    ArgumentValueError,
    DeletedArrayError,
    LostUpdateWarning,
    OakumWarning,
    StaleStateWarning,
    TraceContextError,
)
from tests.models import holds_tracer

HERE = __file__.rsplit("/", 1)[-1]
X = jnp.ones((2, 3))


def told(call: Any) -> list[OakumWarning]:
    """What a call warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [w.message for w in caught if isinstance(w.message, OakumWarning)]


def norm() -> nnx.BatchNorm:
    return nnx.BatchNorm(3, rngs=nnx.Rngs(0))


def cyclic() -> nnx.BatchNorm:
    """Its copies die in the garbage collector alone."""
    model = norm()
    model.me = model
    return model


def dropout() -> nnx.Dropout:
    return nnx.Dropout(0.5, rngs=nnx.Rngs(0))


def linear() -> nnx.Linear:
    return nnx.Linear(3, 3, rngs=nnx.Rngs(0))


def read_after(m: Any, x: Any) -> Any:
    y = m(x)
    return y * m.mean.value.sum()


def kept_inside(m: Any, x: Any) -> Any:
    y = m(x)
    seen = [m.mean.value, m.var.value]
    return y * len(seen)


def replaced(m: Any, x: Any) -> Any:
    m(x)
    seen = m.mean.value
    m.mean = nnx.BatchStat(x[0])
    m.var = nnx.BatchStat(m.var.value * 2)
    return m, seen


def written_again(m: Any, x: Any) -> Any:
    graph, state = nnx.split(m)
    m(x)
    return nnx.merge(graph, state)(x), state


# -- lost


@pytest.mark.parametrize(
    ("make", "body", "names"),
    [
        (norm, lambda m, x: m(x), ["BatchStat `.mean`", "BatchStat `.var`"]),
        (dropout, lambda m, x: m(x), ["RngCount `.rngs.count`"]),
        (norm, read_after, ["BatchStat `.mean`", "BatchStat `.var`"]),
        (norm, kept_inside, ["BatchStat `.mean`", "BatchStat `.var`"]),
        (cyclic, lambda m, x: m(x), ["BatchStat `.mean`", "BatchStat `.var`"]),
        (cyclic, read_after, ["BatchStat `.mean`", "BatchStat `.var`"]),
        (cyclic, lambda m, x: setattr(m, "mode", "b"), ["BatchNorm"]),
        (norm, lambda m, x: setattr(m, "mode", "b"), ["BatchNorm"]),
        (norm, lambda m, x: m.sow(nnx.Intermediate, "y", x), ["BatchNorm"]),
    ],
    ids=[
        "batch_norm",
        "dropout",
        "read_after",
        "kept_inside",
        "cyclic",
        "cyclic_read_after",
        "cyclic_attribute",
        "attribute",
        "sow",
    ],
)
def test_a_write_to_a_dropped_copy_is_told(make, body, names, no_collector):
    model = make()
    found = told(lambda: jax.jit(body).trace(model, X))
    assert [type(w) for w in found] == [LostUpdateWarning] * len(names)
    for warning, name in zip(found, names, strict=True):
        assert f"A write to {name} is lost: `jax.jit`" in warning.what
        assert HERE in warning.where
        assert "nnx.jit instead of jax.jit" in warning.remedy
    assert not holds_tracer(model)


@pytest.fixture
def no_collector():
    """What is told of does not hang on when the garbage collector comes by.

    One that a test asks for looks at what the test made, and not at the millions of
    objects that a worker holds.
    """
    gc.disable()
    gc.freeze()
    yield
    gc.unfreeze()
    gc.enable()


@pytest.mark.parametrize(
    "body",
    [
        lambda m, x: (m(x), m),
        lambda m, x: (m(x), nnx.state(m)),
        lambda m, x: (m(x), nnx.split(m)[1]),
        lambda m, x: (m(x), m.mean.value, m.var.value),
        lambda m, x: (m(x), m.mean, m.var),
        lambda m, x: (m(x), nnx.clone(m)),
        lambda m, x: (m(x), jax.tree.map(lambda a: a * 1, m)),
        lambda m, x: (m(x), nnx.to_pure_dict(nnx.state(m))),
        lambda m, x: (m(x), jax.tree.leaves(m)),
        lambda m, x: (m.sow(nnx.Intermediate, "y", x), nnx.pop(m, nnx.Intermediate)),
        lambda m, x: m.kernel_shape if hasattr(m, "kernel_shape") else x.sum(),
        written_again,
        replaced,
        lambda m, x: (m(x), copy.deepcopy(m)),
    ],
    ids=[
        "model",
        "state",
        "split",
        "values",
        "variables",
        "clone",
        "tree_map",
        "pure_dict",
        "leaves",
        "popped",
        "read_only",
        "split_before",
        "replaced",
        "deepcopy",
    ],
)
@pytest.mark.parametrize("transform", ["jit", "jit_cyclic", "checkpoint", "vmap"])
def test_a_returned_copy_is_not_told(transform, body, no_collector):
    run = {
        "jit": lambda: jax.jit(body).trace(norm(), X),
        "jit_cyclic": lambda: jax.jit(body).trace(cyclic(), X),
        "checkpoint": lambda: jax.checkpoint(body)(norm(), X),
        "vmap": lambda: jax.vmap(body, in_axes=(None, 0))(norm(), X[None]),
    }
    assert told(run[transform]) == []


@pytest.mark.parametrize("make", [norm, cyclic])
@pytest.mark.parametrize("returned", [False, True], ids=["inside", "result"])
def test_a_failed_trace_lost_nothing(make, returned):
    def body(m, x):
        m(x)
        if not returned:
            raise TypeError("stop")
        return "no array"

    def call():
        with pytest.raises(TypeError):
            jax.jit(body)(make(), X)
        gc.collect()

    assert told(call) == []


# A function that keeps an exception keeps its frame, until the collector comes by.


@jax.tree_util.register_pytree_node_class
class Collects:
    """A result that has the garbage collector come by while JAX takes it apart."""

    def __init__(self, value: Any):
        self.value = value

    def tree_flatten(self) -> Any:
        gc.collect()
        return (self.value,), None

    @classmethod
    def tree_unflatten(cls, _: Any, children: Any) -> Any:
        return cls(*children)


def keeping(finish: Any) -> Any:
    """A function that keeps an exception, writes, and ends as `finish(m, y)` says."""

    def body(m, x):
        y = m(x)
        try:
            raise ValueError
        except ValueError as error:
            kept = error
        assert kept is not None
        return finish(m, y)

    return body


def fails(m: Any, y: Any) -> Any:
    raise TypeError("later")


KEPT_EXCEPTIONS: dict[str, tuple[Any, bool]] = {
    "result": (lambda m, y: y, True),
    "none": (lambda m, y: None, True),
    "collected": (lambda m, y: Collects(y), True),
    "model": (lambda m, y: (y, m), False),
    "model_collected": (lambda m, y: (Collects(y), m), False),
    "state": (lambda m, y: (y, nnx.state(m)), False),
    "values": (lambda m, y: (y, m.mean.value, m.var.value), False),
    "values_collected": (lambda m, y: (Collects(y), m.mean.value, m.var.value), False),
    "raises": (fails, False),
    "no_array": (lambda m, y: "text", False),
    "no_array_collected": (lambda m, y: Collects("text"), False),
}
TRANSFORMS_OF_JAX: dict[str, Any] = {
    "jit": lambda f: jax.jit(f),
    "checkpoint": lambda f: jax.checkpoint(f),
    "vmap": lambda f: jax.vmap(f, in_axes=(None, 0)),
    "inner": lambda f: jax.jit(lambda m, x: (jax.checkpoint(f)(m, x), m)),
}


@pytest.mark.parametrize("make", [norm, cyclic])
@pytest.mark.parametrize(
    ("case", "transform"),
    [
        (case, transform)
        for case in KEPT_EXCEPTIONS
        for transform in TRANSFORMS_OF_JAX
        # vmap refuses what is no array when all of this has ended.
        if not (transform == "vmap" and "no_array" in case)
    ],
)
def test_a_kept_exception_hides_no_lost_update(case, transform, make, no_collector):
    finish, lost = KEPT_EXCEPTIONS[case]

    def call():
        x = X[None] if transform == "vmap" else X
        with contextlib.suppress(TypeError):
            TRANSFORMS_OF_JAX[transform](keeping(finish))(make(), x)
        gc.collect()

    found = told(call)
    assert [type(w) for w in found] == [LostUpdateWarning] * (2 if lost else 0)
    assert not _copies.written


KEPT_AT_EXIT = """
import gc, jax, jax.numpy as jnp, oakum as nnx
def body(m, x):
    try:
        raise ValueError
    except ValueError as error:
        kept = error
    return m(x)
gc.disable()
jax.jit(body)(nnx.BatchNorm(3, rngs=nnx.Rngs(0)), jnp.ones((2, 3)))
"""


def test_a_kept_exception_leaves_no_noise_at_exit():
    run = [sys.executable, "-c", KEPT_AT_EXIT]
    assert subprocess.run(run, capture_output=True, text=True).stderr == ""


def test_a_debugger_that_follows_the_function_sees_every_line():
    lines = []

    def trace(frame, event, arg):
        if frame.f_code is body.__code__:
            lines.append((event, frame.f_lineno - body.__code__.co_firstlineno))
            return trace
        return None

    def body(m, x):
        y = m(x)
        return y * 2

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        found = told(lambda: jax.jit(body)(cyclic(), X))
    finally:
        sys.settrace(before)
    assert len(found) == 2
    assert lines == [("call", 0), ("line", 1), ("line", 2), ("return", 2)]


def test_scratch_objects_made_inside_are_not_lost():
    def body(m, x):
        twin = jax.tree.map(lambda a: a, m)
        twin(x)
        fresh = norm()
        fresh(x)
        return nnx.jit(lambda m, x: m(x))(norm(), x)

    assert told(lambda: jax.jit(body)(norm(), X)) == []


def test_an_inner_transform_of_jax_loses_the_update_of_its_copy():
    def body(m, x):
        jax.checkpoint(lambda m, x: m(x))(m, x)
        return m

    found = told(lambda: jax.jit(body)(norm(), X))
    assert ["`jax.checkpoint`" in w.what for w in found] == [True, True]


def test_as_an_error_it_waits_for_the_next_use():
    model = norm()
    with nnx.guard(lost="error"):
        jax.jit(lambda m, x: m(x))(model, X)
        with pytest.raises(LostUpdateWarning, match="mean"):
            model(X)
        model(X)
    with pytest.raises(LostUpdateWarning), nnx.guard("error"):
        jax.jit(lambda m, x: m(x) * 1)(model, X)
    assert jnp.isfinite(nnx.jit(lambda m, x: m(x))(model, X)).all()


# -- stale


@pytest.mark.parametrize(
    "run",
    [
        lambda m, x: jax.jit(lambda x: m(x))(x),
        lambda m, x: jax.jit(jax.grad(lambda x: m(x).sum()))(x),
        lambda m, x: jax.jit(lambda x: nnx.grad(lambda m: m(x).sum())(m))(x),
        lambda m, x: jax.jit(lambda x: jax.grad(lambda m: m(x).sum())(m))(x),
        lambda m, x: jax.jit(lambda x: nnx.jit(lambda x: m(x))(x))(x),
        lambda m, x: jax.lax.scan(lambda c, _: (m(c), None), x, None, length=2),
        lambda m, x: jax.lax.fori_loop(0, 2, lambda _, c: m(c), x),
        lambda m, x: jax.jit(functools_partial(m))(x),
    ],
    ids=[
        "jit",
        "jit_of_grad",
        "nnx.grad_in_jit",
        "jax.grad_in_jit",
        "nnx.jit_in_jit",
        "scan",
        "fori_loop",
        "bound_method",
    ],
)
def test_captured_state_that_is_compiled_in_is_told_once(run):
    model = linear()
    found = told(lambda: run(model, X))
    assert {type(w) for w in found} == {StaleStateWarning}
    text = "\n".join(map(str, found))
    for part in ("kernel", "bias", "nnx.jit instead of jax.jit", HERE):
        assert part in text
    assert len(found) == 2
    assert told(lambda: run(model, X)) == []


def functools_partial(m: Any) -> Any:
    return m.__call__


@pytest.mark.parametrize(
    "run",
    [
        lambda m, x: m(x),
        lambda m, x: jax.grad(lambda x: m(x).sum())(x),
        lambda m, x: jax.vmap(lambda x: m(x))(x),
        lambda m, x: jax.eval_shape(lambda x: m(x), x),
        lambda m, x: jax.make_jaxpr(lambda x: m(x))(x),
        lambda m, x: nnx.jit(lambda x: m(x))(x),
        lambda m, x: nnx.jit(lambda x: jax.lax.fori_loop(0, 2, lambda _, c: m(c), x))(
            x
        ),
        lambda m, x: nnx.fori_loop(0, 2, lambda _, c: m(c), x),
        lambda m, x: nnx.scan(
            lambda c, _: (m(c), 0), in_axes=(nnx.Carry, 0), out_axes=(nnx.Carry, 0)
        )(x, jnp.arange(2)),
        lambda m, x: jax.jit(lambda x: x * m.kernel.shape[0])(x),
        lambda m, x: jax.jit(lambda m, x: m(x))(m, x),
    ],
    ids=[
        "eager",
        "grad",
        "vmap",
        "eval_shape",
        "make_jaxpr",
        "nnx.jit",
        "loop_in_nnx.jit",
        "nnx.fori_loop",
        "nnx.scan",
        "shape",
        "argument",
    ],
)
def test_reads_that_stay_fresh_are_not_told(run):
    model = linear()
    assert told(lambda: run(model, X)) == []


def test_captured_weights_are_inputs_of_the_compiled_program():
    model = nnx.Linear(64, 64, use_bias=False, rngs=nnx.Rngs(0))
    x = jnp.ones((2, 64))
    step = nnx.jit(lambda x: model(x))
    step(x)
    text = step.lower(x).compile().as_text()
    assert text.count("parameter(") >= 2
    assert "f32[64,64]{1,0} constant" not in text


# -- escaped


def test_a_variable_that_outlives_its_trace_is_told():
    kept = []

    def body(x):
        kept.append(nnx.Param(x * 2))
        return x

    jax.jit(body)(X)
    for use in (lambda v: v + 1, lambda v: v.set_value(X), jax.tree.leaves):
        with pytest.raises(TraceContextError, match="a trace that has ended") as caught:
            use(kept[0])
        assert HERE in caught.value.where
        assert "return" in caught.value.remedy
    assert nnx.jit(lambda x: x * 2)(X) is not None


def test_a_concrete_variable_that_outlives_its_trace_is_at_home_outside():
    kept = []
    jax.grad(lambda x: (kept.append(nnx.Param(jnp.ones(3))), x)[1])(1.0)
    kept[0].value = kept[0].value + 1
    assert nnx.jit(lambda v: v.value.sum())(kept[0]) == 6


# -- donated


def test_reading_a_donated_array_names_the_variable():
    model = linear()
    jax.jit(lambda k: k + 1, donate_argnums=0)(model.kernel.value)
    with pytest.raises(DeletedArrayError, match=r"Param `model\.kernel`") as caught:
        model(X)
    assert HERE in caught.value.where
    with pytest.raises(DeletedArrayError, match=r"`args\[0\]\.kernel`"):
        nnx.jit(lambda m, x: m(x))(model, X)
    model.kernel.value = jnp.ones((3, 3))
    assert model(X).shape == (2, 3)


# -- rebound


class Trainer:
    """An object that is none of oakum's."""

    def __init__(self, model: Any):
        self.model = model
        self.table = {"model": model}
        self.models = [model]


shared = Trainer(None)

FINDERS = {
    "attribute": lambda t: lambda x: t.model(x),
    "item": lambda t: lambda x: t.table["model"](x),
    "list": lambda t: lambda x: t.models[0](x),
    "global": lambda t: lambda x: shared.model(x),
    "helper": lambda t: lambda x: by_helper(t, x),
}


def by_helper(trainer: Trainer, x: Any) -> Any:
    return trainer.model(x)


@pytest.mark.parametrize("finder", FINDERS)
def test_a_replaced_object_is_found_anew(finder):
    trainer = Trainer(linear())
    shared.model = trainer.model
    step = nnx.jit(FINDERS[finder](trainer))
    step(X)
    for seed in (1, 2):
        new = nnx.Linear(3, 3, rngs=nnx.Rngs(seed))
        trainer.model = trainer.table["model"] = trainer.models[0] = new
        shared.model = new
        np.testing.assert_allclose(step(X), new(X), rtol=1e-6)
        np.testing.assert_allclose(step(X), new(X), rtol=1e-6)


# -- the switch


def test_the_switch_has_levels_for_each_hazard():
    model = linear()
    with nnx.guard("error"), pytest.raises(StaleStateWarning):
        jax.jit(lambda x: model(x))(X)
    with nnx.guard("off"):
        assert told(lambda: jax.jit(lambda x: model(x))(X)) == []
        assert told(lambda: jax.jit(lambda m, x: m(x))(norm(), X)) == []

    @nnx.guard(stale="off")
    def quiet():
        return jax.jit(lambda x: model(x) * 2)(X)

    assert told(quiet) == []
    assert nnx.guard.levels()["stale"] == "warn"


def test_with_the_leak_guard_off_jax_is_on_its_own():
    model = linear()
    with nnx.guard("off"):
        jax.jit(lambda x: model.bias.set_value(x))(jnp.ones(3))
    assert holds_tracer(model)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("loud",), "'loud'"),
        ((), "'tsale'"),
    ],
)
def test_an_unknown_level_or_hazard_is_named(given, message):
    hazards = {} if given else {"tsale": "off"}
    with pytest.raises(ArgumentValueError, match=message):
        nnx.guard(*given, **hazards)
    with pytest.raises(ArgumentValueError, match="'warn'"):
        nnx.guard(leak="warn")


def test_the_environment_variable_sets_the_levels():
    code = "import oakum; print(oakum.guard.levels())"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={"OAKUM_GUARD": "error,stale=off", "PATH": "", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "'stale': 'off', 'lost': 'error'" in run.stdout
