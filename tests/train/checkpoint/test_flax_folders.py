"""Folders that flax.nnx users keep with orbax, in each of the layouts."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import oakum as nnx
from oakum.errors import CheckpointError

ocp = pytest.importorskip("orbax.checkpoint")
flax_nnx = pytest.importorskip("flax.nnx")
pytestmark = pytest.mark.peer


def make(lib, seed):
    class Network(lib.Module):
        def __init__(self, rngs):
            layers = [lib.Linear(3, 3, rngs=rngs) for _ in range(12)]
            self.layers = lib.List(layers)
            self.norm = lib.BatchNorm(3, rngs=rngs)
            self.dropout = lib.Dropout(0.5, rngs=rngs)
            self.tied = self.layers[0].bias

        def __call__(self, x):
            for layer in self.layers:
                x = x + layer(x)
            return self.dropout(self.norm(x)) + self.tied[...][None]

    model = Network(lib.Rngs(seed))
    return model, lib.Optimizer(model, optax.adam(0.1), wrt=lib.Param)


def train(lib, model, optimizer, steps):
    with jax.numpy_dtype_promotion("standard"):
        return [step(lib, model, optimizer) for _ in range(steps)]


def step(lib, model, optimizer):
    x = jax.random.normal(jax.random.key(9), (4, 3))
    loss, grads = lib.value_and_grad(lambda m: (m(x) ** 2).mean())(model)
    optimizer.update(model, grads)
    return float(loss)


def as_raw_bits(state):
    """As flax 0.10 kept keys in some programs: their bits, in plain dicts."""

    def plain(x):
        is_key = jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
        return jax.random.key_data(x) if is_key else x

    return jax.tree.map(plain, flax_nnx.to_pure_dict(state))


def standard(folder, model, optimizer):
    state = flax_nnx.state((model, optimizer))
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder, state)


def pure(folder, model, optimizer):
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder, as_raw_bits(flax_nnx.state((model, optimizer))))


def manager(folder, model, optimizer):
    state = flax_nnx.state((model, optimizer))
    with ocp.CheckpointManager(folder.parent / "steps") as steps:
        steps.save(3, args=ocp.args.StandardSave(state))
    (folder.parent / "steps" / "3").rename(folder)


def first_version(folder, model, optimizer):
    ocp.v1.save(folder, flax_nnx.state((model, optimizer)))


WAYS = [standard, pure, manager, first_version]


@pytest.mark.parametrize("save", WAYS, ids=lambda way: way.__name__)
def test_training_goes_on_as_it_would_in_flax(save, tmp_path):
    theirs, ours = make(flax_nnx, 0), make(nnx, 5)
    train(flax_nnx, *theirs, 2)
    save(tmp_path / "it", *theirs)
    nnx.load(tmp_path / "it", both=ours)
    assert ours[0].tied is ours[0].layers[0].bias
    expected = train(flax_nnx, *theirs, 3)
    np.testing.assert_allclose(train(nnx, *ours, 3), expected, rtol=1e-5)


def test_objects_go_by_their_names(tmp_path):
    (model, optimizer), ours = make(flax_nnx, 0), make(nnx, 5)
    train(flax_nnx, model, optimizer, 1)
    args = {
        "model": ocp.args.StandardSave(flax_nnx.state(model)),
        "optimizer": ocp.args.StandardSave(flax_nnx.state(optimizer)),
        "meta": ocp.args.JsonSave({"lr": 0.1}),
    }
    with ocp.CheckpointManager(tmp_path) as steps:
        steps.save(3, args=ocp.args.Composite(**args))
    nnx.load(tmp_path / "3", model=ours[0], optimizer=ours[1])
    np.testing.assert_array_equal(ours[0].layers[11].kernel, model.layers[11].kernel)
    one_tree = {"model": flax_nnx.state(model), "optimizer": flax_nnx.state(optimizer)}
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "one", one_tree)
    other = make(nnx, 6)
    nnx.load(tmp_path / "one", model=other[0], optimizer=other[1])
    assert int(other[1].step.value) == 1
    with pytest.raises(CheckpointError, match=r"no objects it, opt(?s:.*)as one"):
        nnx.load(tmp_path / "one", it=other[0], opt=other[1])


def adapted(lib, seed):
    rngs = lib.Rngs(seed)
    base, lora = lib.Linear(2, 2, rngs=rngs), lib.LoRA(2, 1, 2, rngs=rngs)
    return lib.Dict(base=base, lora=lora), lib.LoRAParam


@pytest.mark.parametrize("form", ["bound", "named"])
def test_an_optimizer_of_adapters_that_held_its_model(form, tmp_path):
    (theirs, wrt), (ours, own) = adapted(flax_nnx, 0), adapted(nnx, 5)
    held = flax_nnx.ModelAndOptimizer(theirs, optax.adam(0.1), wrt=wrt)
    with jax.numpy_dtype_promotion("standard"):
        held.update(flax_nnx.state(theirs, wrt))
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "it", flax_nnx.state(held))
    if form == "bound":
        optimizer = nnx.ModelAndOptimizer(ours, optax.adam(0.1), wrt=own)
        nnx.load(tmp_path / "it", optimizer=optimizer)
    else:
        optimizer = nnx.Optimizer(ours, optax.adam(0.1), wrt=own)
        nnx.load(tmp_path / "it", model=ours, optimizer=optimizer)
    slots = [o.opt_state[0].mu["lora"]["lora_a"][...] for o in (optimizer, held)]
    np.testing.assert_array_equal(*slots)
    np.testing.assert_array_equal(ours["base"].kernel, theirs["base"].kernel)


def test_integer_keys_of_dicts_and_parts_come_back(tmp_path):
    params = {0: jnp.ones(2), 10: jnp.full(2, 3.0), 2: jnp.zeros(2)}
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "it", {"table": params, "more": jnp.ones(1)})
    target = nnx.Dict(table=nnx.Dict({k: nnx.Param(0 * v) for k, v in params.items()}))
    with pytest.raises(CheckpointError, match=r"target.more: only in the checkpoint"):
        nnx.load(tmp_path / "it", target=target)
    nnx.load(tmp_path / "it", target=target, strict=False)
    assert float(target.table[10][0]) == 3


def test_what_does_not_fit_is_listed(tmp_path):
    model, _ = make(flax_nnx, 0)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "it", flax_nnx.state(model))
    ours = nnx.Dict(
        layers=nnx.List([nnx.Linear(3, 4, rngs=nnx.Rngs(0))]),
        norm=nnx.BatchNorm(3, param_dtype=jnp.bfloat16, rngs=nnx.Rngs(0)),
    )
    with pytest.raises(CheckpointError) as raised:
        nnx.load(tmp_path / "it", model=ours)
    text = str(raised.value)
    assert "model.layers[0].kernel: expected shape (3, 4), got (3, 3)" in text
    assert "model.norm.scale: expected dtype bfloat16, got float32" in text
    assert "only in the checkpoint" in text
