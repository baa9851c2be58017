"""A Policy sets the dtypes of parameters, computation, output and sums, by filter."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from oakum.errors import ArgumentValueError, FilterError
from oakum.nn._compute import accumulated
from tests.registry import ROWS

F32, BF16, F16 = map(jnp.dtype, ("float32", "bfloat16", "float16"))
MIXED = nnx.Policy(param=F32, compute=BF16, accumulation=F32)
# Its power iteration and its norms are statistics, in the dtype of the parameters.
STATISTICS = {"spectral-norm"}
WITHOUT_DTYPES = {"rope", "dropout"}
LAYERS = [
    row
    for row in ROWS
    if not row.id.endswith("bfloat16") and row.id not in WITHOUT_DTYPES
]


def products(jaxpr):
    """The dtypes of each product: of its operands, and of its result."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("dot_general", "conv_general_dilated"):
            x, y = (var.aval.dtype for var in equation.invars)
            yield x, y, equation.outvars[0].aval.dtype
        for value in jax.tree.leaves(list(equation.params.values())):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from products(inner)


@pytest.mark.parametrize("row", LAYERS, ids=lambda row: row.id)
def test_every_product_and_every_output_is_of_the_policys_dtypes(row):
    layer = nnx.eval_shape(row.layer)  # nothing is compiled
    nnx.set_dtypes(layer, MIXED)
    dtype = BF16 if jnp.issubdtype(row.dtype, jnp.floating) else row.dtype
    outputs = []
    jaxpr = nnx.make_jaxpr(lambda layer, x: outputs.append(layer(x).dtype))(
        layer, jax.ShapeDtypeStruct(row.shape, dtype)
    )
    found, written = set(products(jaxpr.jaxpr)), jaxpr.out_avals
    assert found <= {(BF16, BF16, F32)} or row.id in STATISTICS
    assert found or not has_products(row)
    assert outputs == [BF16]
    assert BF16 not in {leaf.dtype for leaf in (*written, *params(layer))}


def test_an_output_layer_that_shares_a_table_is_of_the_policys_dtypes():
    embed = nnx.Embed(5, 3, rngs=nnx.Rngs(0))
    nnx.set_dtypes(embed, MIXED)
    jaxpr = nnx.make_jaxpr(lambda embed, x: embed.attend(x))(embed, jnp.ones((2, 3)))
    assert set(products(jaxpr.jaxpr)) == {(BF16, BF16, F32)}
    assert jaxpr.out_avals[0].dtype == BF16


def params(layer):
    return jax.tree.leaves(nnx.state(layer, nnx.Param))


def has_products(row):
    names = ("linear", "conv", "attention", "rnn", "cell", "lora", "einsum", "repeat")
    return any(name in row.id for name in names)


def noise(shape):
    return jnp.asarray(np.random.default_rng(0).standard_normal(shape), F32)


def net():
    rngs = nnx.Rngs(0)
    return nnx.Sequential(
        nnx.Conv(3, 4, 3, rngs=rngs),
        nnx.BatchNorm(4),
        nnx.relu,
        nnx.MultiHeadAttention(2, 4, decode=False, rngs=rngs),
        nnx.Linear(4, 2, rngs=rngs),
    )


def gradients(model, x):
    return nnx.grad(lambda model, x: jnp.square(model(x).astype(F32)).sum())(model, x)


def test_the_backward_pass_multiplies_in_the_policys_dtype_too():
    model = nnx.eval_shape(net)
    nnx.set_dtypes(model, MIXED)
    x = jax.ShapeDtypeStruct((2, 5, 3), BF16)
    found = set(products(nnx.make_jaxpr(gradients)(model, x).jaxpr))
    assert found == {(BF16, BF16, F32), (BF16, BF16, BF16)}


def test_gradients_are_those_of_float32_to_the_precision_of_bfloat16():
    model, other = (nnx.Linear(3, 4, rngs=nnx.Rngs(0)) for _ in "ab")
    nnx.set_dtypes(model, MIXED)
    x = noise((5, 3))
    got, expected = (jax.tree.leaves(gradients(m, x)) for m in (model, other))
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == F32
        np.testing.assert_allclose(a, b, 0, 2e-2 * float(jnp.abs(b).max()))


def test_a_wide_product_has_forward_and_second_derivatives():
    def loss(y):
        x = jnp.full((1, 2), 2, BF16)
        return jnp.square(accumulated(jnp.matmul, x, y, F32)).sum()

    y = jnp.full((2, 1), 3, BF16)
    np.testing.assert_array_equal(jax.grad(loss)(y), jnp.full((2, 1), 48, BF16))
    np.testing.assert_array_equal(jax.jacfwd(loss)(y), jnp.full((2, 1), 48.0))
    np.testing.assert_array_equal(jax.hessian(loss)(y).ravel(), jnp.full(4, 8.0))


def test_norms_and_softmax_stay_in_float32():
    x = 100 + noise((3, 64))
    norm, wide = nnx.LayerNorm(64), nnx.LayerNorm(64)
    nnx.set_dtypes(norm, MIXED)
    np.testing.assert_array_equal(norm(x), wide(x).astype(BF16))
    layer = nnx.MultiHeadAttention(1, 4, rngs=nnx.Rngs(0))
    nnx.set_dtypes(layer, nnx.Policy(compute=BF16))
    jaxpr = str(nnx.make_jaxpr(lambda layer, x: layer(x))(layer, jnp.ones((1, 3, 4))))
    assert "f32[1,1,3,3] = exp" in jaxpr
    assert "bf16[1,1,3,3] = exp" not in jaxpr


def test_filters_select_layers_and_none_leaves_what_is_there():
    model = net()
    nnx.set_dtypes(model, nnx.Policy(param=BF16, compute=BF16))
    policy = nnx.Policy(param=F32, output=F32)
    nnx.set_dtypes(model, policy, nnx.PathContains(4), nnx.BatchNorm)
    conv, norm, _, attention, linear = model.layers
    assert (linear.kernel.dtype, linear.dtype, linear.output_dtype) == (F32, BF16, F32)
    assert conv.kernel.dtype == attention.query.bias.dtype == BF16
    assert (norm.scale.dtype, norm.dtype, norm.output_dtype) == (F32, F32, F32)
    assert (conv.param_dtype, conv.dtype, conv.output_dtype) == (BF16, BF16, BF16)
    assert norm.mean.dtype == F32
    assert model(jnp.ones((2, 5, 3))).dtype == F32


def test_parameters_outside_of_layers_and_abstract_ones_are_cast():
    class Net(nnx.Module):
        def __init__(self):
            self.table = [nnx.Param(jnp.ones(3)), nnx.Param(jnp.arange(3))]
            self.shift = nnx.BatchStat(jnp.ones(3))

    for model in (Net(), nnx.eval_shape(Net)):
        nnx.set_dtypes(model, nnx.Policy(param=F16))
        dtypes = [box.dtype for box in (*model.table, model.shift)]
        assert dtypes == [F16, jnp.int32, F32]


def test_a_cell_keeps_its_carry_in_the_dtype_of_the_parameters():
    rnn = nnx.RNN(nnx.SimpleCell(3, 4, rngs=nnx.Rngs(0)), return_carry=True)
    nnx.set_dtypes(rnn, MIXED)
    carry, out = rnn(jnp.ones((2, 5, 3)))
    assert (carry.dtype, out.dtype) == (F32, BF16)


def test_a_policy_is_a_value():
    policy = nnx.Policy.parse("params=float32, compute=bfloat16,accumulation=float32")
    assert policy == MIXED == pickle.loads(pickle.dumps(MIXED))
    assert len({policy, MIXED}) == 1
    assert (
        repr(policy) == "Policy(param=float32, compute=bfloat16, accumulation=float32)"
    )


BAD_TEXT = {
    "name": "weights=float32",
    "twice": "param=float32,params=bfloat16",
    "no-pair": "bfloat16",
}


@pytest.mark.parametrize("text", BAD_TEXT.values(), ids=BAD_TEXT)
def test_a_name_that_there_is_not_raises(text):
    wrong = text.split(",")[-1]
    with pytest.raises(ArgumentValueError, match=rf"'{wrong}' of(.|\n)*params=float32"):
        nnx.Policy.parse(text)


@pytest.mark.parametrize("dtype", ["bfloat17", jnp.int32, 3])
def test_a_dtype_that_there_is_not_raises(dtype):
    with pytest.raises(
        ArgumentValueError, match=r"compute=.*floating(.|\n)*'bfloat16'"
    ):
        nnx.Policy(compute=dtype)


NOTHING = {
    "type": (net, nnx.Embed),
    "variable": (net, nnx.Param),
    "function": (lambda: [nnx.relu], ...),
    "no-dtypes": (lambda: nnx.Dropout(0.5), ...),
}


@pytest.mark.parametrize(("make", "filter"), NOTHING.values(), ids=NOTHING)
def test_a_filter_that_selects_nothing_raises(make, filter):
    name = r"\.\.\." if filter is ... else filter.__name__
    with pytest.raises(FilterError, match=rf"{name} selects no layer(.|\n)*nnx.Linear"):
        nnx.set_dtypes(make(), MIXED, filter)
