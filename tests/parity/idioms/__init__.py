"""The idioms by area, one table a file; `IDIOMS` has them all, in order."""

import importlib

AREAS = (
    "variables",
    "metadata",
    "modules",
    "containers",
    "state",
    "updates",
    "graph",
    "rngs",
    "jit",
    "compiled",
    "autodiff",
    "maps",
    "scan",
    "control",
    "modes",
    "layers",
    "more_layers",
    "training",
    "sharding",
    "display",
)


def tables():
    """The tables, in the order of `AREAS`."""
    modules = (importlib.import_module(f"{__name__}.{area}") for area in AREAS)
    return [module.TABLE for module in modules]


IDIOMS = [idiom for table in tables() for idiom in table.idioms]

# What still differs and is to be mended.
PENDING = {
    "modules/iter_modules_of_containers",
    "modules/key_paths_of_a_module",
    "updates/update_with_a_part",
    "updates/update_changes_the_dtype",
    "updates/update_of_a_cache_shape",
    "updates/update_adds_a_variable",
    "updates/update_with_numpy",
    "updates/update_through_a_list",
    "updates/pop_from_dicts_of_arrays",
    "graph/split_of_containers",
    "graph/split_of_an_array_by_filters",
    "graph/split_of_none",
    "jit/jitted_fn_counts_traces",
    "compiled/jit_partial_compiled",
    "maps/vmap_unequal_sizes",
    "maps/vmap_shared_with_other_axes",
    "maps/state_axes_of_a_state",
    "maps/prefix_of_a_model",
    "scan/scan_carries_a_state",
    "scan/scan_broadcast_stream",
    "scan/scan_two_carries",
    "scan/scan_no_carry_out",
    "control/cond_with_bare_arrays",
    "control/while_of_a_state",
    "control/fori_of_a_state",
    "control/fori_of_bare_arrays",
    "control/scan_of_bare_arrays",
    "layers/linear_general_numpy_axis",
    "layers/einsum_int_bias",
    "sharding/spelled_sharding",
    "sharding/spelled_sharding_names",
    "sharding/eval_shape_keeps_shardings",
    "display/import_traversals",
    "display/bridge_module",
    "display/bridge_to_nnx",
    "display/bridge_to_linen",
    "more_layers/wrong_feature_size",
    "more_layers/missing_rngs",
    "more_layers/spectral_norm_params",
    "layers/simple_cell_bf16",
    "layers/pool_of_ints",
}

# What is run with every test run: all that compiles little, and a part of the rest.
LIGHT = {"variables", "metadata", "state", "updates", "display"}
CORE = [
    idiom
    for position, idiom in enumerate(IDIOMS)
    if not idiom.slow and (idiom.area in LIGHT or position % 8 == 0)
]
