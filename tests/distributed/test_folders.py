"""Two processes save their parts of one checkpoint, and load them onto other meshes."""

import jax
import numpy as np
import optax
import pytest
from jax.sharding import AxisType

import oakum as nnx
from tests.distributed.pair import run_pair

pytest.importorskip("orbax.checkpoint")
SAVE = """
    def make(seed):
        model = nnx.Sequential(
            nnx.Linear(8, 8, rngs=nnx.Rngs(seed)), nnx.Dropout(0.5, rngs=nnx.Rngs(seed))
        )
        return model, nnx.Optimizer(model, optax.adam(0.1), wrt=nnx.Param)

    spread, other = {"kernel": ("hosts", "local")}, {"kernel": ("local", "hosts")}
    both = nnx.init_sharded(lambda: make(0), mesh, spread)
    assert not both[0].layers[0].kernel.value.is_fully_addressable
    local = make(0)
    with nnx.train.Checkpoints(f"{folder}/steps", keep=2) as checkpoints:
        for step in (1, 2, 3):
            checkpoints.save(step, both=both, local=local)
        assert checkpoints.steps == [2, 3]
        target, bare = make(1), make(1)
        nnx.shard(target, mesh, other)
        assert checkpoints.load(both=target, local=bare) == 3
        part = make(2)
        nnx.shard(part, mesh, other)
        checkpoints.load(both=nnx.state(part, nnx.PathContains("kernel")))
        same = nnx.jit(lambda a, b: (a.kernel == b.kernel).all())
        assert bool(same(part[0].layers[0], target[0].layers[0]))
        assert part[1].step.value == 0
    for new, old in ((target, both), (bare, local)):
        same = nnx.jit(lambda a, b: (a.layers[0].kernel == b.layers[0].kernel).all())
        nnx.shard(new, mesh, spread), nnx.shard(old, mesh, spread)
        assert bool(same(new[0], old[0]))
        bits = [
            jax.random.key_data(m[0].layers[1].rngs.key.value.addressable_data(0))
            for m in (new, old)
        ]
        np.testing.assert_array_equal(*bits)
    print("saved")
"""


@pytest.mark.slow
def test_what_two_processes_save_loads_in_them_and_in_one(tmp_path):
    assert run_pair(SAVE, tmp_path) == [["saved"]] * 2

    def make(seed):
        model = nnx.Sequential(
            nnx.Linear(8, 8, rngs=nnx.Rngs(seed)), nnx.Dropout(0.5, rngs=nnx.Rngs(seed))
        )
        return model, nnx.Optimizer(model, optax.adam(0.1), wrt=nnx.Param)

    model, optimizer = make(1)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    nnx.shard((model, optimizer), mesh, {"kernel": (None, "data")})
    with nnx.train.Checkpoints(tmp_path / "steps") as checkpoints:
        assert checkpoints.load(both=(model, optimizer)) == 3
    expected, _ = make(0)
    kernel = expected.layers[0].kernel
    np.testing.assert_allclose(model.layers[0].kernel, kernel, rtol=1e-6)
    assert model.layers[0].kernel.value.sharding.spec == jax.P(None, "data")
