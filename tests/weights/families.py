"""The tiny checkpoints, what transformers computes with them, and models of ours."""

import functools
import importlib.util
import json
from pathlib import Path

import numpy as np

import oakum as nnx
from oakum.weights._source import open_source

FOLDER = Path(__file__).parent / "families"
MODELS = Path(__file__).parents[2] / "examples" / "models"
MAKERS = {"llama": "Llama"}


@functools.cache
def module(family):
    spec = importlib.util.spec_from_file_location(family, MODELS / f"{family}.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@functools.cache
def tensors(family):
    """The tensors of a checkpoint, copied into memory."""
    source = open_source(FOLDER / family / "model.safetensors")
    return {name: np.array(source.view(name)) for name in source.tensors}


@functools.cache
def expected(family):
    """Inputs and what transformers computes."""
    source = open_source(FOLDER / family / "expected.safetensors")
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
