"""Structure that changes inside a jitted function is replayed on cache hits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import oakum as nnx
from tests.models import Pair, snapshot


def set_static(model):
    model.mode = "eval" if model.mode == "train" else "train"


def set_new_static(model):
    model.extra = (1, "two")


def set_new_array(model):
    model.extra = model.a.value.sum()


def set_new_variable(model):
    model.extra = nnx.BatchStat(model.a.value * 2)


def set_new_module(model):
    model.extra = Pair()
    model.extra.a.value = model.a.value + 1


def replace_variable(model):
    model.a = nnx.Param(model.a.value + 1)


def change_type(model):
    model.a = nnx.Cache(model.a.value * 3)


def change_shape(model):
    model.a.value = jnp.concatenate([model.a.value, jnp.ones(1)])


def change_dtype(model):
    model.a.value = model.a.value.astype(jnp.bfloat16)


def delete_attribute(model):
    if hasattr(model, "b"):
        del model.b


def swap(model):
    model.a, model.b = model.b, model.a
    model.a.value = model.a.value * 5


def tie(model):
    model.b = model.a


def untie(model):
    model.b = nnx.clone(model.a)


def append(model):
    model.items.append(nnx.Param(model.a.value[:1]))


def insert(model):
    model.items.insert(0, nnx.Param(jnp.full(2, 7.0)))


def pop(model):
    if model.items:
        model.items.pop(0)


def reverse(model):
    model.items.reverse()
    model.items[0].value = model.items[0].value + 1


def replace_item(model):
    model.items[1] = model.a


def nest(model):
    model.items = [model.items, [model.a]]


def add_key(model):
    model.table["y"] = nnx.BatchStat(model.a.value)


def delete_key(model):
    model.table.pop("x", None)


def rename_key(model):
    if "x" in model.table:
        model.table["z"] = model.table.pop("x")


def clear(model):
    model.table.clear()
    model.items.clear()


def set_metadata(model):
    model.a.set_metadata(seen=True, sharding=("data",))


def count_metadata(model):
    model.a.set_metadata(times=model.a.get_metadata("times", 0) + 1)


def self_reference(model):
    model.me = model


def metadata_and_value(model):
    model.a.set_metadata(seen=True)
    model.a.value = model.a.value * 2


def set_none(model):
    model.extra = None


def set_number(model):
    model.extra = getattr(model, "extra", 0) + 1


def sow(model):
    model.sow(nnx.Intermediate, "seen", model.a.value)


def sow_and_pop(model):
    model.sow(nnx.Intermediate, "seen", model.a.value)
    return nnx.pop(model, nnx.Intermediate)["seen"][0]


def move_out(model):
    taken = model.items.pop() if model.items else None
    return taken


def pop_and_return(model):
    return nnx.pop(model, nnx.BatchStat) if model.table else None


def train_mode(model):
    model.train()
    model.set_attributes(mode="other")


CHANGES: list[Callable[[Any], Any]] = [
    set_static,
    set_new_static,
    set_new_array,
    set_new_variable,
    set_new_module,
    replace_variable,
    change_type,
    change_shape,
    change_dtype,
    delete_attribute,
    swap,
    tie,
    untie,
    append,
    insert,
    pop,
    reverse,
    replace_item,
    nest,
    add_key,
    delete_key,
    rename_key,
    clear,
    set_metadata,
    count_metadata,
    self_reference,
    metadata_and_value,
    set_none,
    set_number,
    sow,
    sow_and_pop,
    move_out,
    pop_and_return,
    train_mode,
]
by_name = pytest.mark.parametrize("change", CHANGES, ids=lambda f: f.__name__)


@by_name
def test_change_as_in_a_plain_call(change):
    jitted, plain = Pair(), Pair()
    step = nnx.jit(change)
    for _ in range(3):
        step(jitted)
        change(plain)
        assert snapshot(jitted) == snapshot(plain)
        assert list(vars(jitted)) == list(vars(plain))


@by_name
def test_change_replayed_on_a_cache_hit(change):
    step = nnx.jit(change)
    first, second, plain = Pair(), Pair(), Pair()
    step(first)
    traces = step._cache_size()
    step(second)
    change(plain)
    assert step._cache_size() == traces
    assert snapshot(second) == snapshot(plain) == snapshot(first)
    assert second.items is not first.items


@by_name
def test_changed_object_works_on(change):
    """After the change, a step on the same object sees it, and writes where it is."""
    model, plain = Pair(), Pair()
    read = nnx.jit(sum_of)
    read(model)
    nnx.jit(change)(model)
    change(plain)
    total = float(read(model))
    assert total == float(sum_of(plain))


def sum_of(model: Any) -> Any:
    arrays = jax.tree.leaves(nnx.to_pure_dict(nnx.state(model)))
    return sum([x.astype(jnp.float32).sum() for x in arrays], jnp.zeros(()))


def test_identity_of_what_stays_is_kept():
    model = Pair()
    a, b, items, table, x = model.a, model.b, model.items, model.table, model.table["x"]

    @nnx.jit
    def step(m):
        swap(m)
        m.items.append(m.table["x"])

    step(model)
    assert (model.a, model.b) == (b, a) or (model.a is b and model.b is a)
    assert model.items is items
    assert model.table is table
    assert model.items[-1] is x


def test_swapped_variables_write_where_they_went():
    model = Pair()
    model.b.value = jnp.zeros(3)
    a, b = model.a, model.b
    step = nnx.jit(swap)
    for expected in ((1.0, 0.0), (5.0, 0.0), (5.0, 0.0)):
        step(model)
        assert (float(a.value[0]), float(b.value[0])) == expected


def test_object_moved_between_arguments():
    @nnx.jit
    def move(source, target):
        target.items.append(source.items.pop())
        target.items[-1].value = target.items[-1].value + 1

    source, target = Pair(), Pair()
    moved = source.items[-1]
    move(source, target)
    assert target.items[-1] is moved
    assert moved.value.tolist() == [2.0, 2.0]
    assert (len(source.items), len(target.items)) == (1, 3)


def test_train_and_eval_toggle_uses_two_traces():
    step = nnx.jit(lambda m, x: x if m.mode == "train" else -x)
    model = Pair()
    signs = []
    for mode in ("train", "eval") * 4:
        model.mode = mode
        signs.append(float(step(model, 1.0)))
    assert signs == [1.0, -1.0] * 4
    assert step._cache_size() == 2


def test_list_edited_outside_is_seen():
    count = nnx.jit(lambda m: sum([v.value.sum() for v in m.items], jnp.zeros(())))
    model = Pair()
    totals = [float(count(model))]
    model.items.append(nnx.Param(jnp.ones(4)))
    totals.append(float(count(model)))
    model.items[0] = nnx.Param(jnp.zeros(2))
    totals.append(float(count(model)))
    del model.items[1:]
    totals.append(float(count(model)))
    assert totals == [4.0, 8.0, 6.0, 0.0]
