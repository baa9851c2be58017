"""load: what fits goes in, what does not changes nothing, and the report names both."""

import json

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import oakum as nnx
from oakum.errors import (
    ArgumentError,
    CheckpointError,
    FilterError,
)
from oakum.weights._steps import Reshape, Transpose, moves_alone
from tests.weights import families


def _linear(**options):
    return nnx.Linear(2, 3, rngs=nnx.Rngs(0), **options)


def _tensors(dtype=np.float32):
    weight = np.arange(6).reshape(3, 2).astype(dtype)
    return {"fc.weight": weight, "fc.bias": np.arange(3).astype(dtype)}


RULES = {"fc": ""}


def test_a_linear_is_transposed():
    model = _linear()
    report = nnx.weights.load(model, _tensors(), RULES)
    np.testing.assert_array_equal(model.kernel.value, [[0, 2, 4], [1, 3, 5]])
    assert str(report.mapped[1]) == "fc.weight -> kernel: [3, 2], transposed"


def test_rules_of_the_model_itself_are_taken():
    class Net(nnx.Module):
        weights = nnx.weights.Rules({"fc": "body"})

        def __init__(self):
            self.body = _linear()

    assert nnx.weights.load(Net(), _tensors()).fits


def test_plan_changes_nothing():
    model = _linear()
    before = np.asarray(model.kernel.value)
    assert nnx.weights.plan(model, _tensors(), RULES).fits
    np.testing.assert_array_equal(model.kernel.value, before)


@pytest.mark.parametrize(
    "dtype",
    [np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2],
)
def test_a_dtype_stays_as_it_is_in_the_file(dtype):
    model = nnx.eval_shape(_linear)
    report = nnx.weights.load(model, _tensors(dtype), RULES)
    assert model.kernel.value.dtype == dtype
    assert "was built in float32" in str(report.cast[0])


@pytest.mark.parametrize("dtype", [jnp.float16, "model"])
def test_a_dtype_is_cast_where_it_is_asked_for(dtype):
    model = _linear(param_dtype=jnp.float16)
    report = nnx.weights.load(model, _tensors(), RULES, dtype=dtype)
    assert model.kernel.value.dtype == jnp.float16
    assert "float32 becomes float16" in str(report.cast[0])


def test_integers_without_a_scale_are_suspicious():
    model = _linear()
    report = nnx.weights.load(model, _tensors(np.int8), RULES, dtype=jnp.float32)
    assert model.kernel.value.dtype == jnp.int8
    assert "holds int8" in str(report.suspicious[0])


def test_an_array_goes_where_it_is_to_lie():
    mesh = jax.make_mesh((3,), ("x",), devices=jax.devices()[:3])
    sharding = NamedSharding(mesh, PartitionSpec(None, "x"))
    model = nnx.eval_shape(_linear)
    shape = model.kernel.value
    model.kernel.set_raw_value(
        jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=sharding)
    )
    nnx.weights.load(model, _tensors(), RULES)
    assert model.kernel.value.sharding == sharding
    np.testing.assert_array_equal(model.kernel.value, [[0, 2, 4], [1, 3, 5]])


def test_a_stack_goes_where_it_is_to_lie():
    mesh = jax.make_mesh((2,), ("x",), devices=jax.devices()[:2])
    sharding = NamedSharding(mesh, PartitionSpec("x"))
    model = nnx.Repeat(nnx.Linear, 2, 3, 3, rngs=nnx.Rngs(0))
    model.layers.kernel.value = jax.device_put(model.layers.kernel.value, sharding)
    tensors = {f"{i}.weight": np.full((3, 3), i, "f") for i in range(2)}
    tensors |= {f"{i}.bias": np.full(3, i, "f") for i in range(2)}
    nnx.weights.load(model, tensors)
    assert model.layers.kernel.value.sharding == sharding
    np.testing.assert_array_equal(model.layers.kernel.value[:, 0, 0], [0, 1])


@pytest.mark.parametrize("changed", ["w" * n for n in range(8)])
def test_no_array_is_the_mapped_file(tmp_path, changed):
    class Net(nnx.Module):
        def __init__(self):
            self.w = nnx.Param(jnp.zeros(16))

    net = Net()
    tensors = {changed or "v": np.ones(16, "f")}  # headers of several lengths
    file = tmp_path / "model.safetensors"
    families.write(file, tensors)
    nnx.weights.load(net, file, {changed or "v": "w"})
    with open(file, "r+b") as opened:
        opened.seek(-64, 2)
        opened.write(bytes(64))
    np.testing.assert_array_equal(net.w.value, 1)


@pytest.mark.parametrize("shape", [(4, 16), (16, 1), (1, 16)], ids=str)
@pytest.mark.parametrize("changed", ["w" * n for n in range(1, 9)])
def test_no_transposed_array_is_the_mapped_file(tmp_path, changed, shape):
    model = nnx.Linear(*shape, use_bias=False, rngs=nnx.Rngs(0))
    file = tmp_path / "model.safetensors"
    families.write(file, {f"{changed}.weight": np.ones(shape[::-1], "f")})
    nnx.weights.load(model, file, {changed: ""})
    with open(file, "r+b") as opened:
        opened.seek(-64, 2)
        opened.write(bytes(64))
    np.testing.assert_array_equal(model.kernel.value, 1)


SPLITS = [
    ((6, 4), (2, 3, 4), True),
    ((6, 4), (2, 3, 1, 4), True),
    ((6, 1), (1, 6), True),
    ((2, 3, 4), (6, 4), False),
    ((6, 4), (4, 6), False),
    ((3, 0), (0, 3), False),
]


@pytest.mark.parametrize(("old", "new", "splits"), SPLITS, ids=str)
def test_what_leaves_an_array_in_its_place_is_told_apart(old, new, splits):
    assert moves_alone((Transpose((1, 0)), Reshape(old, new))) == splits


def test_only_and_skip_leave_the_rest():
    model = families.make("llama", {"vocab_size": 50})
    skip = (nnx.PathContains("head"), nnx.PathContains("embed"))
    before = np.asarray(model.head.kernel.value)
    report = nnx.weights.load(model, families.FOLDER / "llama", skip=skip)
    np.testing.assert_array_equal(model.head.kernel.value, before)
    assert [line.path for line in report.skipped] == ["embed.embedding", "head.kernel"]
    other = families.make("llama", {"vocab_size": 50})
    only = nnx.PathContains("blocks"), nnx.PathContains("norm")
    nnx.weights.load(other, families.FOLDER / "llama", only=only)
    kernel = other.blocks[0].mlp.up.kernel.value
    np.testing.assert_array_equal(kernel, model.blocks[0].mlp.up.kernel.value)


def test_a_base_that_the_names_lack_is_no_fault():
    tensors = {
        name.removeprefix("model."): x for name, x in families.tensors("llama").items()
    }
    report = nnx.weights.load(families.abstract("llama"), tensors)
    assert "lack the base 'model'" in str(report.notes[0])


def test_the_published_gpt2_lacks_a_base_and_has_masks():
    tensors = {
        name.removeprefix("transformer."): x
        for name, x in families.tensors("gpt2").items()
    }
    tensors["h.0.attn.bias"] = np.ones((1, 1, 8, 8), "f")
    tensors["h.0.attn.masked_bias"] = np.float32(-1e4)
    model = families.abstract("gpt2")
    report = nnx.weights.load(model, tensors)
    assert [line.name for line in report.ignored] == [
        "h.0.attn.bias",
        "h.0.attn.masked_bias",
    ]
    np.testing.assert_array_equal(model.embed.embedding.value, tensors["wte.weight"])


def test_norms_of_old_files_are_found_by_their_names():
    tensors = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): x
        for name, x in families.tensors("bert").items()
    }
    assert any("gamma" in name for name in tensors)
    assert nnx.weights.load(families.abstract("bert"), tensors).fits


def test_an_array_by_the_name_of_the_rules_is_no_rules():
    class Net(nnx.Module):
        def __init__(self):
            self.weights = nnx.Param(jnp.zeros(3))

    net = Net()
    nnx.weights.load(net, {"weights": np.ones(3, "f")})
    np.testing.assert_array_equal(net.weights.value, 1)


def test_a_head_that_is_tied_is_taken_from_the_embedding():
    tensors = dict(families.tensors("llama"))
    del tensors["lm_head.weight"]
    model = families.abstract("llama")
    report = nnx.weights.load(model, tensors)
    assert "takes model.embed_tokens.weight" in str(report.tied[0])
    np.testing.assert_array_equal(
        model.head.kernel.value, model.embed.embedding.value.T
    )


def test_load_is_refused_in_a_trace():
    with pytest.raises(nnx.TraceContextError, match="before the transformed"):
        nnx.jit(lambda model: nnx.weights.load(model, _tensors(), RULES))(_linear())


def _changed(change):
    tensors = dict(families.tensors("llama"))
    change(tensors)
    return tensors


UP = "model.layers.1.mlp.up_proj.weight"
NORM = "model.norm.weight"
DAMAGE = {
    "missing": (lambda t: t.pop(UP), "missing", UP),
    "missing_norm": (lambda t: t.pop(NORM), "missing", NORM),
    "missing_layer": (
        lambda t: [t.pop(k) for k in list(t) if ".layers.1." in k],
        "missing",
        UP,
    ),
    "transposed": (lambda t: t.update({UP: t[UP].T}), "misshapen", UP),
    "cut": (lambda t: t.update({UP: t[UP][:-1]}), "misshapen", UP),
    "flat": (lambda t: t.update({UP: t[UP].reshape(-1)}), "misshapen", UP),
    "vocabulary": (
        lambda t: t.update({"lm_head.weight": t["lm_head.weight"][:90]}),
        "misshapen",
        "lm_head.weight",
    ),
    "heads": (
        lambda t: t.update(
            {"model.layers.0.self_attn.k_proj.weight": np.ones((32, 32))}
        ),
        "misshapen",
        "model.layers.0.self_attn.k_proj.weight",
    ),
    "bias": (
        lambda t: t.update({"model.layers.0.self_attn.q_proj.bias": np.ones(32)}),
        "extra",
        "model.layers.0.self_attn.q_proj.bias",
    ),
    "q_norm": (
        lambda t: t.update({"model.layers.0.self_attn.q_norm.weight": np.ones(8)}),
        "extra",
        "model.layers.0.self_attn.q_norm.weight",
    ),
    "more_layers": (
        lambda t: t.update({UP.replace(".1.", ".2."): t[UP]}),
        "extra",
        UP.replace(".1.", ".2."),
    ),
    "adapter": (lambda t: t.update({"lora_A.weight": t[UP]}), "extra", "lora_A.weight"),
}


@pytest.mark.parametrize(("change", "kind", "name"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_named_and_changes_nothing(change, kind, name):
    model = families.make("llama")
    before = jax.tree.map(np.asarray, nnx.state(model))
    with pytest.raises(CheckpointError, match="Nothing was changed") as caught:
        nnx.weights.load(model, _changed(change))
    assert name in [line.name for line in getattr(caught.value.report, kind)]
    assert f"{kind}: " in str(caught.value)
    jax.tree.map(np.testing.assert_array_equal, nnx.state(model), before)


LLAMA3 = families.config("llama")["rope_parameters"]
SUSPICIOUS = {
    "not_finite": ({UP: np.full((48, 32), np.nan, "f")}, {}, UP, "not finite"),
    "constant": ({UP: np.zeros((48, 32), "f")}, {}, UP, "never been trained"),
    "norm_of_zeros": ({NORM: np.zeros(32, "f")}, {}, NORM, "0 all over, and so is"),
    "large": ({UP: np.full((48, 32), 1e9, "f")}, {}, UP, "as large as 1.0e+09"),
    "unwritten": (
        {UP: np.r_[np.ones((32, 32)), np.zeros((16, 32))].astype("f")},
        {},
        UP,
        "ends in 512 zeros or more",
    ),
    "epsilon": (
        {},
        {"rms_norm_eps": 1e-6},
        "norm",
        "epsilon=1e-06, and the config rms_norm_eps=1e-05",
    ),
    "theta": (
        {},
        {"rope_parameters": {"rope_theta": 5e5}},
        "blocks.0.attention.rope",
        "has rope_theta=500000.0, rope_type='default', and the config "
        "rope_theta=10000.0, rope_type='llama3'",
    ),
    "scaling": (
        {},
        {"rope_parameters": {"rope_theta": 1e4}},
        "blocks.1.attention.rope",
        "rope_type='llama3'",
    ),
    "turning_number": (
        {},
        {"rope_parameters": {**LLAMA3, "low_freq_factor": 2.0}},
        "blocks.1.attention.rope",
        "low_freq_factor=2.0, and the config rope_theta=10000.0, rope_type='llama3', "
        "low_freq_factor=1.0",
    ),
}


@pytest.mark.parametrize(
    ("tensors", "config", "name", "match"), SUSPICIOUS.values(), ids=SUSPICIOUS
)
def test_what_fits_and_may_be_wrong_is_named(tmp_path, tensors, config, name, match):
    families.write(
        tmp_path / "model.safetensors", _changed(lambda t: t.update(tensors))
    )
    text = (families.FOLDER / "llama" / "config.json").read_text()
    (tmp_path / "config.json").write_text(text)
    report = nnx.weights.plan(families.abstract("llama", config), tmp_path)
    assert report.fits
    found = [x for x in report.suspicious if name in (x.name, x.path)]
    assert match in str(found[0])


def test_a_tail_of_zeros_that_may_be_meant_is_not_suspicious():
    model = nnx.List(
        [nnx.Embed(8, 4, rngs=nnx.Rngs(0)), nnx.Linear(4, 8, rngs=nnx.Rngs(0))]
    )
    tensors = {  # rows that are no words, and a few outputs
        "0.weight": np.r_[np.ones((4, 4)), np.zeros((4, 4))].astype("f"),
        "1.weight": np.r_[np.ones((7, 4)), np.zeros((1, 4))].astype("f"),
        "1.bias": np.zeros(8, "f"),
    }
    assert not nnx.weights.plan(model, tensors).suspicious


def test_variances_below_zero_are_suspicious():
    tensors = {name: np.ones(3, "f") for name in ("weight", "bias", "running_mean")}
    tensors["running_var"] = np.array([1, -1, 2], "f")
    report = nnx.weights.plan(nnx.BatchNorm(3, rngs=nnx.Rngs(0)), tensors)
    assert "variances below 0" in str(report.suspicious[0])


def test_both_biases_of_a_cell_are_looked_at():
    shapes = {"weight_ih": (12, 2), "weight_hh": (12, 3), "bias_ih": 12, "bias_hh": 12}
    tensors = {name: np.random.rand(*np.atleast_1d(s)) for name, s in shapes.items()}
    tensors["bias_hh"][3] = np.nan
    report = nnx.weights.plan(nnx.OptimizedLSTMCell(2, 3, rngs=nnx.Rngs(0)), tensors)
    assert [line.name for line in report.suspicious] == ["bias_hh"]


@pytest.mark.parametrize(
    ("ties", "kind", "change", "text"),
    [
        (True, "llama", {}, "is not model.embed_tokens.weight, to which the config"),
        (True, "t5", {}, ""),  # whose configs always say so
        (None, "llama", {}, ""),
        (False, "llama", {}, ""),
        (True, "llama", {"lm_head.weight": "model.embed_tokens.weight"}, ""),
        (False, "llama", {"lm_head.weight": None}, "takes model.embed_tokens.weight; "),
        (True, "llama", {"lm_head.weight": None}, ""),
    ],
)
def test_a_config_that_ties_otherwise_is_named(tmp_path, ties, kind, change, text):
    tensors = dict(families.tensors("llama"))
    for name, other in change.items():
        tensors[name] = tensors.get(other)
    families.write(
        tmp_path / "model.safetensors",
        {name: x for name, x in tensors.items() if x is not None},
    )
    config = {**families.config("llama"), "tie_word_embeddings": ties}
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": kind}))
    found = nnx.weights.plan(families.abstract("llama"), tmp_path).suspicious
    assert [line.name for line in found] == ["lm_head.weight"] * bool(text)
    assert text in "".join(map(str, found))


@pytest.mark.parametrize(
    ("chosen", "text"),
    [
        ({"only": nnx.PathContains("boddy")}, r"only=PathContains\('boddy'"),
        ({"skip": lambda path, leaf: True}, r"only=\.\.\. and skip=<lambda>"),
    ],
)
def test_filters_that_leave_nothing_are_refused(chosen, text):
    with pytest.raises(
        FilterError, match=text + r"(.|\n)*it has blocks.0.+ and others"
    ):
        nnx.weights.plan(families.make("llama"), families.tensors("llama"), **chosen)


@pytest.mark.parametrize("dtype", [jnp.int8, "bfloat17", bool])
def test_a_dtype_that_no_weights_have_is_refused(dtype, tmp_path):
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    tensors = {"weight": np.ones((3, 2), "f"), "bias": np.ones(3, "f")}
    with pytest.raises(ArgumentError, match=r"load: dtype=(.|\n)*want a scale"):
        nnx.weights.load(model, tensors, dtype=dtype)
    with pytest.raises(ArgumentError, match=r"save: dtype=(.|\n)*bfloat16, or None"):
        nnx.weights.save(model, tmp_path, dtype=dtype)


def test_numbers_into_integers_are_suspicious():
    model = nnx.Linear(2, 3, param_dtype=jnp.float32, rngs=nnx.Rngs(0))
    model.kernel.value = model.kernel.value.astype(jnp.int8)
    tensors = {"weight": np.random.rand(3, 2).astype("f"), "bias": np.ones(3, "f")}
    report = nnx.weights.plan(model, tensors, dtype="model")
    assert "float32, where the model was built in int8" in str(report.suspicious[0])


def test_rules_for_nothing_are_named_where_something_is_missing():
    rules = {"fc": "head", "body.{i}": "layers.{i}"}
    model = nnx.Sequential(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
    tensors = {"body.0.weight": np.random.rand(3, 2).astype("f")}
    notes = nnx.weights.plan(model, tensors, rules).notes
    assert [str(x) for x in notes] == [
        "fc -> head: a rule for what the model does not have"
    ]
    tensors["body.0.bias"] = np.ones(3, "f")
    assert not nnx.weights.plan(model, tensors, rules).notes


ORIGINAL = {"original_max_position_embeddings": 64}
PARTIAL = {"rope_theta": 1e4, "rope_type": "default", "partial_rotary_factor": 0.5}


@pytest.mark.parametrize(
    ("options", "config", "text"),
    [
        ({"scaling": PARTIAL}, {"rope_parameters": PARTIAL}, ""),
        ({"fraction": 0.5}, {"rope_theta": 1e4, "partial_rotary_factor": 0.5}, ""),
        ({}, {"rope_parameters": PARTIAL}, "config rope_theta=10000.0, rope_type="),
        ({"fraction": 0.25}, {"rope_parameters": PARTIAL}, "factor=0.25, and"),
        (
            {"scaling": {"rope_type": "yarn", "factor": 4.0, **ORIGINAL}},
            {
                "rope_scaling": {
                    "type": "yarn",
                    "factor": 4,
                    "beta_fast": 32,
                    **ORIGINAL,
                }
            },
            "",
        ),
        (
            {"scaling": {"rope_type": "yarn", "factor": 4.0, **ORIGINAL}},
            {
                "rope_scaling": {
                    "type": "yarn",
                    "factor": 4,
                    "beta_fast": 16,
                    **ORIGINAL,
                }
            },
            "beta_fast=32, and the config rope_type='yarn', beta_fast=16",
        ),
    ],
)
def test_how_positions_turn_is_compared(tmp_path, options, config, text):
    class Net(nnx.Module):
        def __init__(self):
            self.fc, self.rope = nnx.Linear(2, 3, rngs=nnx.Rngs(0)), nnx.RoPE(**options)

    tensors = {"fc.weight": np.random.rand(3, 2), "fc.bias": np.random.rand(3)}
    families.write(tmp_path / "model.safetensors", tensors)
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = nnx.weights.plan(Net(), tmp_path).suspicious
    assert len(found) == bool(text)
    assert text in "".join(map(str, found))


def test_padding_same_with_a_stride_is_suspicious():
    model = nnx.Conv(2, 2, (3, 3), strides=2, rngs=nnx.Rngs(0))
    tensors = {"weight": np.random.rand(2, 2, 3, 3), "bias": np.ones(2)}
    assert "pads 'SAME'" in str(nnx.weights.plan(model, tensors).suspicious[0])


def test_a_single_row_of_zeros_is_not_suspicious():
    class Net(nnx.Module):
        def __init__(self):
            self.b = nnx.Param(jnp.zeros((1, 4)))

    assert not nnx.weights.plan(Net(), {"b": np.zeros((1, 4), "f")}).suspicious


def test_an_epsilon_that_a_family_fixes_in_its_code_is_not_suspicious(tmp_path):
    config = {"model_type": "convnext", "layer_norm_eps": 1e-12}
    (tmp_path / "config.json").write_text(json.dumps(config))
    norms = nnx.List([nnx.LayerNorm(2, epsilon=e) for e in (1e-6, 1e-12, 1e-5)])
    nnx.weights.save(norms, tmp_path)
    found = nnx.weights.plan(norms, tmp_path).suspicious
    assert [line.path for line in found] == ["2"]


EPSILONS_OF_BATCHES = [
    ({"layer_norm_eps": 1e-3}, (), ["0"]),
    ({"batch_norm_eps": 1e-3, "layer_norm_eps": 1e-5}, (), ["0"]),
    ({"layer_norm_eps": 1e-6}, (nnx.LayerNorm,), []),
    ({"batch_norm_eps": 1e-3, "layer_norm_eps": 1e-6}, (nnx.LayerNorm,), ["0"]),
]


@pytest.mark.parametrize(("config", "others", "found"), EPSILONS_OF_BATCHES)
def test_an_epsilon_of_batch_norm_is_compared(tmp_path, config, others, found):
    (tmp_path / "config.json").write_text(json.dumps(config))
    norms = nnx.List([kind(2, rngs=nnx.Rngs(0)) for kind in (nnx.BatchNorm, *others)])
    nnx.weights.save(norms, tmp_path)
    lines = nnx.weights.plan(norms, tmp_path).suspicious
    assert [line.path for line in lines] == found


def test_padding_as_in_tensorflow_is_right_where_the_config_says_so(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"tf_padding": True}))
    model = nnx.Conv(2, 2, (3, 3), strides=2, rngs=nnx.Rngs(0))
    nnx.weights.save(model, tmp_path)
    assert not nnx.weights.plan(model, tmp_path).suspicious


@pytest.mark.parametrize("kind", [nnx.LayerNorm, nnx.RMSNorm])
def test_scales_around_one_are_suspicious_where_one_is_added(tmp_path, kind):
    nnx.weights.save(kind(2, rngs=nnx.Rngs(0)), tmp_path)
    model = kind(2, offset=1.0, rngs=nnx.Rngs(0))
    found = nnx.weights.plan(model, tmp_path).suspicious
    assert "multiply by w: offset=0" in str(found[0])


def test_a_tensor_left_over_is_ignored_by_name():
    tensors = _changed(DAMAGE["adapter"][0])
    report = nnx.weights.load(families.abstract("llama"), tensors, ignore="lora_*")
    assert report.ignored[0].name == "lora_A.weight"


def test_exchanged_axes_are_named_with_the_remedy():
    report = nnx.weights.plan(
        families.abstract("llama"), _changed(DAMAGE["transposed"][0])
    )
    assert "into(path, transpose=False)" in str(report.misshapen[0])


@pytest.mark.parametrize(
    "name",
    ["model.rotary_emb.inv_freq", "bert.embeddings.position_ids"],
)
def test_a_buffer_of_older_files_is_no_fault(name):
    tensors = {**families.tensors("llama"), name: np.ones(4, "f")}
    report = nnx.weights.load(families.abstract("llama"), tensors)
    assert report.ignored[0].name == name


def test_norms_around_zero_are_suspicious():
    tensors = {
        name: x - 1 if "norm" in name else x
        for name, x in families.tensors("llama").items()
    }
    report = nnx.weights.plan(families.abstract("llama"), tensors)
    assert "1 + w: offset=1" in str(report.suspicious[0])


def test_a_square_array_without_a_layer_is_suspicious():
    class Net(nnx.Module):
        def __init__(self):
            self.w = nnx.Param(jnp.zeros((4, 4)))

    report = nnx.weights.plan(Net(), {"w": np.eye(4)})
    assert "which axis is which" in str(report.suspicious[0])
    rules = {"w": nnx.weights.into("w", transpose=True)}
    assert not nnx.weights.plan(Net(), {"w": np.eye(4)}, rules).suspicious


def test_a_head_of_its_own_in_the_file_of_a_tied_model_is_named():
    model = families.abstract("llama", {"tie_word_embeddings": True})
    report = nnx.weights.plan(model, families.FOLDER / "llama")
    assert report.extra[0].name == "lm_head.weight"
    assert "tied model" in str(report.suspicious[0])
    tensors = dict(families.tensors("llama"))
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    report = nnx.weights.plan(model, tensors)
    assert report.fits
    assert report.tied[0].name == "lm_head.weight"


@pytest.mark.parametrize("at", [0, -1], ids=["first", "last"])
def test_values_that_are_not_finite_show_in_a_large_tensor(at):
    weight = np.ones((600, 300), "f")
    weight[0, 0], weight[at, 5] = 2, np.nan
    model = nnx.eval_shape(
        lambda: nnx.Linear(300, 600, use_bias=False, rngs=nnx.Rngs(0))
    )
    lines = nnx.weights.plan(model, {"weight": weight}).suspicious
    assert [line.text for line in lines] == ["has values that are not finite"]


INEXACT = [
    (nnx.LayerNorm, {}, "use_fast_variance=False"),
    (nnx.LayerNorm, {"use_fast_variance": False}, ""),
    (nnx.RMSNorm, {}, ""),
    (nnx.BatchNorm, {"use_fast_variance": False}, "unbiased_variance=True"),
    (nnx.BatchNorm, {"use_fast_variance": False, "unbiased_variance": True}, ""),
]


@pytest.mark.parametrize(("kind", "options", "text"), INEXACT)
def test_a_norm_that_is_less_exact_is_noted_once(tmp_path, kind, options, text):
    model = nnx.List([kind(2, **options, rngs=nnx.Rngs(0)) for _ in range(3)])
    nnx.weights.save(model, tmp_path)
    notes = nnx.weights.plan(model, tmp_path).notes
    assert [text in line.text for line in notes] == [True][: bool(text)]
    assert all(line.path == "0" and "2 more" in line.text for line in notes)


def test_the_number_of_batches_is_said_to_be_kept():
    model = nnx.BatchNorm(1, rngs=nnx.Rngs(0))
    names = ("weight", "bias", "running_mean", "running_var")
    tensors = {
        **dict.fromkeys(names, np.ones(1, "f")),
        "num_batches_tracked": np.ones(()),
    }
    assert "kept beside" in nnx.weights.plan(model, tensors).ignored[0].text
