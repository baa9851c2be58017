"""save writes what other programs read; copy goes between models that stack or not."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

import oakum as nnx
from oakum.errors import ArgumentError, ArgumentValueError, CheckpointError
from tests.weights import families


def _linear(seed=0):
    return nnx.Linear(2, 3, rngs=nnx.Rngs(seed))


def test_names_layouts_and_metadata_are_those_of_pytorch(tmp_path):
    model = _linear()
    assert nnx.weights.save(model, tmp_path, {"fc": ""}) == ["fc.bias", "fc.weight"]
    tensors = load_file(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(tensors["fc.weight"], model.kernel.value.T)
    content = (tmp_path / "model.safetensors").read_bytes()
    assert b'"__metadata__":{"format":"pt"}' in content


def test_shards_have_an_index_and_replace_a_single_file(tmp_path):
    model = families.make("llama")
    nnx.weights.save(model, tmp_path)
    nnx.weights.save(model, tmp_path, max_shard_size=40_000)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [
        "model-00001-of-00003.safetensors",
        "model-00002-of-00003.safetensors",
        "model-00003-of-00003.safetensors",
        "model.safetensors.index.json",
    ]
    index = json.loads((tmp_path / names[-1]).read_text())
    size = sum(x.nbytes for x in families.tensors("llama").values())
    assert index["metadata"] == {"total_parameters": size // 4, "total_size": size}
    other = families.abstract("llama")
    nnx.weights.load(other, tmp_path)
    np.testing.assert_array_equal(other.norm.scale.value, model.norm.scale.value)
    nnx.weights.save(model, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_tied_head_is_left_out_where_the_config_ties(tmp_path):
    tensors = dict(families.tensors("llama"))
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    model = families.abstract("llama")
    nnx.weights.load(model, tensors)
    assert "lm_head.weight" in nnx.weights.save(model, tmp_path)
    tied = {"tie_word_embeddings": True}
    assert "lm_head.weight" not in nnx.weights.save(model, tmp_path, config=tied)
    assert json.loads((tmp_path / "config.json").read_text()) == tied


def test_save_casts_where_it_is_asked_to(tmp_path):
    nnx.weights.save(_linear(), tmp_path, dtype=jnp.bfloat16)
    model = nnx.eval_shape(_linear)
    nnx.weights.load(model, tmp_path)
    assert model.kernel.value.dtype == jnp.bfloat16


@pytest.mark.parametrize("key", ["dtype", "torch_dtype"])
def test_the_config_says_the_dtype_that_is_written(tmp_path, key):
    given = {key: "float32", "text_config": {"dtype": "float32"}, "hidden_size": 3}
    nnx.weights.save(_linear(), tmp_path, dtype=jnp.bfloat16, config=given)
    content = json.loads((tmp_path / "config.json").read_text())
    expected = {key: "bfloat16", "text_config": {"dtype": "bfloat16"}, "hidden_size": 3}
    assert content == expected
    assert given[key] == "float32"


def test_a_config_without_a_dtype_gets_that_of_a_cast(tmp_path):
    nnx.weights.save(_linear(), tmp_path, dtype=jnp.float16, config={})
    assert json.loads((tmp_path / "config.json").read_text()) == {"dtype": "float16"}


def test_a_config_keeps_a_dtype_that_some_of_the_weights_have(tmp_path):
    model = _linear()
    model.bias.value = model.bias.value.astype(jnp.bfloat16)
    nnx.weights.save(model, tmp_path, config={"dtype": "bfloat16"})
    assert json.loads((tmp_path / "config.json").read_text()) == {"dtype": "bfloat16"}


def _norm(**options):
    return nnx.BatchNorm(1, rngs=nnx.Rngs(0), **options)


def _of_pytorch(batches):
    one, count = np.ones(1, "f"), np.array(batches)
    names = ("weight", "bias", "running_mean", "running_var")
    return {**dict.fromkeys(names, one), "num_batches_tracked": count}


@pytest.mark.parametrize(
    ("options", "after"),
    [({}, 7), ({"count_batches": True}, 9), ({"momentum": None}, 9)],
    ids=["kept", "counted", "averaged"],
)
def test_the_number_of_batches_comes_back(tmp_path, options, after):
    model = nnx.eval_shape(lambda: _norm(**options))
    nnx.weights.load(model, _of_pytorch(7))
    nnx.weights.save(model, tmp_path)
    assert load_file(tmp_path / "model.safetensors")["num_batches_tracked"] == 7
    step = nnx.jit(lambda model: model(jnp.ones((2, 1))))
    step(model), step(model)
    nnx.weights.save(model, tmp_path)
    assert load_file(tmp_path / "model.safetensors")["num_batches_tracked"] == after


def test_batches_that_nobody_counted_are_written_as_none(tmp_path):
    nnx.weights.save(_norm(), tmp_path)
    count = load_file(tmp_path / "model.safetensors")["num_batches_tracked"]
    assert count == 0
    assert count.dtype == np.int64


def test_counting_batches_leaves_the_average_as_it_is():
    one, two = _norm(), _norm(count_batches=True)
    for model in (one, two):
        model(jnp.array([[1.0], [3.0]]))
    np.testing.assert_array_equal(one.mean.value, two.mean.value)


@pytest.mark.parametrize("kv_features", [8, 6])
def test_fewer_heads_of_keys_and_values_come_back(tmp_path, kv_features):
    options = {"num_kv_heads": 1, "in_kv_features": kv_features}
    one, two = (
        nnx.MultiHeadAttention(4, 8, **options, rngs=nnx.Rngs(i)) for i in (0, 1)
    )
    nnx.weights.save(one, tmp_path)
    assert load_file(tmp_path / "model.safetensors")["in_proj_bias"].shape == (12,)
    nnx.weights.load(two, tmp_path)
    x, y = jnp.ones((1, 3, 8)), jnp.ones((1, 5, kv_features))
    np.testing.assert_array_equal(one(x, y), two(x, y))


def test_an_abstract_model_is_not_saved(tmp_path):
    with pytest.raises(ArgumentError, match="bias has no value yet"):
        nnx.weights.save(nnx.eval_shape(_linear), tmp_path)


def test_two_arrays_of_one_name_are_not_saved(tmp_path):
    model = nnx.List([_linear(), _linear(1)])
    with pytest.raises(ArgumentValueError, match=r"'fc\.bias': 0\.bias and 1\.bias"):
        nnx.weights.save(model, tmp_path, {"fc": "0", "fc.*": "1"})


@pytest.mark.parametrize(
    ("dtype", "remedy"),
    [
        (jnp.int4, r"astype\(jnp\.int8\); or pack two"),
        (jnp.uint2, r"astype\(jnp\.int8\); or pack two"),
        (jnp.float4_e2m1fn, r"save\(\.\.\., dtype=jnp\.bfloat16\)"),
    ],
    ids=["int4", "uint2", "float4"],
)
def test_a_dtype_that_the_format_lacks_is_not_saved(tmp_path, dtype, remedy):
    model = _linear()
    model.kernel.value = jnp.zeros((2, 3)).astype(dtype)
    name = np.dtype(dtype).name
    with pytest.raises(ArgumentError, match=f"(?s)kernel is {name}.*{remedy}"):
        nnx.weights.save(model, tmp_path)


def test_a_config_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="no config to copy"):
        nnx.weights.save(_linear(), tmp_path, config=tmp_path / "nothing")


@pytest.mark.parametrize("stacked", [False, True])
def test_a_copy_stacks_and_unstacks(stacked):
    source = families.make("llama", stacked=not stacked)
    target = families.abstract("llama", stacked=stacked)
    assert nnx.weights.copy(source, target, {}).fits
    tokens = jnp.asarray(families.expected("llama")["tokens"])[:, :20]
    np.testing.assert_allclose(source(tokens), target(tokens), atol=1e-5)


def test_copy_goes_by_two_names():
    assert nnx.copy_state is nnx.weights.copy_state is nnx.weights.copy


def test_a_copy_takes_the_target_s_dtype():
    target = nnx.Linear(2, 3, param_dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    report = nnx.weights.copy(_linear(1), target)
    assert target.kernel.value.dtype == jnp.bfloat16
    assert len(report.cast) == 2


def _stack():
    make = nnx.vmap(lambda rngs: nnx.Linear(2, 2, rngs=rngs))
    return nnx.Dict(layers=make(nnx.Rngs(0).fork(split=3)))


def _list():
    return nnx.Dict(
        blocks=nnx.List([nnx.Linear(2, 2, rngs=nnx.Rngs(i)) for i in (1, 2, 3)])
    )


def test_a_copy_goes_into_a_stack_by_vmap():
    source, target = _list(), _stack()
    nnx.weights.copy(source, target, {"blocks.{i}": "layers"})
    np.testing.assert_array_equal(target.layers.kernel[1], source.blocks[1].kernel[...])


def test_a_copy_comes_out_of_a_stack_by_vmap():
    source, target = _stack(), _list()
    nnx.weights.copy(source, target, {"layers": "blocks.{i}"})
    np.testing.assert_array_equal(target.blocks[2].kernel[...], source.layers.kernel[2])


def test_a_copy_that_does_not_fit_changes_nothing():
    target = nnx.Linear(2, 4, rngs=nnx.Rngs(0))
    with pytest.raises(CheckpointError, match=r"weights.copy: 2 misshapen"):
        nnx.weights.copy(_linear(), target)
