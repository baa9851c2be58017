"""Checkpoints: folders of steps, by orbax, on any mesh."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import oakum as nnx
from oakum.errors import (
    ArgumentError,
    CheckpointError,
    MissingCheckpointError,
    MissingExtraError,
)

pytest.importorskip("orbax.checkpoint")
Checkpoints = nnx.train.Checkpoints


class Mixed(nnx.Module):
    """Holds what orbax itself takes for something else, or refuses."""

    def __init__(self, scale=1.0):
        self.linear = nnx.Linear(4, 8, rngs=nnx.Rngs(0))
        self.linear.kernel[...] *= scale
        self.rngs = nnx.Rngs(dropout=int(scale))
        self.empty = nnx.Param(jnp.zeros((0, 3)))
        self.half = nnx.Param(jnp.full((2,), scale, jnp.bfloat16))
        self.names = nnx.Dict({"a.b": nnx.Param(jnp.full(2, scale))})
        self.names["a"] = nnx.Dict({"b": nnx.Param(jnp.full(2, -scale))})
        self.names["x/y"] = nnx.Param(jnp.full(2, 2 * scale))
        self.parts = nnx.Variable({"w": jnp.full(2, scale), "b": (jnp.ones(1),)})
        self.tied = self.linear.bias
        self.array = nnx.data(np.full(3, scale))
        self.scalar = nnx.data(np.float32(scale))
        self.count = nnx.data(int(scale))
        self.keys = nnx.Variable(jax.random.split(jax.random.key(int(scale)), 3))


def make(scale=1.0, tx=None):
    model = Mixed(scale)
    return model, nnx.Optimizer(model, tx or optax.adam(1e-2), wrt=nnx.Param)


def content(objects):
    def plain(x):
        if hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x = jax.random.key_data(x)
        return (np.asarray(x).dtype, np.asarray(x).tolist())

    state = nnx.state(objects)
    found = [(str(p), plain(x)) for p, x in jax.tree.leaves_with_path(state)]
    return found + [(o.count, o.array.tolist()) for o in objects if hasattr(o, "count")]


def make_mesh(rows, columns, kind=AxisType.Auto):
    types, devices = (kind,) * 2, jax.devices()[: rows * columns]
    names = ("data", "model")
    return jax.make_mesh((rows, columns), names, axis_types=types, devices=devices)


RULES = {"linear.kernel": ("data", "model"), "keys": None}


def test_all_kinds_of_state_come_back_as_they_were(tmp_path):
    model, optimizer = make(3.0)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.save(7, model=model, optimizer=optimizer)
        other = make(5.0)
        assert checkpoints.load(model=other[0], optimizer=other[1]) == 7
    assert content(other) == content((model, optimizer))
    assert other[0].tied is other[0].linear.bias
    assert type(other[0].array) is np.ndarray
    assert type(other[0].scalar) is np.float32


@pytest.mark.parametrize("saved", [(2, 2), (1, 1), (4, 1)], ids=str)
@pytest.mark.parametrize("loaded", [(1, 4), (1, 2), (2, 2)], ids=str)
def test_state_goes_to_another_mesh(saved, loaded, tmp_path):
    source, target = make(3.0), make(5.0)
    nnx.shard(source, make_mesh(*saved), RULES)
    nnx.shard(target, mesh := make_mesh(*loaded), RULES)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(0, objects=source)
        checkpoints.load(objects=target)
    assert content(target) == content(source)
    slot = target[1].opt_state[0].mu.linear.kernel.value
    assert slot.sharding == NamedSharding(mesh, P("data", "model"))


def test_a_sharded_abstract_model_is_filled_in_its_places(tmp_path):
    def make_both():
        model = nnx.Dict(linear=nnx.Linear(4, 8, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(3))
        return model, nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)

    mesh, source = make_mesh(2, 2, AxisType.Explicit), make_both()
    abstract = nnx.eval_shape(make_both)
    nnx.shard(abstract, mesh, {"linear.kernel": ("data", "model")})
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(0, objects=source)
        checkpoints.load(objects=abstract)
    slot = abstract[1].opt_state[0].nu.linear.kernel.value
    assert slot.sharding == NamedSharding(mesh, P("data", "model"))
    assert content(abstract) == content(source)


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_does_not_fit_a_sharded_abstract_model_is_all_listed(kind, tmp_path):
    def make_net(more, out):
        parts = {"body": nnx.Linear(4, out, rngs=nnx.Rngs(0))}
        parts |= {name: nnx.Linear(4, 4, rngs=nnx.Rngs(1)) for name in more}
        return nnx.Dict(parts)

    path, saved = tmp_path / "it", make_net(["old"], 8)
    abstract = nnx.eval_shape(lambda: make_net(["new"], 4))
    nnx.shard(abstract, make_mesh(2, 2), {"kernel": ("data", "model"), ...: ()})
    before = jax.tree.leaves(nnx.state(abstract))
    if kind == "folder":
        with Checkpoints(path) as checkpoints:
            checkpoints.save(0, net=saved)
        path = path / "0"
    else:
        nnx.save(path, net=saved)
    with pytest.raises(CheckpointError, match=r"6 mismatches\. Nothing") as raised:
        nnx.load(path, net=abstract)
    for name in ("body", "new", "old"):
        assert f".{name}.kernel: " in str(raised.value)
    assert jax.tree.leaves(nnx.state(abstract)) == before


def test_the_program_may_go_on_while_a_step_is_written(tmp_path):
    model, optimizer = make(3.0)
    before = content((model, optimizer))

    @nnx.jit
    def step(model, optimizer):
        grads = nnx.grad(lambda m: (m.linear(jnp.ones((2, 4))) ** 2).mean())(model)
        optimizer.update(model, grads)

    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(0, model=model, optimizer=optimizer)
        step(model, optimizer)
        model.array[...] = 0
        other = make(5.0)
        checkpoints.load(model=other[0], optimizer=other[1])
    assert content(other) == before


def test_the_last_and_the_best_stay(tmp_path):
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    with Checkpoints(tmp_path, keep=2, best="loss", every=10) as checkpoints:
        for step, loss in [(10, 3.0), (15, 0.0), (20, 1.0), (30, 2.0), (40, 5.0)]:
            model.kernel[...] = jnp.full((2, 2), step)
            saved = checkpoints.save(step, metrics={"loss": loss}, model=model)
            assert saved == (step != 15)
        assert (checkpoints.steps, checkpoints.best) == ([20, 30, 40], 20)
        assert checkpoints.load(checkpoints.best, model=model) == 20
    assert float(model.kernel[0, 0]) == 20
    with Checkpoints(tmp_path, best="loss") as again:
        assert again.best == 20
        assert again.load(model=model) == 40


def test_more_of_an_accuracy_is_better(tmp_path):
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    with Checkpoints(tmp_path, keep=1, best="valid_accuracy") as checkpoints:
        for step, value in enumerate([0.5, 0.9, 0.7, 0.6]):
            checkpoints.save(step, metrics={"valid_accuracy": value}, model=model)
        assert (checkpoints.steps, checkpoints.best) == ([1, 3], 1)


def test_a_part_is_loaded_by_filter_name_or_fit(tmp_path):
    source, target = make(3.0), make(5.0)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(0, model=source[0], optimizer=source[1])
        checkpoints.load(model=nnx.state(target[0], nnx.PathContains("linear")))
        assert (target[0].linear.kernel == source[0].linear.kernel).all()
        assert float(target[0].half[0]) == 5
        checkpoints.load(**{"model.names": target[0].names})
        assert float(target[0].names["a.b"][0]) == 3
        wider = nnx.Dict(linear=nnx.Linear(4, 9, rngs=nnx.Rngs(2)), half=target[0].half)
        checkpoints.load(model=wider, strict=False)
    assert float(wider.half[0]) == 3


def test_all_that_does_not_fit_is_listed_and_nothing_changes(tmp_path):
    model = nnx.Dict(a=nnx.Param(jnp.ones(2)), b=nnx.Param(jnp.ones(3)))
    other = nnx.Dict(
        a=nnx.Param(jnp.zeros(2, jnp.bfloat16)),
        b=nnx.Param(jnp.zeros(4)),
        c=nnx.Param(jnp.zeros(1)),
    )
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(0, model=model)
        with pytest.raises(CheckpointError) as raised:
            checkpoints.load(model=other)
    text = str(raised.value)
    assert "model.a: expected dtype bfloat16, got float32" in text
    assert "model.b: expected shape (4,), got (3,)" in text
    assert "model.c: missing" in text
    assert "strict=False" in text
    assert all(not x.any() for x in jax.tree.leaves(nnx.state(other)))


@pytest.mark.parametrize(
    ("act", "error", "says"),
    [
        (lambda c, m: c.load(model=m), MissingCheckpointError, "no step at all.*save"),
        (lambda c, m: c.load(3, model=m), MissingCheckpointError, r"no step 3;.*\[\]"),
        (lambda c, m: c.save(0), ArgumentError, "no objects.*name each"),
        (
            lambda c, m: (c.save(4, model=m), c.save(4, model=m)),
            CheckpointError,
            "Step 4 is not above.*step = checkpoints.load",
        ),
        (
            lambda c, m: c.save(0, model=nnx.Dict(f=nnx.data("text"))),
            ArgumentError,
            "model.f",
        ),
        (
            lambda c, m: c.save(0, metrics=nnx.MultiMetric()),
            ArgumentError,
            "measures by name, and a MultiMetric is.*another name",
        ),
        (
            lambda c, m: nnx.jit(lambda m: c.save(0, model=m))(m),
            nnx.errors.TraceContextError,
            "tracing",
        ),
    ],
)
def test_what_cannot_be_done_is_told(act, error, says, tmp_path):
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    with (
        Checkpoints(tmp_path) as checkpoints,
        pytest.raises(error, match=f"(?s){says}"),
    ):
        act(checkpoints, model)


def test_the_measure_must_be_given_and_numbers_be_above_0(tmp_path):
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    with (
        Checkpoints(tmp_path, best="loss") as checkpoints,
        pytest.raises(ArgumentError, match=r"by 'loss'.*\['acc'\](?s:.*)metrics="),
    ):
        checkpoints.save(0, metrics={"acc": 1.0}, model=model)
    with pytest.raises(ArgumentError, match=r"keep=0 and every=1(?s:.*)every=1000"):
        Checkpoints(tmp_path, keep=0)


def test_a_damaged_step_is_refused_and_nothing_changes(tmp_path):
    model, other = (
        nnx.Linear(2, 2, rngs=nnx.Rngs(0)),
        nnx.Linear(2, 2, rngs=nnx.Rngs(1)),
    )
    before = np.asarray(other.kernel)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(0, model=model)
        checkpoints.wait()
        (tmp_path / "0" / "manifest" / "metadata").write_text("{")
        with pytest.raises(CheckpointError, match=r"cannot be read(?s:.*)step"):
            checkpoints.load(model=other)
        (tmp_path / "0" / "manifest" / "metadata").write_text('{"format": 99}')
        with pytest.raises(CheckpointError, match=r"later version(?s:.*)upgrade"):
            checkpoints.load(model=other)
    np.testing.assert_array_equal(other.kernel, before)


def test_a_tree_that_orbax_cannot_read_is_told_with_its_folder(tmp_path):
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(0, model=model)
        checkpoints.wait()
        for data in (tmp_path / "0" / "state").glob("d/*"):
            data.unlink()
        for data in (tmp_path / "0" / "state").glob("ocdbt.process_0/d/*"):
            data.unlink()
        with pytest.raises(CheckpointError, match=r"orbax cannot read(?s:.*)another"):
            checkpoints.load(model=model)


def test_without_orbax_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "orbax.checkpoint", None)
    with pytest.raises(MissingExtraError, match=r"oakum\[checkpoints\]"):
        Checkpoints(tmp_path)


def test_a_folder_without_a_checkpoint_is_told(tmp_path):
    with pytest.raises(MissingCheckpointError, match=r"no checkpoint(?s:.*)of one"):
        nnx.load(tmp_path, model=nnx.Linear(2, 2, rngs=nnx.Rngs(0)))
