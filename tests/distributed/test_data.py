"""Two processes read their own batches, which become one on the mesh of both."""

import pytest

from tests.distributed.pair import run_pair

DATA = """
    class Loader:
        def __iter__(self):
            return Place()

    class Place:
        at = 0

        def __iter__(self):
            return self

        def __next__(self):
            if self.at == (3 if number else 4):  # one has more than the other
                raise StopIteration
            self.at += 1
            return np.full((4, 1), 10.0 * number + self.at, np.float32)

        def get_state(self):
            return {"at": self.at, "process": number}

        def set_state(self, state):
            assert state["process"] == number
            self.at = state["at"]

    rows = NamedSharding(mesh, P(("hosts", "local")))
    total = nnx.jit(lambda model, x: (x * model.kernel[0, 0]).sum())

    def read(name, loader, stop=None, resume=False):
        init = nnx.initializers.ones_init()
        model = nnx.Linear(1, 1, kernel_init=init, rngs=nnx.Rngs(0))
        seen = []
        with nnx.train.Run(f"{folder}/{name}", resume=resume, model=model) as run:
            for _ in run.epochs(1):
                for x in run.batches(loader, sharding=rows):
                    assert x.shape == (8, 1) and x.sharding == rows
                    seen.append(float(total(model, x)))
                    if len(seen) == stop:
                        run.save()
                        return seen
        return seen

    assert read("whole", Loader()) == [48.0, 56.0, 64.0]
    assert read("part", Loader(), stop=2) == [48.0, 56.0]
    assert read("part", Loader(), resume=True) == [64.0]
    print("read")
"""


@pytest.mark.slow
def test_batches_of_both_are_one_and_epochs_end_together(tmp_path):
    assert [said[-1] for said in run_pair(DATA, tmp_path)] == ["read"] * 2


ALONE = """
    from jax.experimental import multihost_utils

    rngs = nnx.Rngs(0)
    model = nnx.Sequential(nnx.Linear(8, 8, rngs=rngs), nnx.BatchNorm(8, rngs=rngs))
    metrics = nnx.MultiMetric(loss=nnx.metrics.Average())
    nnx.shard((model, metrics), mesh, {"kernel": ("hosts", "local")})
    split = NamedSharding(mesh, P(("hosts", "local")))
    x = jax.make_array_from_callback((8, 8), split, lambda i: np.ones((8, 8), "f4")[i])

    @nnx.jit
    def step(model, metrics, x):
        loss = (model(x) ** 2).mean()
        metrics.update(values=loss)
        return loss

    loss = step(model, metrics, x)
    multihost_utils.sync_global_devices("before")
    if number == 1:  # the other one waits, and takes part in nothing
        assert "Linear" in repr(model) and "Param" in str(model.layers[0].kernel)
        nnx.tabulate(model, jax.ShapeDtypeStruct((8, 8), jnp.float32))
        assert float(loss) >= 0 and float(metrics.compute()["loss"]) >= 0
        assert float(model.layers[1].scale[...][0:1].addressable_data(0)[0]) == 1.0
        kernel = model.layers[0].kernel
        for read in (np.asarray, float, jax.device_get):
            try:
                read(kernel.value if read is jax.device_get else kernel)
            except (RuntimeError, TypeError) as error:
                assert "addressable" in str(error) or "scalar" in str(error), error
            else:
                raise AssertionError("a part was taken for the whole")
        print("alone")
    multihost_utils.sync_global_devices("after")
"""


@pytest.mark.slow
def test_what_one_process_reads_alone_is_right_or_told_and_blocks_nobody(tmp_path):
    assert run_pair(ALONE, tmp_path) == [[], ["alone"]]
