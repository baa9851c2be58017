"""A trained model leaves as a program of jax.export and a file, which need no oakum."""

import subprocess
import sys
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import oakum as nnx
from tests.weights import families

READER = """
import sys

sys.modules["oakum"] = None  # whoever imports it gets an ImportError
import pathlib
import jax, numpy as np
from safetensors.numpy import load_file

program, weights, given, out = sys.argv[1:]
exported = jax.export.deserialize(pathlib.Path(program).read_bytes())
params = {k.removeprefix("model."): x for k, x in load_file(weights).items()}
np.save(out, exported.call(params, np.load(given)))
"""


def _trained(family):
    model = families.module(family).load(families.FOLDER / family)
    optimizer = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)
    given = families.inputs(family)

    @nnx.jit
    def step(model, optimizer, given):
        grads = nnx.grad(lambda m: -nnx.log_softmax(m(*given))[..., 0].mean())(model)
        optimizer.update(model, grads)

    step(model, optimizer, given)
    return model.eval() or model


def _exported(model, x):
    """The program, of weights by name and an input of any batch."""
    graphdef, state = nnx.split(model)
    names = [".".join(map(str, path)) for path, _ in nnx.to_flat_state(state)]
    params = dict(zip(names, jax.tree.leaves(state), strict=True))
    structure = jax.tree.structure(state)

    def serve(params, x):
        state = jax.tree.unflatten(structure, [params[name] for name in names])
        return nnx.merge(graphdef, state)(x)

    (batch,) = jax.export.symbolic_shape("batch")
    shape = jax.ShapeDtypeStruct((batch, *x.shape[1:]), x.dtype)
    return jax.export.export(jax.jit(serve))(params, shape).serialize()


def test_a_process_without_oakum_runs_a_trained_model(tmp_path):
    pytest.importorskip("flatbuffers")
    model, x = _trained("llama"), families.inputs("llama")[0]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        (tmp_path / "program").write_bytes(_exported(model, x))
        nnx.save(tmp_path / "model.safetensors", model=model)
    np.save(tmp_path / "given.npy", x)
    files = [tmp_path / n for n in ("program", "model.safetensors", "given.npy", "out")]
    command = [sys.executable, "-W", "always", "-c", READER, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not told
    assert "Warning" not in done.stderr
    np.testing.assert_allclose(np.load(f"{files[-1]}.npy"), model(x), atol=1e-5)
    assert jnp.abs(model(x) - families.expected("llama")["logits"]).max() > 0.01
