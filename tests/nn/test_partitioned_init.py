"""Initializers that name axes: every layer takes one, for each of its parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import oakum as nnx

AFFINE = "scale_init bias_init"
PROJECTION = "kernel_init bias_init"
CELL = "kernel_init recurrent_kernel_init bias_init"
HEADS = f"{PROJECTION} out_kernel_init out_bias_init"
LAYERS = {
    "linear": (nnx.Linear, (4, 4), {}, PROJECTION),
    "general_out": (nnx.LinearGeneral, (4, (2, 2)), {}, PROJECTION),
    "general_in": (nnx.LinearGeneral, ((2, 2), 4), {"axis": (-2, -1)}, PROJECTION),
    "general_batch": (nnx.LinearGeneral, (4, 2), {"batch_axis": {0: 3}}, PROJECTION),
    "einsum": (nnx.Einsum, ("ab,bcd->acd", (4, 2, 2), (2, 2)), {}, PROJECTION),
    "embed": (nnx.Embed, (4, 4), {}, "embedding_init"),
    "conv": (nnx.Conv, (4, 4, (3,)), {}, PROJECTION),
    "conv_transpose": (nnx.ConvTranspose, (4, 4, (3,)), {}, PROJECTION),
    "layer_norm": (nnx.LayerNorm, (4,), {}, AFFINE),
    "rms_norm": (nnx.RMSNorm, (4,), {}, "scale_init"),
    "batch_norm": (nnx.BatchNorm, (4,), {}, AFFINE),
    "group_norm": (nnx.GroupNorm, (4,), {"num_groups": 2}, AFFINE),
    "instance_norm": (nnx.InstanceNorm, (4,), {}, AFFINE),
    "attention": (nnx.MultiHeadAttention, (2, 4), {}, HEADS),
    "simple_cell": (nnx.SimpleCell, (4, 4), {}, CELL),
    "gru": (nnx.GRUCell, (4, 4), {}, CELL),
    "lstm": (nnx.LSTMCell, (4, 4), {}, CELL),
    "packed_lstm": (nnx.OptimizedLSTMCell, (4, 4), {}, CELL),
    "lora": (nnx.LoRA, (4, 2, 4), {}, "a_initializer b_initializer"),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_metadata_of_an_initializer_reaches_every_parameter(layer):
    make, args, options, names = LAYERS[layer]
    plain = {name: nnx.initializers.normal() for name in names.split()}
    noted = {n: nnx.with_metadata(init, note=n) for n, init in plain.items()}
    expected = make(*args, **options, **plain, rngs=nnx.Rngs(0))
    state = nnx.state(make(*args, **options, **noted, rngs=nnx.Rngs(0)))
    notes = [v.get_metadata().get("note") for _, v in nnx.to_flat_state(state)]
    assert set(notes) - {None} == set(noted)
    pure = nnx.to_pure_dict(nnx.state(expected))
    jax.tree.map(np.testing.assert_array_equal, nnx.to_pure_dict(state), pure)


def test_names_are_those_of_the_axes_of_the_kernel_not_of_its_matrix():
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(AxisType.Auto,) * 2)
    rows = nnx.with_partitioning(nnx.initializers.normal(), ("a", None, "b"))
    columns = nnx.with_partitioning(nnx.initializers.normal(), ("b", None, "a"))
    with jax.set_mesh(mesh):
        layer = nnx.MultiHeadAttention(
            2, 4, kernel_init=rows, out_kernel_init=columns, rngs=nnx.Rngs(0)
        )
    assert layer.query.kernel.value.sharding.spec == P("a", None, "b")
    assert layer.out.kernel.value.sharding.spec == P("b", None, "a")


def test_attention_spread_by_names_computes_what_one_device_does():
    mesh = jax.make_mesh((2,), ("heads",), axis_types=(AxisType.Auto,))
    spread = nnx.with_partitioning(nnx.initializers.normal(), (None, "heads", None))
    x = jnp.linspace(-1, 1, 24).reshape(2, 3, 4)
    make = nnx.MultiHeadAttention
    expected = make(2, 4, kernel_init=nnx.initializers.normal(), rngs=nnx.Rngs(0))(x)
    with jax.set_mesh(mesh):
        layer = make(
            2,
            4,
            kernel_init=spread,
            out_kernel_init=nnx.initializers.normal(),
            rngs=nnx.Rngs(0),
        )
        np.testing.assert_allclose(nnx.jit(layer)(x), expected, rtol=1e-5, atol=1e-6)
