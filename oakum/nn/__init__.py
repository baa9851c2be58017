"""Layers, activations, pooling and initializers, one family to a file."""

import typing

from .. import _lazy
from . import _pickling as _pickling

if typing.TYPE_CHECKING:
    from . import initializers as initializers
    from ._activations import PReLU as PReLU
    from ._activations import celu as celu
    from ._activations import elu as elu
    from ._activations import gelu as gelu
    from ._activations import glu as glu
    from ._activations import hard_sigmoid as hard_sigmoid
    from ._activations import hard_silu as hard_silu
    from ._activations import hard_swish as hard_swish
    from ._activations import hard_tanh as hard_tanh
    from ._activations import identity as identity
    from ._activations import leaky_relu as leaky_relu
    from ._activations import log_sigmoid as log_sigmoid
    from ._activations import log_softmax as log_softmax
    from ._activations import logsumexp as logsumexp
    from ._activations import one_hot as one_hot
    from ._activations import relu as relu
    from ._activations import relu6 as relu6
    from ._activations import selu as selu
    from ._activations import sigmoid as sigmoid
    from ._activations import silu as silu
    from ._activations import soft_sign as soft_sign
    from ._activations import softmax as softmax
    from ._activations import softplus as softplus
    from ._activations import standardize as standardize
    from ._activations import swish as swish
    from ._activations import tanh as tanh
    from ._attention import MultiHeadAttention as MultiHeadAttention
    from ._batch_norm import BatchNorm as BatchNorm
    from ._bidirectional import Bidirectional as Bidirectional
    from ._containers import Sequential as Sequential
    from ._conv import Conv as Conv
    from ._conv_transpose import ConvTranspose as ConvTranspose
    from ._dot_product_attention import dot_product_attention as dot_product_attention
    from ._dropout import Dropout as Dropout
    from ._dtypes import promote_dtype as promote_dtype
    from ._einsum import Einsum as Einsum
    from ._embed import Embed as Embed
    from ._group_norm import GroupNorm as GroupNorm
    from ._gru import GRUCell as GRUCell
    from ._instance_norm import InstanceNorm as InstanceNorm
    from ._kv_cache import KVCache as KVCache
    from ._linear import Linear as Linear
    from ._linear_general import LinearGeneral as LinearGeneral
    from ._lora import LoRA as LoRA
    from ._lora import LoRALinear as LoRALinear
    from ._lora import LoRAParam as LoRAParam
    from ._lora_general import LoRALinearGeneral as LoRALinearGeneral
    from ._lora_injection import add_lora as add_lora
    from ._lora_injection import merge_lora as merge_lora
    from ._lstm import LSTMCell as LSTMCell
    from ._lstm import OptimizedLSTMCell as OptimizedLSTMCell
    from ._masks import combine_masks as combine_masks
    from ._masks import make_attention_mask as make_attention_mask
    from ._masks import make_causal_mask as make_causal_mask
    from ._masks import make_sliding_window_mask as make_sliding_window_mask
    from ._norm import LayerNorm as LayerNorm
    from ._norm import RMSNorm as RMSNorm
    from ._policy import Policy as Policy
    from ._policy import set_dtypes as set_dtypes
    from ._pool import avg_pool as avg_pool
    from ._pool import max_pool as max_pool
    from ._pool import min_pool as min_pool
    from ._pool import pool as pool
    from ._recurrent import RNNCellBase as RNNCellBase
    from ._recurrent import SimpleCell as SimpleCell
    from ._repeat import Repeat as Repeat
    from ._rnn import RNN as RNN
    from ._rope import RoPE as RoPE
    from ._rope import (
        dot_product_attention_with_rope as dot_product_attention_with_rope,
    )
    from ._spectral_norm import SpectralNorm as SpectralNorm
    from ._weight_norm import WeightNorm as WeightNorm
    from .initializers import Initializer as Initializer

__getattr__ = _lazy.lazy_names(
    __name__,
    {
        "BatchNorm": "._batch_norm",
        "Bidirectional": "._bidirectional",
        "Conv": "._conv",
        "ConvTranspose": "._conv_transpose",
        "Dropout": "._dropout",
        "Einsum": "._einsum",
        "Embed": "._embed",
        "GRUCell": "._gru",
        "GroupNorm": "._group_norm",
        "Initializer": ".initializers",
        "InstanceNorm": "._instance_norm",
        "KVCache": "._kv_cache",
        "LSTMCell": "._lstm",
        "LayerNorm": "._norm",
        "Linear": "._linear",
        "LinearGeneral": "._linear_general",
        "LoRA": "._lora",
        "LoRALinear": "._lora",
        "LoRALinearGeneral": "._lora_general",
        "LoRAParam": "._lora",
        "add_lora": "._lora_injection",
        "merge_lora": "._lora_injection",
        "MultiHeadAttention": "._attention",
        "OptimizedLSTMCell": "._lstm",
        "PReLU": "._activations",
        "Policy": "._policy",
        "RMSNorm": "._norm",
        "RNN": "._rnn",
        "RNNCellBase": "._recurrent",
        "Repeat": "._repeat",
        "RoPE": "._rope",
        "Sequential": "._containers",
        "SimpleCell": "._recurrent",
        "SpectralNorm": "._spectral_norm",
        "WeightNorm": "._weight_norm",
        "avg_pool": "._pool",
        "celu": "._activations",
        "combine_masks": "._masks",
        "dot_product_attention": "._dot_product_attention",
        "dot_product_attention_with_rope": "._rope",
        "elu": "._activations",
        "gelu": "._activations",
        "glu": "._activations",
        "hard_sigmoid": "._activations",
        "hard_silu": "._activations",
        "hard_swish": "._activations",
        "hard_tanh": "._activations",
        "identity": "._activations",
        "initializers": ".initializers",
        "leaky_relu": "._activations",
        "log_sigmoid": "._activations",
        "log_softmax": "._activations",
        "logsumexp": "._activations",
        "make_attention_mask": "._masks",
        "make_causal_mask": "._masks",
        "make_sliding_window_mask": "._masks",
        "max_pool": "._pool",
        "min_pool": "._pool",
        "one_hot": "._activations",
        "pool": "._pool",
        "promote_dtype": "._dtypes",
        "relu": "._activations",
        "relu6": "._activations",
        "selu": "._activations",
        "set_dtypes": "._policy",
        "sigmoid": "._activations",
        "silu": "._activations",
        "soft_sign": "._activations",
        "softmax": "._activations",
        "softplus": "._activations",
        "standardize": "._activations",
        "swish": "._activations",
        "tanh": "._activations",
    },
)

__all__ = [
    "RNN",
    "BatchNorm",
    "Bidirectional",
    "Conv",
    "ConvTranspose",
    "Dropout",
    "Einsum",
    "Embed",
    "GRUCell",
    "GroupNorm",
    "Initializer",
    "InstanceNorm",
    "KVCache",
    "LSTMCell",
    "LayerNorm",
    "Linear",
    "LinearGeneral",
    "LoRA",
    "LoRALinear",
    "LoRALinearGeneral",
    "LoRAParam",
    "MultiHeadAttention",
    "OptimizedLSTMCell",
    "PReLU",
    "Policy",
    "RMSNorm",
    "RNNCellBase",
    "RoPE",
    "Sequential",
    "SimpleCell",
    "SpectralNorm",
    "WeightNorm",
    "add_lora",
    "avg_pool",
    "celu",
    "combine_masks",
    "dot_product_attention",
    "dot_product_attention_with_rope",
    "elu",
    "gelu",
    "glu",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "identity",
    "initializers",
    "leaky_relu",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "make_attention_mask",
    "make_causal_mask",
    "make_sliding_window_mask",
    "max_pool",
    "merge_lora",
    "min_pool",
    "one_hot",
    "pool",
    "promote_dtype",
    "relu",
    "relu6",
    "selu",
    "set_dtypes",
    "sigmoid",
    "silu",
    "soft_sign",
    "softmax",
    "softplus",
    "standardize",
    "swish",
    "tanh",
]
