"""Sizes of models, by the names that configs of transformers have for them.

`TOKENS`, `LAYERS` and `DECODER` are those of all tiny models, with which the values in
`Block` and in the models beside it agree.
"""

from __future__ import annotations

from typing import Any


def decoder_sizes(
    vocab: int, width: int, inner: int, layers: int, heads: int, kv_heads: int
) -> dict[str, int]:
    """Those of a decoder: words, width, of the MLP, layers, heads of both kinds."""
    return {
        "vocab_size": vocab,
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
    }


def scaled_rope(kind: str, factor: float, theta: float = 10000.0) -> dict[str, Any]:
    """The parameters of a rotation that is scaled from 64 positions on."""
    return {
        "rope_type": kind,
        "rope_theta": theta,
        "factor": factor,
        "original_max_position_embeddings": 64,
    }


_TINY = decoder_sizes(96, 32, 48, layers=2, heads=4, kv_heads=2)


def some(*left_out: str) -> dict[str, int]:
    """`DECODER` without what a family's config has by another name, or lacks."""
    return {name: size for name, size in DECODER.items() if name not in left_out}


TOKENS = {"vocab_size": 96, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
DECODER = {**TOKENS, **_TINY, "max_position_embeddings": 512}
LAYERS = some(*TOKENS, "num_key_value_heads", "max_position_embeddings")
WIDTHS = {name: size for name, size in LAYERS.items() if name != "intermediate_size"}
WORDS = {"vocab_size": 96, "max_position_embeddings": 300}
