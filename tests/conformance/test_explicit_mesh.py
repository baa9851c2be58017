"""Each layer computes on a mesh of explicit axes, with the batch split."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import oakum as nnx
from tests.registry import ROWS

SINGLE = [row for row in ROWS if not row.id.endswith("bfloat16")]


@pytest.fixture
def mesh():
    types = (AxisType.Explicit,) * 2
    return jax.make_mesh((2, 2), ("data", "model"), axis_types=types)


@pytest.mark.parametrize("row", SINGLE, ids=lambda row: row.id)
def test_a_layer_computes_what_it_computes_on_one_device(row, mesh):
    layer, x = row.layer(), row.inputs()
    spec = P("data") if x.ndim and x.shape[0] % 2 == 0 else P()
    expected = layer(x)
    layer = row.layer()
    nnx.shard(layer, mesh)
    out = nnx.jit(lambda layer, x: layer(x))(
        layer, jax.device_put(x, NamedSharding(mesh, spec))
    )
    np.testing.assert_allclose(jax.device_get(out), expected, atol=2e-5)


@pytest.mark.parametrize(
    ("table", "tokens", "expected"),
    [
        ((), ("data",), ("data", None, None)),
        ((None, "model"), ("data",), ("data", None, "model")),
        ((), (None, "model"), (None, "model", None)),
    ],
    ids=str,
)
def test_rows_of_a_table_lie_as_the_tokens_and_the_features(
    table, tokens, expected, mesh
):
    layer = nnx.Embed(5, 4, rngs=nnx.Rngs(0))
    plain = layer(jnp.array([[0, 1], [-1, 4]]))
    nnx.shard(layer, mesh, {"embedding": table})
    places = NamedSharding(mesh, P(*tokens))
    out = layer(jax.device_put(jnp.array([[0, 1], [-1, 4]]), places))
    assert tuple(out.sharding.spec) == expected
    np.testing.assert_array_equal(out, plain)


def test_a_table_whose_rows_are_split_wants_to_be_told_where_they_go(mesh):
    layer = nnx.Embed(4, 4, rngs=nnx.Rngs(0))
    nnx.shard(layer, mesh, {"embedding": ("model", None)})
    tokens = jax.device_put(jnp.array([0, 1]), NamedSharding(mesh, P("data")))
    with pytest.raises(Exception, match="out_sharding"):
        layer(tokens)
    assert layer(tokens, out_sharding=NamedSharding(mesh, P("data"))).shape == (2, 4)


RECURRENT = [row for row in SINGLE if row.id.startswith(("rnn", "bidirectional"))]


@pytest.mark.parametrize("row", RECURRENT, ids=lambda row: row.id)
def test_a_carry_stays_where_it_began_though_the_kernels_are_split(row, mesh):
    layer, x = row.layer(), row.inputs()
    expected = layer(x)
    nnx.shard(layer := row.layer(), mesh, {"kernel": (None, "model")})
    x = jax.device_put(x, NamedSharding(mesh, P("data")))
    out = nnx.jit(lambda layer, x: layer(x))(layer, x)
    np.testing.assert_allclose(jax.device_get(out), expected, atol=2e-5)
    np.testing.assert_allclose(jax.device_get(layer(x)), expected, atol=2e-5)


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "eager"])
def test_statistics_stay_where_they_are_though_the_features_are_split(compiled, mesh):
    traced = []

    def step(layer, x):
        traced.append(x.shape)
        layer(x)

    step = nnx.jit(step) if compiled else step
    x, whole = jnp.arange(16.0).reshape(4, 4), nnx.BatchNorm(4, rngs=nnx.Rngs(0))
    nnx.shard(layer := nnx.BatchNorm(4, rngs=nnx.Rngs(0)), mesh)
    place = layer.mean.value.sharding
    for _ in range(3):
        whole(x)
        step(layer, jax.device_put(x, NamedSharding(mesh, P("data", "model"))))
    assert len(traced) == (1 if compiled else 3)
    for stat, expected in ((layer.mean, whole.mean), (layer.var, whole.var)):
        assert stat.value.sharding.is_equivalent_to(place, 1)
        np.testing.assert_allclose(stat.value, expected.value, rtol=1e-5)


TOLD = {  # the layer, its rules, where the input lies, what takes the remedy
    "linear": (
        lambda rngs: nnx.Linear(4, 4, rngs=rngs),
        {"kernel": ("model", None)},
        P(None, None, "model"),
        "out_sharding",
    ),
    "conv": (
        lambda rngs: nnx.Conv(4, 4, (3,), rngs=rngs),
        {"kernel": (None, None, "model")},
        P("data"),
        "out_sharding",
    ),
    "attention": (
        lambda rngs: nnx.MultiHeadAttention(2, 4, decode=False, rngs=rngs),
        {f"{name}.kernel": (None, None, "model") for name in ("query", "key")},
        P("data"),
        "qkv_sharding",
    ),
}
NOWHERE = {  # what takes no `out_sharding`
    "rope": (lambda rngs: nnx.RoPE(4), (2, 3, 4), P(None, None, ("data", "model"))),
    "lora": (
        lambda rngs: nnx.LoRALinearGeneral(
            nnx.LinearGeneral((2, 2), 4, axis=(-2, -1), rngs=rngs),
            nnx.LoRA(4, 2, 4, rngs=rngs),
        ),
        (2, 2, 2),
        P(None, None, "model"),
    ),
    "spectral norm": (
        lambda rngs: nnx.SpectralNorm(nnx.Linear(4, 4, rngs=rngs), rngs=rngs),
        (4, 4),
        P("data"),
    ),
}


@pytest.mark.parametrize("case", NOWHERE)
def test_what_takes_no_place_for_its_result_is_named_too(case, mesh):
    make, shape, spec = NOWHERE[case]
    layer = make(nnx.Rngs(0))
    nnx.shard(
        layer,
        mesh,
        {"layer_instance.kernel": (None, "model")} if "norm" in case else None,
    )
    x = jax.device_put(jnp.ones(shape), NamedSharding(mesh, spec))
    with pytest.raises(Exception, match="shard") as caught:
        layer(x)
    note = "".join(caught.value.__notes__)
    assert f"This is a {type(layer).__name__}" in note
    assert "AxisType.Auto" in note


@pytest.mark.parametrize("case", TOLD)
def test_axes_that_cannot_be_split_so_are_told_with_what_to_write(case, mesh):
    make, rules, spec, option = TOLD[case]
    nnx.shard(layer := make(nnx.Rngs(0)), mesh, rules)
    x = jax.device_put(jnp.ones((2, 4, 4)), NamedSharding(mesh, spec))
    with pytest.raises(Exception, match="sharding") as caught:
        layer(x)
    note = "".join(caught.value.__notes__)
    name = type(layer).__name__
    parts = [f"This is a {name} with", "kernel float32[", "@model", f"(x, {option}="]
    assert all(part in note for part in [*parts, "AxisType.Auto"])
    assert layer(x, **{option: NamedSharding(mesh, P("data"))}).shape == (2, 4, 4)
