"""ToNNX: a Linen module as a part of an oakum model."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
import pytest

import oakum as nnx

nn = pytest.importorskip("flax.linen")
pytestmark = pytest.mark.peer
X = jnp.arange(6.0).reshape(3, 2)


class Net(nn.Module):
    """Parameters, statistics, dropout and sown values."""

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Dense(4)(x)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.5)(x)
        self.sow("intermediates", "normed", x)
        return nn.Dropout(0.5, deterministic=not train)(x)

    def double(self, x):
        return 2 * self(x)


def wrapped(module=None, **streams):
    rngs = nnx.Rngs(0, **streams)
    return nnx.bridge.ToNNX(module or Net(), rngs=rngs).lazy_init(X)


def test_variables_are_attributes_of_their_types():
    flat = nnx.to_flat_state(nnx.state(wrapped()))
    types = {path: type(v).__name__ for path, v in flat}
    assert types["Dense_0", "kernel"] == "Param"
    assert types["BatchNorm_0", "mean"] == "BatchStat"
    assert types["BatchNorm_0", "scale"] == "Param"


def test_results_are_those_of_linen():
    key = nnx.Rngs(0).fork()()
    expected, _ = Net().init_with_output({"params": key}, X)
    assert jnp.allclose(wrapped()(X), expected)


def test_statistics_change_where_they_may_and_keep_their_variables():
    model = wrapped(dropout=1)
    mean = model.BatchNorm_0["mean"]
    model(X, train=True, mutable=["batch_stats"])
    assert model.BatchNorm_0["mean"] is mean
    assert float(jnp.abs(mean.value).max()) > 0
    before = mean.value
    model(X)
    assert mean.value is before


def test_statistics_do_not_change_without_leave():
    with pytest.raises(Exception, match="batch_stats"):
        wrapped(dropout=1)(X, train=True)


def test_each_call_draws_new_keys():
    model = wrapped(dropout=1)
    first, second = [model(X, train=True, mutable=["batch_stats"]) for _ in range(2)]
    assert not jnp.array_equal(first == 0, second == 0)


def test_sown_values_arrive():
    model = wrapped()
    model(X, mutable=["intermediates"])
    assert isinstance(model.normed, nnx.Intermediate)
    assert model.normed.get_value()[-1].shape == (3, 4)
    assert set(nnx.pop(model, nnx.Intermediate)) == {"normed"}


METHODS = {
    "attribute": lambda model: model.double(X),
    "function": lambda model: model(X, method=Net.double),
    "name": lambda model: model(X, method="double"),
}


@pytest.mark.parametrize("way", METHODS)
def test_other_methods(way):
    model = wrapped()
    assert jnp.allclose(METHODS[way](model), 2 * model(X))


class Whole(nnx.Module):
    def __init__(self, rngs):
        self.linen = nnx.bridge.ToNNX(nn.Dense(3), rngs=rngs)
        self.head = nnx.Linear(3, 1, rngs=rngs)

    def __call__(self, x):
        return self.head(self.linen(x))


def test_lazy_init_of_a_model_makes_the_variables_of_all_its_parts():
    model = nnx.bridge.lazy_init(Whole(nnx.Rngs(0)), X)
    assert model.linen.kernel.shape == (2, 3)
    grads = nnx.grad(lambda m: m(X).sum())(model)
    assert grads["linen"]["kernel"].shape == (2, 3)


def test_lazy_init_by_a_method():
    model = nnx.bridge.ToNNX(Net(), rngs=nnx.Rngs(0))
    nnx.bridge.lazy_init(model.double, X)
    assert model.Dense_0["kernel"].shape == (2, 4)


def test_a_model_with_a_linen_part_trains_under_jit():
    model = nnx.bridge.lazy_init(Whole(nnx.Rngs(0)), X)
    optimizer = nnx.Optimizer(model, optax.adam(1e-1), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer):
        loss, grads = nnx.value_and_grad(lambda m: ((m(X) - 1) ** 2).mean())(model)
        optimizer.update(model, grads)
        return loss

    losses = [float(step(model, optimizer)) for _ in range(20)]
    assert losses[-1] < losses[0] / 5
    assert step._cache_size() == 1


def test_vmap_over_copies():
    @nnx.vmap
    def make(key):
        return nnx.bridge.ToNNX(nn.Dense(3), rngs=nnx.Rngs(key)).lazy_init(X)

    models = make(jax.random.split(jax.random.key(0), 5))
    assert models.kernel.shape == (5, 2, 3)
    assert nnx.vmap(lambda m: m(X))(models).shape == (5, 3, 3)


def test_names_of_axes_come_and_go_with_their_box():
    kernel = nn.with_partitioning(nn.initializers.ones_init(), ("in", "out"))
    dense = nnx.bridge.ToNNX(nn.Dense(3, kernel_init=kernel), rngs=nnx.Rngs(0))
    dense.lazy_init(X)
    assert dense.kernel.value.shape == (2, 3)
    assert dense.kernel.get_metadata()["out_sharding"] == ("in", "out")
    assert dense(X).shape == (3, 3)


def test_split_and_merge_and_clone():
    model = wrapped()
    same = nnx.merge(*nnx.split(model))
    assert jnp.array_equal(same(X), model(X))
    assert jnp.array_equal(nnx.clone(model)(X), model(X))


def test_a_key_serves_for_parameters():
    model = nnx.bridge.ToNNX(nn.Dense(3), rngs=jax.random.key(3)).lazy_init(X)
    assert model.kernel.shape == (2, 3)


def test_before_lazy_init_the_error_names_it():
    model = nnx.bridge.ToNNX(nn.Dense(3), rngs=nnx.Rngs(0))
    with pytest.raises(Exception, match="kernel") as error:
        model(X)
    assert "model.lazy_init(x)" in "\n".join(error.value.__notes__)


def test_lazy_init_of_no_module():
    with pytest.raises(ValueError, match=r"(?s)module, or a method.*lazy_init\(model"):
        nnx.bridge.lazy_init(len, X)


def test_two_variables_of_one_name_are_refused():
    class Both(nn.Module):
        @nn.compact
        def __call__(self, x):
            self.put_variable("batch_stats", "a", jnp.zeros(()))
            self.put_variable("params", "a", jnp.zeros(()))
            return x

    with pytest.raises(ValueError, match="duplicate variable path a"):
        wrapped(Both())


def test_no_such_attribute():
    with pytest.raises(AttributeError, match=r"'ToNNX'.*'nothing'"):
        _ = wrapped().nothing


def test_the_linen_module_and_the_streams_have_short_names():
    dense = nn.Dense(3)
    model = nnx.bridge.ToNNX(dense, rngs=nnx.Rngs(0, noise=1))
    assert model.module is dense
    assert model.rngs is model.to_nnx__rngs
    assert model.rngs.noise.count[...] == 0
