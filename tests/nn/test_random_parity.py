"""Same numbers as flax.nnx for layers of random sizes and options.

Two of each kind by default, the same in every run; `OAKUM_LAYERS=50` asks for more, and
for others.
"""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.nn.peer import assert_parity, normal, ramp

pytestmark = pytest.mark.peer

SIZES, FLAGS = st.integers(1, 4), st.booleans()
LEADS = st.lists(st.integers(1, 3), min_size=1, max_size=2)
examples = settings(
    max_examples=int(os.environ.get("OAKUM_LAYERS", "2")),
    deadline=None,
    derandomize="OAKUM_LAYERS" not in os.environ,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(autouse=True, scope="module")
def quick_compilation():
    """Each program is compiled to be run once."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def check(make, x, tolerance=1e-6, **call):
    """`make(nnx, rngs)` has the parameters, outputs and gradients of flax's."""
    build = lambda nnx: make(nnx, nnx.Rngs(0))  # noqa: E731
    assert_parity(build, x, tolerance=tolerance, **call)


@examples
@given(st.data())
def test_linear(data):
    wide, narrow, lead = data.draw(SIZES), data.draw(SIZES), data.draw(LEADS)
    options = {"use_bias": data.draw(FLAGS), "bias_init": ramp}
    check(
        lambda nnx, rngs: nnx.Linear(wide, narrow, **options, rngs=rngs),
        normal((*lead, wide)),
    )


@examples
@given(st.data())
def test_linear_general(data):
    ins = data.draw(st.lists(SIZES, min_size=1, max_size=2))
    outs = data.draw(st.lists(SIZES, min_size=1, max_size=2))
    batch = data.draw(st.lists(SIZES, max_size=1))
    options = {
        "axis": tuple(range(-len(ins), 0)),
        "batch_axis": dict(enumerate(batch)),
        "use_bias": data.draw(FLAGS),
    }
    check(
        lambda nnx, rngs: nnx.LinearGeneral(ins, outs, **options, rngs=rngs),
        normal((*batch, 2, *ins)),
    )


def draw_window(data, rank):
    """Sizes, steps and spacings of a kernel, for each of `rank` axes."""
    each = st.lists(st.integers(1, 2), min_size=rank, max_size=rank)
    size = [n + 1 for n in data.draw(each)]
    return size, data.draw(each), {"kernel_dilation": data.draw(each)}


@examples
@given(st.data())
def test_conv(data):
    rank, groups = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 2))
    size, strides, options = draw_window(data, rank)
    paddings = ["SAME", "VALID", "CIRCULAR", "REFLECT", 1, [(0, 2)] * rank]
    if rank == 1:
        paddings.append("CAUSAL")
    options["padding"] = data.draw(st.sampled_from(paddings))
    if options["padding"] in ("VALID", 1):
        options["input_dilation"] = data.draw(st.integers(1, 2))
    if data.draw(FLAGS):
        options["mask"] = jnp.asarray(normal((*size, 2, 2 * groups)) > 0, jnp.float32)
    options |= {"feature_group_count": groups, "use_bias": data.draw(FLAGS)}

    def make(nnx, rngs):
        return nnx.Conv(2 * groups, 2 * groups, size, strides, **options, rngs=rngs)

    check(make, normal((2, *(6, 7)[:rank], 2 * groups)))


@examples
@given(st.data())
def test_conv_transpose(data):
    rank = data.draw(st.integers(1, 2))
    size, strides, options = draw_window(data, rank)
    options |= {
        "padding": data.draw(st.sampled_from(["SAME", "VALID", "CIRCULAR"])),
        "transpose_kernel": data.draw(FLAGS),
        "use_bias": data.draw(FLAGS),
    }

    def make(nnx, rngs):
        return nnx.ConvTranspose(2, 3, size, strides, **options, rngs=rngs)

    check(make, normal((2, *(4, 5)[:rank], 2)))


@examples
@given(st.data())
def test_embed(data):
    rows, width, lead = data.draw(SIZES), data.draw(SIZES), data.draw(LEADS)
    options = data.draw(st.sampled_from([{}, {"embedding_init": ramp}]))
    tokens = np.random.default_rng(0).integers(-rows, rows, lead)
    check(
        lambda nnx, rngs: nnx.Embed(rows, width, **options, rngs=rngs),
        jnp.asarray(tokens, jnp.int32),
    )


@examples
@given(st.data(), st.sampled_from(["BatchNorm", "GroupNorm", "InstanceNorm"]))
def test_norm_over_positions(data, kind):
    width = data.draw(st.sampled_from([2, 4]))
    mask = None
    if data.draw(FLAGS):
        mask = jnp.asarray(normal((3, 6, width)) > -1)
    check(make_norm(data, kind, width), normal((3, 6, width)), 4e-6, mask=mask)


@examples
@given(st.data(), st.sampled_from(["LayerNorm", "RMSNorm"]))
def test_norm_over_features(data, kind):
    width, lead = data.draw(st.integers(3, 6)), data.draw(LEADS)
    check(make_norm(data, kind, width), normal((*lead, width)), 4e-6)


def make_norm(data, kind, width):
    options = {
        "epsilon": data.draw(st.sampled_from([1e-6, 1e-3])),
        "use_scale": data.draw(FLAGS),
        "scale_init": ramp,
        "use_fast_variance": data.draw(FLAGS),
    }
    if kind != "RMSNorm":
        options |= {"use_bias": data.draw(FLAGS), "bias_init": ramp}
    if kind == "GroupNorm":
        options["num_groups"] = data.draw(st.sampled_from([1, 2]))
    return lambda nnx, rngs: getattr(nnx, kind)(width, **options, rngs=rngs)


@examples
@given(st.data())
def test_attention(data):
    kv_heads, group = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 2))
    heads = kv_heads * group
    options = {
        "num_kv_heads": kv_heads,
        "qkv_features": 4 * heads,
        "out_features": data.draw(SIZES),
        "use_bias": data.draw(FLAGS),
        "normalize_qk": data.draw(FLAGS),
        "decode": False,
    }
    call = {"is_causal": data.draw(FLAGS)}
    if data.draw(FLAGS):
        call["mask"] = jnp.asarray(normal((1, heads, 3, 3)) > -1)

    def make(nnx, rngs):
        return nnx.MultiHeadAttention(heads, 3, **options, rngs=rngs)

    check(make, normal((*data.draw(LEADS), 3, 3)), 4e-6, **call)


@examples
@given(
    st.data(),
    st.sampled_from(["SimpleCell", "GRUCell", "LSTMCell", "OptimizedLSTMCell"]),
)
def test_recurrent(data, kind):
    ins, width, batch = data.draw(SIZES), data.draw(SIZES), data.draw(SIZES)
    options = {"time_major": data.draw(FLAGS), "reverse": data.draw(FLAGS)}
    options["keep_order"] = data.draw(FLAGS)
    start = normal((batch, width), seed=3)
    call = {"initial_carry": (start, start + 1) if "LSTM" in kind else start}
    if data.draw(FLAGS):
        lengths = np.random.default_rng(0).integers(1, 4, batch)
        call["seq_lengths"] = jnp.asarray(lengths, jnp.int32)

    gates = {"gate_fn": jax.nn.hard_sigmoid} if "Simple" not in kind else {}

    def make(nnx, rngs):
        cell = getattr(nnx, kind)(ins, width, bias_init=ramp, **gates, rngs=rngs)
        return nnx.RNN(cell, **options, rngs=False)

    lead = (4, batch) if options["time_major"] else (batch, 4)
    check(make, normal((*lead, ins)), **call)
