"""Where programs written for flax.nnx find names, beside `nnx` itself.

`PLACES` lists the submodules of flax.nnx and their names, which here are modules
without a file: `nnx.filterlib.Filter`, `from oakum.nn.linear import Linear`. A name is
the public one of `oakum` unless `name=module.attribute` says where it comes from. A
place that is a folder here as well gets its names from `names_of`.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

ROOT = __package__ or "oakum"
_TYPES = (
    "A Filter=_typing.Filter FilterLiteral=_typing.FilterLiteral "
    "PathParts=_typing.PathParts Predicate=_typing.Predicate Key=_typing.Key "
    "Leaf=_typing.Leaf Node=_typing.Node "
)
_OPTIONS = (
    "Dtype=_typing.Dtype Shape=_typing.Shape PrecisionLike=_typing.PrecisionLike "
    "Initializer Module Rngs initializers dtypes=nn.dtypes. "
    "promote_dtype=nn._dtypes.promote_dtype "
    "default_kernel_init=nn.initializers.default_kernel_init "
    "default_bias_init=nn.initializers.default_bias_init "
    "first_from=nn._params.first_from "
)
_VARIABLES = "Variable VariableState VariableMetadata Param BatchStat Cache "
_VARIABLES += "Intermediate Perturbation "
_STATES = "FlatState State map_state "
_ITERATORS = "iter_children iter_graph iter_module_children iter_modules "
_VERBS = "clone find_duplicates flatten graphdef map merge pop recursive_map "
_VERBS += "set_metadata split state unflatten unpack update variables "
_GRAPH = (
    f"{_TYPES}{_VARIABLES}{_STATES}{_ITERATORS}{_VERBS}GraphDef GraphState PureState "
    "cached_partial call is_graph_node=_objects.is_node "
    "is_node=_graph.is_tree is_node_leaf=_graph.is_leaf "
    "Static=_statics.Static NodeDef=_graph._definitions.NodeDef "
    "VariableDef=_graph._definitions.VariableDef "
    "is_pytree_node=_graph.is_tree set_graph_mode set_graph_updates as_pure pure "
    "register_graph_node_type=_protocols._foreign_nodes.register_graph_node_type "
    "register_pytree_node_type=_protocols._foreign_nodes.register_pytree_node_type "
)
_AUTODIFF = "DiffState custom_vjp grad jvp remat value_and_grad vjp "
_COMPILED = "StateSharding jit jit_partial shard_map "
_ITERATION = "Carry StateAxes fori_loop pmap scan transform_metadata vmap while_loop "
_GENERAL = "checkify cond eval_shape make_jaxpr switch "

PLACES = {
    "filterlib": f"{_TYPES}All Any Everything Not Nothing OfType PathContains WithTag "
    "PathIn=_state.PathIn to_predicate=_state.to_predicate "
    "filters_to_predicates=_state.filters_to_predicates",
    "graph": _GRAPH,
    "graphlib": _GRAPH,
    "statelib": f"{_TYPES}{_STATES}filter_state from_flat_state merge_state "
    "replace_by_pure_dict restore_int_paths split_state to_flat_state to_pure_dict "
    "diff=_state._paths.diff create_path_filters=_state._paths.create_path_filters",
    "rnglib": "Pytree RngCount RngKey RngState RngStream Rngs Variable fork_rngs "
    "reseed restore_rngs split_rngs with_rngs backup_keys=_rngs._verbs.backup_keys",
    "variablelib": f"A {_VARIABLES}register_variable_name use_eager_sharding "
    "using_eager_sharding variable_name_from_type variable_type_from_name "
    "with_metadata var_defaults",
    "module": "A M=_typing.Node GraphDef Module Pytree State capture iter_children "
    "iter_module_children iter_modules view view_info with_attributes "
    "first_from=nn._params.first_from ModuleMeta=_objects._classes.NodeType",
    "pytreelib": "PytreeMeta=_objects._classes.NodeType A Data Object Pytree Static "
    "Variable check_pytree data dataclass has_data is_data register_data_type static "
    "PytreeState=_objects._setup.SetupState",
    "object": "A Data Object Pytree Static Variable data static",
    "helpers": "Dict List M=_typing.Node Module Sequential TrainState",
    "spmd": "PARTITION_NAME abstract_with_sharding as_abstract get_abstract_model "
    "get_named_sharding get_partition_spec with_partitioning "
    "get_var_pspec=_state._partitioning.get_var_pspec "
    "add_axis=_engine.axes._axis_metadata.add_axis "
    "remove_axis=_engine.axes._axis_metadata.remove_axis",
    "tracers": "current_jax_trace=_guard.current_trace TraceState=_guard.TraceState",
    "reprlib": "Representable=_representable.Representable "
    "Object=_representable.Title Attr=_representable.Attr "
    "get_repr=_representable.get_repr",
    "extract": f"{_TYPES}GraphDef NodeStates=_state._apart.NodeStates from_tree prefix "
    "to_tree",
    "bridge.module": "MODULE_CONTEXT=bridge._context.MODULE_CONTEXT "
    "current_context=bridge._context.current_context "
    "current_module=bridge._context.current_module",
    "bridge.variables": "NNXMeta=bridge._variables.NNXMeta "
    "with_partitioning=bridge._variables.with_partitioning "
    "to_linen_var=bridge._variables.to_box to_nnx_var=bridge._variables.to_variable "
    "linen_vars_to_nnx_attrs=bridge._variables.linen_vars_to_nnx_attrs "
    "nnx_attrs_to_linen_vars=bridge._variables.to_collections",
    "bridge.wrappers": "Functional=bridge._functional.Functional "
    "functional=bridge._functional.functional ToNNX=bridge._to_nnx.ToNNX "
    "lazy_init=bridge._to_nnx.lazy_init ToLinen=bridge._to_linen.ToLinen "
    "to_linen=bridge._to_linen.to_linen "
    "to_linen_class=bridge._to_linen.to_linen_class",
    "compat": f"{_AUTODIFF}{_COMPILED}{_ITERATION}{_GENERAL}{_ITERATORS}{_VERBS}"
    "call cached_partial fork_rngs get_abstract_model reseed split_rngs view view_info",
    "traversals": "empty_node=_state.traversals.empty_node "
    "flatten_mapping=_state.traversals.flatten_mapping "
    "flatten_to_sequence=_state.traversals.flatten_to_sequence "
    "unflatten_mapping=_state.traversals.unflatten_mapping",
    "summary": "tabulate filter_rng_streams=_display._summary.filter_rng_streams",
    "visualization": "display",
    "nn.activations": "PReLU celu elu gelu glu hard_sigmoid hard_silu hard_swish "
    "hard_tanh identity leaky_relu log_sigmoid log_softmax logsumexp one_hot relu "
    "relu6 selu sigmoid silu soft_sign softmax softplus standardize swish tanh",
    "nn.attention": f"{_OPTIONS}LayerNorm LinearGeneral MultiHeadAttention "
    "combine_masks dot_product_attention make_attention_mask make_causal_mask "
    "dot_product_attention_weights=nn.attention._dot_product_attention."
    "dot_product_attention_weights",
    "nn.dtypes": "Dtype=_typing.Dtype promote_dtype=nn._dtypes.promote_dtype "
    "canonicalize_dtype=nn._dtypes.canonicalize_dtype",
    "nn.linear": f"{_OPTIONS}Conv ConvTranspose Einsum Embed Linear LinearGeneral "
    "default_embed_init=nn.initializers.default_embed_init "
    "canonicalize_padding=nn.conv._padding.canonicalize_padding "
    # Private there too; exporters of models use it.
    "_conv_dimension_numbers=nn.conv._kernel.dimension_numbers",
    "nn.lora": f"{_OPTIONS}Linear LoRA LoRALinear LoRALinearGeneral LoRAParam "
    "default_a_initializer=nn.initializers.default_a_initializer "
    "default_b_initializer=nn.initializers.default_b_initializer",
    "nn.normalization": f"{_OPTIONS}BatchNorm GroupNorm InstanceNorm LayerNorm "
    "RMSNorm SpectralNorm WeightNorm Axes=_typing.Axes",
    "nn.recurrent": f"{_OPTIONS}Bidirectional GRUCell LSTMCell OptimizedLSTMCell RNN "
    "RNNCellBase SimpleCell flip_sequences=nn.recurrent._rnn.flip_sequences "
    "modified_orthogonal=nn.recurrent._cells.orthogonal",
    "nn.stochastic": f"{_OPTIONS}Dropout",
    "training": "EMA Metric ModelAndOptimizer MultiMetric Optimizer",
    "training.ema": "EMA",
    "training.metrics": "Metric MultiMetric Accuracy=train.metrics.Accuracy "
    "Average=train.metrics.Average MetricState=train.metrics.MetricState "
    "Statistics=train.metrics.Statistics Welford=train.metrics.Welford",
    "training.optimizer": "ModelAndOptimizer OptArray OptState OptVariable Optimizer",
    "transforms.autodiff": _AUTODIFF,
    "transforms.compilation": _COMPILED,
    "transforms.general": "split_rngs",
    "transforms.iteration": _ITERATION,
    "transforms.transforms": f"{_GENERAL}Carry StateAxes",
}
FOLDERS = frozenset({"nn.attention", "nn.linear", "nn.lora", "nn.recurrent"})
"""The places that are folders here as well."""


def names_of(module: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of the module at a place.

    Args:
        module: its `__name__`.
    """
    place = module.removeprefix(f"{ROOT}.")

    def __getattr__(name: str) -> Any:
        if name not in _homes(place):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        home, attribute = _homes(place)[name]
        value = import_module(home)
        value = getattr(value, attribute) if attribute else value
        setattr(sys.modules[module], name, value)
        return value

    def __dir__() -> list[str]:
        return sorted({*vars(sys.modules[module]), *_homes(place)})

    return __getattr__, __dir__


@functools.cache
def _homes(place: str) -> dict[str, tuple[str, str]]:
    """Where each name of a place comes from: module and attribute."""
    return dict(_home(entry) for entry in PLACES[place].split())


def _home(entry: str) -> tuple[str, tuple[str, str]]:
    """Name, and the module and attribute that it stands for."""
    name, _, home = entry.partition("=")
    inside, _, attribute = home.rpartition(".")
    if not home:
        return name, (ROOT, name)
    return name, (f"{ROOT}.{inside}", attribute)


def install() -> None:
    """Makes every place known to `import`, and an attribute of what is above it."""
    above_others = {place.rpartition(".")[0] for place in PLACES}
    for place, names in PLACES.items():
        if place in FOLDERS:
            continue
        name = f"{ROOT}.{place}"
        module = ModuleType(name, f"Names of flax.nnx.{place}: {names.split()[0]}, ...")
        module.__spec__ = ModuleSpec(name, None)
        module.__package__ = name.rpartition(".")[0]
        if place in above_others:
            module.__path__ = []
        module.__getattr__, module.__dir__ = names_of(name)  # type: ignore[method-assign]
        sys.modules[name] = module
        above = sys.modules.get(name.rpartition(".")[0])
        if above is not None:
            setattr(above, place.rpartition(".")[2], module)
