"""Layers, activations, pooling and initializers, one family to a file."""

import typing as _typing

from .. import _lazy
from . import _pickling as _pickling

if _typing.TYPE_CHECKING:
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
    from ._activations import quick_gelu as quick_gelu
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
    from ._containers import Sequential as Sequential
    from ._dropout import Dropout as Dropout
    from ._dtypes import promote_dtype as promote_dtype
    from ._generate import Sampler as Sampler
    from ._generate import generate as generate
    from ._policy import Policy as Policy
    from ._policy import set_dtypes as set_dtypes
    from ._repeat import Repeat as Repeat
    from .attention._attention import MultiHeadAttention as MultiHeadAttention
    from .attention._dot_product_attention import (
        dot_product_attention as dot_product_attention,
    )
    from .attention._kv_cache import KVCache as KVCache
    from .attention._masks import combine_masks as combine_masks
    from .attention._masks import make_attention_mask as make_attention_mask
    from .attention._masks import make_causal_mask as make_causal_mask
    from .attention._masks import make_sliding_window_mask as make_sliding_window_mask
    from .attention._rope import RoPE as RoPE
    from .attention._rope import (
        dot_product_attention_with_rope as dot_product_attention_with_rope,
    )
    from .conv._adaptive_pool import adaptive_avg_pool as adaptive_avg_pool
    from .conv._adaptive_pool import adaptive_max_pool as adaptive_max_pool
    from .conv._conv import Conv as Conv
    from .conv._conv_transpose import ConvTranspose as ConvTranspose
    from .conv._pool import avg_pool as avg_pool
    from .conv._pool import max_pool as max_pool
    from .conv._pool import min_pool as min_pool
    from .conv._pool import pool as pool
    from .initializers import Initializer as Initializer
    from .linear._einsum import Einsum as Einsum
    from .linear._embed import Embed as Embed
    from .linear._linear import Linear as Linear
    from .linear._linear_general import LinearGeneral as LinearGeneral
    from .lora._injection import add_lora as add_lora
    from .lora._injection import merge_lora as merge_lora
    from .lora._lora import LoRA as LoRA
    from .lora._lora import LoRALinear as LoRALinear
    from .lora._lora import LoRAParam as LoRAParam
    from .lora._lora_general import LoRALinearGeneral as LoRALinearGeneral
    from .norm._batch_norm import BatchNorm as BatchNorm
    from .norm._group_norm import GroupNorm as GroupNorm
    from .norm._instance_norm import InstanceNorm as InstanceNorm
    from .norm._layer_norm import LayerNorm as LayerNorm
    from .norm._layer_norm import RMSNorm as RMSNorm
    from .norm._spectral_norm import SpectralNorm as SpectralNorm
    from .norm._weight_norm import WeightNorm as WeightNorm
    from .recurrent._bidirectional import Bidirectional as Bidirectional
    from .recurrent._cells import RNNCellBase as RNNCellBase
    from .recurrent._cells import SimpleCell as SimpleCell
    from .recurrent._gru import GRUCell as GRUCell
    from .recurrent._lstm import LSTMCell as LSTMCell
    from .recurrent._lstm import OptimizedLSTMCell as OptimizedLSTMCell
    from .recurrent._rnn import RNN as RNN

_lazy.lazy_names(
    __name__,
    {
        "BatchNorm": ".norm._batch_norm",
        "Bidirectional": ".recurrent._bidirectional",
        "Conv": ".conv._conv",
        "ConvTranspose": ".conv._conv_transpose",
        "Dropout": "._dropout",
        "Einsum": ".linear._einsum",
        "Embed": ".linear._embed",
        "GRUCell": ".recurrent._gru",
        "GroupNorm": ".norm._group_norm",
        "Initializer": ".initializers",
        "InstanceNorm": ".norm._instance_norm",
        "KVCache": ".attention._kv_cache",
        "LSTMCell": ".recurrent._lstm",
        "LayerNorm": ".norm._layer_norm",
        "Linear": ".linear._linear",
        "LinearGeneral": ".linear._linear_general",
        "LoRA": ".lora._lora",
        "LoRALinear": ".lora._lora",
        "LoRALinearGeneral": ".lora._lora_general",
        "LoRAParam": ".lora._lora",
        "add_lora": ".lora._injection",
        "merge_lora": ".lora._injection",
        "MultiHeadAttention": ".attention._attention",
        "OptimizedLSTMCell": ".recurrent._lstm",
        "PReLU": "._activations",
        "Policy": "._policy",
        "RMSNorm": ".norm._layer_norm",
        "RNN": ".recurrent._rnn",
        "RNNCellBase": ".recurrent._cells",
        "Repeat": "._repeat",
        "RoPE": ".attention._rope",
        "Sampler": "._generate",
        "Sequential": "._containers",
        "SimpleCell": ".recurrent._cells",
        "SpectralNorm": ".norm._spectral_norm",
        "WeightNorm": ".norm._weight_norm",
        "attention": ".attention",
        "adaptive_avg_pool": ".conv._adaptive_pool",
        "adaptive_max_pool": ".conv._adaptive_pool",
        "avg_pool": ".conv._pool",
        "celu": "._activations",
        "combine_masks": ".attention._masks",
        "dot_product_attention": ".attention._dot_product_attention",
        "dot_product_attention_with_rope": ".attention._rope",
        "elu": "._activations",
        "gelu": "._activations",
        "generate": "._generate",
        "glu": "._activations",
        "hard_sigmoid": "._activations",
        "hard_silu": "._activations",
        "hard_swish": "._activations",
        "hard_tanh": "._activations",
        "identity": "._activations",
        "initializers": ".initializers",
        "linear": ".linear",
        "lora": ".lora",
        "recurrent": ".recurrent",
        "leaky_relu": "._activations",
        "log_sigmoid": "._activations",
        "log_softmax": "._activations",
        "logsumexp": "._activations",
        "make_attention_mask": ".attention._masks",
        "make_causal_mask": ".attention._masks",
        "make_sliding_window_mask": ".attention._masks",
        "max_pool": ".conv._pool",
        "min_pool": ".conv._pool",
        "one_hot": "._activations",
        "pool": ".conv._pool",
        "promote_dtype": "._dtypes",
        "quick_gelu": "._activations",
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
    "Sampler",
    "Sequential",
    "SimpleCell",
    "SpectralNorm",
    "WeightNorm",
    "adaptive_avg_pool",
    "adaptive_max_pool",
    "add_lora",
    "avg_pool",
    "celu",
    "combine_masks",
    "dot_product_attention",
    "dot_product_attention_with_rope",
    "elu",
    "gelu",
    "generate",
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
    "quick_gelu",
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
