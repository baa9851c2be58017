"""freeze, unfreeze, trainable; what derivatives, optimizers and files make of it."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import oakum as nnx
from oakum._state import PathIn, is_frozen
from oakum.errors import FilterError, StructureError, TraceContextError

ENCODER = nnx.PathContains("encoder")
X = jnp.linspace(-1.0, 1.0, 12).reshape(3, 4)


class Gain(nnx.Variable):
    """A type of the user's own."""


class Net(nnx.Module):
    def __init__(self, tied=False):
        rngs = nnx.Rngs(0)
        self.encoder = nnx.Linear(4, 4, rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.head = nnx.Linear(4, 4, rngs=rngs)
        self.gain = Gain(jnp.ones(()))
        if tied:
            self.head.kernel = self.encoder.kernel

    def __call__(self, x):
        return self.head(self.norm(nnx.tanh(self.encoder(x)))) * self.gain


def loss(model):
    return ((model(X) - 1.0) ** 2).mean()


def frozen_net():
    model = Net()
    nnx.freeze(model, ENCODER)
    return model


def paths(state):
    return [".".join(map(str, path)) for path, _ in nnx.to_flat_state(state)]


TRAINED = ["head.bias", "head.kernel", "norm.bias", "norm.scale"]


@pytest.fixture(autouse=True)
def loose():
    """optax counts its steps in integers, and promotes them."""
    with jax.numpy_dtype_promotion("standard"):
        yield


# -- the property


def test_the_filter_selects_the_params_that_are_not_frozen():
    assert paths(nnx.state(frozen_net(), nnx.trainable)) == TRAINED


def test_unfreeze_gives_back_the_very_same_structure():
    model = Net()
    before = nnx.graphdef(model)
    nnx.freeze(model)
    assert paths(nnx.state(model, nnx.trainable)) == []
    assert nnx.graphdef(model) is not before
    nnx.unfreeze(model)
    assert nnx.graphdef(model) is before


def test_to_freeze_what_is_frozen_changes_nothing():
    model = frozen_net()
    versions = [v._oakum_version for _, v in nnx.to_flat_state(nnx.state(model))]
    nnx.freeze(model, ENCODER, nnx.PathContains("kernel", exact=False))
    nnx.unfreeze(model, nnx.PathContains("head"))
    again = [v._oakum_version for _, v in nnx.to_flat_state(nnx.state(model))]
    assert sum(a != b for a, b in zip(versions, again, strict=True)) == 1  # head.kernel


def test_a_param_can_be_made_frozen():
    layer = nnx.Linear(2, 3, kernel_metadata={"trainable": False}, rngs=nnx.Rngs(0))
    assert is_frozen(layer.kernel)
    assert paths(nnx.state(layer, nnx.trainable)) == ["bias"]


COPIES = {
    "clone": nnx.clone,
    "merge": lambda model: nnx.merge(*nnx.split(model)),
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "tree": lambda model: jax.tree.map(lambda x: x + 0, model),
    "jit": nnx.jit(lambda model: nnx.clone(model)),
}


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
def test_a_copy_is_frozen_too(copy):
    assert paths(nnx.state(copy(frozen_net()), nnx.trainable)) == TRAINED


@pytest.mark.parametrize("key", ["encoder", "head"])
def test_a_tied_variable_is_frozen_by_any_of_its_paths(key):
    model = Net(tied=True)
    nnx.freeze(model, nnx.All(nnx.PathContains(key), nnx.PathContains("kernel")))
    assert is_frozen(model.encoder.kernel)
    assert "encoder.kernel" not in paths(nnx.grad(loss)(model))


@pytest.mark.parametrize("verb", [nnx.freeze, nnx.unfreeze])
def test_each_filter_has_to_select_something(verb):
    model = Net()
    text = rf"Nothing to {verb.__name__}: PathContains\('hed'.*Net\n.*BatchStat, Gain, "
    with pytest.raises(FilterError, match=rf"{text}(.|\n)*nnx\.{verb.__name__}\(model"):
        verb(model, nnx.Param, nnx.PathContains("hed"))
    assert not is_frozen(model.head.kernel)


def test_values_written_to_a_model_leave_it_frozen():
    model, other = frozen_net(), Net()
    nnx.update(model, nnx.state(other))
    assert paths(nnx.state(model, nnx.trainable)) == TRAINED
    nnx.update(other, nnx.state(model))
    assert is_frozen(model.encoder.kernel)
    assert not is_frozen(other.encoder.kernel)


def test_the_trained_part_alone_updates_a_model():
    model, other = frozen_net(), Net()
    other.head.bias[...] = jnp.ones(4)
    nnx.freeze(other, ENCODER)
    nnx.update(model, nnx.state(other, nnx.trainable))
    assert bool((model.head.bias == 1).all())
    with pytest.raises(StructureError, match=r"head\.kernel: missing"):
        nnx.update(model, {"head": {"bias": jnp.ones(4)}}, strict=True)


# -- under a trace


def test_freezing_inside_jit_freezes_the_argument():
    model, traces = Net(), []

    @nnx.jit
    def step(model):
        traces.append(1)
        nnx.freeze(model, ENCODER)
        return nnx.grad(loss)(model)

    assert paths(step(model)) == TRAINED
    assert is_frozen(model.encoder.kernel)
    step(model), step(model)
    assert len(traces) == 2  # once for each structure


def test_a_step_is_traced_once_more_after_a_change():
    model, traces = Net(), []

    @nnx.jit
    def step(model):
        traces.append(1)
        return len(nnx.to_flat_state(nnx.grad(loss)(model)))

    for change in (nnx.freeze, nnx.unfreeze) * 2:
        step(model), step(model)
        change(model, ENCODER)
    assert len(traces) == 2


def test_a_captured_model_cannot_be_frozen_in_a_trace():
    model = Net()

    @jax.jit
    def step():
        nnx.freeze(model, nnx.PathContains("head"), ENCODER)

    with pytest.raises(TraceContextError, match=r"model\.(.|\n)*def step\(model\)"):
        step()
    assert not is_frozen(model.head.kernel)


# -- derivatives


def products(function, *args):
    """How many matrix products a function computes."""

    def count(jaxpr):
        names = [equation.primitive.name for equation in jaxpr.eqns]
        inner = [
            count(getattr(part, "jaxpr", part))
            for equation in jaxpr.eqns
            for part in jax.tree.leaves(tuple(equation.params.values()))
            if hasattr(part, "eqns") or hasattr(part, "jaxpr")
        ]
        return names.count("dot_general") + sum(inner)

    return count(nnx.make_jaxpr(function)(*args).jaxpr)


def test_no_product_is_computed_for_a_frozen_variable():
    # Forward 2; backward the kernel's two, and one through the head.
    assert products(nnx.grad(loss), Net()) == 5
    # Nothing below the head is trained: neither through it.
    frozen = frozen_net()
    nnx.freeze(frozen, nnx.PathContains("norm"))
    assert products(nnx.grad(loss), frozen) == 3
    _, pull = nnx.vjp(loss, frozen)
    gradient = pull(jnp.ones(()))[0]
    assert gradient.head.bias.value.any()
    assert not gradient.encoder.kernel.value.any()


@pytest.mark.parametrize("filter", [nnx.Param, ENCODER, (nnx.Param, Gain)], ids=str)
def test_whatever_selects_it_a_frozen_variable_has_no_gradient(filter):
    model = frozen_net()
    nnx.freeze(model, Gain, nnx.PathContains("kernel"))
    nnx.unfreeze(model, PathIn(("encoder", "bias")))
    got = paths(nnx.grad(loss, argnums=nnx.DiffState(0, filter))(model))
    assert "encoder.bias" in got
    assert not {"encoder.kernel", "head.kernel", "gain"} & set(got)


def test_the_other_gradients_are_as_before():
    whole, part = nnx.grad(loss)(Net()), nnx.grad(loss)(frozen_net())
    whole = dict(nnx.to_flat_state(whole))
    for path, grad in nnx.to_flat_state(part):
        np.testing.assert_array_equal(grad, whole[path])


def test_a_state_has_no_gradient_for_what_is_frozen():
    graphdef, params, rest = nnx.split(frozen_net(), nnx.Param, ...)
    grads = nnx.grad(lambda p: loss(nnx.merge(graphdef, p, rest)))(params)
    assert paths(grads) == TRAINED


def test_the_tangent_of_a_frozen_variable_counts():
    model = frozen_net()
    direction = jax.tree.map(jnp.ones_like, model)
    expected = nnx.jvp(loss, (Net(),), (jax.tree.map(jnp.ones_like, Net()),))[1]
    assert float(nnx.jvp(loss, (model,), (direction,))[1]) == float(expected)


def test_to_differentiate_what_is_frozen_is_an_error():
    model = Net()
    nnx.freeze(model)
    text = r"argument 0, all that Param selects is frozen \(6 Variables\)\n.*unfreeze"
    with pytest.raises(FilterError, match=text):
        nnx.grad(loss)(model)


# -- optimizers


@pytest.mark.parametrize(
    "make",
    [
        lambda model: nnx.Optimizer(model, optax.adamw(0.1)),
        lambda model: nnx.Optimizer(model, optax.adamw(0.1), wrt=nnx.trainable),
        lambda model: nnx.Optimizer(
            model, {nnx.PathContains("head"): optax.adamw(0.1), ...: optax.adamw(0.2)}
        ),
        lambda model: nnx.ModelAndOptimizer(model, optax.adamw(0.1), wrt=nnx.Param),
    ],
    ids=["bound", "trainable", "groups", "model-and-optimizer"],
)
def test_training_leaves_what_is_frozen_as_it_is(make):
    model = frozen_net()
    optimizer = make(model)
    before = jax.tree.map(np.asarray, nnx.state(model, nnx.Param))

    @nnx.jit
    def step(model, optimizer):
        optimizer.update(model, nnx.grad(loss)(model))

    for _ in range(3):
        step(model, optimizer)
    after = nnx.state(model, nnx.Param)
    same = jax.tree.map(np.array_equal, before, after)
    kept = {path[0] for path, leaf in nnx.to_flat_state(same) if leaf.get_value()}
    assert kept == {"encoder"}


def test_an_optimizer_has_no_slots_for_what_is_frozen():
    optimizer = nnx.Optimizer(frozen_net(), optax.adam(0.1))
    slots = jax.tree.leaves(nnx.state(optimizer, nnx.OptVariable))
    trained = jax.tree.leaves(nnx.state(frozen_net(), nnx.trainable))
    assert sum(x.nbytes for x in slots) == 2 * sum(x.nbytes for x in trained) == 224


def test_an_optimizer_refuses_what_was_frozen_or_unfrozen_since():
    model = frozen_net()
    optimizer = nnx.Optimizer(model, optax.adam(0.1), wrt=nnx.trainable)
    before = np.asarray(model.head.kernel)
    nnx.unfreeze(model, PathIn(("encoder", "bias")))
    nnx.freeze(model, nnx.PathContains("head"))
    text = (
        r"head\.bias: frozen since\n.*head\.kernel: frozen since\n.*encoder\.bias: not "
    )
    with pytest.raises(StructureError, match=text + r"(.|\n)*then make the optimizer"):
        optimizer.update(model, nnx.grad(loss)(model))
    np.testing.assert_array_equal(model.head.kernel, before)


def test_an_optimizer_without_slots_follows_every_change():
    model = frozen_net()
    optimizer = nnx.Optimizer(model, optax.sgd(0.1))
    nnx.unfreeze(model)
    nnx.freeze(model, nnx.PathContains("head"))
    before = jax.tree.map(np.asarray, nnx.state(model, nnx.Param))
    optimizer.update(nnx.grad(loss)(model))
    assert bool((before["head"]["kernel"] == model.head.kernel).all())
    assert not bool((before["encoder"]["kernel"] == model.encoder.kernel).all())


def test_gradients_of_frozen_variables_are_left_aside():
    model = Net()
    grads = nnx.grad(loss)(model)
    nnx.freeze(model, ENCODER)
    before = np.asarray(model.encoder.bias)
    nnx.Optimizer(model, optax.adam(0.1)).update(grads)
    np.testing.assert_array_equal(model.encoder.bias, before)


def test_an_optimizer_needs_something_that_is_not_frozen():
    model = Net()
    nnx.freeze(model)
    with pytest.raises(
        FilterError, match=r"wrt=Param.*Net is frozen \(6.*\n.*unfreeze"
    ):
        nnx.Optimizer(model, optax.adam(0.1))
    nnx.unfreeze(model, nnx.PathContains("head"))
    groups = {ENCODER: optax.sgd(0.1), ...: optax.adam(0.1)}
    with pytest.raises(
        FilterError, match=r"'encoder'.*selects nothing that is trained"
    ):
        nnx.Optimizer(model, groups)


def test_an_average_of_what_is_trained():
    model = frozen_net()
    ema = nnx.EMA(model, 0.5, only=nnx.trainable)
    assert paths(ema.params) == TRAINED
    model.head.bias[...] = jnp.ones(4)
    ema.update(model)
    assert ema.apply_to(model).head.bias.value.tolist() == [0.5] * 4


# -- checkpoints


@pytest.mark.parametrize("saved", [True, False], ids=["frozen", "trained"])
@pytest.mark.parametrize("target", [True, False], ids=["frozen", "trained"])
def test_a_checkpoint_brings_values_and_leaves_what_is_frozen(tmp_path, saved, target):
    model, other = (frozen_net() if each else Net() for each in (saved, target))
    model.encoder.kernel[...] = jnp.full((4, 4), 2.0)
    nnx.save(tmp_path / "model", model=model)
    nnx.load(tmp_path / "model", model=other)
    assert bool((other.encoder.kernel == 2).all())
    assert is_frozen(other.encoder.kernel) is target


def test_the_trained_part_is_saved_and_loaded_alone(tmp_path):
    model, other = frozen_net(), frozen_net()
    model.head.bias[...] = jnp.ones(4)
    nnx.save(tmp_path / "head", trained=nnx.state(model, nnx.trainable))
    nnx.load(tmp_path / "head", trained=nnx.state(other, nnx.trainable))
    assert bool((other.head.bias == 1).all())
