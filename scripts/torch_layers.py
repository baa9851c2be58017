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
from torch.nn.utils.parametrizations import spectral_norm, weight_norm
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

FILE = Path(__file__).parents[1] / "tests" / "weights" / "layers.safetensors"
SCALINGS = json.loads(FILE.with_name("scalings.json").read_text())
IMAGE = (2, 4, 9, 8)
WAVE = (2, 4, 9)
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
    "conv1d_circular": (nn.Conv1d(4, 3, 3, padding=3, padding_mode="circular"), WAVE),
    "conv1d_reflect": (
        nn.Conv1d(4, 3, 3, stride=2, padding=4, padding_mode="reflect"),
        WAVE,
    ),
    "conv1d_replicate": (nn.Conv1d(4, 3, 2, padding=4, padding_mode="replicate"), WAVE),
    "conv1d_same_reflect": (
        nn.Conv1d(4, 3, 4, padding="same", padding_mode="reflect"),
        WAVE,
    ),
    "conv2d_reflect": (
        nn.Conv2d(4, 3, (3, 5), padding=(2, 1), padding_mode="reflect"),
        IMAGE,
    ),
    "conv_transpose2d_groups": (
        nn.ConvTranspose2d(
            4, 6, (3, 2), stride=(2, 3), padding=1, output_padding=1, groups=2
        ),
        (2, 4, 5, 4),
    ),
    "conv_transpose1d_depthwise": (
        nn.ConvTranspose1d(4, 4, 5, stride=2, dilation=2, groups=4, bias=False),
        (2, 4, 5),
    ),
    "embedding": (nn.Embedding(7, 4), None),
    "embedding_padding": (nn.Embedding(7, 4, padding_idx=2), None),
    "layer_norm": (nn.LayerNorm(8), (3, 8)),
    "layer_norm_axes": (nn.LayerNorm((3, 8)), (2, 3, 8)),
    "group_norm": (nn.GroupNorm(2, 4), IMAGE),
    "instance_norm": (nn.InstanceNorm2d(4, affine=True), IMAGE),
    "rms_norm": (nn.RMSNorm(8, eps=1e-6), (3, 8)),
    "batch_norm": (nn.BatchNorm2d(4), IMAGE),
    "batch_norm_train": (nn.BatchNorm1d(3), (4, 3)),
    "batch_norm_average": (nn.BatchNorm1d(3, momentum=None), (4, 3)),
    "large_mean": (nn.LayerNorm(64), (3, 64)),
    "prelu": (nn.PReLU(), (3, 4)),
    "prelu_channels": (nn.PReLU(4), (3, 4)),
    "attention": (nn.MultiheadAttention(8, 2, batch_first=True), (2, 5, 8)),
    "attention_apart": (
        nn.MultiheadAttention(8, 2, kdim=6, vdim=6, batch_first=True),
        (2, 5, 8),
    ),
    "attention_three": (
        nn.MultiheadAttention(8, 2, kdim=6, vdim=5, batch_first=True),
        (2, 5, 8),
    ),
    "lstm": (nn.LSTM(4, 3, num_layers=2, batch_first=True), (2, 5, 4)),
    "lstm_both": (nn.LSTM(4, 3, bidirectional=True, batch_first=True), (2, 5, 4)),
    "lstm_projection": (nn.LSTM(4, 5, proj_size=3, batch_first=True), (2, 5, 4)),
    "gru": (nn.GRU(4, 3, batch_first=True), (2, 5, 4)),
    "rnn": (nn.RNN(4, 3, batch_first=True), (2, 5, 4)),
    "rnn_relu": (nn.RNN(4, 3, nonlinearity="relu", batch_first=True), (2, 5, 4)),
    "gru_stack": (
        nn.GRU(4, 3, num_layers=2, bidirectional=True, batch_first=True),
        (2, 5, 4),
    ),
    "weight_norm": (weight_norm(nn.Linear(4, 3)), (2, 4)),
    "weight_norm_conv": (weight_norm(nn.Conv1d(4, 3, 3)), (2, 4, 5)),
    "spectral_norm": (spectral_norm(nn.Linear(4, 3)), (2, 4)),
    "spectral_norm_conv": (spectral_norm(nn.Conv1d(4, 3, 3)), (2, 4, 5)),
}
# Functions of PyTorch without weights, of one input.
POOLS = {
    "max_pool_ceil": nn.MaxPool1d(3, 2, padding=1, ceil_mode=True),
    "max_pool_ceil_whole": nn.MaxPool1d(2, 4, padding=1, ceil_mode=True),
    "avg_pool_ceil": nn.AvgPool1d(3, 2, padding=1, ceil_mode=True),
    "avg_pool_ceil_inside": nn.AvgPool1d(
        4, 3, padding=2, ceil_mode=True, count_include_pad=False
    ),
    "adaptive_avg_pool": nn.AdaptiveAvgPool1d(4),
    "adaptive_max_pool": nn.AdaptiveMaxPool1d(4),
    "adaptive_avg_pool_more": nn.AdaptiveAvgPool1d(14),
}
TRAINED = ("batch_norm_train", "batch_norm_average")


def run(name, layer, shape, generator):
    """Input and output, with every weight drawn anew."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
        for key, buffer in layer.named_buffers():
            if key in ("running_mean", "running_var"):
                buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
            elif key.endswith((".0._u", ".0._v")):
                vector = torch.randn(buffer.shape, generator=generator)
                buffer.copy_(vector / vector.norm())
        layer.eval()
        if shape is None:
            x = torch.randint(0, 7, (3,), generator=generator)
            return x.int(), layer(x)
        x = torch.randn(shape, generator=generator)
        if name.startswith("attention"):
            key, value = x[..., : layer.kdim], x[..., : layer.vdim]
            return x, layer(x, key, value, need_weights=False)[0]
        if name == "large_mean":
            x = x + 1000
        out = layer(x)
        return x, out[0] if isinstance(out, tuple) else out


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
    for name, (layer, shape) in LAYERS.items():
        tensors[f"{name}.in"], tensors[f"{name}.out"] = run(
            name, layer, shape, generator
        )
        for key, value in layer.state_dict().items():
            tensors[f"{name}.state.{key}"] = value.clone()
        if name in TRAINED:
            found = trained(layer, tensors[f"{name}.in"])
            tensors[f"{name}.out"] = found["out"]
            for key, value in found["after"].items():
                tensors[f"{name}.after.{key}"] = value
    x = torch.randn((1, 2, 10), generator=generator)
    for name, layer in POOLS.items():
        tensors[f"{name}.in"], tensors[f"{name}.out"] = x.clone(), layer(x)
    for name, values in SCALINGS.items():
        tensors[f"rope.{name}"] = rope(name.split("_")[0], values)
    tensors = {name: x.detach().contiguous() for name, x in tensors.items()}
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    safetensors.torch.save_file(tensors, FILE, versions)
    print(FILE.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
