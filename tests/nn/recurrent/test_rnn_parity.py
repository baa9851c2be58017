"""Same numbers as flax.nnx: recurrent cells, RNN and Bidirectional."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum
from tests.nn import peer
from tests.nn.peer import BF16, flax_nnx, lenient

pytestmark = pytest.mark.peer

CELLS = ["SimpleCell", "GRUCell", "LSTMCell", "OptimizedLSTMCell"]
BIAS = {"bias_init": peer.ramp}
OPTIONS = {
    "plain": {},
    "inits": {
        "kernel_init": peer.ramp,
        "recurrent_kernel_init": peer.ramp,
    },
    "activation": {"activation_fn": jax.nn.relu},
    "compute-bfloat16": {"dtype": BF16},
    "params-bfloat16": {"param_dtype": BF16, "dtype": BF16},
}
LENGTHS = jnp.array([5, 2, 1])


def make_cell(nnx, kind, **options):
    return getattr(nnx, kind)(3, 4, rngs=nnx.Rngs(0), **{**BIAS, **options})


def assert_same_tree(got, expected, tolerance):
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        peer.assert_close(a, b, tolerance)


def without_streams(node, nnx):
    """The state but for random streams, which oakum keeps only where they are used."""
    found = peer.arrays(nnx, node)
    return {path: found[path] for path in found if "rngs" not in path}


def run_both(build, x, tolerance=1e-6, **call):
    """Both models, after a check of their parameters and of what they return."""
    ours, theirs = peer.both(build)
    mine, other = without_streams(ours, oakum), without_streams(theirs, flax_nnx)
    assert mine.keys() == other.keys()
    for path in mine:
        peer.assert_close(mine[path], other[path], 0.0, path)
    with lenient():
        expected = theirs(x, **call)
    assert_same_tree(ours(x, **call), expected, tolerance)
    return ours, theirs


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        *((kind, "plain") for kind in CELLS),
        *(("LSTMCell", option) for option in OPTIONS if option != "plain"),
        ("SimpleCell", "activation"),
        ("GRUCell", "compute-bfloat16"),
    ],
)
def test_cell(kind, option):
    options = OPTIONS[option]
    if "param_dtype" in options:  # an orthogonal matrix in bfloat16 fails in flax
        options = {**options, "recurrent_kernel_init": peer.ramp}
    ours, theirs = peer.both(lambda nnx: make_cell(nnx, kind, **options))
    peer.assert_same_arrays(ours, theirs)
    x = peer.normal((2, 3))
    carry = ours.initialize_carry(x.shape)
    with lenient():
        first = theirs.initialize_carry(x.shape, flax_nnx.Rngs(0))
        expected = theirs(first, x)
        expected = theirs(expected[0], x + 1)
    assert_same_tree(carry, first, 0.0)
    got = ours(carry, x)
    got = ours(got[0], x + 1)
    half = "dtype" in options
    if half:  # in flax, GRU and LSTM return the wider dtype of the carry
        expected = (expected[0], expected[1].astype(options["dtype"]))
    assert_same_tree(got, expected, 2e-2 if half else 1e-6)


@pytest.mark.parametrize("kind", ["SimpleCell", "LSTMCell"])
def test_cell_carry_of_the_users(kind):
    ours, theirs = peer.both(lambda nnx: make_cell(nnx, kind))
    init = jax.nn.initializers.normal()
    got, mine = ours.initialize_carry((2, 3), oakum.Rngs(1, carry=3), init), None
    with lenient():
        rngs = flax_nnx.Rngs(1, carry=3)
        assert_same_tree(got, theirs.initialize_carry((2, 3), rngs, init), 0.0)
        mine = flax_nnx.RngStream(7, tag="any")
        other = theirs.initialize_carry((2, 3), mine, init)
    stream = oakum.RngStream(7, tag="any")
    assert_same_tree(ours.initialize_carry((2, 3), stream, init), other, 0.0)
    assert stream.count.value == mine.count.get_value()


def test_simple_cell_residual():
    def build(nnx):
        return nnx.RNN(make_cell(nnx, "SimpleCell", residual=True), rngs=False)

    ours, theirs = peer.both(build)
    x = peer.normal((2, 5, 3))
    with lenient():
        expected = theirs(x, initial_carry=jnp.ones((2, 4)))
    peer.assert_close(ours(x, initial_carry=jnp.ones((2, 4))), expected, 1e-6)


@pytest.mark.filterwarnings("ignore:keep_rngs argument:UserWarning")
@pytest.mark.filterwarnings("ignore:carry_init is provided:UserWarning")
@pytest.mark.parametrize("kind", ["GRUCell", "LSTMCell"])
def test_streams_that_are_asked_for_are_kept(kind):
    def build(nnx):
        init = jax.nn.initializers.normal()
        cell = make_cell(nnx, kind, keep_rngs=True, carry_init=init)
        return nnx.RNN(cell, rngs=nnx.Rngs(3))

    ours, theirs = run_both(build, peer.normal((2, 5, 3)))
    peer.assert_same_arrays(ours, theirs)
    carry = ours.cell.initialize_carry((2, 3))
    with lenient():
        assert_same_tree(carry, theirs.cell.initialize_carry((2, 3)), 0.0)
    peer.assert_same_arrays(ours, theirs)


@pytest.mark.parametrize("kind", ["GRUCell", "OptimizedLSTMCell"])
def test_rnn_gradients(kind):
    def build(nnx):
        return nnx.RNN(make_cell(nnx, kind), rngs=nnx.Rngs(1))

    peer.assert_parity(build, peer.normal((2, 5, 3)))


WAYS = {
    "forwards": {},
    "reverse": {"reverse": True},
    "keep-order": {"reverse": True, "keep_order": True},
    "unroll": {"unroll": 2},
}


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
@pytest.mark.parametrize("time_major", [False, True], ids=["batch", "time"])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_rnn(way, time_major, lengths):
    def build(nnx):
        cell = make_cell(nnx, "OptimizedLSTMCell")
        return nnx.RNN(cell, time_major=time_major, return_carry=True, **way)

    shape = (5, 3, 3) if time_major else (3, 5, 3)
    run_both(build, peer.normal(shape), seq_lengths=lengths)


def test_the_arguments_of_the_call_go_before():
    def build(nnx):
        return nnx.RNN(make_cell(nnx, "GRUCell"))

    call = {"reverse": True, "keep_order": True, "time_major": True}
    x = peer.normal((5, 3, 3))
    run_both(build, x, return_carry=True, seq_lengths=LENGTHS, **call)


@pytest.mark.parametrize("lead", [(), (2, 3)], ids=["none", "two"])
@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "reverse"])
def test_rnn_batch_axes(lead, reverse):
    def build(nnx):
        return nnx.RNN(make_cell(nnx, "GRUCell"), reverse=reverse, return_carry=True)

    run_both(build, peer.normal((*lead, 5, 3)))


def test_rnn_lengths_with_several_batch_axes_equal_a_loop():
    rnn = oakum.RNN(make_cell(oakum, "LSTMCell"), return_carry=True, reverse=True)
    x, lengths = peer.normal((2, 3, 5, 3)), jnp.array([[1, 2, 3], [4, 5, 2]])
    got = rnn(x, seq_lengths=lengths)
    expected = rnn(x[1], seq_lengths=lengths[1])
    assert_same_tree(jax.tree.map(lambda a: a[1], got), expected, 1e-6)
    single = rnn(x[1, 2], seq_lengths=lengths[1, 2])
    assert_same_tree(jax.tree.map(lambda a: a[1, 2], got), single, 1e-6)


def dropping_rnn(nnx, **options):
    class Cell(nnx.OptimizedLSTMCell):
        def __init__(self, rngs):
            super().__init__(3, 4, rngs=rngs)
            self.drop = nnx.Dropout(0.5, rng_collection="noise", rngs=rngs)

        def __call__(self, carry, x):
            carry, out = super().__call__(carry, x)
            return jax.tree.map(self.drop, carry), out

    rngs = nnx.Rngs(0, noise=1, carry=2)
    return nnx.RNN(Cell(rngs), rngs=rngs, **options)


@pytest.mark.parametrize("only", [None, "noise"], ids=["each-step", "same-mask"])
def test_dropout_in_a_cell(only):
    ours, theirs = peer.both(lambda nnx: dropping_rnn(nnx, broadcast_rngs=only))
    x = peer.normal((2, 5, 3))
    for _ in range(2):
        with lenient():
            expected = theirs(x)
        peer.assert_close(ours(x), expected, 1e-6)
        peer.assert_same_arrays(ours, theirs)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
@pytest.mark.parametrize("time_major", [False, True], ids=["batch", "time"])
def test_bidirectional(time_major, lengths):
    def build(nnx):
        return nnx.Bidirectional(
            nnx.RNN(make_cell(nnx, "GRUCell")),
            nnx.RNN(make_cell(nnx, "LSTMCell")),
            time_major=time_major,
            return_carry=True,
        )

    shape = (5, 3, 3) if time_major else (3, 5, 3)
    run_both(build, peer.normal(shape), seq_lengths=lengths)


@pytest.mark.filterwarnings("ignore:carry_init is provided:UserWarning")
@pytest.mark.parametrize("rngs", [True, "rngs"])
def test_bidirectional_carries_and_merging(rngs):
    def build(nnx):
        init = jax.nn.initializers.normal()
        parts = [nnx.RNN(make_cell(nnx, "GRUCell", carry_init=init)) for _ in "ab"]
        given = nnx.Rngs(4) if rngs == "rngs" else rngs
        return nnx.Bidirectional(*parts, merge_fn=jnp.add, rngs=given)

    ours, theirs = peer.both(build)
    x = peer.normal((2, 5, 3))
    for call in ({}, {"initial_carry": (jnp.ones((2, 4)), jnp.zeros((2, 4)))}):
        with lenient():
            expected = theirs(x, **call)
        peer.assert_close(ours(x, **call), expected, 1e-6)
        peer.assert_same_arrays(ours, theirs)
    with lenient():
        expected = theirs(x, rngs=flax_nnx.Rngs(9))
    peer.assert_close(ours(x, rngs=oakum.Rngs(9)), expected, 1e-6)


def test_no_stream_is_kept_for_a_carry_of_zeros():
    rnn = oakum.RNN(make_cell(oakum, "LSTMCell"))
    model = oakum.Bidirectional(rnn, oakum.RNN(make_cell(oakum, "GRUCell")))
    assert not jax.tree.leaves(oakum.state(model, oakum.RngState))
    x = peer.normal((2, 3, 5, 3))
    mapped = jax.vmap(model)(x)  # writes nothing, so it may be captured
    np.testing.assert_allclose(mapped[1], model(x[1]), rtol=0, atol=1e-6)


def test_orthogonal_kernels_in_bfloat16_are_those_of_float32_rounded():
    for kind in CELLS:
        half = make_cell(oakum, kind, param_dtype=BF16)
        full = make_cell(oakum, kind)
        name = "hi" if kind == "LSTMCell" else "dense_h"
        got, expected = (getattr(c, name).kernel.value for c in (half, full))
        assert got.dtype == BF16
        np.testing.assert_array_equal(got, expected.astype(BF16))
