"""Makes tests/weights/layers.safetensors: layers of PyTorch with in- and output.

Needs PyTorch and transformers, in an environment of their own. For each case the file
has `case.in`, `case.out` and `case.state.` with the names of the state_dict; of RoPE,
the sines and cosines of 200 positions for each scaling of transformers.
"""

# pyright: reportMissingImports=false

import json
from pathlib import Path

import safetensors.torch
import torch
import transformers
from torch import nn
from torch.nn.utils.parametrizations import weight_norm
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

FILE = Path(__file__).parents[1] / "tests" / "weights" / "layers.safetensors"
SCALINGS = json.loads(FILE.with_name("scalings.json").read_text())
IMAGE = (2, 4, 9, 8)
LAYERS = {
    "linear": (nn.Linear(4, 3), (2, 4)),
    "linear_square": (nn.Linear(4, 4, bias=False), (2, 4)),
    "conv1d": (nn.Conv1d(4, 6, 3, stride=2, padding=1), (2, 4, 9)),
    "conv2d": (nn.Conv2d(4, 6, (3, 2), stride=2, padding=(1, 0), groups=2), IMAGE),
    "conv2d_depthwise": (nn.Conv2d(4, 8, 3, groups=4, dilation=2), IMAGE),
    "conv3d": (nn.Conv3d(2, 3, (2, 3, 1), padding="same"), (1, 2, 4, 5, 6)),
    "conv_transpose1d": (nn.ConvTranspose1d(4, 3, 3, stride=2), (2, 4, 5)),
    "conv_transpose2d": (
        nn.ConvTranspose2d(4, 3, 3, stride=2, padding=1, output_padding=1),
        (2, 4, 5, 4),
    ),
    "conv_transpose3d": (nn.ConvTranspose3d(2, 3, (2, 3, 1)), (1, 2, 3, 4, 2)),
    "embedding": (nn.Embedding(7, 4), None),
    "layer_norm": (nn.LayerNorm(8), (3, 8)),
    "layer_norm_axes": (nn.LayerNorm((3, 8)), (2, 3, 8)),
    "group_norm": (nn.GroupNorm(2, 4), IMAGE),
    "instance_norm": (nn.InstanceNorm2d(4, affine=True), IMAGE),
    "rms_norm": (nn.RMSNorm(8, eps=1e-6), (3, 8)),
    "batch_norm": (nn.BatchNorm2d(4), IMAGE),
    "prelu": (nn.PReLU(), (3, 4)),
    "prelu_channels": (nn.PReLU(4), (3, 4)),
    "attention": (nn.MultiheadAttention(8, 2, batch_first=True), (2, 5, 8)),
    "attention_apart": (
        nn.MultiheadAttention(8, 2, kdim=6, vdim=6, batch_first=True),
        (2, 5, 8),
    ),
    "lstm": (nn.LSTM(4, 3, num_layers=2, batch_first=True), (2, 5, 4)),
    "lstm_both": (nn.LSTM(4, 3, bidirectional=True, batch_first=True), (2, 5, 4)),
    "gru": (nn.GRU(4, 3, batch_first=True), (2, 5, 4)),
    "rnn": (nn.RNN(4, 3, batch_first=True), (2, 5, 4)),
    "rnn_relu": (nn.RNN(4, 3, nonlinearity="relu", batch_first=True), (2, 5, 4)),
    "weight_norm": (weight_norm(nn.Linear(4, 3)), (2, 4)),
}


def run(name, layer, shape, generator):
    """Input and output, with every weight drawn anew."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
        for key, buffer in layer.named_buffers():
            if key in ("running_mean", "running_var"):
                buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
        layer.eval()
        if shape is None:
            x = torch.randint(0, 7, (3,), generator=generator)
            return x.int(), layer(x)
        x = torch.randn(shape, generator=generator)
        if name.startswith("attention"):
            other = x[..., : layer.kdim]
            return x, layer(x, other, other, need_weights=False)[0]
        out = layer(x)
        return x, out[0] if isinstance(out, tuple) else out


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
    for name, (layer, shape) in LAYERS.items():
        tensors[f"{name}.in"], tensors[f"{name}.out"] = run(
            name, layer, shape, generator
        )
        for key, value in layer.state_dict().items():
            tensors[f"{name}.state.{key}"] = value
    for name, values in SCALINGS.items():
        tensors[f"rope.{name}"] = rope(name.split("_")[0], values)
    tensors = {name: x.detach().contiguous() for name, x in tensors.items()}
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    safetensors.torch.save_file(tensors, FILE, versions)
    print(FILE.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
