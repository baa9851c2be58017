"""Same numbers as flax.nnx: WeightNorm, SpectralNorm, LoRA and LoRALinear."""

import jax
import numpy as np
import pytest

import oakum
from tests.nn.peer import (
    BF16,
    F32,
    HALF_DTYPES,
    assert_close,
    assert_parity,
    assert_same_arrays,
    both,
    flax_nnx,
    half_everything,
    lenient,
    normal,
    ramp,
)

pytestmark = pytest.mark.peer


def bound_of(*dtypes) -> float:
    return 2e-2 if BF16 in dtypes else 2e-6


def assert_wrapper_parity(build, x, tolerance):
    """As `assert_parity`, of the gradients of the parameters that flax also learns."""
    ours, theirs = both(build)
    assert_same_arrays(ours, theirs)
    values, grads = [], []
    pairs = ((oakum, ours), (flax_nnx, theirs))
    for nnx, model in pairs:

        def loss(model, x):
            out = model(x).astype(F32)
            return (out**2 * normal(out.shape, seed=2) + out).sum(), out

        differentiate = nnx.value_and_grad(loss, has_aux=True)
        with lenient():
            (_, out), grad = differentiate(model, x)
        values.append(out)
        grads.append(jax.tree.leaves(nnx.to_pure_dict(grad["layer_instance"])))
    assert_close(values[0], values[1], tolerance)
    for mine, other in zip(*grads, strict=True):
        assert_close(mine, other, 4 * tolerance, "gradient")
    stats = [nnx.state(m, nnx.BatchStat) for nnx, m in pairs]
    assert_same_arrays(*stats, tolerance)


NORMED = {
    "plain": {},
    "no-scale": {"use_scale": False},
    "constant": {"scale_init": jax.nn.initializers.constant(1.7)},
    "rows": {"feature_axes": 0},
    # With the default, each element is divided by itself: gradients are mere rounding.
    "both": {"feature_axes": (0, -1), "epsilon": 0.1},
    "whole": {"feature_axes": None},
    "epsilon": {"epsilon": 0.1},
}


@pytest.mark.parametrize("options", NORMED.values(), ids=NORMED)
def test_weight_norm(options):
    def build(nnx):
        rngs = nnx.Rngs(0)
        return nnx.WeightNorm(nnx.Linear(3, 4, rngs=rngs), rngs=rngs, **options)

    # One step: flax then has overwritten the Params, and differentiates at other ones.
    assert_wrapper_parity(build, normal((5, 3)), 2e-6)


def test_weight_norm_of_several_layers():
    def build(nnx):
        rngs = nnx.Rngs(0)
        layers = nnx.Sequential(
            nnx.Conv(2, 3, 2, bias_init=ramp, rngs=rngs), nnx.Linear(3, 4, rngs=rngs)
        )
        filter = nnx.All(nnx.PathContains(0), nnx.PathContains("bias"))
        return nnx.WeightNorm(layers, variable_filter=filter, epsilon=0.1, rngs=rngs)

    assert_wrapper_parity(build, normal((2, 5, 2)), 2e-6)


@pytest.mark.parametrize("dtype", [None, BF16], ids=["inferred", "bfloat16"])
def test_weight_norm_dtypes(dtype):
    def build(nnx):
        rngs = nnx.Rngs(0)
        layer = nnx.Linear(3, 4, param_dtype=BF16, rngs=rngs)
        return nnx.WeightNorm(layer, dtype=dtype, rngs=rngs)

    assert_wrapper_parity(build, normal((5, 3), BF16), 2e-2)


SPECTRAL = {
    "plain": {},
    "steps": {"n_steps": 3},
    "none": {"n_steps": 0},
    "epsilon": {"epsilon": 0.1},
    "rounded": {"dtype": BF16},
}


@pytest.mark.parametrize("options", SPECTRAL.values(), ids=SPECTRAL)
def test_spectral_norm(options):
    def build(nnx):
        rngs = nnx.Rngs(0)
        return nnx.SpectralNorm(nnx.Linear(3, 4, rngs=rngs), rngs=rngs, **options)

    half = "bfloat16" in str(options)
    assert_wrapper_parity(build, normal((5, 3)), 2e-2 if half else 5e-6)


def test_spectral_norm_in_bfloat16():
    def build(nnx):
        rngs = nnx.Rngs(0)
        layer = nnx.Linear(3, 4, param_dtype=BF16, rngs=rngs)
        return nnx.SpectralNorm(layer, param_dtype=BF16, rngs=rngs)

    assert_wrapper_parity(build, normal((5, 3), BF16), 2e-2)


def test_spectral_norm_of_several_layers():
    def build(nnx):
        rngs = nnx.Rngs(0)
        layers = nnx.Sequential(
            nnx.Conv(2, 3, 2, rngs=rngs), nnx.relu, nnx.Linear(3, 4, rngs=rngs)
        )
        return nnx.SpectralNorm(layers, rngs=rngs)

    assert_wrapper_parity(build, normal((2, 5, 2)), 5e-6)


@pytest.mark.parametrize("kind", ["WeightNorm", "SpectralNorm"])
def test_in_eval_mode_the_output_is_that_of_flax_and_nothing_is_written(kind):
    def build(nnx):
        rngs = nnx.Rngs(0)
        layer = nnx.Sequential(nnx.Linear(3, 4, rngs=rngs), nnx.BatchNorm(4, rngs=rngs))
        return getattr(nnx, kind)(layer, rngs=rngs)

    ours, theirs = both(build)
    x = normal((5, 3))
    with lenient():
        ours(x), theirs(x)
        ours.eval(), theirs.eval()
    before = [np.asarray(leaf) for leaf in jax.tree.leaves(oakum.state(ours))]
    with lenient():
        expected = theirs(x)
    assert_close(ours(x), expected, 5e-6)
    assert_close(ours(x), expected, 5e-6)
    after = jax.tree.leaves(oakum.state(ours))
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)


def test_scales_are_learned_and_drawn_from_the_rngs():
    rngs = oakum.Rngs(0)
    layer = oakum.WeightNorm(
        oakum.Linear(3, 4, rngs=rngs),
        scale_init=jax.nn.initializers.normal(),
        rngs=rngs,
    )
    scale = layer.scales[("kernel",)]
    assert scale.shape == (4,)
    assert np.unique(scale.value).size == 4
    grads = oakum.grad(lambda layer: layer(normal((2, 3))).sum())(layer)
    assert np.asarray(grads["scales"][("kernel",)].value).any()


LORA = {
    "plain": {},
    "inits": {
        "a_initializer": jax.nn.initializers.normal(),
        "b_initializer": ramp,
    },
    "promote": {"promote_dtype": half_everything},
}


@pytest.mark.parametrize("options", LORA.values(), ids=LORA)
def test_lora(options):
    def build(nnx):
        return nnx.LoRA(3, 2, 4, rngs=nnx.Rngs(0), **options)

    half = "promote_dtype" in options
    bound, gradients = (2e-2, False) if half else (1e-6, bool(options))
    assert_parity(build, normal((5, 3)), tolerance=bound, gradients=gradients)


@pytest.mark.parametrize(("dtype", "param_dtype", "input_dtype"), HALF_DTYPES)
def test_lora_over_a_base(dtype, param_dtype, input_dtype):
    def build(nnx):
        rngs = nnx.Rngs(0)
        return nnx.LoRA(
            3,
            2,
            4,
            base_module=nnx.Linear(3, 4, rngs=rngs),
            b_initializer=ramp,
            dtype=dtype,
            param_dtype=param_dtype,
            rngs=rngs,
        )

    bound = bound_of(dtype, param_dtype, input_dtype)
    x = normal((5, 3), input_dtype)
    assert_parity(build, x, tolerance=bound, gradients=False)


def test_lora_hands_arguments_to_its_base():
    def build(nnx):
        def base(x, factor):
            return x * factor

        return nnx.LoRA(3, 2, 3, base_module=base, rngs=nnx.Rngs(0))

    assert_parity(build, normal((5, 3)), gradients=False, factor=3.0)


@pytest.mark.parametrize(("dtype", "param_dtype", "input_dtype"), HALF_DTYPES[1:])
def test_lora_linear(dtype, param_dtype, input_dtype):
    def build(nnx):
        return nnx.LoRALinear(
            3,
            4,
            lora_rank=2,
            lora_dtype=dtype,
            lora_param_dtype=param_dtype,
            lora_promote_dtype=nnx.nn.dtypes.promote_dtype
            if nnx is flax_nnx
            else oakum.nn.promote_dtype,
            b_initializer=ramp,
            bias_init=ramp,
            rngs=nnx.Rngs(0),
        )

    bound = bound_of(dtype, param_dtype, input_dtype)
    x = normal((5, 3), input_dtype)
    assert_parity(build, x, tolerance=bound, gradients=input_dtype is BF16)


class Adapter(oakum.Param):
    pass


def test_lora_parameters_are_selected_by_their_type():
    layer = oakum.LoRALinear(3, 4, lora_rank=2, rngs=oakum.Rngs(0), use_bias=False)
    own = oakum.state(layer, oakum.LoRAParam)
    assert sorted(own["lora"]) == ["lora_a", "lora_b"]
    assert isinstance(layer, oakum.Linear)
    given = oakum.LoRA(3, 2, 4, lora_param_type=Adapter, rngs=oakum.Rngs(0))
    assert {type(leaf) for leaf in (given.lora_a, given.lora_b)} == {Adapter}
    tagged = oakum.LoRA(3, 2, 4, a_metadata={"tag": "a"}, rngs=oakum.Rngs(0))
    assert tagged.lora_a.get_metadata("tag") == "a"
