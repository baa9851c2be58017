"""Builds one model with oakum and with flax, and compares them number by number."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum

flax_nnx: Any = pytest.importorskip("flax.nnx")

F32, BF16 = jnp.float32, jnp.bfloat16
PADDINGS = {
    "same": "SAME",
    "valid": "VALID",
    "circular": "CIRCULAR",
    "reflect": "REFLECT",  # of convolutions alone
    "int": 2,
    "ints": (1, 2),
    "pairs": ((1, 2), (0, 3)),
    "mixed": (2, (0, 1)),
}
HALF_DTYPES = [
    pytest.param(BF16, BF16, BF16, id="bfloat16"),
    pytest.param(BF16, F32, F32, id="compute-bfloat16"),
    pytest.param(None, F32, BF16, id="input-bfloat16"),
]
"""Those of the computation, the parameters and the input, with bfloat16 in one."""

DTYPES = [
    pytest.param(None, F32, F32, id="float32"),
    *HALF_DTYPES,
    pytest.param(None, BF16, F32, id="params-bfloat16"),
]
F32_TOLERANCE = 1e-6
BF16_TOLERANCE = 2e-2  # some ulps of 2**-8, as fusion rounds less often


def half_everything(values: tuple, *, dtype: Any = None, inexact: bool = True) -> tuple:
    """A `promote_dtype` that a user may write."""
    return tuple(None if a is None else jnp.asarray(a, BF16) for a in values)


@contextlib.contextmanager
def lenient() -> Iterator[None]:
    """Lets flax promote ranks and dtypes, as its layers need to."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


def both(build: Callable[[Any], Any]) -> tuple[Any, Any]:
    """`build(nnx)`, with oakum and with flax in the place of `nnx`."""
    ours = build(oakum)
    with lenient():
        return ours, build(flax_nnx)


def arrays(nnx: Any, node: Any) -> dict[str, np.ndarray]:
    """The arrays of a model or a state by path; random keys as their bits."""
    found = {}
    with lenient():
        state = node if isinstance(node, nnx.State) else nnx.state(node)
        for path, leaf in nnx.to_flat_state(state):
            value = leaf.get_value() if hasattr(leaf, "get_value") else leaf
            if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
                value = jax.random.key_data(value)
            found["/".join(map(str, path))] = np.asarray(value)
    return found


def assert_same_arrays(ours: Any, theirs: Any, tolerance: float = 0.0) -> None:
    """Both hold the same paths, dtypes and values; bit for bit by default."""
    got, expected = arrays(oakum, ours), arrays(flax_nnx, theirs)
    assert got.keys() == expected.keys()
    for path in got:
        assert_close(got[path], expected[path], tolerance, path)


def assert_close(got: Any, expected: Any, tolerance: float, name: str = "") -> None:
    """Same shape and dtype, and values that differ by `tolerance` of the largest."""
    assert got.dtype == expected.dtype, name
    assert got.shape == expected.shape, name
    wide = np.complex64 if np.iscomplexobj(got) else np.float64
    got, expected = np.asarray(got).astype(wide), np.asarray(expected).astype(wide)
    bound = tolerance * float(np.abs(expected).max(initial=0.0))
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound, err_msg=name)


def normal(shape: tuple[int, ...], dtype: Any = jnp.float32, seed: int = 1) -> Any:
    """A random array, by NumPy: JAX compiles its draws once for each shape."""
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), dtype)


def ramp(key: Any, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Any:
    """An initializer without a key, likewise, of values that all differ."""
    return jnp.asarray(np.sin(1 + np.arange(np.prod(shape))).reshape(shape), dtype)


def assert_parity(
    build: Callable[[Any], Any],
    x: jax.Array,
    *,
    steps: int = 1,
    tolerance: float | None = None,
    gradients: bool = True,
    compiled: bool = True,
    **call: Any,
) -> None:
    """Same parameters, and in each step same output, gradients and state.

    Gradients are compared relative to the largest among them all: where one is zero
    but for rounding, as that of a bias before a normalization, rounding decides.

    Args:
        build: builds the model from the module `nnx`.
        x: the input.
        steps: how many times to call it.
        tolerance: largest difference relative to the largest value.
        gradients: whether to compare gradients too, at about thrice the time.
        compiled: whether to compile the whole, in half the time; else each operation
            by itself, as in an eager call.
        **call: further arguments of the call.
    """
    ours, theirs = both(build)
    assert_same_arrays(ours, theirs)
    for _ in range(steps):
        run = partial(_with_gradients, compiled) if gradients else _forward
        out, grads = run(oakum, ours, x, call)
        with lenient():
            expected, expected_grads = run(flax_nnx, theirs, x, call)
        bound = tolerance
        if bound is None:
            half = jnp.bfloat16 in (expected.dtype, x.dtype)
            bound = BF16_TOLERANCE if half else F32_TOLERANCE
        assert_close(out, expected, bound, "output")
        _assert_close_gradients(grads, expected_grads, bound)
        assert_same_arrays(ours, theirs, bound)


def _assert_close_gradients(
    ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray], tolerance: float
) -> None:
    assert ours.keys() == theirs.keys()
    wide = {name: grad.astype(np.float64) for name, grad in theirs.items()}
    scale = max((np.abs(grad).max(initial=0) for grad in wide.values()), default=0)
    for name, expected in wide.items():
        assert ours[name].dtype == theirs[name].dtype, name
        got = ours[name].astype(np.float64)
        message = f"gradient of {name}"
        np.testing.assert_allclose(got, expected, 0, tolerance * scale, err_msg=message)


def _forward(nnx: Any, model: Any, x: Any, call: dict[str, Any]) -> tuple[Any, dict]:
    return model(x, **call), {}


def _with_gradients(
    compiled: bool, nnx: Any, model: Any, x: Any, call: dict[str, Any]
) -> tuple[Any, dict[str, np.ndarray]]:
    """The output, and the gradients of a function of it: of parameters and input."""

    def loss(model: Any, x: Any) -> Any:
        out = model(x, **call)
        wide = out.astype(jnp.float32)
        weights = normal(out.shape, seed=2)
        return (wide**2 * weights + wide).sum(), out

    argnums = (0,) if jax.tree.leaves(nnx.state(model, nnx.Param)) else ()
    if jnp.issubdtype(x.dtype, jnp.inexact):
        argnums = (*argnums, 1)
    differentiate = nnx.value_and_grad(loss, argnums=argnums, has_aux=True)
    run = nnx.jit(differentiate) if compiled else differentiate
    (_, out), grads = run(model, x)
    found = {}
    for argnum, grad in zip(argnums, grads, strict=True):
        found |= {"input": np.asarray(grad)} if argnum else arrays(nnx, grad)
    return out, found
