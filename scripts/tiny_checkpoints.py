"""Makes the tiny checkpoints of tests/weights/families, with what they compute.

Needs PyTorch, transformers and safetensors, in an environment of their own:

    python scripts/tiny_checkpoints.py [family ...]

Each folder gets `config.json` and `model.safetensors` as transformers writes them,
every weight drawn anew, so that an array left at its start shows; and
`expected.safetensors` with inputs, logits and greedily decoded tokens, and the versions
that made them.
"""

# pyright: reportMissingImports=false

import json
import sys
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
import transformers
from families.sizes import DECODER, LAYERS, TOKENS, scaled_rope

FOLDER = Path(__file__).parents[1] / "tests" / "weights" / "families"
EXPERTS = dict(moe_intermediate_size=16, num_experts=4, num_experts_per_tok=2)
LLAMA3 = dict(scaled_rope("llama3", 8.0), low_freq_factor=1.0, high_freq_factor=4.0)
YARN = scaled_rope("yarn", 4.0)


def llama(**changes):
    own = dict(rms_norm_eps=1e-5, rope_parameters=LLAMA3, tie_word_embeddings=False)
    config = transformers.LlamaConfig(**DECODER | own | changes)
    return transformers.LlamaForCausalLM(config)


def mistral(**changes):
    config = transformers.MistralConfig(**DECODER | dict(sliding_window=16) | changes)
    return transformers.MistralForCausalLM(config)


def qwen2(**changes):
    return transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**DECODER | changes))


def qwen3(**changes):
    own = dict(
        head_dim=16, rms_norm_eps=1e-6, rope_parameters=YARN, tie_word_embeddings=True
    )
    config = transformers.Qwen3Config(**DECODER | own | changes)
    return transformers.Qwen3ForCausalLM(config)


def qwen3_moe(**changes):
    own = dict(EXPERTS, norm_topk_prob=True, tie_word_embeddings=False)
    own |= dict(intermediate_size=24, head_dim=8)
    config = transformers.Qwen3MoeConfig(**DECODER | own | changes)
    return transformers.Qwen3MoeForCausalLM(config)


def gemma3(**changes):
    own = dict(num_hidden_layers=3, intermediate_size=24, head_dim=16)
    own |= dict(
        query_pre_attn_scalar=24,
        sliding_window=32,
        layer_types=["sliding_attention", "sliding_attention", "full_attention"],
        rope_parameters={
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
            "full_attention": {
                "rope_type": "linear",
                "rope_theta": 1000000.0,
                "factor": 8.0,
            },
        },
    )
    config = transformers.Gemma3TextConfig(**DECODER | own | changes)
    return transformers.Gemma3ForCausalLM(config)


def gpt2(**changes):
    own = dict(n_embd=32, n_layer=2, n_head=4, n_positions=256, n_inner=64)
    return transformers.GPT2LMHeadModel(
        transformers.GPT2Config(**TOKENS | own | changes)
    )


def bert(**changes):
    own = dict(TOKENS, max_position_embeddings=256)
    return transformers.BertForMaskedLM(
        transformers.BertConfig(**LAYERS | own | changes)
    )


def vit(**changes):
    own = dict(image_size=32, patch_size=8, num_labels=10)
    config = transformers.ViTConfig(**LAYERS | own | changes)
    return transformers.ViTForImageClassification(config)


FAMILIES = [llama, qwen3, gpt2, bert, gemma3, vit, qwen3_moe]


def draw(model, generator):
    """Draws every weight anew; scales of norms around their neutral value."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim == 1 and "norm" in name.lower() and "weight" in name:
                start = 0.0 if "Gemma" in type(model).__name__ else 1.0
                parameter.copy_(start + 0.2 * noise)
            elif parameter.ndim == 1 and name.split(".")[-2].startswith("ln_"):
                parameter.copy_((name.endswith("weight")) + 0.2 * noise)
            elif parameter.ndim == 1:
                parameter.copy_(0.1 * noise)
            else:
                fan = (
                    parameter[0].numel() if parameter.ndim > 2 else parameter.shape[-1]
                )
                wide = 0.3 if "emb" in name or "wte" in name else 1.0 / fan**0.5
                parameter.copy_(wide * noise)


def expect(name, model, generator):
    """What the model computes."""
    if name == "vit":
        channels = model.config.num_channels
        images = torch.randn(2, channels, 32, 32, generator=generator)
        return {"images": images, "logits": model(images).logits}
    tokens = torch.randint(3, 96, (1, 200), generator=generator)
    if name == "bert":
        tokens = torch.randint(3, 96, (2, 100), generator=generator)
        mask = torch.ones_like(tokens)
        mask[1, 60:] = 0
        kinds = (torch.arange(100) > 40).long().expand(2, 100).contiguous()
        out = model(input_ids=tokens, attention_mask=mask, token_type_ids=kinds)
        return {"tokens": tokens, "mask": mask, "kinds": kinds, "logits": out.logits}
    out = {"tokens": tokens, "logits": model(tokens).logits}
    model.generation_config.eos_token_id = None  # all rows get all tokens
    options = dict(do_sample=False, max_new_tokens=24)
    prompt = tokens[:, :150]
    out["greedy"] = model.generate(
        prompt, attention_mask=torch.ones_like(prompt), **options
    )[:, 150:]
    two = tokens[0, :40].reshape(2, 20).clone()
    mask = torch.ones_like(two)
    mask[1, :8] = 0
    two[1, :8] = 0
    out["padded"], out["padded_mask"] = two, mask
    out["padded_greedy"] = model.generate(two, attention_mask=mask, **options)[:, 20:]
    return out


def make(family, folder, seed=0, **changes):
    """Writes the checkpoint of a family, with what it computes."""
    name = family.__name__
    generator = torch.Generator().manual_seed(sum(map(ord, name)) + seed)
    torch.manual_seed(0)
    model = family(**changes).eval()
    draw(model, generator)
    model.tie_weights()
    with torch.no_grad():
        expected = expect(name, model, generator)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    expected = {key: value.contiguous() for key, value in expected.items()}
    ints = {k: v.int() for k, v in expected.items() if v.dtype == torch.int64}
    versions = {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    file = folder / "expected.safetensors"
    safetensors.torch.save_file({**expected, **ints}, file, versions)
    return expected


def main():
    wanted = sys.argv[1:] or [family.__name__ for family in FAMILIES]
    for family in FAMILIES:
        name = family.__name__
        if name not in wanted:
            continue
        folder = FOLDER / name
        expected = make(family, folder)
        sizes = sum(path.stat().st_size for path in folder.iterdir())
        spread = float(np.std(expected["logits"].numpy()))
        print(name, sizes, "bytes; logits spread", round(spread, 2))
        config = json.loads((folder / "config.json").read_text())
        assert config["model_type"]


if __name__ == "__main__":
    main()
