"""Public names take the parameters that programs written for flax.nnx give them.

The list is flax.nnx 0.12's, of the names that are built; its switches between modes
(`graph`, `graph_updates`) are left out. Names only: defaults differ in their identity.
"""

import inspect
import re
from pathlib import Path

import pytest

import oakum

FUNCTIONS = """\
BatchNorm(num_features, use_running_average, axis, momentum, epsilon, dtype,
    param_dtype, use_bias, use_scale, bias_init, scale_init, axis_name,
    axis_index_groups, use_fast_variance, promote_dtype, rngs, bias_metadata,
    scale_metadata,
    unbiased_variance)
BatchStat(value, hijax, ref, eager_sharding, **metadata)
Bidirectional(forward_rnn, backward_rnn, merge_fn, time_major, return_carry, rngs)
Cache(value, hijax, ref, eager_sharding, **metadata)
Conv(in_features, out_features, kernel_size, strides, padding, input_dilation,
    kernel_dilation, feature_group_count, use_bias, mask, dtype, param_dtype,
    precision, kernel_init, bias_init, conv_general_dilated, promote_dtype,
    preferred_element_type, rngs, kernel_metadata, bias_metadata,
    padding_mode)
ConvTranspose(in_features, out_features, kernel_size, strides, padding, kernel_dilation,
    use_bias, mask, dtype, param_dtype, precision, kernel_init, bias_init,
    transpose_kernel, promote_dtype, preferred_element_type, rngs, kernel_metadata,
    bias_metadata,
    feature_group_count)
DiffState(argnum, filter)
Dropout(rate, broadcast_dims, deterministic, rng_collection, rngs)
EMA(params, decay, only)
Einsum(einsum_str, kernel_shape, bias_shape, dtype, param_dtype, precision, kernel_init,
    bias_init, promote_dtype, einsum_op, preferred_element_type, rngs, kernel_metadata,
    bias_metadata)
Embed(num_embeddings, features, dtype, param_dtype, embedding_init, promote_dtype,
    rngs, embedding_metadata,
    padding_idx)
FlatState(items, sort)
GRUCell(in_features, hidden_features, gate_fn, activation_fn, kernel_init,
    recurrent_kernel_init, bias_init, dtype, param_dtype, carry_init, promote_dtype,
    keep_rngs, rngs, kernel_metadata, recurrent_kernel_metadata, bias_metadata,
    recurrent_bias)
GroupNorm(num_features, num_groups, group_size, epsilon, dtype, param_dtype,
    use_bias, use_scale, bias_init, scale_init, reduction_axes, axis_name,
    axis_index_groups, use_fast_variance, promote_dtype, rngs, bias_metadata,
    scale_metadata)
Initializer(*args, **kwargs)
InstanceNorm(num_features, epsilon, dtype, param_dtype, use_bias, use_scale, bias_init,
    scale_init, feature_axes, axis_name, axis_index_groups, use_fast_variance,
    promote_dtype, rngs, bias_metadata, scale_metadata)
Intermediate(value, hijax, ref, eager_sharding, **metadata)
LSTMCell(in_features, hidden_features, gate_fn, activation_fn, kernel_init,
    recurrent_kernel_init, bias_init, dtype, param_dtype, carry_init, promote_dtype,
    keep_rngs, rngs, kernel_metadata, recurrent_kernel_metadata, bias_metadata)
LayerNorm(num_features, epsilon, dtype, param_dtype, use_bias, use_scale, bias_init,
    scale_init, reduction_axes, feature_axes, axis_name, axis_index_groups,
    use_fast_variance, promote_dtype, rngs, bias_metadata, scale_metadata)
Linear(in_features, out_features, use_bias, dtype, param_dtype, precision,
    kernel_init, bias_init, dot_general, promote_dtype, preferred_element_type,
    rngs, kernel_metadata, bias_metadata)
LinearGeneral(in_features, out_features, axis, batch_axis, use_bias, dtype, param_dtype,
    kernel_init, bias_init, precision, promote_dtype, dot_general, dot_general_cls,
    preferred_element_type, rngs, kernel_metadata, bias_metadata)
List(it)
LoRA(in_features, lora_rank, out_features, base_module, dtype, param_dtype,
    a_initializer, b_initializer, lora_param_type, promote_dtype, rngs, a_metadata,
    b_metadata)
LoRALinear(in_features, out_features, lora_rank, lora_dtype, lora_param_dtype,
    a_initializer, b_initializer, lora_param_type, lora_promote_dtype, rngs, a_metadata,
    b_metadata, **kwargs)
LoRAParam(value, hijax, ref, eager_sharding, **metadata)
Metric()
ModelAndOptimizer(model, tx, wrt)
MultiHeadAttention(num_heads, in_features, qkv_features, out_features, num_kv_heads,
    in_kv_features, dtype, param_dtype, broadcast_dropout, dropout_rate,
    deterministic, precision, kernel_init, out_kernel_init, bias_init, out_bias_init,
    use_bias, attention_fn, decode, normalize_qk, qkv_promote_dtype,
    out_promote_dtype, ln_promote_dtype, qkv_dot_general, out_dot_general,
    qkv_dot_general_cls, out_dot_general_cls, rngs, keep_rngs, kernel_metadata,
    out_kernel_metadata, bias_metadata, out_bias_metadata, query_ln_scale_metadata,
    key_ln_scale_metadata,
    in_v_features, qk_norm, rope, scale, softcap, window, out_use_bias)
MultiMetric(**metrics)
Not(collection_filter)
OfType(type)
OptArray(value, hijax, ref, eager_sharding, **metadata)
OptState(value, hijax, ref, eager_sharding, **metadata)
OptVariable(value, hijax, ref, eager_sharding, **metadata)
OptimizedLSTMCell(in_features, hidden_features, gate_fn, activation_fn, kernel_init,
    recurrent_kernel_init, bias_init, dtype, param_dtype, carry_init, promote_dtype,
    keep_rngs, rngs, kernel_metadata, recurrent_kernel_metadata, bias_metadata,
    projection_features)
Optimizer(model, tx, wrt)
PReLU(negative_slope_init, dtype, param_dtype, promote_dtype,
    negative_slope_metadata)
Param(value, hijax, ref, eager_sharding, **metadata)
PathContains(key, exact)
Perturbation(value, hijax, ref, eager_sharding, **metadata)
RMSNorm(num_features, epsilon, dtype, param_dtype, use_scale, scale_init,
    reduction_axes, feature_axes, axis_name, axis_index_groups, use_fast_variance,
    promote_dtype, rngs, scale_metadata)
RNN(cell, time_major, return_carry, reverse, keep_order, unroll, state_axes,
    broadcast_rngs, rngs)
RngCount(value, hijax, ref, eager_sharding, **metadata)
RngKey(value, hijax, ref, eager_sharding, **metadata)
RngState(value, hijax, ref, eager_sharding, **metadata)
RngStream(key, tag)
Rngs(default, **rngs)
RoPE(theta, embedding_size, max_seq_len)
Sequential(*fns)
SimpleCell(in_features, hidden_features, dtype, param_dtype, carry_init, residual,
    activation_fn, kernel_init, recurrent_kernel_init, bias_init, promote_dtype,
    keep_rngs, rngs, kernel_metadata, recurrent_kernel_metadata, bias_metadata)
SpectralNorm(layer_instance, n_steps, epsilon, dtype, param_dtype, error_on_non_matrix,
    update_stats, rngs,
    keep_v)
State(mapping, _copy)
StateSharding(filter_sharding)
Variable(value, hijax, ref, eager_sharding, **metadata)
VariableMetadata(raw_value, on_set_value, on_get_value, on_create_value,
    on_add_axis, on_remove_axis, metadata)
WeightNorm(layer_instance, feature_axes, use_scale, scale_init, epsilon, dtype,
    param_dtype, variable_filter, promote_dtype, rngs)
WithTag(tag)
abstract_with_sharding(tree)
as_abstract(tree)
avg_pool(inputs, window_shape, strides, padding, count_include_pad,
    ceil_mode)
cached_partial(f, *cached_args)
call(graphdef_state)
capture(fn, *var_types, init, method_outputs)
celu(x, alpha)
check_pytree(pytree)
checkify(f, errors)
clone(node, variables, arrays)
combine_masks(*masks, dtype)
cond(pred, true_fun, false_fun, *operands)
custom_vjp(fun, nondiff_argnums)
data(value, **kwargs)
dataclass(cls, init, eq, order, unsafe_hash, match_args, kw_only, slots,
    weakref_slot)
dot_product_attention(query, key, value, bias, mask, broadcast_dropout, dropout_rng,
    dropout_rate, deterministic, dtype, precision, module, promote_dtype, is_causal)
dot_product_attention_with_rope(query, key, value, rope, input_positions, **kwargs)
display(*args)
elu(x, alpha)
eval_shape(f, *args, **kwargs)
filter_state(state, first, *filters)
find_duplicates(node, only)
flatten(node, with_paths)
fori_loop(lower, upper, body_fun, init_val, unroll)
fork_rngs(node, split)
from_flat_state(flat_state, cls)
gelu(x, approximate)
get_abstract_model(init_fn, mesh)
get_named_sharding(tree, mesh)
get_partition_spec(tree)
glu(x, axis)
grad(f, argnums, has_aux, holomorphic, allow_int, reduce_axes)
graphdef(node)
hard_sigmoid(x)
hard_silu(x)
hard_swish(x)
hard_tanh(x)
has_data(value)
identity(x)
is_data(value)
iter_children(node)
iter_graph(node)
iter_module_children(node)
iter_modules(module)
jit(fun, in_shardings, out_shardings, static_argnums, static_argnames,
    donate_argnums, donate_argnames, keep_unused, device, backend, inline)
jit_partial(fun, *partial_args, in_shardings, out_shardings, static_argnums,
    static_argnames, donate_argnums, donate_argnames, keep_unused, device, backend,
    inline)
jvp(f, primals, tangents, has_aux)
leaky_relu(x, negative_slope)
log_sigmoid(x)
log_softmax(x, axis, where)
logical_axis_rules(rules)
logsumexp(a, axis, b, keepdims, return_sign, where)
make_attention_mask(query_input, key_input, pairwise_fn, extra_batch_dims, dtype)
make_causal_mask(x, extra_batch_dims, dtype)
map(f, node, recreate_variables)
map_state(f, state)
max_pool(inputs, window_shape, strides, padding,
    ceil_mode)
merge(graphdef_or_graphstate, *states, copy, recreate_variables)
merge_state(state, *states, cls)
min_pool(inputs, window_shape, strides, padding)
one_hot(x, num_classes, dtype, axis)
pmap(f, axis_name, in_axes, out_axes, static_broadcasted_argnums, devices, backend,
    axis_size, donate_argnums, transform_metadata)
pool(inputs, init, reduce_fn, window_shape, strides, padding)
pop(node, *filters)
prefix(node, filter_map)
recursive_map(f, node)
register_data_type(type_)
register_variable_name(name, typ, overwrite)
relu(x)
relu6(x)
remat(f, prevent_cse, static_argnums, policy)
replace_by_pure_dict(state, pure_dict, replace_fn)
reseed(node, policy, **stream_keys)
restore_int_paths(pure_dict)
restore_rngs(backups)
scan(f, length, reverse, unroll, _split_transpose, in_axes, out_axes,
    transform_metadata)
selu(x)
set_metadata(node, only, **metadata)
shard_map(f, mesh, in_specs, out_specs, axis_names, check_vma)
sigmoid(x)
silu(x)
soft_sign(x)
softmax(x, axis, where)
softplus(x)
split(node, *filters)
split_rngs(node, splits, only, squeeze)
split_state(state, first, *filters)
standardize(x, axis, mean, variance, epsilon, where, algorithm)
state(node, *filters)
static(value, **kwargs)
swish(x)
switch(index, branches, *operands)
tabulate(obj, *input_args, depth, method, row_filter, table_kwargs, column_kwargs,
    console_kwargs, compute_flops, compute_vjp_flops, **input_kwargs)
tanh(x)
to_flat_state(state)
to_pure_dict(state, extract_fn)
transform_metadata(f, in_axes, out_axes, partition)
unflatten(graphdef, state, copy_variables, recreate_variables)
update(node, state, *states)
value_and_grad(f, argnums, has_aux, holomorphic, allow_int, reduce_axes)
variable_name_from_type(typ, allow_register)
variable_type_from_name(name, base, allow_register)
variables(node, *filters)
view(node, only, raise_if_not_found, **kwargs)
vjp(f, *primals, has_aux, reduce_axes)
vmap(f, in_axes, out_axes, axis_name, axis_size, spmd_axis_name, transform_metadata)
while_loop(cond_fun, body_fun, init_val)
with_attributes(node, only, raise_if_not_found, **attributes)
with_metadata(initializer, on_set_value, on_get_value, on_create_value, on_add_axis,
    on_remove_axis, **metadata)
with_partitioning(initializer, sharding, mesh, **metadata)
with_rngs(node, split, fork, broadcast, only)
"""
OF_MODULES = """\
Module.eval(**attributes)
Module.iter_children()
Module.iter_modules()
Module.perturb(name, value, variable_type, capture_noop)
Module.set_attributes(*filters, raise_if_not_found, **attributes)
Module.sow(variable_type, name, value, reduce_fn, init_fn, capture_noop)
Module.train(**attributes)
"""
METHODS = """\
MultiHeadAttention.init_cache(input_shape, dtype)
MultiHeadAttention.set_view(deterministic, decode, batch_size, max_length)
Variable.add_axis(axis_index, axis_name)
Variable.copy(value, _copy_ref, **updates)
Variable.copy_from(other)
Variable.create_value(value)
Variable.del_metadata(name)
Variable.from_metadata(value, attributes)
Variable.get_metadata(name, default, exclude_required)
Variable.get_raw_value()
Variable.get_value(index)
Variable.has_metadata(name)
Variable.remove_axis(axis_index, axis_name)
Variable.replace(value, _copy_ref, **updates)
Variable.set_raw_value(value, _unsafe_bypass_check)
Variable.set_value(value, index)
Variable.to_state(value, _copy_ref, **updates)
Variable.update_from_state(variable_state)
Rngs.broadcast(k)
Rngs.fork(split)
Rngs.items()
Rngs.split(k)
RngStream.broadcast(k)
RngStream.fork(split)
RngStream.split(k)
State.filter(first, *filters)
State.flat_state()
State.from_flat_path(flat_state)
State.map(f)
State.merge(state, *states)
State.replace_by_pure_dict(pure_dict, replace_fn)
State.split(first, *filters)
State.to_pure_dict(extract_fn)
List.append(value)
List.insert(index, value)
"""
METHODS += OF_MODULES + OF_MODULES.replace("Module.", "List.")
OTHERS = """
    All Any Carry Dict Everything GraphDef Module Nothing Object PARTITION_NAME Pytree
    RNNCellBase StateAxes initializers make_jaxpr metrics optimizer traversals
"""
NEWER = {"RoPE", "dot_product_attention_with_rope"}  # than the flax that is compared
PROPERTIES = """
    Variable.hijax Variable.raw_value Variable.ref Variable.required_metadata
    Variable.shape Variable.sharding_names Variable.type Variable.value
    Variable.var_type State.raw_mapping
"""


def rows(text):
    """Name and parameters of each entry; a line that is indented continues one."""
    made = []
    for entry in text.replace("\n    ", " ").strip().split("\n"):
        name, _, rest = entry.partition("(")
        expected = [p for p in rest[:-1].split(", ") if p]
        made.append(pytest.param(name, expected, id=name))
    return made


def find(name):
    value = oakum
    for part in name.split("."):
        value = getattr(value, part)
    return value


def check(function, expected):
    """Every expected name is a parameter, or there is `**` (or `*`) to take it."""
    parameters = inspect.signature(function).parameters
    kinds = {p.kind for p in parameters.values()}
    for name in expected:
        if name.startswith("**"):
            assert inspect.Parameter.VAR_KEYWORD in kinds, name
        elif name.startswith("*"):
            assert inspect.Parameter.VAR_POSITIONAL in kinds, name
        else:
            assert name in parameters or inspect.Parameter.VAR_KEYWORD in kinds, name


@pytest.mark.parametrize(("name", "expected"), rows(FUNCTIONS))
def test_name_takes_the_parameters_of_flax(name, expected):
    check(find(name), expected)


@pytest.mark.parametrize(("name", "expected"), rows(METHODS))
def test_method_takes_the_parameters_of_flax(name, expected):
    check(find(name), expected)


@pytest.mark.parametrize("name", PROPERTIES.split())
def test_property_is_there(name):
    assert find(name) is not None


TRANSFORMS = """
    cond custom_vjp eval_shape fori_loop grad jit jvp pmap remat scan shard_map
    switch transform_metadata value_and_grad vjp vmap while_loop
"""


@pytest.mark.peer
@pytest.mark.parametrize("name", TRANSFORMS.split())
def test_parameters_of_transforms_are_given_as_in_flax(name):
    """By position or by name alone: `nnx.grad(f, 1)` is an error in both."""
    flax = pytest.importorskip("flax.nnx")
    got, expected = [
        inspect.signature(getattr(lib, name)).parameters for lib in (oakum, flax)
    ]
    for given, parameter in expected.items():
        if not given.startswith("graph"):
            assert got[given].kind == parameter.kind, given


@pytest.mark.peer
def test_every_name_is_in_a_comparison_with_flax():
    pytest.importorskip("flax.nnx")
    from tests.nn.test_function_parity import ACTIVATIONS

    names = {row.values[0] for row in rows(FUNCTIONS)} | set(OTHERS.split())
    assert [name for name in names if not hasattr(oakum, name)] == []
    files = Path(__file__).parent.rglob("*.py")
    texts = [f.read_text() for f in files if f.name != Path(__file__).name]
    compared = {w for text in texts if "flax" in text for w in re.findall(r"\w+", text)}
    assert sorted(names - compared - NEWER - set(ACTIVATIONS)) == []
