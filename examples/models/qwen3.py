"""Qwen3, with the weights of Hugging Face: read them, train, decode.

Yang et al.: Qwen3 Technical Report, https://arxiv.org/abs/2505.09388, 2025. A Llama
whose queries and keys are normalized head by head, before they are turned by their
positions.

    model = load('folder')  # with config.json and model.safetensors
    logits = model(tokens)
    tokens = nnx.generate(model, tokens, model.init_caches(1, 200), 100)
"""

import llama
from llama import ATTENTION, GATED, MLP, TIED
from parts import attend, from_folder, turned

import oakum as nnx


class Attention(llama.Attention):
    def __init__(self, config: dict, window: int | None = None, *, rngs: nnx.Rngs):
        super().__init__(config, window, rngs=rngs)
        _, depth = self.query.out_features
        self.query_norm = nnx.RMSNorm(depth, epsilon=config["rms_norm_eps"], rngs=rngs)
        self.key_norm = nnx.RMSNorm(depth, epsilon=config["rms_norm_eps"], rngs=rngs)

    def __call__(self, x, positions, mask, cache=None):
        query = turned(self.rope, self.query_norm(self.query(x)), positions)
        key = turned(self.rope, self.key_norm(self.key(x)), positions)
        return self.out(attend(query, key, self.value(x), mask, cache, self.window))


NORMALIZED = {
    **ATTENTION,
    "model.layers.{i}.self_attn.q_norm": "blocks.{i}.attention.query_norm",
    "model.layers.{i}.self_attn.k_norm": "blocks.{i}.attention.key_norm",
}


class Qwen3(llama.Llama):
    families = ("qwen3",)
    of_block = Attention, MLP
    weights = nnx.weights.Rules({**NORMALIZED, **GATED}, tied=TIED)


def load(folder: str) -> Qwen3:
    """The model of a folder from Hugging Face, with its weights."""
    return from_folder(Qwen3, folder)
