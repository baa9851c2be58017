"""The tiny checkpoints, what transformers computes with them, and models of ours."""

import functools
import importlib
import json
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np

import oakum as nnx
from oakum.weights.files._source import open_source

FOLDER = Path(__file__).parent / "families"
MODELS = Path(__file__).parents[2] / "examples" / "models"
MAKERS = {
    "llama": "Llama",
    "qwen3": "Qwen3",
    "gpt2": "GPT2",
    "bert": "Bert",
    "gemma3": "Gemma3",
    "vit": "ViT",
    "qwen3_moe": "Qwen3MoE",
}
DECODERS = ["llama", "qwen3", "gpt2", "gemma3", "qwen3_moe"]


@functools.cache
def module(family):
    before = list(sys.path)
    sys.path.insert(0, str(MODELS))  # as where the file is run
    try:
        return importlib.import_module(family)
    finally:
        sys.path[:] = before


@functools.cache
def loaded(family):
    return module(family).load(FOLDER / family)


def inputs(family, found=None):
    """What a model is called with; of the stored checkpoint by default."""
    found = expected(family) if found is None else found
    given = {name: jnp.asarray(x) for name, x in found.items()}
    if family == "vit":
        return (given["images"].transpose(0, 2, 3, 1),)
    if family == "bert":
        return given["tokens"], given["kinds"], given["mask"]
    return (given["tokens"],)


@functools.cache
def tensors(family):
    """The tensors of a checkpoint, copied into memory."""
    return arrays(FOLDER / family / "model.safetensors")


@functools.cache
def expected(family):
    """Inputs and what transformers computes."""
    return arrays(FOLDER / family / "expected.safetensors")


def arrays(file):
    """What a file holds, copied into memory."""
    source = open_source(file)
    return {name: np.array(source.view(name)) for name in source.tensors}


@functools.cache
def config(family):
    return json.loads((FOLDER / family / "config.json").read_text())


def make(family, changes=(), **options):
    """A model with weights of its own."""
    kind = getattr(module(family), MAKERS[family])
    return kind({**config(family), **dict(changes)}, rngs=nnx.Rngs(0), **options)


def abstract(family, changes=(), **options):
    """A model without weights."""
    return nnx.eval_shape(lambda: make(family, changes, **options))


def write(file, arrays):
    """Writes arrays as the safetensors package does."""
    from safetensors.numpy import save_file

    save_file(arrays, file)
