"""ToLinen: an oakum module inside Linen."""

from __future__ import annotations

import warnings

import jax
import jax.numpy as jnp
import pytest

import oakum as nnx

nn = pytest.importorskip("flax.linen")
pytestmark = pytest.mark.peer
X = jnp.arange(6.0).reshape(3, 2)
KEY = jax.random.key(0)
KEYS = {"params": KEY, "dropout": KEY}


class Count(nnx.Variable):
    """A type whose collection has its own name."""


class Net(nnx.Module):
    """Parameters, statistics, dropout, and a count of calls."""

    def __init__(self, features, rngs):
        self.layers = [nnx.Linear(2, features, rngs=rngs)]
        self.norm = nnx.BatchNorm(features, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.calls = Count(jnp.array(0))

    def __call__(self, x, train=False):
        self.calls.value += 1
        x = self.norm(self.layers[0](x), use_running_average=not train)
        return self.drop(x, deterministic=not train)

    def double(self, x):
        return 2 * self(x)


def test_state_lies_in_collections_by_its_types():
    variables = nnx.bridge.to_linen(Net, 4).init(KEYS, X)
    assert set(variables) == {"params", "batch_stats", "Count"}
    assert variables["params"]["layers"][0]["kernel"].shape == (2, 4)
    assert int(variables["Count"]["calls"]) == 0


def test_apply_changes_what_it_may():
    model = nnx.bridge.to_linen(Net, 4)
    variables, may = model.init(KEYS, X), ["batch_stats", "Count"]
    y, updates = model.apply(
        variables, X, train=True, rngs={"dropout": KEY}, mutable=may
    )
    assert set(updates) == set(may)
    assert int(updates["Count"]["calls"]) == 1
    assert float(jnp.abs(updates["batch_stats"]["norm"]["mean"]).max()) > 0
    assert float((y == 0).mean()) > 0
    assert jnp.array_equal(model.apply(variables, X), model.apply(variables, X))


def test_streams_come_from_linen():
    model = nnx.bridge.to_linen(Net, 4)
    variables = model.init(KEYS, X)

    def masks(key):
        options = {"rngs": {"dropout": key}, "mutable": ["batch_stats", "Count"]}
        return model.apply(variables, X, train=True, **options)[0] == 0

    assert jnp.array_equal(masks(KEY), masks(KEY))
    assert not jnp.array_equal(masks(KEY), masks(jax.random.key(1)))


METHODS = {
    "attribute": lambda model, v: model.apply(v, X, method=lambda m, x: m.double(x)),
    "function": lambda model, v: model.apply(v, X, nnx_method=Net.double),
    "name": lambda model, v: model.apply(v, X, nnx_method="double"),
}


@pytest.mark.parametrize("way", METHODS)
def test_other_methods(way):
    model = nnx.bridge.to_linen(Net, 4)
    variables = model.init(KEYS, X)
    assert jnp.allclose(METHODS[way](model, variables), 2 * model.apply(variables, X))


def test_a_method_that_is_none():
    model = nnx.bridge.to_linen(Net, 4)
    with pytest.raises(TypeError, match=r"(?s)'Net.size' must be a callable.*encode"):
        model.init(KEYS, X, nnx_method="size")


class Outer(nn.Module):
    """A Linen module with two oakum parts."""

    @nn.compact
    def __call__(self, x):
        x = nnx.bridge.to_linen(nnx.Linear, 2, 4, name="first")(x)
        return nnx.bridge.to_linen(nnx.Linear, 4, 1)(nn.relu(x))


def test_within_a_linen_module_it_trains():
    model = Outer()
    variables = model.init(KEY, X)
    assert set(variables["params"]) == {"first", "ToLinen_0"}

    def loss(variables):
        return ((model.apply(variables, X) - 1) ** 2).mean()

    @jax.jit
    def step(variables):
        value, grads = jax.value_and_grad(loss)(variables)
        return value, jax.tree.map(lambda v, g: v - 0.02 * g, variables, grads)

    losses = []
    for _ in range(30):
        value, variables = step(variables)
        losses.append(float(value))
    assert losses[-1] < losses[0]


def test_linens_vmap_around_it():
    options = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}}
    mapped = nn.vmap(nnx.bridge.ToLinen, in_axes=None, axis_size=5, **options)
    mapped = mapped(nnx.Linear, args=(2, 2))
    variables = mapped.init(KEY, X)
    assert variables["params"]["kernel"].shape == (5, 2, 2)
    assert mapped.apply(variables, X).shape == (5, 3, 2)


def test_linens_scan_around_it():
    class Block(nn.Module):
        @nn.compact
        def __call__(self, x, _):
            return nnx.bridge.to_linen(nnx.Linear, 2, 2)(x), None

    options = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}}
    variables = nn.scan(Block, length=3, **options)().init(KEY, X, None)
    kernels = variables["params"]["ToLinen_0"]["kernel"]
    assert kernels.shape == (3, 2, 2)
    assert not jnp.array_equal(kernels[0], kernels[1])


def partitioned(module=nnx):
    ones = nnx.initializers.ones_init()
    init = module.with_partitioning(ones, ("in", "out"))
    return nnx.bridge.to_linen(nnx.Linear, 2, 3, kernel_init=init)


def test_metadata_lies_in_a_box():
    model = partitioned()
    variables = model.init(KEY, X)
    assert isinstance(variables["params"]["kernel"], nnx.bridge.NNXMeta)
    spec = nn.get_partition_spec(variables)["params"]["kernel"]
    assert spec == jax.sharding.PartitionSpec("in", "out")
    assert model.apply(variables, X).shape == (3, 3)


def test_metadata_in_a_box_of_linens():
    model = partitioned(nnx.bridge)
    variables = model.init(KEY, X)
    assert isinstance(variables["params"]["kernel"], nn.Partitioned)
    assert variables["params"]["kernel"].names == ("in", "out")
    assert model.apply(variables, X).shape == (3, 3)


def test_bare_values_where_asked_for():
    model = partitioned().clone(metadata_fn=None)
    assert isinstance(model.init(KEY, X)["params"]["kernel"], jax.Array)


def test_there_and_back_again():
    class Middle(nnx.Module):
        def __init__(self, rngs):
            self.linen = nnx.bridge.ToNNX(nn.Dense(3), rngs=rngs)

        def __call__(self, x):
            return self.linen(x)

    model = nnx.bridge.to_linen(Middle)
    variables = model.init(KEY, X)
    assert variables["params"]["linen"]["kernel"].shape == (2, 3)
    doubled = jax.tree.map(lambda v: 2 * v, variables)
    assert jnp.allclose(model.apply(doubled, X), 2 * model.apply(variables, X))


def test_unknown_state_is_told():
    model = nnx.bridge.to_linen(nnx.Linear, 2, 3)
    variables = model.init(KEY, X)
    params = {**variables["params"], "other": {"b": jnp.ones(1)}}
    with pytest.warns(UserWarning, match=r"unknown module paths.*\n  - other/b"):
        model.apply({"params": params}, X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.apply(variables, X)


def test_a_class_of_a_class():
    Linear = nnx.bridge.to_linen_class(nnx.Linear, use_bias=False)

    class Model(nn.Module):
        def setup(self):
            self.first = Linear(in_features=2, out_features=3)

        def __call__(self, x):
            return self.first(x)

    class Sub(Linear):
        """With other arguments than those that are given already."""

    assert set(Model().init(KEY, X)["params"]["first"]) == {"kernel"}
    variables = Sub(in_features=2, out_features=3, use_bias=True).init(KEY, X)
    assert set(variables["params"]) == {"kernel", "bias"}


def test_functional():
    linear = nnx.bridge.functional(nnx.Linear)(2, 3)
    with pytest.raises(ValueError, match=r"(?s)before init.*f\.init"):
        linear.apply()
    state = linear.init(rngs=nnx.Rngs(0))
    y, (_, new) = linear.apply(state)(X)
    assert y.shape == (3, 3)
    assert new.kernel.shape == (2, 3)
