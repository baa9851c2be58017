"""A Variable owns its array: nothing that the program can write to stays inside."""

import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx


def by_item(v, buffer):
    v[...] = buffer


def by_value(v, buffer):
    v.value = buffer


WAYS = {
    "constructor": lambda v, buffer: nnx.Param(buffer),
    "value": by_value,
    "item": by_item,
    "set_raw_value": lambda v, buffer: v.set_raw_value(buffer),
    "replace": lambda v, buffer: v.replace(buffer),
    "from_metadata": lambda v, buffer: nnx.Param.from_metadata(buffer, {}),
    "hook": lambda v, buffer: nnx.Param(0, on_create_value=lambda v, x: buffer),
    "update": lambda v, buffer: nnx.update({"v": v}, {"v": buffer}),
    "in-a-dict": lambda v, buffer: nnx.Param({"a": buffer}),
    "in-a-tuple": lambda v, buffer: nnx.Param((buffer,)),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_numpy_buffer_is_copied_in(way):
    v, buffer = nnx.Param(jnp.zeros(3)), np.ones(3, np.float32)
    made = way(v, buffer)
    held = v if made is None else made
    buffer[:] = 9
    value = held.get_raw_value()
    value = value["a"] if isinstance(value, dict) else value
    assert float(np.ravel(value)[0]) == 1.0


def test_a_list_of_arrays_is_copied_in():
    arrays = [jnp.ones(3)]
    v = nnx.Param(arrays)
    arrays.append(jnp.ones(3))
    assert len(v.value) == 1


def test_two_variables_share_no_buffer():
    one = nnx.Param(np.ones(3))
    other, third = one.replace(), nnx.Param(np.zeros(3))
    third.copy_from(one)
    one.value[0] = 9
    assert (other.value[0], third.value[0]) == (1.0, 1.0)
