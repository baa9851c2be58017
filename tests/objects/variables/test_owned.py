"""A Variable's arrays are its own: no buffer of the caller's stays inside."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import oakum as nnx


def _set_item(v, buffer):
    v[...] = buffer


def _set_value(v, buffer):
    v.value = buffer


WAYS = {
    "item": _set_item,
    "value": _set_value,
    "set_value": lambda v, buffer: v.set_value(buffer),
    "set_raw_value": lambda v, buffer: v.set_raw_value(buffer),
    "update": lambda v, buffer: nnx.update(v, buffer),
    "update-state": lambda v, buffer: nnx.update({"v": v}, {"v": nnx.Param(buffer)}),
}


@pytest.mark.parametrize("write", WAYS.values(), ids=WAYS)
def test_what_is_written_is_copied(write):
    v, buffer = nnx.Param(jnp.zeros(3)), np.ones(3, np.float32)
    write(v, buffer)
    buffer[:] = 9
    assert isinstance(v.get_raw_value(), jax.Array)
    np.testing.assert_array_equal(v, np.ones(3))


@pytest.mark.parametrize("write", list(WAYS.values())[:-1], ids=list(WAYS)[:-1])
def test_what_is_written_lies_where_the_old_value_lay(write):
    mesh = jax.make_mesh((2,), ("x",), axis_types=(AxisType.Auto,))
    sharding = NamedSharding(mesh, PartitionSpec("x"))
    v = nnx.Param(jax.device_put(jnp.zeros(4), sharding))
    write(v, np.ones(4, np.float32))
    assert v.value.sharding.is_equivalent_to(sharding, 1)


MADE = {
    "constructor": nnx.Param,
    "hook": lambda b: nnx.Param(0, on_create_value=lambda v, x: b),
    "from_metadata": lambda b: nnx.Param.from_metadata(b, {}),
    "replace": lambda b: nnx.Param(jnp.zeros(3)).replace(b),
    "initializer": lambda b: nnx.Param(nnx.with_metadata(lambda: b, note="n")()),
    "merge": lambda b: nnx.merge(
        *nnx.split({"v": nnx.Param(jnp.zeros(3))})[:1], {"v": b}
    )["v"],
    "merge-variable": lambda b: nnx.merge(
        *nnx.split({"v": nnx.Param(jnp.zeros(3))})[:1],
        jax.tree.map(lambda x: b, nnx.State({"v": nnx.Param(jnp.zeros(3))})),
    )["v"],
}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_what_a_variable_is_made_of_is_copied(make):
    buffer = np.ones(3, np.float32)
    v = make(buffer)
    buffer[:] = 9
    assert isinstance(v.get_raw_value(), jax.Array)
    np.testing.assert_array_equal(v, np.ones(3))


def test_arrays_within_a_pytree_are_copied():
    buffer = np.ones(2, np.float32)
    v = nnx.Param({"a": buffer, "n": 3})
    v["b"] = buffer
    buffer[:] = 9
    assert v["n"] == 3
    np.testing.assert_array_equal([v["a"], v["b"]], np.ones((2, 2)))


@pytest.mark.parametrize(
    "value", [np.array([2**40 + 5]), np.array(["text"])], ids=["int64", "text"]
)
def test_what_jax_cannot_hold_is_kept_as_it_is(value):
    v = nnx.Variable(value)
    np.testing.assert_array_equal(v.get_raw_value(), value)
    with pytest.raises(ValueError, match="read-only"):
        v.get_raw_value()[0] = value[0]


def test_a_list_of_arrays_is_copied_in():
    arrays = [jnp.ones(3)]
    v = nnx.Param(arrays)
    arrays.append(jnp.ones(3))
    assert len(v.value) == 1


def test_an_array_of_jax_is_kept_itself():
    x = jnp.ones(2)
    assert nnx.Param(x).value is x


def test_a_variable_is_an_array_to_others():
    v = nnx.Param(jnp.arange(3.0))
    np.testing.assert_array_equal(np.from_dlpack(v), [0, 1, 2])
    assert v.__array_namespace__() is jnp


def test_a_variable_may_hold_what_is_called():
    assert nnx.Variable(lambda x: x + 1)(2) == 3


def test_items_are_read_by_get_value():
    class Doubled(nnx.Variable):
        def get_value(self, **index):
            return 2 * super().get_value(**index)

    v = Doubled(jnp.arange(3))
    assert (int(v[1]), int(v[...][2])) == (2, 4)


NAMES = ("sharding", "sharding_names", "out_sharding")


@pytest.mark.parametrize("name", NAMES)
def test_axis_names_are_one_entry_whichever_name_they_come_by(name):
    names, other = ("a", None), (None, "b")
    made = nnx.Param(jnp.ones((2, 2)), **{name: names})
    placed = nnx.Param.from_metadata(1, {name: names})
    for v in (made, placed, made.replace(**{name: names})):
        assert v.get_metadata() == {"out_sharding": names}
        assert [v.get_metadata(n) for n in NAMES] == [names] * 3
        assert all(v.has_metadata(n) for n in NAMES)
        v.set_metadata(name, other)
        assert v.get_metadata() == {"out_sharding": other}
        v.set_metadata(**{name: names})
        v.set_metadata({name: other})
        assert v.sharding_names == v.out_sharding == other
        v.del_metadata(name)
        assert v.get_metadata() == {}
