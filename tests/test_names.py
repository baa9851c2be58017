"""Names are found: by completion, when misspelt, and by what others call them."""

import importlib
import subprocess
import sys
from types import ModuleType

import jax
import jax.numpy as jnp
import optax
import pytest

import oakum as nnx
from oakum._elsewhere import NAMES

LAZY = (
    *("oakum", "oakum.nn", "oakum.train", "oakum.transforms", "oakum.weights"),
    "oakum.errors",
)


def _fresh(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_dir_lists_every_public_name_before_it_is_imported():
    assert _fresh("import oakum; print(set(oakum.__all__) - set(dir(oakum)))") == (
        "set()\n"
    )


@pytest.mark.parametrize("package", LAZY)
def test_dir_lists_no_module_of_others(package):
    module = importlib.import_module(package)
    values = [getattr(module, n) for n in dir(module) if not n.startswith("_")]
    names = [value.__name__ for value in values if isinstance(value, ModuleType)]
    assert [name for name in names if not name.startswith("oakum.")] == []


@pytest.mark.parametrize("package", LAZY)
def test_what_dir_lists_is_there(package):
    module = importlib.import_module(package)
    assert [name for name in dir(module) if not hasattr(module, name)] == []


def test_completion_finds_lazy_names():
    found = _fresh(
        "import rlcompleter, oakum as nnx\n"
        "complete = rlcompleter.Completer({'nnx': nnx}).complete\n"
        "for text in ('nnx.Lin', 'nnx.save', 'nnx.train.Ru', 'nnx.nn.Drop'):\n"
        "    print(complete(text, 0).rstrip('('))"
    )
    assert found.split() == [
        "nnx.Linear",
        "nnx.save",
        "nnx.train.Run",
        "nnx.nn.Dropout",
    ]


NEAR = {
    "letters swapped": ("oakum", "Linaer", "Did you mean: 'Linear'?"),
    "of two": ("oakum", "vmpa", "Did you mean: 'vmap'?"),
    "plural": ("oakum.train", "Checkpoint", "Did you mean: 'Checkpoints'"),
    "of a model": ("oakum", "state_dict", "Instead: nnx.state(model)"),
    "other case": ("oakum", "Relu", "Did you mean: 'relu'?"),
    "no underscore": ("oakum.nn", "dotproductattention", "'dot_product_attention'?"),
    "in a folder": ("oakum.train", "Optimiser", "Did you mean: 'Optimizer'?"),
    "other folder": ("oakum.nn", "jit", "Instead: oakum.jit"),
    "foreign": ("oakum", "Dense", "It is a name of Keras and Linen.\nInstead: nnx.Lin"),
    "older": (
        "oakum",
        "to_arrays",
        "name of flax.nnx before 0.12.\nInstead: nnx.pure(",
    ),
    "context": (
        "oakum",
        "split_context",
        "of the engine of flax.nnx.\nInstead: nnx.me",
    ),
    "foreign, other case": ("oakum.nn", "conv2d", "(batch, height, width, channels)"),
}


@pytest.mark.parametrize(("package", "name", "text"), NEAR.values(), ids=NEAR)
def test_a_name_that_is_not_here_says_what_is(package, name, text):
    with pytest.raises(AttributeError) as caught:
        getattr(importlib.import_module(package), name)
    what, _, advice = str(caught.value).partition("\n")
    assert what == f"module {package!r} has no attribute {name!r}"
    assert text in advice


def test_an_import_says_it_too():
    with pytest.raises(
        ImportError, match=r"'Dense' from 'oakum'\n.*\nInstead: nnx.Lin"
    ):
        exec("from oakum import Dense")


@pytest.mark.parametrize("name", ["nothing_like_it", "__wrapped__", "_private"])
def test_a_name_that_is_near_nothing_gets_no_advice(name):
    with pytest.raises(AttributeError) as caught:
        getattr(nnx, name)
    assert str(caught.value) == f"module 'oakum' has no attribute {name!r}"


def test_a_module_that_is_not_yet_imported_is_no_misspelt_name():
    assert _fresh("from oakum import cli; print(cli.__name__)") == "oakum.cli\n"


def test_no_foreign_name_is_one_of_ours():
    assert [name for name in NAMES if name in dir(nnx)] == []


class _Model(nnx.Linear):
    """Takes anything with channels last."""

    def __init__(self):
        super().__init__(3, 3, rngs=nnx.Rngs(0))


@pytest.fixture
def reader(tmp_path):
    """What the one who reads an answer has at hand."""
    model = _Model()
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)
    mesh = jax.make_mesh((1,), ("data",))
    logits = jnp.ones((4, 3))
    nnx.save(tmp_path / "model", model=model)
    return {
        **{"nnx": nnx, "jax": jax, "jnp": jnp, "optax": optax, "mesh": mesh},
        **{"rngs": nnx.Rngs(params=0, dropout=1), "model": model},
        **{"graphdef": graphdef, "params": params, "rest": rest, "shape": (4, 3)},
        **{"logits": logits, "labels": jnp.zeros(4, int), "y": nnx.softmax(logits)},
        **{"in_features": 3, "out_features": 3, "features": 3, "num_features": 4},
        **{"hidden_features": 3, "num_embeddings": 3, "num_heads": 3},
        "loss_fn": lambda model: model(jnp.ones((1, 3))).sum(),
        "optimizer": nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param),
        "grads": params,
        "path": tmp_path / "model",
    }


def _input_for(code: str, name: str):
    dims = 3 if "3d" in name.lower() else 1 if "1d" in name.lower() else 2
    if "resize" in code or "SelfAttention" in name:
        return jnp.ones((4, 3))
    return jnp.ones((2, *(4,) * dims, 3))


@pytest.mark.parametrize("name", NAMES)
def test_the_code_for_a_foreign_name_runs(name, reader):
    code = NAMES[name][1]
    exec(code, {**reader, "x": _input_for(code, name)})
