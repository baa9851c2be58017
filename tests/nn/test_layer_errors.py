"""Wrong arguments and inputs of the further layers: what, where and what to do."""

import jax.numpy as jnp
import pytest

import oakum as nnx
from oakum.errors import (
    ArgumentError,
    ArgumentValueError,
    FilterError,
    MissingRngError,
    ShapeError,
    StructureError,
)


class Net(nnx.Module):
    def __init__(self, layer):
        self.layers = [layer]

    def __call__(self, x):
        return self.layers[0](x)


def ones(*shape):
    return jnp.ones(shape)


RANDOM = {
    "linear-general": lambda **given: nnx.LinearGeneral(3, 4, **given),
    "einsum": lambda **given: nnx.Einsum("ab,bc->ac", (3, 4), **given),
    "conv-transpose": lambda **given: nnx.ConvTranspose(3, 4, 2, **given),
    "lora": lambda **given: nnx.LoRA(3, 2, 4, **given),
    "spectral-norm": lambda **given: nnx.SpectralNorm(
        nnx.Linear(3, 4, rngs=nnx.Rngs(0)), **given
    ),
    "weight-norm": lambda **given: nnx.WeightNorm(
        nnx.Linear(3, 4, rngs=nnx.Rngs(0)),
        scale_init=nnx.initializers.normal(),
        **given,
    ),
}


@pytest.mark.parametrize("make", RANDOM.values(), ids=RANDOM)
def test_rngs_are_asked_for_where_needed(make):
    with pytest.raises(MissingRngError, match=r"got no rngs\n.*nnx.Rngs\(0\)"):
        make()


def test_linear_general_checks_its_axes():
    rngs = nnx.Rngs(0)
    with pytest.raises(
        ArgumentValueError, match=r"2 in_features=\(2, 3\), but 1 axis=\(-1,\)"
    ):
        nnx.LinearGeneral((2, 3), 4, rngs=rngs)
    with pytest.raises(ArgumentValueError, match=r"\{1: 3\}(.|\n)*from 0 without"):
        nnx.LinearGeneral(2, 4, batch_axis={1: 3}, rngs=rngs)


BAD_EQUATION = {
    "implicit": ("ab,bc", r"'ab,bc' is not of the form(.|\n)*->...b"),
    "one": ("ab->a", "is not of the form"),
    "three": ("ab,bc,cd->ad", "is not of the form"),
    "kernel": ("ab,bcd->acd", r"'bcd'.*kernel_shape=\(3, 4\)(.|\n)*name 2 axes"),
}


@pytest.mark.parametrize(("equation", "text"), BAD_EQUATION.values(), ids=BAD_EQUATION)
def test_einsum_checks_its_equation(equation, text):
    with pytest.raises(ArgumentValueError, match=text):
        nnx.Einsum(equation, (3, 4), rngs=nnx.Rngs(0))
    layer = nnx.Einsum("ab,bc->ac", (3, 4), rngs=nnx.Rngs(0))
    with pytest.raises(ArgumentValueError, match=text):
        layer(ones(2, 3), equation)


def test_einsum_needs_an_equation_and_a_bias_that_fits():
    layer = nnx.Einsum(None, (3, 4), (4,), rngs=nnx.Rngs(0))
    assert layer(ones(2, 3), "ab,bc->ac").shape == (2, 4)
    with pytest.raises(ArgumentValueError, match=r"layer(.|\n)*pass einsum_str="):
        layer(ones(2, 3))
    with pytest.raises(ArgumentValueError, match=r"\(4,\)(.|\n)*bias_shape=\(3, 4\)"):
        layer(ones(2, 3), "ab,bc->abc")


BAD_CONV = {
    "word": ({"padding": "FULL"}, "'FULL' is no padding.*\n.*SAME, VALID"),
    "pairs": ({"padding": [(1, 1)]}, "for 2 spatial axes"),
    "reflect": ({"padding": "REFLECT"}, "'REFLECT' has no meaning.*\n.*padding=1"),
    "lower": ({"padding": "SAME_LOWER", "strides": 2}, r"strides=\(2, 2\).*\n.*SAME"),
    "strides": ({"strides": (1, 2, 3)}, r"strides=\(1, 2, 3\).*\n.*2 ints"),
    "dilation": ({"kernel_dilation": 0.5}, "kernel_dilation=0.5.*\n.*an int"),
    "size": ({"kernel_size": (2, 0.5)}, "kernel_size.*0.5"),
}


@pytest.mark.parametrize(("options", "text"), BAD_CONV.values(), ids=BAD_CONV)
def test_conv_transpose_checks_its_arguments(options, text):
    with pytest.raises(ArgumentValueError, match=text):
        nnx.ConvTranspose(3, 4, rngs=nnx.Rngs(0), **{"kernel_size": (2, 2), **options})


def test_instance_norm_needs_a_batch_axis():
    layer = nnx.InstanceNorm(3)
    with pytest.raises(ArgumentValueError, match=r"\(3,\)(.|\n)*layer\(x\[None\]\)"):
        layer(ones(3))


def test_lora_needs_a_base_that_can_be_called():
    with pytest.raises(ArgumentError, match=r"called: 3(.|\n)*base_module=linear"):
        nnx.LoRA(3, 2, 4, base_module=3, rngs=nnx.Rngs(0))


def test_lora_needs_a_base_of_its_width():
    base = nnx.Linear(3, 5, rngs=nnx.Rngs(0))
    layer = nnx.LoRA(3, 2, 4, base_module=base, rngs=nnx.Rngs(0))
    text = r"\(2, 4\) of its base.*\(2, 5\)\n.*layer\n.*out_features of.*5"
    with pytest.raises(ShapeError, match=text):
        layer(ones(2, 3))


NORMS = [nnx.BatchNorm, nnx.LayerNorm, nnx.RMSNorm, nnx.InstanceNorm]


@pytest.mark.parametrize("kind", [*NORMS, lambda width: nnx.GroupNorm(width, 2)])
def test_a_norm_checks_its_mask(kind):
    layer = kind(4)
    text = r"to its input, of shape \(2, 3, 4\).*\(5, 4\)\n.*layer\n.*size 1"
    with pytest.raises(ShapeError, match=text):
        layer(ones(2, 3, 4), mask=jnp.ones((5, 4), bool))


def test_a_norm_checks_its_reduction_axes():
    for layer in (nnx.LayerNorm(4, reduction_axes=(1, 2)), nnx.GroupNorm(4, 2, None)):
        layer.reduction_axes = (1, 2)
        with pytest.raises(ShapeError, match=r"axes=\(1, 2\).*\(3, 4\)\n.*layer\n"):
            layer(ones(3, 4))


def test_batch_norm_has_one_axis():
    with pytest.raises(ArgumentValueError, match=r"axis=\(1, 2\)\n(.|\n)*reshape"):
        nnx.BatchNorm(4, axis=(1, 2))
    x = jnp.arange(24.0).reshape(2, 4, 3)
    layer, other = nnx.BatchNorm(4, axis=(1,)), nnx.BatchNorm(4, axis=1)
    assert layer(x).tolist() == other(x).tolist()
    assert layer.mean.value.tolist() == other.mean.value.tolist()


def test_weight_norm_needs_something_to_normalize():
    with pytest.raises(FilterError, match=r"'weight'.*has: bias, kernel\n.*'kernel'"):
        nnx.WeightNorm(
            nnx.Linear(3, 4, rngs=nnx.Rngs(0)),
            variable_filter=nnx.PathContains("weight"),
        )


@pytest.mark.parametrize("kind", [nnx.WeightNorm, nnx.SpectralNorm])
def test_a_wrapped_layer_keeps_its_parameters(kind):
    rngs = nnx.Rngs(0)
    layer = kind(nnx.Sequential(nnx.Linear(3, 3, rngs=rngs)), rngs=rngs)
    layer.layer_instance.layers.append(nnx.Linear(3, 3, rngs=rngs))
    with pytest.raises(
        StructureError, match=rf"layers.1.kernel(.|\n)*nnx.{kind.__name__}\(layer"
    ):
        layer(ones(2, 3))


def test_spectral_norm_refuses_what_is_no_matrix_if_asked_to():
    rngs = nnx.Rngs(0)
    conv = nnx.Conv(3, 4, 2, rngs=rngs)
    text = r"kernel of shape \(2, 3, 4\)(.|\n)*error_on_non_matrix=False"
    with pytest.raises(ArgumentValueError, match=text):
        nnx.SpectralNorm(conv, error_on_non_matrix=True, rngs=rngs)
    layer = nnx.SpectralNorm(conv, rngs=rngs)
    layer.error_on_non_matrix = True
    with pytest.raises(ArgumentValueError, match=text):
        layer(ones(1, 5, 3))


CELLS = [nnx.SimpleCell, nnx.GRUCell, nnx.LSTMCell, nnx.OptimizedLSTMCell]


@pytest.mark.parametrize("kind", CELLS)
def test_a_cell_checks_its_carry(kind):
    rngs = nnx.Rngs(0)
    cell, wide = kind(3, 4, rngs=rngs), kind(3, 5, rngs=rngs)
    text = r"shape \(2, 4\) \(hidden_features=4\).*got .*5\)\n.*cell(.|\n)*initialize"
    with pytest.raises(ShapeError, match=text):
        cell(wide.initialize_carry((2, 3)), ones(2, 3))
    with pytest.raises(ShapeError, match=r"got .*\(3, 4\)(.|\n)*initialize"):
        cell(cell.initialize_carry((3, 3)), ones(2, 3))
    with pytest.raises(ShapeError, match=r"expects a carry.*got None"):
        cell([None] * cell.carry_parts, ones(2, 3))


def test_a_cell_of_two_parts_takes_no_single_array():
    cell = nnx.LSTMCell(3, 4, rngs=nnx.Rngs(0))
    text = r"2 arrays, each of shape \(2, 4\).*got \(2, 4\)(.|\n)*initialize_carry"
    with pytest.raises(ShapeError, match=text):
        cell(ones(2, 4), ones(2, 3))


@pytest.mark.parametrize("kind", CELLS)
def test_a_cell_asks_for_rngs_where_its_carry_draws(kind):
    cell = kind(3, 4, rngs=nnx.Rngs(0))
    normal = nnx.initializers.normal()
    with pytest.raises(MissingRngError, match=rf"\(2, 4\) of a {kind.__name__}(.|\n)*"):
        cell.initialize_carry((2, 3), carry_init=normal)
    with pytest.raises(MissingRngError, match=r"keep_rngs=True(.|\n)*nnx.Rngs\(0\)"):
        kind(3, 4, keep_rngs=True)


def test_the_base_of_cells_leaves_all_to_its_subclasses():
    cell = nnx.RNNCellBase()
    with pytest.raises(NotImplementedError):
        cell.initialize_carry((2, 3))
    with pytest.raises(NotImplementedError):
        cell(None, ones(2, 3))
    with pytest.raises(NotImplementedError):
        cell.num_feature_axes


def test_an_rnn_names_the_cell_that_the_input_does_not_fit():
    model = Net(nnx.RNN(nnx.GRUCell(3, 4, rngs=nnx.Rngs(0))))
    text = r"GRUCell expects 3 at axis -1 \(in_features=3\).*\n.*layers\[0\].cell"
    with pytest.raises(ShapeError, match=text + r"\n.*in_features=5"):
        model(ones(2, 6, 5))


def test_an_rnn_checks_its_axes_its_lengths_and_its_rngs():
    rnn = nnx.RNN(nnx.GRUCell(3, 4, rngs=nnx.Rngs(0)))
    with pytest.raises(ShapeError, match=r"time axis.*\(3,\)\n.*rnn(.|\n)*time, feat"):
        rnn(ones(3))
    text = r"of shape \(2,\).*shape \(3,\)(.|\n)*rnn(.|\n)*integer array of shape \(2,"
    with pytest.raises(ShapeError, match=text):
        rnn(ones(2, 5, 3), seq_lengths=jnp.array([1, 2, 3]))
    with pytest.raises(ArgumentValueError, match=r"float32(.|\n)*rnn(.|\n)*int32"):
        rnn(ones(2, 5, 3), seq_lengths=ones(2))
    for make in (lambda rngs: nnx.RNN(rnn.cell, rngs=rngs), _bidirectional):
        with pytest.raises(ArgumentError, match=r"is a int;(.|\n)*nnx.Rngs\(0\)"):
            make(3)


def _bidirectional(rngs):
    cell = nnx.GRUCell(3, 4, rngs=nnx.Rngs(0))
    return nnx.Bidirectional(nnx.RNN(cell), nnx.RNN(cell), rngs=rngs)


@pytest.mark.parametrize("axes", [None, {...: nnx.Carry}], ids=["shared", "carried"])
def test_a_parameter_that_a_cell_writes_is_carried(axes):
    class Cell(nnx.SimpleCell):
        def __call__(self, carry, x):
            self.dense_h.kernel.value = self.dense_h.kernel.value * 0.5
            return super().__call__(carry, x)

    cell = Cell(3, 4, rngs=nnx.Rngs(0))
    before = cell.dense_h.kernel.value
    nnx.RNN(cell, **({} if axes is None else {"state_axes": axes}))(ones(2, 5, 3))
    assert jnp.allclose(cell.dense_h.kernel.value, before / 2**5)


def test_a_wrapped_layer_names_its_path_however_deep_the_wrapping():
    rngs = nnx.Rngs(0)
    inner = nnx.Sequential(nnx.Linear(2, 3, rngs=rngs), nnx.Linear(4, 3, rngs=rngs))
    model = nnx.Dict(head=nnx.SpectralNorm(nnx.WeightNorm(inner, rngs=rngs), rngs=rngs))
    path = r"model\['head'\]\.layer_instance\.layer_instance\.layers\[1\]"
    with pytest.raises(ShapeError, match=path):
        model.head(ones(1, 2))
