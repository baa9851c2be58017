"""Makes tests/weights/layers.safetensors: layers of PyTorch with in- and output.

Needs PyTorch and transformers, in an environment of their own. For each row of
tests/weights/layers.py the file has `row.in`, `row.out` and `row.state.` with the names
of the state_dict; of RoPE, the sines and cosines of 200 positions for each scaling of
transformers.
"""

# pyright: reportMissingImports=false

import json
import sys
from pathlib import Path

import safetensors.torch
import torch
import transformers
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.weights.layers import ROWS  # noqa: E402

FILE = ROOT / "tests" / "weights" / "layers.safetensors"
SCALINGS = json.loads(FILE.with_name("scalings.json").read_text())
NAMES = {
    "torch": torch,
    "nn": nn,
    "spectral_norm": spectral_norm,
    "weight_norm": weight_norm,
}
# What is looked at while it trains, beside the rows of the table.
TRAINED = {
    "batch_norm_train": nn.BatchNorm1d(3),
    "batch_norm_average": nn.BatchNorm1d(3, momentum=None),
}


def draw(layer, generator):
    """Draws every weight anew."""
    for parameter in layer.parameters():
        parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    for key, buffer in layer.named_buffers():
        if key in ("running_mean", "running_var"):
            buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
        elif key.endswith((".0._u", ".0._v")):
            vector = torch.randn(buffer.shape, generator=generator)
            buffer.copy_(vector / vector.norm())


def run(name, row, generator):
    """The layer, its input and its output."""
    layer = eval(row.torch, NAMES).eval()
    with torch.no_grad():
        draw(layer, generator)
        if row.shape is None:
            x = torch.randint(0, 7, (3,), generator=generator).int()
        else:
            x = torch.randn(row.shape, generator=generator)
        x = x + 1000 if name == "large_mean" else x
        given = eval(f"({row.inputs},)", {"x": x})
        if name.endswith("_cell"):  # the carry comes first, and is zeros
            given = given[1:]
        out = layer(*given)
    return layer, x, out[0] if isinstance(out, tuple) else out


def trained(layer, x):
    """The state after three batches of training, and the outputs of the last."""
    layer.train()
    with torch.no_grad():
        out = [layer(x * (1 + step)) for step in range(3)][-1]
    return {"after": layer.state_dict(), "out": out}


def rope(kind, values):
    """Cosines and sines, `(2, 200, 4)`."""
    config = transformers.LlamaConfig(
        hidden_size=16,
        num_attention_heads=2,
        max_position_embeddings=64,
        rope_parameters={"rope_type": kind, "rope_theta": 100.0, **values},
    )
    layer = LlamaRotaryEmbedding(config)
    cosine, sine = layer(torch.ones(1, 1, 16), torch.arange(200)[None])
    return torch.stack([cosine[0, :, :4], sine[0, :, :4]])


def main():
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, row in ROWS.items():
        layer, tensors[f"{name}.in"], tensors[f"{name}.out"] = run(name, row, generator)
        for key, value in layer.state_dict().items():
            tensors[f"{name}.state.{key}"] = value.clone()
    for name, layer in TRAINED.items():
        with torch.no_grad():
            draw(layer, generator)
        x = torch.randn((4, 3), generator=generator)
        for key, value in layer.state_dict().items():
            tensors[f"{name}.state.{key}"] = value.clone()
        tensors[f"{name}.in"] = x
        found = trained(layer, x)
        tensors[f"{name}.out"] = found["out"]
        for key, value in found["after"].items():
            tensors[f"{name}.after.{key}"] = value
    for name, values in SCALINGS.items():
        tensors[f"rope.{name}"] = rope(name.split("_")[0], values)
    tensors = {name: x.detach().contiguous() for name, x in tensors.items()}
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    safetensors.torch.save_file(tensors, FILE, versions)
    print(FILE.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
