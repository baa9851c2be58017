"""vmap, scan and remat against the plain Python loop of the same program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from tests.mistakes import assert_says
from tests.models import JITS

KEYS = jax.random.split(jax.random.key(0), 4)
X = jax.random.normal(jax.random.key(1), (2, 3))


class Block(nnx.Module):
    """A layer with parameters, dropout, and a statistic that every call adds to."""

    def __init__(self, rngs):
        self.linear = nnx.Linear(3, 3, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.total = nnx.BatchStat(jnp.zeros(()))

    def __call__(self, x):
        self.total.value = self.total.value + x.sum()
        return self.dropout(nnx.relu(self.linear(x))) + x


@nnx.vmap
def stack(key):
    return Block(nnx.Rngs(key))


def unrolled():
    blocks = [Block(nnx.Rngs(key)) for key in KEYS]
    x = X
    for block in blocks:
        x = block(x)
    return x, blocks


@pytest.mark.parametrize("jit", JITS)
def test_scan_over_layers_equals_the_loop_with_dropout_and_state(jit):
    layers = stack(KEYS)
    forward = nnx.scan(lambda x, b: b(x), in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
    y, blocks = unrolled()
    np.testing.assert_allclose(jit(forward)(X, layers), y, rtol=1e-6)
    totals = [block.total.value for block in blocks]
    np.testing.assert_allclose(layers.total.value, jnp.stack(totals), rtol=1e-6)


@pytest.mark.parametrize("jit", JITS)
def test_scan_gives_the_gradient_of_the_loop(jit):
    def loss(layers):
        forward = nnx.scan(
            lambda x, b: b(x), in_axes=(nnx.Carry, 0), out_axes=nnx.Carry
        )
        return forward(X, layers).sum()

    def loss_of_loop(blocks):
        x = X
        for block in blocks:
            x = block(x)
        return x.sum()

    grads = jit(nnx.grad(loss))(stack(KEYS))
    blocks = nnx.List([Block(nnx.Rngs(key)) for key in KEYS])
    expected = nnx.grad(loss_of_loop)(blocks)
    for i in range(len(KEYS)):
        got = grads.linear.kernel.value[i]
        np.testing.assert_allclose(got, expected[i].linear.kernel.value, rtol=1e-5)


def test_scan_carries_a_module_and_stacks_outputs():
    counter = nnx.Variable(jnp.array(0.0))

    @nnx.scan
    def step(counter, x):
        counter.value = counter.value + x
        return counter, counter.value

    same, sums = step(counter, jnp.arange(4.0))
    assert same is counter
    assert sums.tolist() == [0.0, 1.0, 3.0, 6.0]
    assert float(counter.value) == 6.0


def test_scan_in_reverse_and_with_length():
    _, ys = nnx.scan(lambda c, x: (c + x, c), reverse=True)(0.0, jnp.arange(3.0))
    assert ys.tolist() == [3.0, 2.0, 0.0]
    last = nnx.scan(lambda c: c + 1, length=5, in_axes=nnx.Carry, out_axes=nnx.Carry)(0)
    assert int(last) == 5


@pytest.mark.parametrize("jit", JITS)
def test_vmap_over_models_equals_the_loop(jit):
    layers = stack(KEYS)
    ys = jit(nnx.vmap(lambda b, x: b(x), in_axes=(0, None)))(layers, X)
    blocks = [Block(nnx.Rngs(key)) for key in KEYS]
    np.testing.assert_allclose(ys, jnp.stack([b(X) for b in blocks]), rtol=1e-6)
    assert layers.total.value.shape == (4,)
    assert layers.dropout.rngs.count.value.tolist() == [1, 1, 1, 1]


def test_vmap_axes_by_filter_share_parameters_and_map_the_rest():
    block = Block(nnx.Rngs(0))
    block.total.value = jnp.zeros(4)
    axes = nnx.StateAxes({nnx.BatchStat: 0, ...: None})

    def call(block, x):
        block.total.value = block.total.value + x.sum()
        return block.linear(x)

    ys = nnx.vmap(call, in_axes=(axes, 0))(block, jnp.ones((4, 3)))
    assert ys.shape == (4, 3)
    assert block.total.value.tolist() == [3.0] * 4
    assert block.linear.kernel.value.shape == (3, 3)


def test_vmap_of_arrays_is_that_of_jax():
    tree = {"a": jnp.arange(3.0), "b": 2.0}
    got = nnx.vmap(lambda d: d["a"] * d["b"], in_axes=({"a": 0, "b": None},))(tree)
    assert got.tolist() == [0.0, 2.0, 4.0]
    pair = nnx.vmap(lambda x: (x, x), out_axes=(0, 1))(jnp.ones((3, 2)))
    assert [p.shape for p in pair] == [(3, 2), (2, 3)]
    psum = nnx.vmap(lambda x: jax.lax.psum(x, "i"), axis_name="i")(jnp.arange(3.0))
    assert psum.tolist() == [3.0] * 3


@pytest.mark.parametrize("jit", JITS)
def test_remat_changes_neither_values_nor_state(jit):
    plain, checkpointed = Block(nnx.Rngs(0)), Block(nnx.Rngs(0))
    call = nnx.remat(lambda b, x: b(x), policy=jax.checkpoint_policies.dots_saveable)
    expected = jit(nnx.grad(lambda b: (b(X) ** 2).sum()))(plain)
    got = jit(nnx.grad(lambda b: (call(b, X) ** 2).sum()))(checkpointed)
    jax.tree.map(np.testing.assert_array_equal, expected, got)
    assert float(plain.total.value) == float(checkpointed.total.value)
    assert int(checkpointed.dropout.rngs.count.value) == 1


def test_remat_recomputes_in_the_backward_pass():
    block = nnx.Linear(3, 3, rngs=nnx.Rngs(0))
    call = nnx.remat(lambda b, x: jnp.sin(b(x)))
    graph, state = nnx.split(block)

    def loss(state):
        return call(nnx.merge(graph, state), X).sum()

    assert "remat" in str(jax.make_jaxpr(jax.grad(loss))(state))


def shared_write():
    block = Block(nnx.Rngs(0))
    return nnx.vmap(lambda b, x: b(x), in_axes=(None, 0))(block, jnp.ones((4, 3)))


def give_new(transform, make, *axes, **options):
    """A shared model after a mapped function gave it a Variable; and the result."""
    model = nnx.Dict(w=nnx.Param(jnp.ones(2)))

    def body(model, x):
        model["new"] = nnx.BatchStat(make(x))
        return model["new"].value

    transform(body, in_axes=axes, **options)(model, jnp.arange(1.0))
    return model["new"].shape


@pytest.mark.parametrize("transform", [nnx.vmap, nnx.pmap], ids=["vmap", "pmap"])
@pytest.mark.parametrize(
    ("axis", "shape"),
    [
        (None, (2,)),
        (nnx.StateAxes({...: None}), (2,)),
        (nnx.StateAxes({nnx.Param: None, ...: 0}), (1, 2)),
    ],
    ids=["None", "StateAxes-None", "StateAxes-0"],
)
def test_a_new_variable_has_the_axis_of_the_place_where_it_is_put(
    transform, axis, shape
):
    assert give_new(transform, lambda x: jnp.ones(2), axis, 0) == shape


def new_in_two_places():
    def body(a, b, x):
        a["new"] = b["new"] = nnx.BatchStat(x)

    stacked = nnx.Dict(w=nnx.Param(jnp.ones(3)))
    nnx.vmap(body, in_axes=(None, 0, 0))(nnx.Dict(), stacked, jnp.arange(3.0))


def new_in_result():
    def body(model, x):
        model["new"] = nnx.BatchStat(x)
        return model["new"]

    nnx.vmap(body, in_axes=(None, 0))(nnx.Dict(), jnp.arange(3.0))


def scan_new():
    def body(model, carry, x):
        model["new"] = nnx.BatchStat(x)
        return carry, x

    nnx.scan(body, in_axes=(None, nnx.Carry, 0))(nnx.Dict(), 0.0, jnp.arange(3.0))


MISTAKES = {
    "vmap-new-differs": (
        lambda: give_new(nnx.vmap, lambda x: x, None, 0),
        ["args[0].new (BatchStat)", "StateAxes"],
    ),
    "pmap-new-differs": (
        lambda: give_new(nnx.pmap, lambda x: x, None, 0),
        ["args[0].new (BatchStat)", "StateSharding"],
    ),
    "vmap-new-two-axes": (
        new_in_two_places,
        ["args[0].new and args[1].new", "axes None and 0", "same axis"],
    ),
    "vmap-new-in-result": (
        new_in_result,
        ["args[0].new and the result", "axes None and 0", "same axis"],
    ),
    "scan-new-shared": (scan_new, ["args[0].new", "axis None", "nnx.Carry"]),
    "vmap-shared-write": (shared_write, ["args[0].total", "BatchStat", "StateAxes"]),
    "vmap-sizes": (
        lambda: nnx.vmap(lambda a, b: a)(jnp.ones(3), jnp.ones(4)),
        ["args[0]: 3", "args[1]: 4", "in_axes=None"],
    ),
    "vmap-two-axes": (
        lambda: nnx.vmap(lambda a, b: 0.0, in_axes=(0, 1))(*[stack(KEYS).linear] * 2),
        ["args[0].bias and args[1].bias", "axes 0 and 1", "same axis"],
    ),
    "vmap-length": (
        lambda: nnx.vmap(lambda a, b: 0.0, in_axes=(0,))(stack(KEYS), X),
        ["2 items", "have 1", "one axis for each"],
    ),
    "state-axes-incomplete": (
        lambda: nnx.vmap(lambda b: 0.0, in_axes=(nnx.StateAxes({nnx.Param: 0}),))(
            stack(KEYS)
        ),
        ["no filter for", "`...: None`"],
    ),
    "scan-carry-dtype": (
        lambda: nnx.scan(lambda c, x: (c.astype(jnp.int32), x))(jnp.ones(()), X),
        ["float32[]", "int32[]", "astype"],
    ),
    "scan-carry-once": (
        lambda: nnx.scan(lambda c: c, in_axes=nnx.Carry, out_axes=0),
        ["once in both, or in neither", "in_axes=(nnx.Carry, 0)"],
    ),
    "scan-carry-twice": (
        lambda: nnx.scan(
            lambda a, b: (a, b), in_axes=[nnx.Carry] * 2, out_axes=[nnx.Carry] * 2
        ),
        ["once in both", "as one tuple"],
    ),
    "scan-shared-and-looped": (
        lambda: nnx.scan(lambda b, c: None, in_axes=(0, None), out_axes=0)(
            *[stack(KEYS)] * 2
        ),
        ["args[0].", "and args[1].", "axes 0 and None", "same axis"],
    ),
    "scan-carry-lost": (
        lambda: nnx.scan(lambda c, x: x, out_axes=(nnx.Carry, 0))((1.0, 2.0), X),
        ["result is one array", "give one axis"],
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_named_with_path_and_remedy(name):
    assert_says(*MISTAKES[name])


def test_a_constant_that_remat_makes_is_an_array_of_jax():
    model = nnx.Dict()

    @nnx.remat
    def add(m):
        m["count"] = nnx.Variable(jnp.array(1, jnp.int32))
        return jnp.ones(2)

    result = add(model)
    assert isinstance(model["count"].get_raw_value(), jax.Array)
    assert isinstance(result, jax.Array)
    assert int(model["count"].value.at[...].add(1)) == 2


class Scaled(nnx.Module):
    def __init__(self, rngs):
        self.kernel = nnx.Param(rngs.normal((2,)))
        self.scale = nnx.Param(jnp.ones(()))


def scaled(model):
    return model.kernel[...] * model.scale[...]


def scan_over(model):
    return nnx.scan(lambda c, m: (c, scaled(m)), in_axes=(nnx.Carry, 0))(0.0, model)


WITHOUT_AXIS = {
    "variable": (
        lambda: nnx.vmap(scaled)(Scaled(nnx.Rngs(0))),
        ["vmap: args[0].scale (Param of shape ()) has no axis 0", "'scale'"],
    ),
    "scan": (lambda: scan_over(Scaled(nnx.Rngs(0))), ["scan: args[1].scale"]),
    "stream": (
        lambda: nnx.vmap(Scaled)(nnx.Rngs(0)),
        ["args[0].default.count", "nnx.Rngs(0).fork(split=n)"],
    ),
    "seeds": (
        lambda: nnx.vmap(lambda seed: seed)([1, 2]),
        ["args[0] (int of shape ())", "Rngs(0).fork(split=n)"],
    ),
}


@pytest.mark.parametrize("case", WITHOUT_AXIS)
def test_what_has_no_axis_is_named(case):
    call, words = WITHOUT_AXIS[case]
    assert_says(call, words)


def test_what_the_error_of_a_scalar_says_to_write_works():
    shared = nnx.StateAxes({nnx.PathContains("scale"): None, ...: 0})
    one, each = Scaled(nnx.Rngs(0)), nnx.vmap(Scaled)(nnx.Rngs(0).fork(split=3))
    assert nnx.vmap(scaled)(each).shape == (3, 2)
    each.scale = one.scale
    assert nnx.vmap(scaled, in_axes=shared)(each).shape == (3, 2)
