"""shard_map and pmap: each device runs on its part, and state is put together."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

import oakum as nnx
from oakum.errors import ArgumentError, TraceContextError
from tests.mistakes import assert_says
from tests.models import JITS, snapshot

N = 4
MESH = Mesh(np.array(jax.devices()[:N]), ("data",))
X = jnp.arange(8.0).reshape(8, 1) + jnp.arange(2.0)[None, :]


class Layer(nnx.Module):
    """A weight that all devices share, and a total."""

    def __init__(self, total=()):
        self.linear = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        self.total = nnx.BatchStat(jnp.zeros(total))

    def __call__(self, x):
        self.total.value = self.total.value + x.sum()
        return self.linear(x)


SHARED, SPLIT = P(), P("data")


def sharded(f, in_specs=(SHARED, SPLIT), out_specs=SPLIT):
    return nnx.shard_map(f, mesh=MESH, in_specs=in_specs, out_specs=out_specs)


# -- shard_map


@pytest.mark.parametrize("jit", JITS)
def test_shard_map_gives_the_numbers_of_the_plain_call(jit):
    layer = Layer()
    y = jit(sharded(lambda m, x: m.linear(x)))(layer, X)
    # The products are summed in another order, and some sums cancel.
    np.testing.assert_allclose(y, layer.linear(X), rtol=1e-6, atol=1e-6)
    assert len(y.sharding.device_set) == N


@pytest.mark.parametrize("jit", JITS)
def test_shard_map_writes_a_value_that_all_agree_on(jit):
    def call(m, x):
        m.total.value = m.total.value + jax.lax.psum(x.sum(), "data")
        return x

    layer = Layer()
    for _ in range(2):
        jit(sharded(call))(layer, X)
    assert float(layer.total.value) == 2 * float(X.sum())


@pytest.mark.parametrize("jit", JITS)
def test_state_with_a_spec_of_its_own_is_written_in_parts(jit):
    layer = Layer(total=N)
    spec = nnx.StateSharding({nnx.BatchStat: P("data"), ...: P()})
    jit(sharded(lambda m, x: m(x), (spec, P("data"))))(layer, X)
    np.testing.assert_allclose(layer.total.value, X.reshape(N, -1).sum(-1))


def test_shard_map_is_a_decorator_and_keeps_the_name():
    @nnx.shard_map(mesh=MESH, in_specs=P("data"), out_specs=P())
    def total(x):
        return jax.lax.psum(x.sum(), "data")

    assert total.__name__ == "total"
    assert float(total(X)) == float(X.sum())


def test_variables_made_on_devices_come_out():
    make = sharded(lambda x: nnx.Param(x * 2), P("data"), P("data"))
    param = make(X)
    assert isinstance(param, nnx.Param)
    np.testing.assert_array_equal(param.value, X * 2)


def test_gradients_go_through_shard_map():
    def loss(m, x):
        return sharded(lambda m, x: m.linear(x))(m, x).sum()

    layer = Layer()
    got = nnx.jit(nnx.grad(loss))(layer, X)
    expected = nnx.grad(lambda m: m.linear(X).sum())(layer)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-6), got, expected)


def test_a_jitted_shard_map_is_traced_once_over_100_calls():
    count = []
    step = nnx.jit(sharded(lambda m, x: count.append(1) or m.linear(x)))
    layer = Layer()
    for _ in range(100):
        step(layer, X)
    assert len(count) == 1


def raising(m, x):
    m.total.value = m.total.value + 1
    raise KeyError("half-way")


def leaking(captured):
    def call(m, x):
        captured.total.value = captured.total.value + x.sum()
        return x

    return call


FAILURES = {
    "exception": (raising, KeyError, "half-way"),
    "written-differently": (
        lambda m, x: m(x),
        ArgumentError,
        r"(?s)args\[0\].total \(BatchStat\).*pmean",
    ),
    "captured": (leaking(Layer()), TraceContextError, "total"),
}


@pytest.mark.parametrize("jit", JITS)
@pytest.mark.parametrize("name", FAILURES)
def test_what_fails_in_shard_map_changes_nothing(name, jit):
    call, error, match = FAILURES[name]
    layer = Layer()
    before = snapshot(layer)
    with pytest.raises(error, match=match):
        jit(sharded(call))(layer, X)
    assert snapshot(layer) == before


def test_a_variable_with_two_specs_is_named():
    layer = Layer()
    with pytest.raises(ValueError, match=r"(?s)args\[0\].*args\[1\].*same axis"):
        sharded(lambda m, n: X, (P(), P("data")))(layer.linear, layer.linear)


# -- pmap


@nnx.vmap
def stack(key):
    return nnx.Linear(2, 3, rngs=nnx.Rngs(key))


KEYS = jax.random.split(jax.random.key(0), N)


def test_pmap_equals_vmap():
    models, x = stack(KEYS), X.reshape(N, 2, 2)
    got = nnx.pmap(lambda m, x: m(x))(models, x)
    expected = nnx.vmap(lambda m, x: m(x))(models, x)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_pmap_makes_and_updates_state():
    counters = nnx.pmap(lambda x: nnx.Variable(x))(jnp.arange(4.0))

    @nnx.pmap(axis_name="i", in_axes=(0, None))
    def add(counter, by):
        counter.value = counter.value + by + jax.lax.psum(counter.value, "i")

    add(counters, jnp.ones(()))
    assert counters.value.tolist() == [7.0, 8.0, 9.0, 10.0]


PMAPS = {
    "axes-1": ({"in_axes": 1, "out_axes": 1}, (jnp.ones((2, N)), jnp.ones((3, N)))),
    "none": ({"in_axes": (0, None)}, (jnp.ones((N, 2)), jnp.ones(3))),
    "axis-size": ({"in_axes": None, "axis_size": 2}, (jnp.ones(2), jnp.ones(3))),
    "devices": ({"devices": jax.devices()[2:4]}, (jnp.ones((2, 1)), jnp.ones((2, 3)))),
}


@pytest.mark.parametrize("name", PMAPS)
def test_pmap_takes_axes_as_vmap(name):
    options, args = PMAPS[name]
    devices = options.get("devices")

    def f(a, b):
        return a.sum() + b

    got = nnx.pmap(f, **options)(*args)
    axes = {k: v for k, v in options.items() if k != "devices"}
    np.testing.assert_allclose(got, nnx.vmap(f, **axes)(*args))
    assert devices is None or got.sharding.device_set == set(devices)


@pytest.mark.parametrize("fixed", [1, -1, (1,), (-1,)], ids=str)
def test_pmap_static_arguments_are_compiled_in(fixed):
    seen = []

    @nnx.pmap(static_broadcasted_argnums=fixed, in_axes=(0, None))
    def power(x, n):
        seen.append(n)
        return x**n

    for n in (2, 3, 2):
        assert power(jnp.arange(4.0), n).tolist() == [i**n for i in range(4)]
    assert seen == [2, 3]


def test_pmap_takes_keyword_arguments_along_the_first_axis():
    got = nnx.pmap(lambda x, *, y: x + y)(jnp.arange(4.0), y=jnp.ones(4))
    assert got.tolist() == [1.0, 2.0, 3.0, 4.0]


def test_pmap_is_traced_once_over_100_calls():
    count = []
    models, x = stack(KEYS), jnp.ones((N, 2))
    step = nnx.pmap(lambda m, x: count.append(1) or m(x))
    for _ in range(100):
        step(models, x)
    assert len(count) == 1


PMAP_MISTAKES = {
    "devices": (
        lambda: nnx.pmap(lambda x: x)(jnp.ones(1000)),
        ["1000", "devices", "nnx.vmap"],
    ),
    "no-axis": (
        lambda: nnx.pmap(lambda x: x, in_axes=None)(jnp.ones(2)),
        ["no argument has the mapped axis", "axis_size="],
    ),
    "negative": (
        lambda: nnx.pmap(lambda x: x, in_axes=-1)(jnp.ones(2)),
        ["negative", "-1", "from the front"],
    ),
    "axis-size": (
        lambda: nnx.pmap(lambda x: x, axis_size=2)(jnp.ones(4)),
        ["args[0]: 4", "axis_size: 2"],
    ),
    "sizes": (
        lambda: nnx.pmap(lambda x, y: x)(jnp.ones(2), jnp.ones(3)),
        ["args[0]: 2", "args[1]: 3", "in_axes=None"],
    ),
    "shared-write": (
        lambda: nnx.pmap(lambda m, x: m(x), in_axes=(None, 0))(
            Layer(), jnp.ones((N, 2))
        ),
        ["args[0].total", "BatchStat", "pmean"],
    ),
}


@pytest.mark.parametrize("name", PMAP_MISTAKES)
def test_mistakes_of_pmap_are_named_with_remedy(name):
    assert_says(*PMAP_MISTAKES[name])


def test_objects_come_out_with_the_sharding_of_their_specs():
    mesh = Mesh(jax.devices()[:2], ("data",))
    specs = nnx.StateSharding({nnx.PathContains("kernel"): P("data"), ...: P()})
    model = nnx.Linear(4, 4, rngs=nnx.Rngs(0))
    same = nnx.shard_map(lambda m: m, mesh=mesh, in_specs=(specs,), out_specs=specs)
    assert same(model) is model
    assert model.kernel.value.sharding.spec == P("data")


def test_out_specs_of_none_is_that_of_a_function_that_returns_nothing():
    def double(v):
        v[...] = v * 2

    mesh = Mesh(jax.devices()[:2], ("data",))
    v = nnx.Param(jnp.ones(4))
    call = nnx.shard_map(double, mesh=mesh, in_specs=(P("data"),), out_specs=None)
    assert call(v) is None
    assert v.value.tolist() == [2.0] * 4


def test_one_variable_with_two_shardings_is_refused_by_jit():
    mesh = Mesh(jax.devices()[:2], ("data",))
    split, whole = [jax.NamedSharding(mesh, spec) for spec in (P("data"), P())]
    v = nnx.Param(jnp.ones(4))
    call = nnx.jit(lambda a, b: a + b, in_shardings=(split, whole))
    with pytest.raises(ValueError, match=r"one Param(.|\n)*same sharding everywhere"):
        call(v, v)
    equal = jax.NamedSharding(mesh, P("data"))
    assert nnx.jit(lambda a, b: a + b, in_shardings=(split, equal))(v, v)[0] == 2.0


def test_a_state_sharding_gives_its_filters_and_shardings():
    spread = nnx.StateSharding({nnx.Param: "first", ...: "second"})
    assert spread.filters == (nnx.Param, ...)
    assert spread.shardings == ("first", "second")
