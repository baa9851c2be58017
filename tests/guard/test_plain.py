"""Edits of plain lists and dicts in a trace are undone, and told when it ends."""

from __future__ import annotations

import dataclasses
import functools
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import oakum as nnx
from oakum.errors import LostUpdateWarning, TraceContextError
from tests.guard.test_leak import FOREIGN, X


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Pair:
    left: Any
    right: Any = None


@dataclasses.dataclass
class Settings:
    rate: Any = 0.1
    names: list = dataclasses.field(default_factory=list)


HERE = __file__.rsplit("/", 1)[-1]


class Model(nnx.Module):
    def __init__(self) -> None:
        self.w = nnx.Param(jnp.ones(()))
        self.rows: Any = [1.0, nnx.Param(jnp.ones(2))]
        self.table: dict = {"a": jnp.ones(2), "deep": [1]}
        self.pair = ([], 3)
        self.nodes = nnx.List([[1], Pair(jnp.ones(2))])
        self.foreign = Pair(jnp.ones(2), {"a": [jnp.ones(2)]})
        self.others: Any = [Pair(jnp.ones(2))]
        self.settings = Settings()
        self.recent = deque(["a name"])
        self.by_name = OrderedDict(rate=0.1)
        self.fixed: Any = nnx.static([])


EDITS: dict[str, Callable[[Any, Any], Any]] = {
    "append": lambda m, x: m.rows.append(x),
    "static": lambda m, x: m.rows.append("a name"),
    "item": lambda m, x: m.rows.__setitem__(0, x),
    "pop": lambda m, x: m.rows.pop(),
    "dict item": lambda m, x: m.table.__setitem__("a", x),
    "dict key": lambda m, x: m.table.update(b=1),
    "dict deletion": lambda m, x: m.table.pop("a"),
    "nested": lambda m, x: m.table["deep"].append(2),
    "in a tuple": lambda m, x: m.pair[0].append(x),
    "in a List": lambda m, x: m.nodes[0].append(x),
    "pytree": lambda m, x: setattr(m.foreign, "left", x),
    "pytree of a list": lambda m, x: m.foreign.right["a"].append(x),
    "pytree in a list": lambda m, x: setattr(m.others[0], "left", x),
    "pytree in a List": lambda m, x: setattr(m.nodes[1], "left", x),
}
CONFIGURED: dict[str, Callable[[Any, Any], Any]] = {
    "configuration": lambda m, x: setattr(m.settings, "rate", x),
    "list of configuration": lambda m, x: m.settings.names.append(x),
    "deque": lambda m, x: m.recent.append(x),
    "OrderedDict": lambda m, x: m.by_name.update(last=x),
    "static list": lambda m, x: m.fixed.append(x),
}


def content(model: Model) -> str:
    return str(tuple(vars(model).values())[1:])


def use(model: Model) -> Any:
    """The next use of state, where an error that waits is raised."""
    return model.w.value


@pytest.mark.parametrize("edit", EDITS | CONFIGURED)
@pytest.mark.parametrize("transform", FOREIGN)
def test_an_edit_of_captured_state_is_told_and_undone(edit, transform):
    model = Model()
    before = content(model)

    def body(x: Any) -> Any:
        (EDITS | CONFIGURED)[edit](model, x)
        return x * 2

    def run() -> None:
        FOREIGN[transform](body, X)
        use(model)

    with pytest.raises(TraceContextError, match=r"`model\.") as caught:
        run()
    assert content(model) == before
    assert HERE in caught.value.where
    assert "Instead:" in str(caught.value)


@pytest.mark.parametrize("edit", CONFIGURED)
@pytest.mark.parametrize(
    "transform",
    [jax.jit, jax.grad, nnx.jit, nnx.grad, lambda f: nnx.jit(nnx.remat(f))],
    ids=["jax.jit", "jax.grad", "jit", "grad", "remat in jit"],
)
def test_no_traced_value_stays_in_the_configuration_of_an_argument(edit, transform):
    model = Model()
    before = content(model)

    def body(m: Any) -> Any:
        CONFIGURED[edit](m, m.w.value * 2)
        return m.w.value

    with pytest.raises(
        TraceContextError, match=r"A write to (Settings|deque|OrderedDict|list)"
    ) as caught:
        transform(body)(model) and use(model)
    assert content(model) == before
    assert "Instead:" in str(caught.value)


@pytest.mark.parametrize("transform", FOREIGN)
def test_configuration_may_be_edited_without_traced_values(transform):
    model = Model()

    def body(x: Any) -> Any:
        model.settings.rate = 0.2
        model.settings.names = ["a"]
        return x

    FOREIGN[transform](body, X)
    assert (model.settings.rate, model.settings.names) == (0.2, ["a"])
    use(model)


class Node:
    def __init__(self, held: Any) -> None:
        self.held = held


class Tracked(list):
    pass


class Recorded(nnx.Module):
    def __init__(self) -> None:
        self.w = nnx.Param(jnp.ones(()))
        self.layer = nnx.Dropout(0.5)
        self.names: list = ["a"]
        self.nodes: list = Tracked()
        self.calls: dict = {}


KEPT: dict[str, Callable[[Any], Any]] = {
    "name": lambda m: m.names.append("b"),
    "object": lambda m: m.nodes.append(Node("b")),
    "object of the model": lambda m: m.nodes.append(Node(m.layer)),
    "module from outside": lambda m: m.calls.update({id(m.layer): m.layer}),
    "deletion": lambda m: m.names.pop(),
}
INSIDE: dict[str, Callable[[Any, Any], Any]] = {
    "value": lambda m, x: m.names.append(x),
    "value in an object": lambda m, x: m.nodes.append(Node(x)),
    "value in a list": lambda m, x: m.calls.update(last=[x]),
    "Variable of the trace": lambda m, x: m.calls.update(last=nnx.Param(x)),
    "module of the trace": lambda m, x: m.nodes.append(nnx.Dict(a=nnx.Param(x))),
}
OF_JAX = ["jax.jit", "jax.eval_shape", "jax.vmap", "jax.lax.scan"]


@pytest.mark.parametrize("edit", KEPT)
@pytest.mark.parametrize("transform", OF_JAX)
def test_lists_and_dicts_without_state_may_be_edited_without_traced_values(
    edit, transform
):
    model, other = Recorded(), Recorded()
    FOREIGN[transform](lambda x: (KEPT[edit](model), x)[1], X)
    KEPT[edit](other)
    assert [len(v) for v in (model.names, model.nodes, model.calls)] == [
        len(v) for v in (other.names, other.nodes, other.calls)
    ]
    use(model)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("transform", OF_JAX)
def test_a_list_that_a_trace_put_there_may_be_emptied_again(transform):
    model = Recorded()

    def body(x: Any) -> Any:
        object.__setattr__(model, "nodes", Tracked([x]))
        total = sum(model.nodes)
        model.nodes.clear()
        return total

    FOREIGN[transform](body, X)
    use(model)  # pyright: ignore[reportArgumentType]
    assert model.nodes == []


@pytest.mark.parametrize("edit", INSIDE)
@pytest.mark.parametrize("transform", OF_JAX)
def test_what_a_trace_made_stays_in_none_of_them(edit, transform):
    model = Recorded()

    def run() -> None:
        FOREIGN[transform](lambda x: (INSIDE[edit](model, x), x)[1], X)
        use(model)  # pyright: ignore[reportArgumentType]

    with pytest.raises(TraceContextError, match=r"`model\.(.|\n)*Instead:"):
        run()
    assert (model.names, model.nodes, model.calls) == (["a"], [], {})


@pytest.mark.parametrize("transform", ["nnx.jit", "nnx.grad"])
def test_an_edit_under_the_name_that_the_caller_has_is_told_and_undone(transform):
    items = [Pair(jnp.ones(2))]
    model = Model()
    model.others = items
    before = content(model)

    def body(x: Any) -> Any:
        items[0].left = x * model.w.value
        return x

    with pytest.raises(TraceContextError, match="A write to list"):
        FOREIGN[transform](body, X)
    assert content(model) == before


@pytest.mark.parametrize("transform", FOREIGN)
def test_a_body_that_reads_alone_passes(transform):
    model = Model()

    def body(x: Any) -> Any:
        return x * model.rows[0] * len(model.pair[0] + model.table["deep"])

    FOREIGN[transform](body, X)
    use(model)


@pytest.mark.parametrize("transform", ["jax.jit", "jax.grad", "nnx.jit", "nnx.grad"])
def test_what_a_body_makes_it_may_edit(transform):
    def body(x: Any) -> Any:
        model = Model()
        for edit in EDITS.values():
            edit(model, x)
        return x * len(model.rows)

    FOREIGN[transform](body, X)


def test_an_error_of_the_body_is_the_one_that_is_raised():
    model = Model()

    def body(x: Any) -> Any:
        model.rows.append(x)
        raise KeyError("half-way")

    for transform in (jax.jit, nnx.jit):
        with pytest.raises(KeyError):
            transform(body)(X)
        use(model)
        assert len(model.rows) == 2


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_of_a_copy_that_jax_made_is_lost(edit):
    model = Model()

    @jax.jit
    def step(m: Any, x: Any) -> Any:
        EDITS[edit](m, x)
        return x

    with pytest.warns(LostUpdateWarning, match=r"nnx\.jit instead of jax\.jit"):
        step(model, X)


def test_an_edit_of_a_copy_that_goes_out_is_not():
    @jax.jit
    def step(m: Any, x: Any) -> Any:
        m.rows.append(x * 2)
        return m

    assert float(step(Model(), X).rows[2]) == 3.0


class Cached(nnx.Module):
    def __init__(self) -> None:
        self.w = nnx.Param(jnp.full((), 3.0))

    @functools.cached_property
    def square(self) -> Any:
        return self.w.value**2


@pytest.mark.parametrize("transform", ["jax.grad", "jax.vmap", "nnx.jit", "nnx.grad"])
def test_what_a_cached_property_computes_in_a_trace_does_not_outlive_it(transform):
    model = Cached()
    FOREIGN[transform](lambda x: x * model.square, X)
    assert float(model.square) == 9.0
    assert "square" in vars(model)


def test_the_guard_can_be_off():
    model = Model()
    with nnx.guard("off"):
        jax.jit(lambda x: model.rows.append(1))(X)
    use(model)
    assert len(model.rows) == 3


@pytest.mark.parametrize("transform", [nnx.grad, nnx.remat, nnx.jit])
def test_configuration_may_hold_a_value_of_the_trace_that_made_the_model(transform):
    @nnx.jit
    def step(x: Any) -> Any:
        model = Model()

        def body(m: Any) -> Any:
            m.recent.append(x)
            return m.w.value

        transform(body)(model)
        return model.recent[-1]

    assert jnp.array_equal(step(X), X)
