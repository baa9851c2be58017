"""save and load: everything comes back as it was, in place, and nothing half-way."""

import dataclasses
import errno
import json
import math
import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import safetensors
import safetensors.numpy
from jax.sharding import NamedSharding, PartitionSpec

import oakum as nnx
from oakum.train.checkpoint import _tensors, _workplace

GOLDEN = Path(__file__).parent / "data" / "format-1.safetensors"
DTYPES = [
    *("bool", "int2", "int4", "int8", "int16", "int32"),
    *("uint2", "uint4", "uint8", "uint16", "uint32"),
    *("float16", "float32", "bfloat16", "complex64", "float4_e2m1fn"),
    *("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e8m0fnu"),
    *("float8_e4m3b11fnuz", "float8_e5m2fnuz"),
]


class Holder(nnx.Module):
    """Holds whatever it is given."""

    def __init__(self, **attributes):
        for name, value in attributes.items():
            setattr(self, name, value)


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Record:
    """A pytree whose flattening gives a list made just then."""

    items: list

    def __iter__(self):
        return iter(self.items)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "it.safetensors"


def make_model(seed, scale=1.0):
    rngs = nnx.Rngs(seed, dropout=seed + 1)
    return Holder(
        layers=[
            nnx.Linear(2, 3, rngs=rngs),
            nnx.relu,
            nnx.BatchNorm(3, rngs=rngs),
            nnx.Dropout(0.5, rngs=rngs),
        ],
        half=nnx.Param(scale * jnp.ones(3, jnp.bfloat16)),
        record=nnx.Intermediate(
            {"a": (scale * jnp.ones(2), [jnp.ones(())]), "b": None}
        ),
        bare=scale * jnp.ones((2, 2)),
        pair=(scale * jnp.ones(2), np.arange(3), (jnp.zeros(()), "text")),
        registered=Record([scale * jnp.ones(2), jnp.zeros(1)]),
        heads={"0": nnx.Cache(scale * jnp.ones(1)), 0: nnx.Cache(jnp.zeros(1))},
        numpy=np.full((2,), scale),
        scalar=nnx.data(np.float32(scale)),
        epoch=nnx.data(int(scale)),
        rate=nnx.data(0.1 * scale),
        phase=nnx.data(complex(scale, math.inf)),
        done=nnx.data(scale > 1),
        config={"width": 3, "name": "x"},
    )


def assert_same(a, b):
    """Equal structures, and the same bits in every leaf."""
    assert nnx.graphdef(a) is nnx.graphdef(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert type(x) is type(y)
        assert getattr(x, "weak_type", None) == getattr(y, "weak_type", None)
        if jnp.issubdtype(jnp.result_type(x), jax.dtypes.prng_key):
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        x, y = np.asarray(x), np.asarray(y)
        assert x.dtype.name == y.dtype.name
        assert x.shape == y.shape
        assert x.astype(x.dtype.newbyteorder("<")).tobytes() == y.tobytes()


def test_a_model_comes_back(path):
    saved, target = make_model(0, scale=3.0), make_model(1)
    nnx.save(path, model=saved)
    nnx.load(path, model=target)
    assert_same(saved, target)


def test_a_run_goes_on_as_if_it_had_not_been_stopped(path):
    def make(seed):
        model = nnx.Linear(2, 3, rngs=nnx.Rngs(seed))
        return model, nnx.Optimizer(model, optax.adamw(1e-2))

    @nnx.jit
    def step(model, optimizer):
        grads = nnx.grad(lambda m: (m(jnp.ones((1, 2))) ** 2).sum())(model)
        with jax.numpy_dtype_promotion("standard"):  # optax needs it
            optimizer.update(grads)

    model, optimizer = make(0)
    step(model, optimizer)
    nnx.save(path, model=model, optimizer=optimizer)
    other, other_optimizer = make(1)
    nnx.load(path, model=other, optimizer=other_optimizer)
    for pair in ((model, optimizer), (other, other_optimizer)):
        step(*pair)
        step(*pair)
    assert_same(optimizer, other_optimizer)


def test_loading_is_in_place(path):
    model = make_model(0)
    nnx.save(path, model=model)
    kernel, layers, heads = model.layers[0].kernel, model.layers, model.heads
    nnx.load(path, model=model)
    assert model.layers is layers
    assert model.heads is heads
    assert model.layers[0].kernel is kernel


def test_loading_does_not_retrace(path):
    model, traces = make_model(0), []

    @nnx.jit
    def step(model):
        traces.append(1)
        return model.bare + model.registered.items[0][None]

    np.testing.assert_array_equal(step(model), 2 * np.ones((2, 2)))
    nnx.save(path, model=make_model(1, scale=2.0))
    nnx.load(path, model=model)
    np.testing.assert_array_equal(step(model), 4 * np.ones((2, 2)))
    assert len(traces) == 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (3,), (0, 2), (2, 3)], ids=str)
def test_every_dtype_comes_back(path, dtype, shape):
    bits = np.random.default_rng(0).integers(0, 2, shape)
    saved = Holder(x=nnx.Param(jnp.asarray(bits).astype(dtype)))
    target = Holder(x=nnx.Param(jnp.zeros(shape, dtype)))
    nnx.save(path, it=saved)
    nnx.load(path, it=target)
    assert_same(saved, target)


@pytest.mark.parametrize("dtype", ["float64", "int64", "uint64", "complex128", ">i4"])
def test_dtypes_of_numpy_come_back(path, dtype):
    target = [np.zeros((2, 3), dtype)]
    saved = np.arange(6).astype(dtype).reshape(3, 2).T  # not in one piece
    nnx.save(path, it=[saved])
    nnx.load(path, it=target)
    np.testing.assert_array_equal(target[0], saved)
    assert target[0].dtype.newbyteorder("=") == np.dtype(dtype).newbyteorder("=")


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg", "unsafe_rbg"])
@pytest.mark.parametrize("shape", [(), (3,), (0,)], ids=str)
def test_random_keys_come_back(path, impl, shape):
    saved = nnx.RngKey(jax.random.split(jax.random.key(7, impl=impl), shape))
    target = nnx.RngKey(jax.random.split(jax.random.key(8, impl=impl), shape))
    nnx.save(path, key=saved)
    nnx.load(path, key=target)
    assert_same(saved, target)
    assert target.dtype == saved.dtype


@pytest.mark.parametrize(
    "number", [True, 0, -(10**30), 0.1, -0.0, math.nan, -math.inf, 1 - 2j], ids=repr
)
def test_numbers_that_are_data_come_back(path, number):
    target = Holder(x=nnx.data(type(number)(1)))
    nnx.save(path, it=Holder(x=nnx.data(number)))
    nnx.load(path, it=target)
    assert repr(target.x) == repr(number)
    assert type(target.x) is type(number)


def test_weak_types_come_back(path):
    for saved in (jnp.asarray(2.5), jnp.full((2,), 3), jnp.asarray(1 + 2j)):
        target = nnx.Param(jnp.zeros_like(saved))
        nnx.save(path, x=nnx.Param(saved))
        nnx.load(path, x=target)
        assert_same(nnx.Param(saved), target)


LEAVES = st.one_of(
    st.integers(0, 3).map(lambda n: np.arange(n, dtype=np.float32)),
    st.booleans().map(np.asarray),
    st.integers(),
    st.floats(),
)
KEYS = st.one_of(st.integers(0, 20), st.text(max_size=3), st.sampled_from(["0", "1"]))
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=8,
)


def cleared(tree):
    """The same containers, with other values."""
    if isinstance(tree, list):
        return [cleared(item) for item in tree]
    if isinstance(tree, dict):
        return {key: cleared(item) for key, item in tree.items()}
    return np.zeros_like(tree) if isinstance(tree, np.ndarray) else type(tree)(0)


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(tree=TREES)
def test_any_nested_containers_come_back(tmp_path_factory, tree):
    path = tmp_path_factory.mktemp("trees") / "it.safetensors"
    target = [cleared(tree)]
    nnx.save(path, tree=[tree])
    nnx.load(path, tree=target)
    assert repr(target) == repr([tree])


# -- what is shared


def make_tied(tied):
    first = nnx.Param(jnp.zeros(2))
    second = first if tied else nnx.Param(jnp.zeros(2))
    return Holder(a=first, b=[second])


def test_a_shared_variable_is_stored_once(path):
    tied = make_tied(True)
    nnx.save(path, one=tied, two=tied, again=tied.a)
    assert len(safetensors.numpy.load_file(path)) == 1
    target = make_tied(True)
    nnx.load(path, one=target, two=target, again=target.a)
    assert target.a is target.b[0]


@pytest.mark.parametrize(
    ("saved", "given", "line"),
    [
        (True, False, r"it.b\[0\]: expected a Variable of its own, got one with it.a"),
        (False, True, r"it.b\[0\]: expected one Variable with it.a, got two"),
    ],
    ids=["tied in the file", "tied in the object"],
)
def test_other_sharing_is_refused(path, saved, given, line):
    nnx.save(path, it=make_tied(saved))
    with pytest.raises(nnx.errors.CheckpointError, match=line):
        nnx.load(path, it=make_tied(given))


def test_cycles_and_shared_nodes(path):
    model = Holder(child=Holder(w=nnx.Param(jnp.ones(1))))
    model.child.parent, model.other = model, model.child
    nnx.save(path, model=model)
    nnx.load(path, model=model)
    model.other = Holder(w=nnx.Param(jnp.ones(1)), parent=model)
    with pytest.raises(nnx.errors.CheckpointError) as error:
        nnx.load(path, model=model)
    assert (
        "model.other: only in the checkpoint (the same object as model.child)"
        in str(error.value)
    )


def test_objects_load_without_the_others_that_were_saved_beside_them(path):
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    adam = nnx.Optimizer(model, optax.adam(1e-3))
    nnx.save(path, adam=adam, model=model)
    other = nnx.Linear(2, 3, rngs=nnx.Rngs(1))
    nnx.load(path, model=other)
    assert_same(model, other)


# -- where arrays go


def test_arrays_go_where_the_objects_arrays_are(path):
    mesh = jax.make_mesh((2,), ("x",), devices=jax.devices()[:2])
    split = NamedSharding(mesh, PartitionSpec("x"))
    nnx.save(path, it=[jnp.arange(4.0), jnp.arange(2.0), jax.random.key(3)])
    devices = jax.devices()
    target = [
        jax.device_put(jnp.zeros(4), split),
        jnp.zeros(2),
        jax.device_put(jax.random.key(0), devices[3]),
    ]
    nnx.load(path, it=target)
    assert target[0].sharding == split
    assert not target[1].committed
    assert target[2].devices() == {devices[3]}
    np.testing.assert_array_equal(target[0], np.arange(4.0))


def test_what_was_spread_over_devices_loads_on_one(path):
    mesh = jax.make_mesh((4,), ("x",))
    spread = jax.device_put(jnp.arange(8.0), NamedSharding(mesh, PartitionSpec("x")))
    nnx.save(path, it=[spread])
    target = [jnp.zeros(8)]
    nnx.load(path, it=target)
    np.testing.assert_array_equal(target[0], np.arange(8.0))


# -- the file


def test_other_programs_can_read_the_file(path):
    nnx.save(path, model=make_model(0))
    arrays = safetensors.numpy.load_file(path)
    assert arrays["model.layers.0.kernel"].shape == (2, 3)
    assert arrays["model.half"].dtype == jnp.bfloat16


def test_the_same_state_gives_the_same_bytes(path, tmp_path):
    nnx.save(path, model=make_model(0), rngs=nnx.Rngs(0))
    nnx.save(tmp_path / "again", model=make_model(0), rngs=nnx.Rngs(0))
    assert path.read_bytes() == (tmp_path / "again").read_bytes()


def test_names_of_tensors_that_would_meet_stay_apart(path):
    holder = {"a.b": [np.ones(1)], "a": {"b": [np.zeros(1)]}, "\ud800": np.ones(2)}
    nnx.save(path, __metadata__=holder, it={"x": nnx.Param({"['y']": jnp.ones(1)})})
    target = {"a.b": [np.zeros(1)], "a": {"b": [np.ones(1)]}, "\ud800": np.zeros(2)}
    nnx.load(path, __metadata__=target)
    assert target["a.b"][0] == 1
    assert target["a"]["b"][0] == 0


def make_golden():
    variables = {
        "kernel": nnx.Param(jnp.arange(6, dtype=jnp.float32).reshape(2, 3)),
        "stats": [nnx.BatchStat(jnp.arange(3).astype(jnp.bfloat16))],
        "key": nnx.RngKey(jax.random.key(5, impl="threefry2x32")),
        "small": nnx.Cache(jnp.array([1, -2, 3], jnp.int4)),
        "tree": nnx.Intermediate((jnp.array(True), {"x": jnp.array(1 + 2j)})),
        7: np.arange(2, dtype=np.int64),
        "rate": 0.1,
        "step": 12,
    }
    return {**variables, "tied": variables["kernel"]}


def test_files_of_the_first_format_can_still_be_read():
    target, expected = make_golden(), make_golden()
    target["kernel"].set_value(jnp.zeros((2, 3)))
    target.update({"rate": 0.0, "step": 0, 7: np.zeros(2, np.int64)})
    nnx.load(GOLDEN, it=target)
    assert_same(nnx.Dict(expected), nnx.Dict(target))


def test_a_later_format_is_refused(path, monkeypatch):
    monkeypatch.setattr("oakum.train.checkpoint._manifest.FORMAT", 2)
    nnx.save(path, it=[np.ones(1)])
    monkeypatch.undo()
    with pytest.raises(nnx.errors.CheckpointError, match=r"format 2(?s:.*)--upgrade"):
        nnx.load(path, it=[np.ones(1)])


def test_a_new_file_has_the_permissions_that_new_files_get(path):
    nnx.save(path, it=[np.ones(1)])
    other = path.with_name("other")
    other.touch()
    assert path.stat().st_mode == other.stat().st_mode
    assert sorted(p.name for p in path.parent.iterdir()) == ["it.safetensors", "other"]


@pytest.mark.parametrize("mode", [0o600, 0o664])
def test_the_permissions_of_the_file_that_is_replaced_are_kept(path, mode):
    path.write_text("old")
    path.chmod(mode)
    nnx.save(path, it=[np.ones(1)])
    assert path.stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("verb", [nnx.save, nnx.load])
def test_what_is_no_regular_file_is_refused(path, verb):
    os.mkfifo(path)
    with pytest.raises(nnx.errors.CheckpointError, match=r"a pipe(?s:.*)nnx\.save"):
        verb(path, it=[np.ones(1)])
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_leftovers_of_dead_processes_are_cleared_and_no_others(path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    nnx.save(path, it=[np.ones(1)])
    machine = _workplace._machine()
    names = {
        "dead": f".{path.name}.{machine}-{process.pid}-00.tmp",
        "alive": f".{path.name}.{machine}-{os.getpid()}-00.tmp",
        "another machine's": f".{path.name}.00000000-{process.pid}-00.tmp",
        "another file's": f".other.{machine}-{process.pid}-00.tmp",
        "a user's": f".{path.name}.mine.tmp",
    }
    for name in names.values():
        path.with_name(name).mkdir()
        (path.with_name(name) / "new").write_text("x")
    nnx.save(path, it=[np.ones(1)])
    left = {p.name for p in path.parent.iterdir()}
    assert {*names.values(), path.name} - left == {names["dead"]}


def test_a_link_stays_a_link(path):
    path.symlink_to(path.with_name("real"))
    nnx.save(path, it=[np.ones(1)])
    assert path.is_symlink()
    assert path.with_name("real").is_file()


# -- saving that fails


def fail_with(error):
    def fail(*args, **kwargs):
        raise error

    return fail


@pytest.mark.parametrize(
    ("where", "error", "expected"),
    [
        ("os.fsync", OSError(errno.ENOSPC, "No space left on device"), "No space left"),
        ("os.fsync", KeyboardInterrupt(), None),
        ("os.replace", PermissionError("denied"), "denied"),
        ("os.replace", KeyboardInterrupt(), None),
        (
            "oakum.train.checkpoint._tensors._write_all",
            OSError(errno.ENOSPC, "No space left on device"),
            r"not be written: .* No space left.*\nWhere: .*it.safetensors",
        ),
        (
            "oakum.train.checkpoint._tensors.digest",
            MemoryError("too big"),
            "too big",
        ),
    ],
    ids=["disk full", "Ctrl-C", "no rename", "Ctrl-C later", "writer", "memory"],
)
def test_a_failed_save_leaves_the_older_file_alone(
    path, monkeypatch, where, error, expected
):
    nnx.save(path, it=[np.ones(1)])
    before = path.read_bytes()
    monkeypatch.setattr(where, fail_with(error))
    kind = nnx.errors.CheckpointError if "_write_all" in where else type(error)
    with pytest.raises(kind, match=expected):
        nnx.save(path, it=[np.zeros(5)])
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.slow
def test_a_process_killed_while_saving_leaves_the_older_file(path):
    nnx.save(path, it=[np.ones(1)])
    program = f"""
        import os, signal, numpy as np, oakum as nnx
        os.replace = lambda *a: os.kill(os.getpid(), signal.SIGKILL)
        nnx.save({str(path)!r}, it=[np.zeros(1)])
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False)
    assert done.returncode == -9
    target = [np.zeros(1)]
    nnx.load(path, it=target)
    assert target[0] == 1
    nnx.save(path, it=target)


@pytest.mark.parametrize("verb", ["save", "load"])
@pytest.mark.parametrize(
    "transform",
    [jax.jit, nnx.jit, jax.vmap, jax.grad, lambda f: lambda x: jax.eval_shape(f, x)],
    ids=["jax.jit", "nnx.jit", "jax.vmap", "jax.grad", "jax.eval_shape"],
)
def test_neither_works_under_a_trace(path, verb, transform):
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    nnx.save(path, model=model)
    before, kernel = path.read_bytes(), model.kernel.value

    def step(x):
        getattr(nnx, verb)(path, model=model)
        return x

    x = jnp.ones(()) if transform is jax.grad else jnp.ones(2)
    with pytest.raises(nnx.TraceContextError, match=f"nnx.{verb} was called") as error:
        transform(step)(x)
    assert "test_checkpoint.py" in str(error.value)
    assert f"{verb} outside of the transformed function" in str(error.value)
    assert path.read_bytes() == before
    assert model.kernel.value is kernel


def test_a_tracer_left_behind_is_named(path):
    holder = [None]

    @jax.jit
    def leak(x):
        holder[0] = x
        return x

    leak(jnp.ones(2))
    with pytest.raises(nnx.TraceContextError, match=r"array `it\[0\]` holds a tracer"):
        nnx.save(path, it=holder)
    assert not path.exists()


def test_a_donated_array_is_named(path):
    model = Holder(w=nnx.Param(jnp.ones(2)))
    jax.jit(lambda x: x + 1, donate_argnums=0)(model.w.value)
    match = "Param `model.w` holds an array that was donated"
    with pytest.raises(nnx.errors.DeletedArrayError, match=match):
        nnx.save(path, model=model)


@pytest.mark.parametrize("verb", [nnx.save, nnx.load])
def test_an_object_without_a_name_is_told_how_to_get_one(verb, tmp_path):
    match = r"given a Linear without a name(?s:.*)model=model"
    with pytest.raises(TypeError, match=match):
        verb(tmp_path / "c", nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("objects", "match"),
    [
        ({}, r"no objects(?s:.*)model=model"),
        ({"f": len}, "'f' is a builtin_function_or_method: a checkpoint holds"),
        ({"s": "text"}, "'s' is a str"),
        ({"d": {"name": "x"}}, r"d.name is a str, which .* cannot hold: 'x'"),
        ({"x": np.ones(1)}, r"x is a bare ndarray(?s:.*)x={'x': x}"),
        ({"x": (1, np.ones(1))}, r"x\[0\] is a bare int"),
        ({"x": [np.array(["a"])]}, r"`x\[0\]` holds a ndarray"),
        ({"x": [np.array([None])]}, r"array `x\[0\]` holds a ndarray"),
        ({"x": [np.array([0], "M8[s]")]}, r"array `x\[0\]` holds a ndarray"),
        (
            {"x": [jax.ShapeDtypeStruct((2,), jnp.float32)]},
            "holds a ShapeDtypeStruct",
        ),
        ({"x": nnx.Param({"a": "text"})}, "Param `x` holds a str"),
    ],
    ids=str,
)
def test_what_has_no_place_in_a_checkpoint_is_named(path, objects, match):
    with pytest.raises(TypeError, match=match):
        nnx.save(path, **objects)
    assert not path.exists()


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder '.*gone'(?s:.*)mkdir"):
        nnx.save(tmp_path / "gone" / "it", it=[np.ones(1)])


def test_a_folder_in_the_way_is_named(tmp_path):
    with pytest.raises(nnx.errors.CheckpointError, match=r"a folder of this name"):
        nnx.save(tmp_path, it=[np.ones(1)])


def test_no_pickle_is_in_the_file(path):
    nnx.save(path, model=make_model(0))
    with safetensors.safe_open(path, "np") as file:
        manifest = json.loads(file.metadata()["oakum"])
    assert set(manifest) == {"digest", "format", "oakum", "objects", "values"}
    assert b"\x80\x04\x95" not in path.read_bytes()


def test_the_data_is_read_once(path, monkeypatch):
    seen = []
    real = _tensors.TensorFile.read
    monkeypatch.setattr(
        _tensors.TensorFile, "read", lambda s, n, e: seen.append(n) or real(s, n, e)
    )
    tied = make_tied(True)
    nnx.save(path, a=tied, b=tied, c=[np.ones(1), np.ones(2)])
    nnx.load(path, a=tied, b=tied)
    assert seen == ["a.a"]
