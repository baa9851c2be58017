"""Two processes of one program, with a mesh over both: how they save and train."""

import json

import jax
import numpy as np
import pytest

import oakum as nnx
from tests.distributed.pair import run_pair

SAVE = """
    def placed(value, *names):
        return jax.device_put(value, NamedSharding(mesh, P(*names)))

    def told(error, *parts, name="bad", **objects):
        try:
            nnx.save(f"{folder}/{name}", **objects)
        except error as raised:
            assert all(part in str(raised) for part in parts), raised
        else:
            raise AssertionError("nothing was raised")

    def placed_keys(seed):
        with jax.set_mesh(mesh):
            return jax.random.split(jax.random.key(seed), 4)

    def spread_keys(seed):
        make = jax.jit(lambda k: k, out_shardings=NamedSharding(mesh, P("hosts")))
        with jax.set_mesh(mesh):
            return make(jax.random.split(jax.random.key(seed), 8))

    with jax.set_mesh(mesh):
        model = nnx.Sequential(nnx.Linear(4, 4, rngs=nnx.Rngs(0)))
        model.parted = nnx.Param(placed(np.arange(8, dtype=np.float32), "local"))
        model.keys = nnx.Variable(placed_keys(2))
        assert not model.keys.value.is_fully_addressable
        nnx.save(f"{folder}/model", model=model)
    assert os.path.exists(f"{folder}/model")
    fresh = nnx.clone(model)
    fresh.parted[...] = fresh.parted * 0
    fresh.keys.value = placed_keys(3)
    with jax.set_mesh(mesh):
        nnx.load(f"{folder}/model", model=fresh)
    assert fresh.parted.value.sharding == model.parted.value.sharding
    np.testing.assert_array_equal(fresh.parted, model.parted)
    assert fresh.keys.value.sharding == model.keys.value.sharding
    bits, want = (
        jax.random.key_data(m.keys.value.addressable_shards[0].data)
        for m in (fresh, model)
    )
    np.testing.assert_array_equal(bits, want)

    split = nnx.Dict(
        x=nnx.List([nnx.Param(placed(np.arange(8.0).reshape(2, 4), "hosts", "local"))]),
        y=nnx.Param(placed(np.arange(6, dtype=np.float16).reshape(2, 3), "hosts")),
        z=nnx.Param(placed(np.arange(8, dtype=np.int8), ("local", "hosts"))),
        keys=nnx.Variable(spread_keys(9)),
    )
    nnx.save(f"{folder}/split", split=split)
    other = nnx.clone(split)
    other.x[0][...] *= 0
    nnx.load(f"{folder}/split", split=other)
    assert other.x[0].value.sharding == split.x[0].value.sharding
    for new, old in zip(jax.tree.leaves(other), jax.tree.leaves(split)):
        same = nnx.jit(lambda a, b: (jax.random.key_data(a) == jax.random.key_data(b)
            if jnp.issubdtype(a.dtype, jax.dtypes.prng_key) else a == b).all())
        assert bool(same(new, old))

    # Process 0 fails between split arrays: the other does not wait for it there.
    tensors = nnx.train.checkpoint._tensors
    real, calls = tensors.digest, []

    def failing(array):
        calls.append(array)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return real(array)

    tensors.digest = failing
    texts = ["No space left", "nnx.save failed in process 0, so that nothing"]
    told(nnx.errors.CheckpointError, texts[number], name="full", split=split)
    tensors.digest = real
    assert not os.path.exists(f"{folder}/full")

    texts = [
        ["There is no folder"],
        ["nnx.save failed in process 0", "There is no folder", "all processes call"],
    ][number]
    told(nnx.errors.CheckpointError, *texts, name="no/bad", model=model)

    uneven = "text" if number else model
    texts = ["nnx.save failed in process 1, so that nothing", "'uneven' is a str"]
    told((TypeError, ValueError), *texts[number:], uneven=uneven)
    assert not os.path.exists(f"{folder}/bad")
    print(float(model.layers[0].kernel[0, 0]))
"""


@pytest.mark.slow
def test_save_writes_what_one_process_can_read_and_all_learn_of_failures(tmp_path):
    printed = run_pair(SAVE, tmp_path)
    model = nnx.Sequential(nnx.Linear(4, 4, rngs=nnx.Rngs(7)))
    model.parted = nnx.Param(np.zeros(8, np.float32))
    model.keys = nnx.Variable(jax.random.split(jax.random.key(0), 4))
    nnx.load(tmp_path / "model", model=model)
    assert printed == [[str(float(model.layers[0].kernel[0, 0]))]] * 2
    np.testing.assert_array_equal(model.parted, np.arange(8))
    split = nnx.Dict(
        x=nnx.List([nnx.Param(np.zeros((2, 4)))]),
        y=nnx.Param(np.zeros((2, 3), np.float16)),
        z=nnx.Param(np.zeros(8, np.int8)),
        keys=nnx.Variable(jax.random.split(jax.random.key(0), 8)),
    )
    nnx.load(tmp_path / "split", split=split)
    for array in (split.x[0], split.y, split.z):
        np.testing.assert_array_equal(np.ravel(array), np.arange(array.size))
    assert (split["keys"].value == jax.random.split(jax.random.key(9), 8)).all()
    assert (model.keys.value == jax.random.split(jax.random.key(2), 4)).all()


TRAIN = """
    import signal

    @nnx.jit
    def step(model, optimizer, x):
        loss, grads = nnx.value_and_grad(lambda m: (m(x) ** 2).mean())(model)
        optimizer.update(model, grads)
        return loss

    data = np.random.default_rng(0).normal(size=(80, 2)).astype(np.float32)
    rows = NamedSharding(mesh, P(("hosts", "local")))

    def objects():
        model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
        return {"model": model, "optimizer": nnx.Optimizer(model, optax.adam(0.1))}

    def train(name, resume=False, stop_at=None):
        made = objects()
        with nnx.train.Run(f"{folder}/{name}", resume=resume, **made) as run:
            for epoch in run.epochs(2):
                for (x,) in run.batches((data,), 8, seed=0):
                    x = jax.make_array_from_callback(x.shape, rows, lambda i: x[i])
                    run.log(loss=step(made["model"], made["optimizer"], x))
                    if number == 1 and run.batch == stop_at:
                        signal.raise_signal(signal.SIGINT)
                run.record()
        return made["model"], run.history

    with jax.set_mesh(mesh):
        model, history = train("whole")
        try:
            train("part", stop_at=3)
        except nnx.train.Interrupted:
            print("stopped")
        resumed, again = train("part", resume=True)
    np.testing.assert_array_equal(model.kernel, resumed.kernel)
    assert history == again
    print(history)
"""


@pytest.mark.slow
def test_process_0_writes_and_prints_a_run_and_ctrl_c_stops_both_alike(tmp_path):
    first, second = run_pair(TRAIN, tmp_path)
    kept = json.loads((tmp_path / "whole" / "run.json").read_text())
    assert second == ["stopped", str(kept["history"])]
    shown = [line.split("  ")[0] for line in first]
    stop = f"interrupted after epoch 1, saved in {tmp_path / 'part'}"
    epochs = ["epoch 1/2", "epoch 2/2"]
    expected = [*epochs, "epoch 1/2", stop, "stopped", "epoch 2/2", second[1]]
    assert shown == expected
    assert sorted(p.name for p in (tmp_path / "part").iterdir()) == [
        "checkpoint.safetensors",
        "run.json",
    ]
