"""Every layer of the registry names its path, the shapes and the remedy.

Nothing is compiled: models and inputs are abstract.
"""

import jax
import jax.numpy as jnp
import pytest

import oakum as nnx
from oakum.errors import ArgumentError, ArgumentValueError, ShapeError
from tests.registry import ROWS


class Net(nnx.Module):
    def __init__(self, layer):
        self.layers = [layer]

    def __call__(self, x):
        return self.layers[0](x)


def width(size, argument="in_features", fewer="has no axis -1", below=""):
    """A last axis that is too wide, and a scalar."""
    wide = f"expects {size} at axis -1 ({argument}={size})"
    remedy = f"build it with {argument}={size + 2}"
    return {"wide": (wide, remedy, below), "scalar": (fewer, "pass", below)}


def spatial(size, axes, below=""):
    """Likewise, where a single axis is not enough."""
    fewer = (f"expects {axes} spatial axes", f"of rank {axes + 1} or more", below)
    return {**width(size, below=below), "scalar": fewer, "axis": fewer}


def recurrent(below=""):
    fewer = ("expects a time axis and 1 of features", "(*batch, time, features)", below)
    return {**width(3, below=f"{below}.cell"), "scalar": fewer, "axis": fewer}


SEQUENCE = ("expects an axis of the sequence", "(*batch, seq, 4)", "")
ATTENTION = {**width(4), "scalar": SEQUENCE, "axis": SEQUENCE}


def general(*sizes):
    wrong = f"expects {sizes} at axis (-2, -1) (in_features={sizes})"
    texts = (wrong, f"{sizes} at axis", "")
    return dict.fromkeys(("wide", "scalar", "axis"), texts)


EINSUM = (
    "expects an input with the axes 'bta'",
    "pass an input with the axes 'bta'",
    "",
)
ROPE = ("expects (..., seq, an even number", "nnx.RoPE(embedding_size=", "")
SCALES = ("scales floating-point numbers", "layer(x.astype(jnp.float32))", "")
MISTAKES = {
    "linear": width(3),
    "linear-no-bias": width(3),
    "linear-general": general(2, 3),
    "linear-general-batch": {
        **width(3),
        "axis": ("expects {0: 2} at axis 0", "build it with batch_axis={0: 3}", ""),
    },
    "einsum": {
        "wide": ("expects 3 at axis 2 ('a' of", "a kernel_shape that has 5 at 'a'", ""),
        "scalar": EINSUM,
        "axis": EINSUM,
    },
    "conv-1d": spatial(3, 1),
    "conv-2d": spatial(4, 2),
    "conv-causal": spatial(3, 1),
    "conv-mask": spatial(3, 1),
    "conv-transpose": spatial(3, 2),
    "conv-transpose-circular": spatial(3, 1),
    "embed": {
        "float32": ("rows up by integers", "layer(tokens.astype(jnp.int32))", "")
    },
    "batch-norm": width(4, "num_features"),
    "attention": ATTENTION,
    "attention-groups": ATTENTION,
    "attention-dropout": ATTENTION,
    "rope": {
        "wide": ("has embedding_size=4", "nnx.RoPE(embedding_size=6", ""),
        "scalar": ROPE,
        "axis": ROPE,
    },
    "layer-norm": width(4, "num_features"),
    "rms-norm": width(4, "num_features"),
    "group-norm": width(4, "num_features"),
    "instance-norm": {
        **width(4, "num_features"),
        "axis": ("but that is the batch", "layer(x[None])[0]", ""),
    },
    "weight-norm": width(3, below=".layer_instance.layers[0]"),
    "spectral-norm": spatial(3, 1, below=".layer_instance"),
    "lora": width(3),
    "lora-linear": width(3),
    "lora-linear-general": general(3, 4),
    "simple-cell": width(3, below=".cell"),
    "gru-cell": width(3, below=".cell"),
    "lstm-cell": width(3, below=".cell"),
    "optimized-lstm-cell": width(3, below=".cell"),
    "rnn": recurrent(),
    "bidirectional": recurrent(".forward_rnn"),
    "dropout": {"int32": SCALES},
    "prelu": {"int32": SCALES},
    "sequential": width(3, below=".layers[0]"),
    "repeat": width(3, below=".layers"),
}
LAYERS = {row.id: row for row in ROWS if not row.id.endswith("bfloat16")}
CASES = [
    pytest.param(LAYERS[id], kind, *texts, id=f"{id}-{kind}")
    for id, cases in MISTAKES.items()
    for kind, texts in cases.items()
]


def wrong(row, kind):
    """The shape and the dtype of a wrong input."""
    shapes = {
        "wide": (*row.shape[:-1], row.shape[-1] + 2),
        "scalar": (),
        "axis": row.shape[-1:],
    }
    if kind in shapes:
        return shapes[kind], row.dtype
    return row.shape, jnp.dtype(kind)


@pytest.mark.parametrize(("row", "kind", "expected", "remedy", "below"), CASES)
def test_a_wrong_input_names_path_expected_got_and_remedy(
    row, kind, expected, remedy, below
):
    shape, dtype = wrong(row, kind)
    model = nnx.eval_shape(lambda: Net(row.layer()))
    x = jax.ShapeDtypeStruct(shape, dtype)
    with pytest.raises((ShapeError, ArgumentError, ArgumentValueError)) as caught:
        nnx.eval_shape(lambda model, x: model(x), model, x)
    error = caught.value
    assert error.where == f"model.layers[0]{below}"
    assert expected in error.what
    # Below a loop over time, a layer sees one step.
    step = str((*shape[:-2], *shape[-1:]))
    assert (
        str(shape if dtype == row.dtype else dtype) in error.what or step in error.what
    )
    assert remedy in error.remedy


def test_every_layer_has_a_wrong_input():
    assert MISTAKES.keys() == LAYERS.keys()


def test_attention_names_the_layer_for_what_its_function_refuses():
    model = Net(nnx.MultiHeadAttention(2, 4, decode=False, rngs=nnx.Rngs(0)))
    x = jnp.ones((2, 3, 4))
    text = r"mask of shape \(5, 3\).*\(2, 2, 3, 3\).*\n.*model.layers\[0\]\n.*size 1"
    with pytest.raises(ShapeError, match=text):
        model.layers[0](x, mask=jnp.ones((5, 3)))
