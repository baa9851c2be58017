"""A write that would leave a tracer in an outer object is blocked, with a remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import oakum as nnx
from oakum.errors import TraceContextError
from tests.models import Pair, holds_tracer, snapshot

# Most of these programs read captured state before they write it.
pytestmark = pytest.mark.filterwarnings("ignore::oakum.errors.StaleStateWarning")

HERE = __file__.rsplit("/", 1)[-1]


class Agent(nnx.Module):
    """A captured object with everything that can be written to."""

    def __init__(self):
        self.pair = Pair()
        self.pair.items = nnx.List(self.pair.items)
        self.pair.table = nnx.Dict(self.pair.table)
        self.norm = nnx.BatchNorm(2, rngs=nnx.Rngs(0))
        self.drop = nnx.Dropout(0.5, rngs=nnx.Rngs(0))
        self.rngs = nnx.Rngs(0)
        self.linear = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
        self.optimizer = nnx.Optimizer(self.linear, optax.sgd(0.1), wrt=nnx.Param)


# -- the table: every write, under every transform

WRITES: dict[str, Callable[[Any, Any], Any]] = {
    "variable_set": lambda m, x: setattr(m.pair.a, "value", m.pair.a.value * x),
    "item_set": lambda m, x: m.pair.a.__setitem__(0, x),
    "in_place_add": lambda m, x: m.pair.a.__setitem__(..., m.pair.a[...] + x),
    "raw_set": lambda m, x: m.pair.a.set_raw_value(m.pair.a.value * x),
    "attribute_set": lambda m, x: setattr(m.pair, "extra", x * 2),
    "attribute_variable": lambda m, x: setattr(m.pair, "a", nnx.Param(x)),
    "attribute_static": lambda m, x: setattr(m.pair, "mode", "eval"),
    "attribute_delete": lambda m, x: delattr(m.pair, "a"),
    "list_append": lambda m, x: m.pair.items.append(x),
    "list_set": lambda m, x: m.pair.items.__setitem__(0, nnx.Param(x)),
    "list_extend": lambda m, x: m.pair.items.extend([x]),
    "list_pop": lambda m, x: m.pair.items.pop(),
    "dict_set": lambda m, x: m.pair.table.__setitem__("y", x),
    "dict_update": lambda m, x: m.pair.table.update(y=x),
    "dict_pop": lambda m, x: m.pair.table.pop("x"),
    "metadata_set": lambda m, x: m.pair.a.set_metadata(seen=1),
    "metadata_delete": lambda m, x: m.norm.mean.del_metadata("nothing"),
    "copy_from": lambda m, x: m.pair.a.copy_from(nnx.Param(x * m.pair.a.value)),
    "update": lambda m, x: nnx.update(
        m.linear, {"bias": jnp.ones(2) * x}, strict=False
    ),
    "pop": lambda m, x: nnx.pop(m.pair, nnx.BatchStat),
    "sow": lambda m, x: m.pair.sow(nnx.Intermediate, "seen", x),
    "eval_mode": lambda m, x: m.eval(),
    "batch_norm": lambda m, x: m.norm(jnp.ones((2, 2)) * x),
    "dropout": lambda m, x: m.drop(jnp.ones((2, 2)) * x),
    "rng_draw": lambda m, x: m.rngs.params(),
    "reseed": lambda m, x: nnx.reseed(m.rngs, default=1),
    "optimizer": lambda m, x: m.optimizer.update(
        m.linear, jax.tree.map(lambda p: p * x, nnx.state(m.linear, nnx.Param))
    ),
}

X = jnp.float32(1.5)


def custom_vjp(f: Any, x: Any) -> Any:
    g = jax.custom_vjp(f)
    g.defvjp(lambda x: (f(x), None), lambda _, t: (t,))
    return jax.jit(jax.grad(g))(x)


FOREIGN: dict[str, Callable[[Any, Any], Any]] = {
    "jax.jit": lambda f, x: jax.jit(f)(x),
    "jax.grad": lambda f, x: jax.grad(f)(x),
    "jax.value_and_grad": lambda f, x: jax.value_and_grad(f)(x),
    "jax.vmap": lambda f, x: jax.vmap(f)(x[None]),
    "jax.lax.scan": lambda f, x: jax.lax.scan(lambda c, y: (c, f(y)), 0, x[None]),
    "jax.lax.cond": lambda f, x: jax.lax.cond(x > 0, f, lambda x: x, x),
    "jax.lax.switch": lambda f, x: jax.lax.switch(jnp.int32(0), [f, f], x),
    "jax.lax.while_loop": lambda f, x: jax.lax.while_loop(
        lambda s: s[0] < 1, lambda s: (s[0] + 1, f(s[1])), (0, x)
    ),
    "jax.lax.fori_loop": lambda f, x: jax.lax.fori_loop(0, 2, lambda _, y: f(y), x),
    "jax.checkpoint": lambda f, x: jax.checkpoint(f)(x),
    "jax.custom_vjp": custom_vjp,
    "jax.eval_shape": lambda f, x: jax.eval_shape(f, x),
    "jax.make_jaxpr": lambda f, x: jax.make_jaxpr(f)(x),
    "jax.linearize": lambda f, x: jax.linearize(f, x),
    "jax.vjp": lambda f, x: jax.vjp(f, x),
    "jax.jvp": lambda f, x: jax.jvp(f, (x,), (x,)),
    "jax.jacobian": lambda f, x: jax.jacrev(f)(x),
    "jax.hessian": lambda f, x: jax.hessian(f)(x),
    "nnx.jit": lambda f, x: nnx.jit(f)(x),
    "nnx.grad": lambda f, x: nnx.grad(f)(x),
    "jit_of_vmap": lambda f, x: jax.jit(jax.vmap(f))(x[None]),
    "nnx.jit_of_grad": lambda f, x: nnx.jit(lambda x: jax.grad(f)(x))(x),
}


@pytest.mark.parametrize("transform", FOREIGN)
@pytest.mark.parametrize("write", WRITES)
def test_a_write_to_captured_state_raises_before_anything_changes(write, transform):
    agent = Agent()
    before = snapshot(agent)

    def body(x):
        WRITES[write](agent, x)
        return x * 2

    with pytest.raises(TraceContextError) as caught:
        FOREIGN[transform](body, X)
    assert snapshot(agent) == before
    assert not holds_tracer(agent)
    assert "Instead:" in str(caught.value)
    assert HERE in caught.value.where


# `nnx.jit` makes what a function reads an input of it, and then may write to it.
@pytest.mark.parametrize("transform", [t for t in FOREIGN if t != "nnx.jit"])
def test_a_blocked_write_that_is_caught_leaves_no_trace(transform):
    agent = Agent()
    before = snapshot(agent)

    def body(x):
        for write in WRITES.values():
            with pytest.raises(TraceContextError):
                write(agent, x)
        return x * 2

    FOREIGN[transform](body, X)
    assert snapshot(agent) == before
    with jax.numpy_dtype_promotion("standard"):
        for name in ("variable_set", "list_append", "optimizer", "rng_draw"):
            WRITES[name](agent, X)


# -- what is legal passes

LEGAL: dict[str, Callable[[Any], Any]] = {
    "read": lambda x: Pair().a.value.sum() * x,
    "made_inside": lambda x: written(Pair(), x),
    "made_and_jitted_inside": lambda x: nnx.jit(written)(Pair(), x),
    "made_and_differentiated_inside": lambda x: nnx.grad(
        lambda m, x: written(m, x), argnums=nnx.DiffState(0, nnx.Param)
    )(Pair(), x)["b"].value.sum(),
    "list_made_inside": lambda x: appended(x),
    "rngs_made_inside": lambda x: jax.random.uniform(nnx.Rngs(0)()) * 0 + x,
    "layer_made_inside": lambda x: nnx.BatchNorm(2, rngs=nnx.Rngs(0))(
        jnp.ones((3, 2)) * x
    ).sum(),
    "optimizer_made_inside": lambda x: optimized(x),
    "variable_arithmetic": lambda x: (nnx.Param(x) * 2 + 1).sum(),
}


def written(model: Any, x: Any) -> Any:
    model.a.value = model.a.value * x
    model.mode = "eval"
    model.items.append(nnx.Param(model.a.value))
    model.table["y"] = nnx.Cache(model.a.value)
    model.a.set_metadata(seen=1)
    return (model.a.value * model.b.value).sum()


def appended(x: Any) -> Any:
    items = nnx.List([])
    items.append(x)
    return items[0]


def optimized(x: Any) -> Any:
    model = Pair()
    optimizer = nnx.Optimizer(model, optax.sgd(0.5), wrt=nnx.Param)
    optimizer.update(model, nnx.grad(lambda m: (m.a.value * x).sum())(model))
    return model.a.value.sum()


@pytest.mark.parametrize("transform", FOREIGN)
@pytest.mark.parametrize("case", LEGAL)
def test_objects_made_inside_a_foreign_trace_may_be_written(case, transform):
    FOREIGN[transform](LEGAL[case], X)


def test_objects_made_inside_give_the_plain_result():
    for case in LEGAL.values():
        np.testing.assert_allclose(jax.jit(case)(X), case(X), rtol=1e-6)


@pytest.mark.parametrize("transform", FOREIGN)
def test_captured_state_may_be_read(transform):
    agent = Agent()

    def body(x):
        read = agent.pair.a.value.sum() + agent.pair.items[0][0] + len(agent.pair.items)
        return x * read * agent.linear(jnp.ones((1, 2))).sum()

    FOREIGN[transform](body, X)
    assert not holds_tracer(agent)


def test_pytree_argument_copies_may_be_written():
    model = Pair()

    @jax.jit
    def step(m):
        m.a.value = m.a.value * 2
        m.mode = "eval"
        m.items.append(nnx.Param(m.a.value))
        return m

    before = snapshot(model)
    result = step(model)
    assert result.a.value.tolist() == [2.0] * 3
    assert (result.mode, len(result.items)) == ("eval", 3)
    assert snapshot(model) == before
    result.a.value = result.a.value + 1  # and belongs to nobody afterwards


def test_a_custom_vjp_rule_that_runs_eagerly_gives_the_plain_result():
    agent = Agent()
    g = jax.custom_vjp(lambda x: x)
    g.defvjp(lambda x: (x, WRITES["variable_set"](agent, x)), lambda _, t: (t,))
    jax.grad(g)(X)
    assert agent.pair.a.value.tolist() == [1.5] * 3


def test_disable_jit_runs_plain_python():
    @nnx.jit
    def step(model, x):
        seen.append(float(model.a.value[0]))
        written(model, x)

    model, seen = Pair(), []
    with jax.disable_jit():
        step(model, 2.0)
        step(model, 2.0)
    assert seen == [1.0, 2.0]
    del seen[:]
    double = nnx.jit(lambda m, x: m.a.set_value(m.a.value * x))
    for disabled in (False, True, False):
        with jax.disable_jit(disabled):
            double(model, 2.0)
    assert model.a.value.tolist() == [32.0] * 3


def test_callbacks_run_outside_of_the_trace():
    seen = nnx.Variable(jnp.zeros(()))

    @jax.jit
    def f(x):
        jax.debug.callback(lambda x: seen.set_value(jnp.asarray(x)), x)
        return x

    f(2.0)
    jax.effects_barrier()
    assert float(seen.value) == 2.0


# -- the message


class Player:
    """The classic mistake: the optimizer is captured by way of `self`."""

    def __init__(self):
        self.model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        self.optimizer = nnx.Optimizer(self.model, optax.sgd(0.1))

    def train(self, key: Any, data: Any) -> None:
        @jax.jit
        def update(key, data):
            def loss(model):
                return (model(data) ** 2).mean()

            grad = nnx.grad(loss)(self.model)
            self.optimizer.update(grad)  # the line that writes

        update(key, data)


def line_of(text: str) -> int:
    with open(__file__) as source:
        return 1 + [text in line for line in source].index(True)


def test_the_classic_mistake_is_answered_with_the_corrected_code():
    player = Player()
    before = snapshot(player.model, player.optimizer)
    with pytest.raises(TraceContextError) as caught:
        player.train(jax.random.key(0), jnp.ones((4, 2)))
    text = str(caught.value)
    for part in (
        "@nnx.jit\n    def update(optimizer, key, data):",
        "update(self.optimizer, key, data)",
        "`jax.jit` is tracing `update`",
        "`self.optimizer.",
        f"{HERE}:{line_of('nnx.Optimizer(self.model')}",
        f"{HERE}:{line_of('the line that ' + 'writes')}",
        "Nothing was changed",
    ):
        assert part in text
    assert snapshot(player.model, player.optimizer) == before


def test_the_message_names_type_path_and_shape():
    agent = Agent()
    with pytest.raises(TraceContextError) as caught:
        jax.jit(lambda x: agent.pair.items[1].set_value(x))(X)
    assert "Param `agent.pair.items[1]` of shape (2,)" in str(caught.value)


MESSAGES = ["jax.jit", "jax.grad", "jax.vmap", "jax.lax.scan", "jax.lax.cond"]
MESSAGES += ["jax.lax.while_loop", "jax.lax.fori_loop", "jax.checkpoint", "jax.vjp"]
MESSAGES += ["jax.eval_shape", "jax.make_jaxpr", "jax.linearize", "nnx.jit", "nnx.grad"]


@pytest.mark.parametrize("transform", MESSAGES)
def test_the_message_names_the_transform(transform):
    agent = Agent()

    def body(x):
        agent.pair.a.value = x
        return x

    with pytest.raises(TraceContextError) as caught:
        FOREIGN[transform](body, X)
    assert f"`{transform}` is tracing" in str(caught.value)
    assert "agent.pair.a" in str(caught.value)


def test_the_corrected_code_of_the_classic_mistake_works():
    player = Player()

    @nnx.jit
    def update(optimizer, key, data):
        grad = nnx.grad(lambda model: (model(data) ** 2).mean())(optimizer.model)
        optimizer.update(grad)

    before = player.model.kernel.value.tolist()
    update(player.optimizer, jax.random.key(0), jnp.ones((4, 2)))
    assert player.model.kernel.value.tolist() != before
    assert int(player.optimizer.step.value) == 1


class Holder:
    """No Module, so its methods capture what it holds."""

    def __init__(self):
        self.model, self.rngs = nnx.Linear(2, 1, rngs=nnx.Rngs(0)), nnx.Rngs(1)
        self.optimizer = nnx.Optimizer(self.model, optax.sgd(0.1), wrt=nnx.Param)
        self.unused = nnx.Linear(2, 1, rngs=nnx.Rngs(0))

    def step(self, x):
        grads = nnx.grad(lambda m: m(x).sum())(self.model)
        self.optimizer.update(self.model, grads)
        return self.rngs()


@pytest.mark.parametrize("jit", [jax.jit, nnx.jit], ids=["jax.jit", "nnx.jit"])
def test_the_remedy_names_all_that_a_function_captures(jit):
    holder = Holder()
    with pytest.raises(TraceContextError) as caught:
        jit(holder.step)(jnp.ones((1, 2)))
    remedy = caught.value.remedy
    assert remedy.startswith("pass the objects as arguments")
    assert "def step(model, rngs, optimizer, x):" in remedy
    assert "step(self.model, self.rngs, self.optimizer, x)" in remedy


def test_the_remedy_leaves_out_what_is_owned_or_given():
    model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
    optimizer = nnx.ModelAndOptimizer(model, optax.sgd(0.1))

    @nnx.jit
    def step(x, other):
        optimizer.update(nnx.grad(lambda m: (m(x) + other(x)).sum())(model))

    with pytest.raises(TraceContextError) as caught:
        step(jnp.ones((1, 2)), nnx.clone(model))
    assert "def step(optimizer, x, other):" in caught.value.remedy
