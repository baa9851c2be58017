"""Processes that hold different values of what JAX takes for one array are told."""

import numpy as np
import pytest

from oakum.sharding._agreement import _differing
from tests.distributed.pair import run_pair

DIVERGED = """
    def told(action, *parts):
        try:
            action()
        except ValueError as raised:
            assert all(part in str(raised) for part in parts), raised
        else:
            raise AssertionError("nothing was raised")

    def make(seed):
        return nnx.Sequential(
            nnx.Linear(4, 4, rngs=nnx.Rngs(0)), nnx.Linear(4, 4, rngs=nnx.Rngs(seed))
        )

    rows = NamedSharding(mesh, P(("hosts", "local")))
    x = jax.make_array_from_callback((8, 4), rows, lambda i: np.ones((8, 4), "f4")[i])

    @nnx.jit
    def step(model, x):
        model.layers[0].bias[...] += model(x).mean()

    remedy = "nnx.Rngs(0), not nnx.Rngs(jax.process_index())"
    told(lambda: step(make(number), x), "first call of `step`", "1].kernel`", remedy)
    alike = make(0)
    step(alike, x)
    step(alike, x)
    told(lambda: nnx.shard(make(number), mesh), "nnx.shard", "layers[1].kernel`")
    told(lambda: nnx.save(f"{folder}/no", model=make(number)), "model.layers[1].ker")

    several = make(0)
    if number == 0:
        several.extra = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    told(lambda: nnx.shard(several, mesh), "`objects.extra.bias` in process 0 where "
         "process 1 has `objects.layers[0].bias`")
    rule = {"kernel": ("local",), ...: ()}
    told(lambda: nnx.init_sharded(lambda: make(number), mesh, rule), "nnx.init_sharded",
         "layers[1].kernel`")
    nnx.init_sharded(lambda: make(0), mesh, rule)

    def run():
        with nnx.train.Run(f"{folder}/run", model=make(number)):
            raise AssertionError("the run began")

    told(run, "Run: the processes 0 and 1", "`model.layers[1].kernel`", "Rngs(0)")
    with jax.set_mesh(mesh):
        told(lambda: step(make(number), x), "args[0].layers[1].kernel`")
    own = "bc"[number]
    told(lambda: nnx.save(f"{folder}/no", a=make(0), **{own: make(0)}), f"`{own}.lay")
    assert not os.path.exists(f"{folder}/no")

    model = make(0)
    nnx.shard(model, mesh, {"kernel": ("hosts", "local"), "bias": ("local",)})
    kernel = model.layers[0].kernel
    assert kernel.value.sharding == NamedSharding(mesh, P("hosts", "local"))
    part = kernel.value.addressable_shards[0]
    whole = np.asarray(make(0).layers[0].kernel)
    np.testing.assert_array_equal(part.data, whole[part.index])
    rngs = nnx.Rngs(3)
    nnx.shard(rngs, mesh)
    placed = model.layers[1].bias.value, rngs.default.key.value
    print(*[value.sharding.spec for value in placed])
"""


@pytest.mark.slow
def test_different_values_are_told_at_shard_run_save_and_the_first_step(tmp_path):
    printed = run_pair(DIVERGED, tmp_path)
    assert printed == [["P('local',) P()"]] * 2


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([b"a" * 8 + b"x" * 8] * 2, None),
        ([b"a" * 8 + b"x" * 8, b"a" * 8 + b"y" * 8], (0, 1)),
        ([b"a" * 8 + b"x" * 8, b"b" * 8 + b"x" * 8], (0, 1)),
        ([b"a" * 8 + b"\1" * 8, b"a" * 8 + b"x" * 8, b"a" * 8 + b"y" * 8], (1, 2)),
        ([b"a" * 8 + b"\1" * 8, b"a" * 8 + b"x" * 8], None),
    ],
    ids=["alike", "values", "names", "not held by the first", "held by one"],
)
def test_the_processes_that_differ_are_named(rows, expected):
    table = np.array([list(row) for row in rows], np.uint8)
    assert _differing(table) == expected
