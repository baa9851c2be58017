"""The four models in PyTorch, eager or compiled, with the fused Adam."""

import torch
from torch import nn
from torch.nn import functional

from . import DEPTHS, RATE, batch
from . import sizes as s


class Block(nn.Module):
    """Two Linears and a norm beside their input."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(s.WIDTH)
        self.a, self.b = nn.Linear(s.WIDTH, s.WIDTH), nn.Linear(s.WIDTH, s.WIDTH)

    def forward(self, x):
        """Give an array of the shape of `x`."""
        return x + self.b(torch.relu(self.a(self.norm(x))))


class Convolutions(nn.Module):
    """Convolutions, each with BatchNorm, and a Linear."""

    def __init__(self):
        super().__init__()
        pairs = enumerate(zip((1, *s.CHANNELS), s.CHANNELS, strict=False))
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=1 + (i > 0), padding=1) for i, (a, b) in pairs
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(c) for c in s.CHANNELS)
        self.out = nn.Linear(s.CHANNELS[-1], s.CLASSES)

    def forward(self, x):
        """Give the logits of the images `x`."""
        x = x.movedim(-1, 1)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = torch.relu(norm(conv(x)))
        return self.out(x.mean((2, 3)))


class Layer(nn.Module):
    """Attention and two Linears, with the norms before them."""

    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(s.FEATURES), nn.LayerNorm(s.FEATURES)
        self.attention = nn.MultiheadAttention(s.FEATURES, s.HEADS, batch_first=True)
        self.up = nn.Linear(s.FEATURES, 4 * s.FEATURES)
        self.down = nn.Linear(4 * s.FEATURES, s.FEATURES)

    def forward(self, x, mask):
        """Give an array of the shape of `x`."""
        h = self.norm1(x)
        h, _ = self.attention(
            h, h, h, attn_mask=mask, is_causal=True, need_weights=False
        )
        x = x + h
        h = functional.gelu(self.up(self.norm2(x)), approximate="tanh")
        return x + self.down(h)


class Transformer(nn.Module):
    """A causal transformer with learned positions."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(s.VOCABULARY, s.FEATURES)
        self.places = nn.Embedding(s.TOKENS, s.FEATURES)
        self.layers = nn.ModuleList(Layer() for _ in range(s.BLOCKS))
        self.norm = nn.LayerNorm(s.FEATURES)
        self.out = nn.Linear(s.FEATURES, s.VOCABULARY)
        mask = nn.Transformer.generate_square_subsequent_mask(s.TOKENS)
        self.register_buffer("mask", mask)

    def forward(self, tokens):
        """Give the logits of the next tokens."""
        x = self.embed(tokens) + self.places.weight
        for layer in self.layers:
            x = layer(x, self.mask)
        return self.out(self.norm(x))


def train(name, compiled=False, threads=1):
    """One step of the model `name`, and its number of parameters."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    if name in DEPTHS:
        model = nn.Sequential(*(Block() for _ in range(DEPTHS[name])))
    else:
        model = {"convolutions": Convolutions, "transformer": Transformer}[name]()
    optimizer = torch.optim.Adam(model.parameters(), RATE, fused=True)
    x, y = map(torch.as_tensor, batch(name))

    def loss_of(x, y):
        out = model(x)
        if name in DEPTHS:
            return ((out - y) ** 2).mean()
        return functional.cross_entropy(out.flatten(0, -2), y.flatten().long())

    loss_of = torch.compile(loss_of) if compiled else loss_of

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(x, y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, sum(p.numel() for p in model.parameters())
