"""add_lora and merge_lora: outputs, sharing, training, files, and each error."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import oakum as nnx
from oakum._state import is_frozen
from oakum.errors import ArgumentError, FilterError, StructureError

BF16 = jnp.bfloat16


def normal(*shape, seed=0, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


class Block(nnx.Module):
    """Attention and an MLP whose first layer stands in a tuple too."""

    def __init__(self, rngs):
        self.norm = nnx.RMSNorm(8, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(2, 8, rngs=rngs)
        self.mlp = [nnx.Linear(8, 8, rngs=rngs), nnx.gelu, nnx.Linear(8, 8, rngs=rngs)]
        self.twice = (self.mlp[0], "twice")

    def __call__(self, x):
        x = self.norm(x + self.attention(x))
        return x + self.mlp[2](self.mlp[1](self.twice[0](x)))


class Scaled(nnx.Linear):
    """A Linear that computes something else."""


MODELS = {
    "block": (lambda rngs: Block(rngs), (2, 5, 8)),
    "bfloat16": (
        lambda rngs: nnx.Sequential(
            nnx.Linear(8, 4, dtype=BF16, rngs=rngs),
            nnx.Linear(4, 8, param_dtype=BF16, rngs=rngs),
        ),
        (2, 8),
    ),
    "lstm": (lambda rngs: nnx.RNN(nnx.OptimizedLSTMCell(8, 8, rngs=rngs)), (2, 5, 8)),
    "repeat": (
        lambda rngs: nnx.Repeat(
            lambda rngs: nnx.Sequential(nnx.Linear(8, 8, rngs=rngs)), 3, rngs=rngs
        ),
        (2, 8),
    ),
}


def randomize(model):
    """Adapters as training leaves them: by themselves they add nothing."""
    for i, (_, leaf) in enumerate(nnx.to_flat_state(nnx.state(model, nnx.LoRAParam))):
        leaf[...] = normal(*leaf.shape, seed=i, dtype=leaf.dtype) / 2


@pytest.mark.parametrize(("make", "shape"), MODELS.values(), ids=MODELS)
def test_adapters_change_nothing_at_first_and_are_merged_to_rounding(make, shape):
    model, x = make(nnx.Rngs(0)), normal(*shape)
    structure, before = nnx.graphdef(model), model(x)
    nnx.add_lora(model, rank=2, rngs=nnx.Rngs(1))
    out = model(x)
    assert out.dtype == before.dtype
    np.testing.assert_array_equal(out, before)
    randomize(model)
    adapted = np.asarray(model(x), np.float32)
    assert abs(adapted - np.asarray(before, np.float32)).max() > 0.1
    nnx.merge_lora(model)
    bound = (3e-2 if before.dtype == BF16 else 2e-6) * abs(adapted).max()
    np.testing.assert_allclose(np.asarray(model(x), "f4"), adapted, rtol=0, atol=bound)
    nnx.unfreeze(model)
    assert nnx.graphdef(model) == structure


def test_a_linear_general_adds_the_product_of_its_factors():
    base = nnx.LinearGeneral((3, 4), (2, 5), axis=(0, -1), rngs=nnx.Rngs(0))
    layer = nnx.LoRALinearGeneral(base, nnx.LoRA(12, 2, 10, rngs=nnx.Rngs(1)))
    randomize(layer)
    x = normal(3, 6, 4)
    change = (layer.lora.lora_a @ layer.lora.lora_b).reshape(3, 4, 2, 5)
    expected = base(x) + jnp.einsum("inj,ijkl->nkl", x, change)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5, atol=1e-5)


def test_the_very_same_variables_stay_at_their_paths():
    model = Block(nnx.Rngs(0))
    before = dict(nnx.to_flat_state(nnx.state(model)))
    nnx.add_lora(model, nnx.Linear, nnx.LinearGeneral, rank=2, rngs=nnx.Rngs(1))
    after = dict(nnx.to_flat_state(nnx.state(model)))
    assert all(after[path] is variable for path, variable in before.items())
    added = {path[-2:] for path in after if path not in before}
    assert added == {("lora", "lora_a"), ("lora", "lora_b")}


def test_a_shared_layer_stays_one():
    model = Block(nnx.Rngs(0))
    nnx.add_lora(model, nnx.PathContains("mlp"), rank=2, rngs=nnx.Rngs(1))
    assert model.twice[0] is model.mlp[0]
    assert model.twice[1] == "twice"
    assert [type(x) for x in (model.mlp[0], model.mlp[2])] == [nnx.LoRALinear] * 2
    assert type(model.attention.query) is nnx.LinearGeneral
    nnx.merge_lora(model)
    assert model.twice[0] is model.mlp[0]
    assert type(model.mlp[0]) is nnx.Linear


def test_adapters_are_added_to_what_has_none_yet():
    model = Block(nnx.Rngs(0))
    nnx.add_lora(model, nnx.PathContains("query"), rank=2, rngs=nnx.Rngs(1))
    query = model.attention.query
    nnx.add_lora(model, rank=3, rngs=nnx.Rngs(2))
    assert model.attention.query is query
    assert not is_frozen(query.lora.lora_a)
    assert type(model.attention.key) is nnx.LoRALinearGeneral


def test_only_adapters_are_trained():
    model = Block(nnx.Rngs(0))
    nnx.add_lora(model, nnx.PathContains("mlp"), rank=2, rngs=nnx.Rngs(1))
    optimizer = nnx.Optimizer(model, optax.adam(1e-2))
    before = jax.tree.map(np.asarray, nnx.state(model, nnx.Param))

    @nnx.jit
    def step(optimizer, x):
        loss, grads = nnx.value_and_grad(lambda m: (m(x) ** 2).mean())(optimizer.model)
        optimizer.update(grads)
        return loss

    with jax.numpy_dtype_promotion("standard"):
        losses = [float(step(optimizer, normal(2, 5, 8))) for _ in range(4)]
    assert losses[-1] < losses[0]
    same = jax.tree.map(np.array_equal, before, nnx.state(model, nnx.Param))
    changed = {p for p, leaf in nnx.to_flat_state(same) if not leaf.get_value()}
    assert changed == set(dict(nnx.to_flat_state(nnx.state(model, nnx.LoRAParam))))


def test_some_of_the_base_may_train_along():
    model = nnx.Sequential(nnx.RMSNorm(3), nnx.Linear(3, 2, rngs=nnx.Rngs(0)))
    nnx.add_lora(model, rank=2, rngs=nnx.Rngs(1))
    nnx.unfreeze(model, nnx.PathContains("scale"))
    grads = nnx.grad(lambda m: (m(normal(2, 3)) ** 2).mean())(model)
    got = [path[2:] for path, _ in nnx.to_flat_state(grads)]
    assert got == [("scale",), ("lora", "lora_a"), ("lora", "lora_b")]


class Adapter(nnx.LoRAParam):
    pass


def test_options_are_those_of_lora():
    model = nnx.Sequential(nnx.Linear(3, 4, rngs=nnx.Rngs(0)))
    options = {"param_dtype": BF16, "lora_param_type": Adapter, "a_metadata": {"k": 1}}
    nnx.add_lora(model, rank=2, rngs=nnx.Rngs(1), **options)
    a = model.layers[0].lora.lora_a
    assert (type(a), a.dtype, a.k, a.shape) == (Adapter, BF16, 1, (3, 2))


def test_it_works_under_jit_and_on_an_abstract_model():
    def make():
        model = nnx.Sequential(nnx.Linear(3, 4, rngs=nnx.Rngs(0)))
        nnx.add_lora(model, rank=2, rngs=nnx.Rngs(1))
        return model

    assert nnx.eval_shape(make).layers[0].lora.lora_b.shape == (2, 4)
    model = make()
    kernel = model.layers[0].kernel
    nnx.jit(nnx.merge_lora)(model)
    assert type(model.layers[0]) is nnx.Linear
    assert model.layers[0].kernel is kernel


# -- files


def test_adapters_and_base_are_files_of_their_own(tmp_path):
    base = nnx.Sequential(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
    nnx.save(tmp_path / "base", model=base)
    nnx.add_lora(base, rank=2, rngs=nnx.Rngs(1))
    randomize(base)
    nnx.save(tmp_path / "adapters", adapters=nnx.state(base, nnx.LoRAParam))
    model = nnx.Sequential(nnx.Linear(2, 3, rngs=nnx.Rngs(7)))
    nnx.add_lora(model, rank=2, rngs=nnx.Rngs(8))
    nnx.load(tmp_path / "base", model=nnx.state(model, nnx.Not(nnx.LoRAParam)))
    nnx.load(tmp_path / "adapters", adapters=nnx.state(model, nnx.LoRAParam))
    x = normal(4, 2)
    np.testing.assert_array_equal(model(x), base(x))


# -- errors


def test_a_filter_that_matches_no_layer_lists_those_there_are():
    model = Block(nnx.Rngs(0))
    text = r"PathContains\('qkv'(.|\n)*attention\.query: LinearGeneral \(8 to 2 x 4\)"
    with pytest.raises(FilterError, match=text + r"(.|\n)*base_module=layer"):
        nnx.add_lora(
            model, nnx.Linear, nnx.PathContains("qkv"), rank=2, rngs=nnx.Rngs(1)
        )
    assert not is_frozen(model.norm.scale)


UNFIT = {
    "none": lambda rngs: [nnx.Conv(1, 1, 1, rngs=rngs)],
    "subclass": lambda rngs: [Scaled(2, 3, rngs=rngs)],
    "batch_axis": lambda rngs: [nnx.LinearGeneral(2, 3, batch_axis={0: 4}, rngs=rngs)],
    "normalized": lambda rngs: [nnx.WeightNorm(nnx.Linear(2, 3, rngs=rngs), rngs=rngs)],
}


@pytest.mark.parametrize("make", UNFIT.values(), ids=UNFIT)
def test_other_layers_get_no_adapter(make):
    model = nnx.List(make(nnx.Rngs(0)))
    with pytest.raises(FilterError, match=r"No layer to adapt(.|\n)*List has none"):
        nnx.add_lora(model, rank=2, rngs=nnx.Rngs(1))


def test_a_long_list_of_layers_is_cut():
    model = nnx.List([nnx.Linear(1, 1, rngs=nnx.Rngs(0)) for _ in range(23)])
    with pytest.raises(FilterError, match=r"19: Linear \(1 to 1\)\n  and 3 more\n"):
        nnx.add_lora(model, nnx.Conv, rank=2, rngs=nnx.Rngs(1))


def test_a_layer_by_itself_cannot_be_replaced():
    layer = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    text = r"this {} is itself the layer\n.*model = nnx.Sequential\(layer\)"
    with pytest.raises(ArgumentError, match=text.format("Linear")):
        nnx.add_lora(layer, rank=2, rngs=nnx.Rngs(1))
    layer = nnx.LoRALinear(2, 3, lora_rank=2, rngs=nnx.Rngs(0))
    with pytest.raises(ArgumentError, match=text.format("LoRALinear")):
        nnx.merge_lora(layer)


def test_a_list_of_models_is_no_model():
    with pytest.raises(ArgumentError, match=r"a list\n.*nnx.add_lora\(model, \.\.\.\)"):
        nnx.add_lora([nnx.Linear(2, 3, rngs=nnx.Rngs(0))], rank=2, rngs=nnx.Rngs(1))


def test_a_stack_along_another_axis_is_refused():
    make = nnx.vmap(lambda rngs: nnx.Linear(2, 3, rngs=rngs), out_axes=1)
    model = nnx.List([make(nnx.Rngs(0).fork(split=4))])
    text = r"shape \(2, 4, 3\), expected \(2, 3\)(.|\n)*0: Linear(.|\n)*out_axes=0"
    with pytest.raises(StructureError, match=text):
        nnx.add_lora(model, rank=2, rngs=nnx.Rngs(1))


def test_a_batch_axis_has_no_adapter():
    base = nnx.LinearGeneral(2, 3, batch_axis={0: 4}, rngs=nnx.Rngs(0))
    with pytest.raises(ArgumentError, match=r"batch_axis=\{0: 4\}(.|\n)*nnx\.Repeat"):
        nnx.LoRALinearGeneral(base, nnx.LoRA(2, 1, 3, rngs=nnx.Rngs(1)))


def test_a_lora_by_hand_gives_way_to_its_base():
    base = nnx.Linear(3, 4, rngs=nnx.Rngs(0))
    model = nnx.Sequential(nnx.LoRA(3, 2, 4, base_module=base, rngs=nnx.Rngs(1)))
    randomize(model)
    before = model(normal(2, 3))
    nnx.merge_lora(model)
    assert model.layers[0] is base
    np.testing.assert_allclose(model(normal(2, 3)), before, rtol=1e-5, atol=1e-6)


def tied():
    model = nnx.List([nnx.Linear(3, 3, rngs=nnx.Rngs(i)) for i in range(2)])
    model[1].kernel = model[0].kernel
    return model


def base_used_twice():
    base = nnx.Linear(3, 3, rngs=nnx.Rngs(0))
    return nnx.List([nnx.LoRA(3, 1, 3, base_module=base, rngs=nnx.Rngs(1)), base])


SHARED = {
    "kernel": (tied, r"its Param: 0\.kernel, 1\.kernel\nWhere: 0\n.*copy\(\)"),
    "base": (base_used_twice, r"its Linear: 0\.base_module, 1\nWhere: 0\n.*copy\(\)"),
}


@pytest.mark.parametrize(("make", "text"), SHARED.values(), ids=SHARED)
def test_a_kernel_that_others_use_is_not_merged(make, text):
    model = make()
    if make is tied:
        nnx.add_lora(model, nnx.PathContains(0), rank=1, rngs=nnx.Rngs(1))
    before = jax.tree.map(np.asarray, nnx.state(model))
    with pytest.raises(StructureError, match=text):
        nnx.merge_lora(model)
    jax.tree.map(np.testing.assert_array_equal, before, nnx.state(model))


def quantized():
    layer = nnx.LoRALinear(2, 3, lora_rank=1, rngs=nnx.Rngs(0))
    layer.kernel.set_value(jnp.ones((2, 3), jnp.int8))
    return layer


def bare():
    layer = nnx.LoRALinear(2, 3, lora_rank=1, rngs=nnx.Rngs(0))
    layer.kernel = layer.kernel[...]
    return layer


UNMERGED = {
    "integers": (quantized, r"kernel of int8 would lose"),
    "bare": (bare, r"its kernel is a bare array, and no Param"),
    "normalized": (
        lambda: nnx.WeightNorm(
            nnx.LoRALinear(2, 3, lora_rank=1, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(0)
        ),
        r"WeightNorm or SpectralNorm changes the kernel",
    ),
    "alone": (
        lambda: nnx.LoRA(2, 1, 3, rngs=nnx.Rngs(0)),
        r"around no Linear(.|\n)*is NoneType\nWhere: 0",
    ),
}


@pytest.mark.parametrize(("make", "text"), UNMERGED.values(), ids=UNMERGED)
def test_an_adapter_without_a_kernel_of_its_own_is_not_merged(make, text):
    with pytest.raises(
        ArgumentError,
        match=rf"{text}(.|\n)*Instead: (keep the adapter|merge a part .*encoder)",
    ):
        nnx.merge_lora(nnx.List([make()]))


def test_there_must_be_an_adapter_to_merge():
    with pytest.raises(FilterError, match=r"Block holds no LoRA\n.*nnx\.add_lora\("):
        nnx.merge_lora(Block(nnx.Rngs(0)))
