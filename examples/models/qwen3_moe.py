"""Qwen3-MoE, with the weights of Hugging Face: a Qwen3 whose MLPs are many experts.

Yang et al.: Qwen3 Technical Report, https://arxiv.org/abs/2505.09388, 2025. A router
sends each token to a few of the experts. Here all of them compute all tokens, which is
plain to read and right for few experts; `examples/moe.py` sends tokens around.

    model = load('folder')  # with config.json and model.safetensors
    tokens = nnx.generate(model, tokens, model.init_caches(1, 200), 100)
"""

import jax
import jax.numpy as jnp
from parts import activation, expect, from_folder
from qwen3 import NORMALIZED, TIED, Attention, Qwen3

import oakum as nnx
from oakum.weights import into


class Experts(nnx.Module):
    def __init__(self, config: dict, *, rngs: nnx.Rngs):
        expect(config, decoder_sparse_step=1, mlp_only_layers=[])
        width, inner = config["hidden_size"], config["moe_intermediate_size"]
        count = config.get("num_experts") or config["num_local_experts"]
        self.chosen = config["num_experts_per_tok"]
        self.normalize = config["norm_topk_prob"]
        self.activation = activation(config["hidden_act"])
        self.router = nnx.Linear(width, count, use_bias=False, rngs=rngs)
        init = nnx.initializers.lecun_normal(batch_axis=0)
        self.gate = nnx.Param(init(rngs.params(), (count, width, inner)))
        self.up = nnx.Param(init(rngs.params(), (count, width, inner)))
        self.down = nnx.Param(init(rngs.params(), (count, inner, width)))

    def __call__(self, x):  # (batch, seq, width)
        shares = jax.nn.softmax(self.router(x).astype(jnp.float32))
        best, which = jax.lax.top_k(shares, self.chosen)  # (batch, seq, chosen)
        if self.normalize:
            best = best / best.sum(-1, keepdims=True)
        places = jax.nn.one_hot(which, shares.shape[-1])  # (..., chosen, experts)
        shares = (places * best[..., None]).sum(-2).astype(x.dtype)
        gate = jnp.einsum("bsw,ewi->bsei", x, self.gate[...])
        up = jnp.einsum("bsw,ewi->bsei", x, self.up[...])
        hidden = self.activation(gate) * up * shares[..., None]
        return jnp.einsum("bsei,eiw->bsw", hidden, self.down[...])


class Qwen3MoE(Qwen3):
    of_block = Attention, Experts
    weights = nnx.weights.Rules(
        {
            **NORMALIZED,
            "model.layers.{i}.mlp.gate": "blocks.{i}.mlp.router",
            # The number of the expert is an axis of the model's array.
            "model.layers.{i}.mlp.experts.{e}.gate_proj.weight": into(
                "blocks.{i}.mlp.gate", transpose=True
            ),
            "model.layers.{i}.mlp.experts.{e}.up_proj.weight": into(
                "blocks.{i}.mlp.up", transpose=True
            ),
            "model.layers.{i}.mlp.experts.{e}.down_proj.weight": into(
                "blocks.{i}.mlp.down", transpose=True
            ),
        },
        tied=TIED,
    )
    families = ("qwen3_moe",)


def load(folder: str) -> Qwen3MoE:
    """The model of a folder from Hugging Face, with its weights."""
    return from_folder(Qwen3MoE, folder)
