"""Repeat: the numbers, gradients, masks and statistics of the unrolled loop."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from oakum.errors import ArgumentError, ShapeError, StructureError

N, WIDTH = 3, 4
X = jax.random.normal(jax.random.key(1), (5, WIDTH))


class Block(nnx.Module):
    """A residual block with dropout and batch statistics."""

    def __init__(self, width, *, rngs):
        self.linear = nnx.Linear(width, width, rngs=rngs)
        self.norm = nnx.BatchNorm(width, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x, scale=None):
        h = self.dropout(nnx.relu(self.linear(self.norm(x))))
        return x + (h if scale is None else h * scale)


@functools.cache
def prototypes() -> tuple[nnx.Repeat, Any]:
    """A stack, and its layers made in a Python loop."""
    rngs = nnx.Rngs(0)
    blocks = nnx.List([Block(WIDTH, rngs=rngs) for _ in range(N)])
    return nnx.Repeat(Block, N, WIDTH, rngs=nnx.Rngs(0)), blocks


def make_stack(**options: Any) -> nnx.Repeat:
    stack = nnx.clone(prototypes()[0])
    stack.set_attributes(nnx.Repeat, **options)
    return stack


def make_loop() -> Any:
    return nnx.clone(prototypes()[1])


@nnx.jit
def run_loop(blocks, x, *args):
    for block in blocks:
        x = block(x, *args)
    return x


def states(layers: Any) -> list[Any]:
    """The flat states of layers, keys as their data."""
    return [
        {
            path: jax.random.key_data(v.value) if "key" in path else v.value
            for path, v in nnx.to_flat_state(nnx.state(layer))
        }
        for layer in layers
    ]


def assert_close(got: Any, expected: Any) -> None:
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6),
        got,
        expected,
    )


OPTIONS = {
    "plain": {},
    "remat": {"remat": True, "policy": jax.checkpoint_policies.dots_saveable},
    "unroll": {"unroll": N},
}


def test_layers_are_those_of_the_loop():
    assert_close(states(make_stack().unstack()), states(make_loop()))


@pytest.mark.parametrize("name", OPTIONS)
def test_numbers_masks_and_statistics_are_those_of_the_loop(name):
    stack, blocks = make_stack(**OPTIONS[name]), make_loop()
    call = nnx.jit(lambda m, x: m(x))
    for _ in range(2):  # other masks in the second call
        assert_close(call(stack, X), run_loop(blocks, X))
    assert_close(states(stack), states(blocks))


@functools.cache
def gradient_of_the_loop():
    grad = nnx.jit(nnx.grad(lambda b: (run_loop(b, X) ** 2).sum()))
    return grad(make_loop())


@pytest.mark.parametrize("name", OPTIONS)
def test_gradients_are_those_of_the_loop(name):
    grad = nnx.jit(nnx.grad(lambda m, x: (m(x) ** 2).sum()))
    expected, got = gradient_of_the_loop(), grad(make_stack(**OPTIONS[name]), X)
    for i in range(N):
        layer = jax.tree.map(lambda v, i=i: v[i], got.layers)
        for a, b in zip(
            jax.tree.leaves(layer), jax.tree.leaves(expected[i]), strict=True
        ):
            # To the largest number of each: those of a normalized batch cancel.
            np.testing.assert_allclose(
                a, b, rtol=0, atol=2e-5 * float(jnp.abs(b).max())
            )


def test_every_layer_and_every_call_has_a_mask_of_its_own():
    class Drop(nnx.Module):
        def __init__(self, *, rngs):
            self.dropout = nnx.Dropout(0.5, rngs=rngs)
            self.mask = nnx.Intermediate(jnp.zeros(64))

        def __call__(self, x):
            self.mask.value = self.dropout(jnp.ones(64))
            return x

    stack, masks = nnx.Repeat(Drop, N, rngs=nnx.Rngs(0)), set()
    for _ in range(3):
        stack(jnp.ones(()))
        masks |= {tuple(row) for row in stack.layers.mask.value.tolist()}
    assert len(masks) == 3 * N


def test_streams_that_are_passed_go_from_layer_to_layer():
    class Noise(nnx.Module):
        def __call__(self, x, *, rngs):
            return x + rngs.normal(x.shape)

    stack = nnx.Repeat(lambda rngs: Noise(), N, rngs=nnx.Rngs(0))
    got, plain = nnx.Rngs(7), nnx.Rngs(7)
    expected = sum((plain.normal((2,)) for _ in range(N)), jnp.zeros(2))
    assert_close(stack(jnp.zeros(2), rngs=got), expected)
    assert int(got.default.count.value) == N


def test_arguments_are_shared_by_all_layers():
    scale = jnp.full((1, WIDTH), 0.5)
    expected = run_loop(make_loop(), X, scale)
    assert_close(make_stack()(X, scale), expected)
    assert_close(make_stack()(X, scale=scale), expected)


def test_a_weakly_typed_input_is_taken_as_by_the_loop():
    x = jnp.full((2, WIDTH), 0.5)
    assert x.weak_type
    stack = nnx.Repeat(nnx.Linear, N, WIDTH, WIDTH, rngs=nnx.Rngs(0))
    assert_close(stack(x), run_loop(stack.unstack(), x))


def test_evaluation_reaches_the_layers():
    stack, blocks = make_stack(), make_loop()
    stack.eval()
    for block in blocks:
        block.eval()
    assert_close(stack(X), run_loop(blocks, X))
    assert stack.layers.norm.mean.value.tolist() == [[0.0] * WIDTH] * N


def test_one_layer_is_traced_however_many_there_are():
    count = []

    class Counted(nnx.Module):
        def __init__(self, *, rngs):
            self.w = nnx.Param(jnp.ones(2))

        def __call__(self, x):
            count.append(1)
            return x * self.w

    stack = nnx.Repeat(Counted, 8, rngs=nnx.Rngs(0))
    for _ in range(100):
        stack(jnp.ones(2))
    assert len(count) <= 2  # jax.lax.scan may trace its body again for the carry's type


def test_remat_computes_again_what_the_policy_does_not_keep():
    def products(**options):
        grad = nnx.grad(lambda m: (m(X) ** 2).sum())
        text = str(nnx.make_jaxpr(grad)(make_stack(**options)))
        return text.count("dot_general")

    plain, again = products(), products(remat=True)
    kept = products(remat=True, policy=jax.checkpoint_policies.dots_saveable)
    assert plain == kept < again


# -- stacked and per-layer checkpoints


def test_a_stacked_checkpoint_comes_back(tmp_path):
    stack, fresh = make_stack(), make_stack()
    stack(X)
    nnx.save(tmp_path / "it", model=stack)
    nnx.load(tmp_path / "it", model=fresh)
    assert_close(states(fresh), states(stack))
    assert_close(fresh(X), stack(X))


def test_a_per_layer_checkpoint_fits_the_loop_and_the_stack(tmp_path):
    stack = make_stack()
    stack(X)
    nnx.save(tmp_path / "it", layers=nnx.List(stack.unstack()))
    blocks = make_loop()
    nnx.load(tmp_path / "it", layers=blocks)
    again = nnx.Repeat.stack(blocks)
    assert_close(states(again), states(stack))
    expected = stack(X)
    assert_close(again(X), expected)
    assert_close(run_loop(blocks, X), expected)


def test_unstacked_layers_are_copies():
    stack = make_stack()
    first, *_ = stack
    first.linear.kernel.value = first.linear.kernel.value + 1.0
    assert len(stack) == N
    assert not np.allclose(first.linear.kernel.value, stack.layers.linear.kernel[0])


def test_stack_keeps_options_and_nested_repeats_run():
    inner = nnx.Repeat(
        lambda rngs: nnx.Repeat(Block, 2, WIDTH, rngs=rngs), N, rngs=nnx.Rngs(0)
    )
    assert inner.layers.layers.linear.kernel.shape == (N, 2, WIDTH, WIDTH)
    rngs = nnx.Rngs(0)
    blocks = [Block(WIDTH, rngs=rngs) for _ in range(2 * N)]
    assert_close(inner(X), run_loop(blocks, X))
    assert nnx.Repeat.stack(make_loop(), unroll=2, remat=True).unroll == 2


class Keeps(nnx.Module):
    def __init__(self, *, rngs):
        self.rngs = rngs


class Widens(nnx.Module):
    def __call__(self, x):
        return jnp.concatenate([x, x])


class Scale(nnx.Module):
    def __init__(self, size):
        self.w = nnx.Param(jnp.ones(size))


MISTAKES = {
    "none": (lambda: nnx.Repeat(Block, 0, WIDTH, rngs=nnx.Rngs(0)), "is 0.*at least 1"),
    "no layer": (
        lambda: nnx.Repeat(lambda rngs: nnx.relu, N, rngs=nnx.Rngs(0)),
        "a layer is a module, but make gave a .*a module's class",
    ),
    "streams": (
        lambda: nnx.Repeat(Keeps, N, rngs=nnx.Rngs(0)),
        r"Keeps keeps the streams.*rngs\.fork\(\)",
    ),
    "shape": (
        lambda: nnx.Repeat(lambda rngs: Widens(), N, rngs=nnx.Rngs(0))(jnp.ones(2)),
        r"float32\[2\], but.*float32\[4\].*Where: .*layers.*same width",
    ),
    "structure": (
        lambda: nnx.Repeat.stack([nnx.Dropout(0.1), nnx.Dropout(0.2)]),
        "layer 1 has another structure.*one class and configuration",
    ),
    "sizes": (
        lambda: nnx.Repeat.stack([Scale(2), Scale(3)]),
        r"layer 1.*w: expected float32\[2\], got float32\[3\].*one class",
    ),
    "no-layers": (lambda: nnx.Repeat.stack([]), "no layers.*at least one"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_named_with_remedy(name):
    call, match = MISTAKES[name]
    kinds = (ArgumentError, ShapeError, StructureError)
    with pytest.raises(kinds, match=f"(?s){match}"):
        call()


class Counting(nnx.Module):
    """Adds to what a count of its own says, and counts."""

    def __init__(self, *, rngs):
        self.weight = nnx.Param(rngs.normal((WIDTH,)))

    def __call__(self, x, count):
        count.value += 1
        return x + self.weight[...] * count.value


class Count(nnx.Module):
    def __init__(self, start, *, rngs=None):
        self.count = nnx.Cache(jnp.asarray(start))

    value = property(lambda self: self.count.value)

    @value.setter
    def value(self, new):
        self.count.value = new


def test_a_repeat_among_the_arguments_goes_along_layer_by_layer():
    layers = nnx.Repeat(Counting, N, rngs=nnx.Rngs(0))
    counts = nnx.Repeat.stack([Count(float(i)) for i in range(N)])
    out = layers(jnp.zeros(WIDTH), counts)
    weights = layers.layers.weight.value
    np.testing.assert_allclose(out, jnp.arange(1.0, N + 1) @ weights, rtol=1e-6)
    np.testing.assert_array_equal(counts.layers.count.value, [1, 2, 3])


def test_a_repeat_of_another_number_is_refused():
    layers = nnx.Repeat(Counting, N, rngs=nnx.Rngs(0))
    counts = nnx.Repeat.stack([Count(0.0) for _ in range(2)])
    with pytest.raises(ArgumentError, match=r"3 layers was passed a Repeat of 2"):
        layers(jnp.zeros(WIDTH), counts)
