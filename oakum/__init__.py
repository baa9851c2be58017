"""oakum: neural networks for JAX, watertight and free.

Models are ordinary objects that own their state; `jit`, `grad` and the other transforms
take them as arguments and update them in place. The names are those of flax.nnx:

    import oakum as nnx
"""

import typing as _typing

from . import _protocols as _protocols  # first: it registers objects with JAX

# isort: split

from . import _lazy, _places
from ._graph import GraphDef as GraphDef
from ._graph import iter_children as iter_children
from ._graph import iter_graph as iter_graph
from ._graph import iter_module_children as iter_module_children
from ._graph import iter_modules as iter_modules
from ._guard import guard as guard
from ._modes import set_graph_mode as set_graph_mode
from ._modes import set_graph_updates as set_graph_updates
from ._modes import var_defaults as var_defaults
from ._objects import PARTITION_NAME as PARTITION_NAME
from ._objects import A as A
from ._objects import BatchStat as BatchStat
from ._objects import Cache as Cache
from ._objects import DataAnnotation as Data
from ._objects import Dict as Dict
from ._objects import Intermediate as Intermediate
from ._objects import List as List
from ._objects import Module as Module
from ._objects import OptArray as OptArray
from ._objects import OptState as OptState
from ._objects import OptVariable as OptVariable
from ._objects import Param as Param
from ._objects import Perturbation as Perturbation
from ._objects import Pytree as Object
from ._objects import Pytree as Pytree
from ._objects import RngCount as RngCount
from ._objects import RngKey as RngKey
from ._objects import RngState as RngState
from ._objects import StaticAnnotation as Static
from ._objects import Variable as Variable
from ._objects import Variable as VariableState
from ._objects import VariableMetadata as VariableMetadata
from ._objects import data as data
from ._objects import dataclass as dataclass
from ._objects import has_data as has_data
from ._objects import is_data as is_data
from ._objects import register_data_type as register_data_type
from ._objects import register_variable_name as register_variable_name
from ._objects import static as static
from ._objects import use_eager_sharding as use_eager_sharding
from ._objects import using_eager_sharding as using_eager_sharding
from ._objects import variable_name_from_type as variable_name_from_type
from ._objects import variable_type_from_name as variable_type_from_name
from ._objects import with_metadata as with_metadata
from ._rngs import Rngs as Rngs
from ._rngs import RngStream as RngStream
from ._state import All as All
from ._state import Any as Any
from ._state import Everything as Everything
from ._state import FlatState as FlatState
from ._state import GraphState as GraphState
from ._state import Not as Not
from ._state import Nothing as Nothing
from ._state import OfType as OfType
from ._state import PathContains as PathContains
from ._state import PureState as PureState
from ._state import State as State
from ._state import WithTag as WithTag
from ._state import as_pure as as_pure
from ._state import as_pure as pure
from ._state import call as call
from ._state import check_pytree as check_pytree
from ._state import clone as clone
from ._state import filter_state as filter_state
from ._state import find_duplicates as find_duplicates
from ._state import flatten as flatten
from ._state import freeze as freeze
from ._state import from_flat_state as from_flat_state
from ._state import graphdef as graphdef
from ._state import map as map
from ._state import map_state as map_state
from ._state import merge as merge
from ._state import merge_state as merge_state
from ._state import pop as pop
from ._state import recursive_map as recursive_map
from ._state import replace_by_pure_dict as replace_by_pure_dict
from ._state import restore_int_paths as restore_int_paths
from ._state import set_attributes as set_attributes
from ._state import set_metadata as set_metadata
from ._state import split as split
from ._state import split_state as split_state
from ._state import state as state
from ._state import to_flat_state as to_flat_state
from ._state import to_pure_dict as to_pure_dict
from ._state import trainable as trainable
from ._state import unflatten as unflatten
from ._state import unfreeze as unfreeze
from ._state import update as update
from ._state import variables as variables
from ._state import with_attributes as with_attributes
from .errors import ForeignStateWarning as ForeignStateWarning
from .errors import LostUpdateWarning as LostUpdateWarning
from .errors import StaleStateWarning as StaleStateWarning
from .errors import TraceContextError as TraceContextError

if _typing.TYPE_CHECKING:
    from . import bridge as bridge
    from . import nn as nn
    from . import train as train
    from . import transforms as transforms
    from . import weights as weights
    from ._display import display as display
    from ._display import tabulate as tabulate
    from ._protocols._capture import capture as capture
    from ._rngs._verbs import fork_rngs as fork_rngs
    from ._rngs._verbs import reseed as reseed
    from ._rngs._verbs import restore_rngs as restore_rngs
    from ._rngs._verbs import split_rngs as split_rngs
    from ._rngs._verbs import with_rngs as with_rngs
    from ._state import traversals as traversals
    from ._state._apart import from_tree as from_tree
    from ._state._apart import to_tree as to_tree
    from ._state._apart import unpack as unpack
    from ._state._partitioning import abstract_with_sharding as abstract_with_sharding
    from ._state._partitioning import as_abstract as as_abstract
    from ._state._partitioning import get_named_sharding as get_named_sharding
    from ._state._partitioning import get_partition_spec as get_partition_spec
    from ._state._partitioning import with_partitioning as with_partitioning
    from ._state._views import view as view
    from ._state._views import view_info as view_info
    from .nn import RNN as RNN
    from .nn import BatchNorm as BatchNorm
    from .nn import Bidirectional as Bidirectional
    from .nn import Conv as Conv
    from .nn import ConvTranspose as ConvTranspose
    from .nn import Dropout as Dropout
    from .nn import Einsum as Einsum
    from .nn import Embed as Embed
    from .nn import GroupNorm as GroupNorm
    from .nn import GRUCell as GRUCell
    from .nn import Initializer as Initializer
    from .nn import InstanceNorm as InstanceNorm
    from .nn import KVCache as KVCache
    from .nn import LayerNorm as LayerNorm
    from .nn import Linear as Linear
    from .nn import LinearGeneral as LinearGeneral
    from .nn import LoRA as LoRA
    from .nn import LoRALinear as LoRALinear
    from .nn import LoRALinearGeneral as LoRALinearGeneral
    from .nn import LoRAParam as LoRAParam
    from .nn import LSTMCell as LSTMCell
    from .nn import MultiHeadAttention as MultiHeadAttention
    from .nn import OptimizedLSTMCell as OptimizedLSTMCell
    from .nn import Policy as Policy
    from .nn import PReLU as PReLU
    from .nn import Repeat as Repeat
    from .nn import RMSNorm as RMSNorm
    from .nn import RNNCellBase as RNNCellBase
    from .nn import RoPE as RoPE
    from .nn import Sampler as Sampler
    from .nn import Sequential as Sequential
    from .nn import SimpleCell as SimpleCell
    from .nn import SpectralNorm as SpectralNorm
    from .nn import WeightNorm as WeightNorm
    from .nn import adaptive_avg_pool as adaptive_avg_pool
    from .nn import adaptive_max_pool as adaptive_max_pool
    from .nn import add_lora as add_lora
    from .nn import avg_pool as avg_pool
    from .nn import celu as celu
    from .nn import combine_masks as combine_masks
    from .nn import dot_product_attention as dot_product_attention
    from .nn import dot_product_attention_with_rope as dot_product_attention_with_rope
    from .nn import elu as elu
    from .nn import gelu as gelu
    from .nn import generate as generate
    from .nn import glu as glu
    from .nn import hard_sigmoid as hard_sigmoid
    from .nn import hard_silu as hard_silu
    from .nn import hard_swish as hard_swish
    from .nn import hard_tanh as hard_tanh
    from .nn import identity as identity
    from .nn import initializers as initializers
    from .nn import leaky_relu as leaky_relu
    from .nn import log_sigmoid as log_sigmoid
    from .nn import log_softmax as log_softmax
    from .nn import logsumexp as logsumexp
    from .nn import make_attention_mask as make_attention_mask
    from .nn import make_causal_mask as make_causal_mask
    from .nn import make_sliding_window_mask as make_sliding_window_mask
    from .nn import max_pool as max_pool
    from .nn import merge_lora as merge_lora
    from .nn import min_pool as min_pool
    from .nn import one_hot as one_hot
    from .nn import pool as pool
    from .nn import quick_gelu as quick_gelu
    from .nn import relu as relu
    from .nn import relu6 as relu6
    from .nn import selu as selu
    from .nn import set_dtypes as set_dtypes
    from .nn import sigmoid as sigmoid
    from .nn import silu as silu
    from .nn import soft_sign as soft_sign
    from .nn import softmax as softmax
    from .nn import softplus as softplus
    from .nn import standardize as standardize
    from .nn import swish as swish
    from .nn import tanh as tanh
    from .sharding import logical_axis_rules as logical_axis_rules
    from .train import EMA as EMA
    from .train import Metric as Metric
    from .train import ModelAndOptimizer as ModelAndOptimizer
    from .train import MultiMetric as MultiMetric
    from .train import Optimizer as Optimizer
    from .train import TrainState as TrainState
    from .train import fsdp as fsdp
    from .train import init_sharded as init_sharded
    from .train import layout as layout
    from .train import load as load
    from .train import metrics as metrics
    from .train import optimizer as optimizer
    from .train import save as save
    from .train import shard as shard
    from .transforms import Carry as Carry
    from .transforms import DiffState as DiffState
    from .transforms import StateAxes as StateAxes
    from .transforms import StateSharding as StateSharding
    from .transforms import abstract as abstract
    from .transforms import cached_partial as cached_partial
    from .transforms import checkify as checkify
    from .transforms import cond as cond
    from .transforms import custom_vjp as custom_vjp
    from .transforms import eval_shape as eval_shape
    from .transforms import fori_loop as fori_loop
    from .transforms import get_abstract_model as get_abstract_model
    from .transforms import grad as grad
    from .transforms import jit as jit
    from .transforms import jit_partial as jit_partial
    from .transforms import jvp as jvp
    from .transforms import make_jaxpr as make_jaxpr
    from .transforms import pmap as pmap
    from .transforms import prefix as prefix
    from .transforms import profile as profile
    from .transforms import remat as remat
    from .transforms import scan as scan
    from .transforms import shard_map as shard_map
    from .transforms import switch as switch
    from .transforms import transform_metadata as transform_metadata
    from .transforms import value_and_grad as value_and_grad
    from .transforms import vjp as vjp
    from .transforms import vmap as vmap
    from .transforms import while_loop as while_loop
    from .weights._copy import copy_state as copy_state

# Where each name is that is imported on first use.
_HOMES = {
    ".nn": """
        adaptive_avg_pool adaptive_max_pool add_lora avg_pool BatchNorm Bidirectional
        celu combine_masks Conv ConvTranspose dot_product_attention
        dot_product_attention_with_rope Dropout Einsum elu Embed gelu generate glu
        GroupNorm GRUCell hard_sigmoid hard_silu hard_swish hard_tanh identity
        Initializer initializers InstanceNorm KVCache LayerNorm leaky_relu Linear
        LinearGeneral log_sigmoid log_softmax logsumexp LoRA LoRALinear
        LoRALinearGeneral LoRAParam LSTMCell make_attention_mask make_causal_mask
        make_sliding_window_mask max_pool merge_lora min_pool MultiHeadAttention nn
        one_hot OptimizedLSTMCell Policy pool PReLU quick_gelu relu relu6 Repeat RMSNorm
        RNN RNNCellBase RoPE Sampler selu Sequential set_dtypes sigmoid silu SimpleCell
        soft_sign softmax softplus SpectralNorm standardize swish tanh WeightNorm
    """,
    "._display": "display tabulate",
    "._protocols._capture": "capture",
    "._rngs._verbs": "fork_rngs reseed restore_rngs split_rngs with_rngs",
    "._state._apart": "from_tree to_tree unpack",
    "._state._partitioning": """
        abstract_with_sharding as_abstract get_named_sharding get_partition_spec
        with_partitioning
    """,
    "._state._views": "view view_info",
    "._state.traversals": "traversals",
    ".bridge": "bridge",
    ".train": """
        EMA fsdp init_sharded layout load Metric metrics ModelAndOptimizer MultiMetric
        Optimizer optimizer save shard train TrainState
    """,
    ".transforms": """
        abstract cached_partial Carry checkify cond custom_vjp DiffState eval_shape
        fori_loop get_abstract_model grad jit jit_partial jvp make_jaxpr pmap prefix
        profile remat scan shard_map StateAxes StateSharding switch transform_metadata
        transforms value_and_grad vjp vmap while_loop
    """,
    ".sharding": "logical_axis_rules",
    ".weights": "weights",
    ".weights._copy": "copy_state",
}
_lazy.lazy_names(
    __name__, {name: home for home, names in _HOMES.items() for name in names.split()}
)

_places.install()

__version__ = "0.1.0"

__all__ = [
    "EMA", "PARTITION_NAME", "RNN", "A", "All", "Any", "BatchNorm", "BatchStat",
    "Bidirectional", "Cache", "Carry", "Conv", "ConvTranspose", "Data", "Dict",
    "DiffState", "Dropout", "Einsum", "Embed", "Everything", "FlatState",
    "ForeignStateWarning", "GRUCell", "GraphDef", "GraphState", "GroupNorm",
    "Initializer", "InstanceNorm", "Intermediate", "KVCache", "LSTMCell", "LayerNorm",
    "Linear", "LinearGeneral", "List", "LoRA", "LoRALinear", "LoRALinearGeneral",
    "LoRAParam", "LostUpdateWarning", "Metric", "ModelAndOptimizer", "Module",
    "MultiHeadAttention", "MultiMetric", "Not", "Nothing", "Object", "OfType",
    "OptArray", "OptState", "OptVariable", "OptimizedLSTMCell", "Optimizer", "PReLU",
    "Param", "PathContains", "Perturbation", "Policy", "PureState", "Pytree", "RMSNorm",
    "RNNCellBase", "Repeat", "RngCount", "RngKey", "RngState", "RngStream", "Rngs",
    "RoPE", "Sampler", "Sequential", "SimpleCell", "SpectralNorm", "StaleStateWarning",
    "State", "StateAxes", "StateSharding", "Static", "TraceContextError", "TrainState",
    "Variable", "VariableMetadata", "VariableState", "WeightNorm", "WithTag",
    "abstract", "abstract_with_sharding", "adaptive_avg_pool", "adaptive_max_pool",
    "add_lora", "as_abstract", "as_pure", "avg_pool", "bridge", "cached_partial",
    "call", "capture", "celu", "check_pytree", "checkify", "clone", "combine_masks",
    "cond", "copy_state", "custom_vjp", "data", "dataclass", "display",
    "dot_product_attention", "dot_product_attention_with_rope", "elu", "eval_shape",
    "filter_state", "find_duplicates", "flatten", "fori_loop", "fork_rngs", "freeze",
    "from_flat_state", "from_tree", "fsdp", "gelu", "generate", "get_abstract_model",
    "get_named_sharding", "get_partition_spec", "glu", "grad", "graphdef", "guard",
    "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "has_data", "identity",
    "init_sharded", "initializers", "is_data", "iter_children", "iter_graph",
    "iter_module_children", "iter_modules", "jit", "jit_partial", "jvp", "layout",
    "leaky_relu", "load", "log_sigmoid", "log_softmax", "logical_axis_rules",
    "logsumexp", "make_attention_mask", "make_causal_mask", "make_jaxpr",
    "make_sliding_window_mask", "map", "map_state", "max_pool", "merge", "merge_lora",
    "merge_state", "metrics", "min_pool", "one_hot", "optimizer", "pmap", "pool", "pop",
    "prefix", "profile", "pure", "quick_gelu", "recursive_map", "register_data_type",
    "register_variable_name", "relu", "relu6", "remat", "replace_by_pure_dict",
    "reseed", "restore_int_paths", "restore_rngs", "save", "scan", "selu",
    "set_attributes", "set_dtypes", "set_graph_mode", "set_graph_updates",
    "set_metadata", "shard", "shard_map", "sigmoid", "silu", "soft_sign", "softmax",
    "softplus", "split", "split_rngs", "split_state", "standardize", "state", "static",
    "swish", "switch", "tabulate", "tanh", "to_flat_state", "to_pure_dict", "to_tree",
    "trainable", "transform_metadata", "traversals", "unflatten", "unfreeze", "unpack",
    "update", "use_eager_sharding", "using_eager_sharding", "value_and_grad",
    "var_defaults", "variable_name_from_type", "variable_type_from_name", "variables",
    "view", "view_info", "vjp", "vmap", "weights", "while_loop", "with_attributes",
    "with_metadata", "with_partitioning", "with_rngs",
]  # fmt: skip
