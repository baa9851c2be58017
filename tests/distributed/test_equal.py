"""Two processes compute the bits that one process with all devices computes.

Where sums are of two parts, that is, which commute: of more, JAX's own differ between
one process and two, as they are added in another order.
"""

import pytest

from tests.distributed.pair import run_pair

pytest.importorskip("orbax.checkpoint")
TRAIN = """
    import pathlib, time

    rows = NamedSharding(mesh, P("hosts"))

    class Network(nnx.Module):
        def __init__(self, rngs):
            self.first = nnx.Linear(8, 64, rngs=rngs)
            self.norm = nnx.BatchNorm(64, rngs=rngs)
            self.dropout = nnx.Dropout(0.3, rngs=rngs)
            self.last = nnx.Linear(64, 4, rngs=rngs)

        def __call__(self, x):
            x = self.dropout(nnx.relu(self.norm(self.first(x))))
            return self.last(jax.lax.with_sharding_constraint(x, rows))

    def make():
        model = Network(nnx.Rngs(0))
        return {
            "model": model,
            "optimizer": nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param),
            "average": nnx.EMA(model, 0.9),
            "metrics": nnx.MultiMetric(
                loss=nnx.metrics.Average("loss"), accuracy=nnx.metrics.Accuracy()
            ),
        }

    @nnx.jit
    def train_step(model, optimizer, average, metrics, x, y):
        def loss_fn(model):
            logits = model(x)
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, y)
            return losses.mean(), logits

        (loss, logits), grads = nnx.value_and_grad(loss_fn, has_aux=True)(model)
        optimizer.update(model, grads)
        average.update(model)
        metrics.update(loss=loss, logits=logits, labels=y)
        return loss

    @nnx.jit
    def measure(model, x, y):
        losses = optax.softmax_cross_entropy_with_integer_labels(model(x), y)
        return {"valid_loss": losses.mean()}

    noise = np.random.default_rng(0)
    x = noise.normal(size=(96, 8)).astype(np.float32)
    y = noise.integers(0, 4, 96).astype(np.int32)
    valid = [[jax.make_array_from_callback(a.shape, rows, lambda i: a[i])
              for a in (x[:32], y[:32])]]
    rules = {"first.kernel": (None, "local"), ...: ()}
    objects = nnx.init_sharded(make, mesh, rules)
    model = objects["model"]

    def train(name, stop=None, **options):
        path = f"{folder}/{name}"
        with nnx.train.Run(path, background=True, **options, **objects) as run:
            for _ in run.epochs(4):
                model.train()
                for batch in run.batches((x, y), 16, seed=0, sharding=rows):
                    run.log(loss=train_step(*objects.values(), *batch))
                    if run.step == stop:
                        run.save()
                        return
                model.eval()
                found = nnx.train.evaluate(lambda *batch: measure(model, *batch), valid)
                # Each process tells its own, and all stop alike.
                run.record(own=number, **found, **objects["metrics"].compute())
                objects["metrics"].reset()
                if run.is_stale(1):
                    break
        print(len(run.history), run.history[-1])

    def done(what):
        pathlib.Path(f"{folder}/{what}-{count}-{number}").touch()
        while len(list(pathlib.Path(folder).glob(f"{what}-*"))) < 3:
            time.sleep(0.05)

    nnx.save(f"{folder}/start-{count}", **objects)
    train(f"run-{count}", best="own")
    nnx.save(f"{folder}/end-{count}", **objects)
    nnx.load(f"{folder}/start-{count}", **objects)
    train(f"part-{count}", best="own", stop=8)
    done("stopped")
    train(f"part-{3 - count}", best="own", resume=True)
    nnx.save(f"{folder}/resumed-{count}", **objects)
    done("all")  # no process ends what others still use
"""


@pytest.mark.slow
def test_training_gives_the_same_bits_and_goes_on_in_the_other_number(tmp_path):
    first, second, alone = run_pair(TRAIN, tmp_path, alone=True)
    records = [line for line in alone if line.startswith("2 {")]
    assert len(records) == 2
    assert records[0] == records[1]
    assert [line for line in first if line.startswith("2 {")] == records
    assert second == records
    files = [f"{name}-{count}" for name in ("end", "resumed") for count in (1, 2)]
    contents = {(tmp_path / file).read_bytes() for file in files}
    assert len(contents) == 1
