"""Same numbers as flax.nnx: the normalizations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import oakum
from tests.nn import peer
from tests.nn.peer import BF16, DTYPES, F32, flax_nnx, lenient

pytestmark = pytest.mark.peer

# A gradient here is a small difference of large terms, so rounding weighs more.
TOLERANCE = 2e-6
MORE_DTYPES = [*DTYPES, pytest.param(F32, BF16, BF16, id="compute-float32")]
INITS = {
    "scale_init": jax.nn.initializers.normal(1.0),
    "bias_init": jax.nn.initializers.normal(1.0),
}


def bound_of(*dtypes) -> float:
    return 2e-2 if BF16 in dtypes else TOLERANCE


def half_everything(values, *, dtype=None, inexact=True):
    return tuple(None if a is None else jnp.asarray(a, BF16) for a in values)


def mask_for(shape):
    return jax.random.bernoulli(jax.random.key(3), 0.7, shape).at[..., 0].set(True)


AFFINE = {
    "plain": {},
    "inits": INITS,
    "no-bias": {"use_bias": False},
    "no-scale": {"use_scale": False},
    "neither": {"use_bias": False, "use_scale": False},
    "slow-variance": {"use_fast_variance": False, **INITS},
    "epsilon": {"epsilon": 0.1},
}


@pytest.mark.parametrize("options", AFFINE.values(), ids=AFFINE)
@pytest.mark.parametrize("shape", [(16,), (2, 3, 16)], ids=str)
def test_layer_norm(options, shape):
    def build(nnx):
        return nnx.LayerNorm(16, rngs=nnx.Rngs(0), **options)

    x, mask = peer.normal(shape), mask_for(shape)
    peer.assert_parity(build, x, tolerance=TOLERANCE)
    peer.assert_parity(build, x, tolerance=TOLERANCE, gradients=False, mask=mask)


@pytest.mark.parametrize("use_scale", [True, False])
@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("shape", [(16,), (2, 3, 16)], ids=str)
def test_rms_norm(use_scale, fast, shape):
    def build(nnx):
        scale_init = INITS["scale_init"]
        return nnx.RMSNorm(
            16,
            use_scale=use_scale,
            use_fast_variance=fast,
            scale_init=scale_init,
            rngs=nnx.Rngs(0),
        )

    x, mask = peer.normal(shape), mask_for(shape)
    peer.assert_parity(build, x, tolerance=TOLERANCE)
    peer.assert_parity(build, x, tolerance=TOLERANCE, gradients=False, mask=mask)


AXES = {
    "last-two": {"reduction_axes": (-2, -1)},
    "lists": {"reduction_axes": [1, 2, 3]},
    "middle": {"reduction_axes": 1, "feature_axes": 1},
    "two-features": {"reduction_axes": (1, -1), "feature_axes": (1, -1)},
}


@pytest.mark.parametrize("axes", AXES.values(), ids=AXES)
@pytest.mark.parametrize("kind", ["LayerNorm", "RMSNorm"])
def test_axes(kind, axes):
    features = {1: 4, (1, -1): 16}.get(axes.get("feature_axes"), 4)

    def build(nnx):
        scale_init = INITS["scale_init"]
        layer = getattr(nnx, kind)
        return layer(features, scale_init=scale_init, rngs=nnx.Rngs(0), **axes)

    peer.assert_parity(build, peer.normal((2, 4, 5, 4)), tolerance=TOLERANCE)


@pytest.mark.parametrize(("dtype", "param_dtype", "input_dtype"), MORE_DTYPES)
@pytest.mark.parametrize("kind", ["LayerNorm", "RMSNorm", "BatchNorm", "GroupNorm"])
def test_dtypes(kind, dtype, param_dtype, input_dtype):
    extra = (2,) if kind == "GroupNorm" else ()

    def build(nnx):
        layer = getattr(nnx, kind)
        options = {"dtype": dtype, "param_dtype": param_dtype}
        return layer(4, *extra, rngs=nnx.Rngs(0), **options)

    bound = bound_of(dtype, param_dtype, input_dtype)
    peer.assert_parity(
        build, peer.normal((6, 3, 4), input_dtype), tolerance=bound, steps=2
    )


@pytest.mark.parametrize("kind", ["LayerNorm", "RMSNorm", "BatchNorm", "GroupNorm"])
def test_promotion_of_the_users(kind):
    extra = (2,) if kind == "GroupNorm" else ()

    def build(nnx):
        layer = getattr(nnx, kind)
        return layer(4, *extra, promote_dtype=half_everything, rngs=nnx.Rngs(0))

    peer.assert_parity(build, peer.normal((6, 3, 4)), tolerance=2e-2)


@pytest.mark.parametrize("kind", ["LayerNorm", "RMSNorm"])
def test_complex_numbers(kind):
    ours, theirs = peer.both(lambda nnx: getattr(nnx, kind)(4, rngs=nnx.Rngs(0)))
    x = jax.lax.complex(peer.normal((3, 4)), peer.normal((3, 4), seed=5))
    with lenient():
        expected = theirs(x)
    peer.assert_close(ours(x), expected, TOLERANCE)


GROUPS = {
    "groups": {"num_groups": 2},
    "size": {"num_groups": None, "group_size": 2},
    "one": {"num_groups": 1},
    "all": {"num_groups": 6},
    "axes": {"num_groups": 3, "reduction_axes": (1, 2, 3)},
    "channels": {"num_groups": 3, "reduction_axes": (1, -1), "shape": (2, 5, 6)},
}


@pytest.mark.parametrize(
    ("groups", "affine"),
    [
        *(pytest.param(groups, INITS, id=id) for id, groups in GROUPS.items()),
        *(pytest.param(GROUPS["axes"], a, id=f"axes-{id}") for id, a in AFFINE.items()),
    ],
)
def test_group_norm(groups, affine):
    options = {k: v for k, v in groups.items() if k != "shape"}
    shape = groups.get("shape", (2, 5, 4, 6))

    def build(nnx):
        return nnx.GroupNorm(6, rngs=nnx.Rngs(0), **options, **affine)

    x, mask = peer.normal(shape), mask_for(shape)
    peer.assert_parity(build, x, tolerance=TOLERANCE)
    peer.assert_parity(build, x, tolerance=TOLERANCE, gradients=False, mask=mask)


@pytest.mark.parametrize(
    ("options", "axis", "masked"),
    [
        *(pytest.param(options, -1, False, id=id) for id, options in AFFINE.items()),
        pytest.param(INITS, 1, False, id="axis"),
        pytest.param(INITS, 1, True, id="masked-axis"),
        pytest.param(AFFINE["slow-variance"], -1, True, id="masked-slow"),
    ],
)
def test_batch_norm(options, axis, masked):
    def build(nnx):
        return nnx.BatchNorm(4, axis=axis, momentum=0.9, rngs=nnx.Rngs(0), **options)

    x = peer.normal((6, 4, 4)) + 1
    call = {"mask": mask_for((6, 1, 1))} if masked else {}
    peer.assert_parity(build, x, steps=2, tolerance=TOLERANCE, **call)
    ours, theirs = peer.both(build)
    for model in (ours, theirs):
        with lenient():
            model(x)
            model.eval()
    with lenient():
        expected = theirs(x)
    peer.assert_close(ours(x), expected, TOLERANCE)
    before = peer.arrays(oakum, ours)
    ours(x, use_running_average=True)
    for path, value in peer.arrays(oakum, ours).items():
        np.testing.assert_array_equal(value, before[path])


def test_batch_norm_flags():
    for flag in (True, False, None):
        for call in (True, False):

            def build(nnx, flag=flag):
                return nnx.BatchNorm(4, use_running_average=flag, rngs=nnx.Rngs(0))

            x = peer.normal((6, 4))
            peer.assert_parity(build, x, gradients=False, use_running_average=call)


KINDS = {"BatchNorm": (), "LayerNorm": (), "RMSNorm": (), "GroupNorm": (2,)}


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_statistics_over_a_mapped_axis(kind, fast):
    def build(nnx):
        options = {"axis_name": "i", "use_fast_variance": fast}
        return getattr(nnx, kind)(4, *KINDS[kind], rngs=nnx.Rngs(0), **options)

    x = peer.normal((3, 6, 2, 4))
    outs = []
    for nnx, model in zip((oakum, flax_nnx), peer.both(build), strict=True):
        graphdef, state = nnx.split(model)
        run = jax.vmap(
            lambda x, nnx=nnx, g=graphdef, s=state: nnx.merge(g, s, copy=True)(x),
            axis_name="i",
        )
        with lenient():
            outs.append(run(x))
    peer.assert_close(outs[0], outs[1], TOLERANCE)


def test_statistics_over_parts_of_a_mapped_axis():
    mesh = jax.make_mesh((4,), ("i",), axis_types=(AxisType.Auto,))
    x = peer.normal((8, 4))
    outs = []
    for nnx in (oakum, flax_nnx):
        with lenient():
            layer = nnx.BatchNorm(
                4, axis_name="i", axis_index_groups=[[0, 1], [2, 3]], rngs=nnx.Rngs(0)
            )
            graphdef, state = nnx.split(layer)
            run = jax.shard_map(
                lambda x, nnx=nnx, g=graphdef, s=state: nnx.merge(g, s, copy=True)(x),
                mesh=mesh,
                in_specs=P("i"),
                out_specs=P("i"),
                check_vma=False,
            )
            outs.append(run(x))
    peer.assert_close(outs[0], outs[1], TOLERANCE)
