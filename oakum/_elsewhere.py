"""What other libraries call what is here: read only when a name is not found.

`NAMES` answers for names of a package (`nnx.Dense`). Each answer is code that runs,
with `rngs = nnx.Rngs(0)` and a `model`, `x`, `y` of the reader's.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterable
from typing import Any

_DROPOUT = "nnx.Dropout(0.5, rngs=rngs)"
_LINEAR = "nnx.Linear(in_features, out_features, rngs=rngs)"
_CONV = "nnx.Conv(in_features, out_features, kernel_size={}, rngs=rngs)"
_CONV_TRANSPOSE = _CONV.replace("Conv", "ConvTranspose")
_LAST = "  # channels come last: {}"
_AXES = {
    1: ("(3,)", "(batch, length, channels)"),
    2: ("(3, 3)", "(batch, height, width, channels)"),
    3: ("(3, 3, 3)", "(batch, depth, height, width, channels)"),
}
_EMBED = "nnx.Embed(num_embeddings, features, rngs=rngs)"
_BATCH_NORM = "nnx.BatchNorm(num_features, rngs=rngs)" + _LAST.format("(..., channels)")
_ATTENTION = "nnx.MultiHeadAttention(num_heads, in_features, rngs=rngs)"
_LSTM = "nnx.RNN(nnx.LSTMCell(in_features, hidden_features, rngs=rngs))"
_GRU = "nnx.RNN(nnx.GRUCell(in_features, hidden_features, rngs=rngs))"
_PARALLEL = (
    "jax.device_put(x, jax.NamedSharding(mesh, jax.P('data')))"
    "  # nnx.jit runs on whatever devices the arrays lie on"
)
_CONSTRAINT = "jax.lax.with_sharding_constraint(x, jax.NamedSharding(mesh, jax.P()))"
_LAMBDA = "nnx.Sequential(lambda x: x.reshape(x.shape[0], -1), nnx.relu)"
_MLP = f"nnx.Sequential({_LINEAR}, nnx.relu, {_LINEAR.replace('in_', 'out_', 1)})"
_SETUP = "class Model(nnx.Module):\n    def __init__(self, rngs): ..."
_MODE = "model.eval()  # model.train() turns dropout on again"
_CALL = "x = model(x)  # a model holds its own arrays"

_PYTORCH = {
    "AdaptiveAvgPool1d": "x.mean(axis=-2)",
    "AdaptiveAvgPool2d": "x.mean(axis=(-3, -2))",
    "AdaptiveMaxPool2d": "x.max(axis=(-3, -2))",
    "AdamW": "nnx.Optimizer(model, optax.adamw(1e-3), wrt=nnx.Param)",
    "BCEWithLogitsLoss": "optax.sigmoid_binary_cross_entropy(logits, y).mean()",
    "Buffer": "nnx.BatchStat(jnp.zeros(3))  # or a class Buffer(nnx.Variable)",
    "ConstantPad2d": "jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))",
    "CrossEntropyLoss": (
        "optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()"
    ),
    "CosineSimilarity": "optax.losses.cosine_similarity(x, x)",
    "DataParallel": _PARALLEL,
    "DistributedDataParallel": _PARALLEL,
    "Dropout1d": "nnx.Dropout(0.5, broadcast_dims=(1,), rngs=rngs)",
    "Dropout2d": "nnx.Dropout(0.5, broadcast_dims=(1, 2), rngs=rngs)",
    "Dropout3d": "nnx.Dropout(0.5, broadcast_dims=(1, 2, 3), rngs=rngs)",
    "ELU": "nnx.elu",
    "load_state_dict": (
        "nnx.update(model, nnx.state(model))  # of PyTorch: nnx.weights.load"
    ),
    "register_buffer": "model.count = nnx.Variable(jnp.zeros(3))",
    "register_parameter": "model.weight = nnx.Param(jnp.zeros(3))",
    "state_dict": "nnx.state(model)  # nnx.to_pure_dict(...) of it is a plain dict",
    "Flatten": _LAMBDA,
    "GELU": "nnx.gelu",
    "GLU": "nnx.glu",
    "GRU": _GRU,
    "Hardsigmoid": "nnx.hard_sigmoid",
    "Hardswish": "nnx.hard_swish",
    "Hardtanh": "nnx.hard_tanh",
    "HuberLoss": "optax.huber_loss(logits, y).mean()",
    "InstanceNorm1d": "nnx.InstanceNorm(num_features, rngs=rngs)",
    "InstanceNorm2d": "nnx.InstanceNorm(num_features, rngs=rngs)",
    "KLDivLoss": "optax.losses.kl_divergence(nnx.log_softmax(logits), y).mean()",
    "L1Loss": "jnp.abs(logits - y).mean()",
    "LazyLinear": _LINEAR,
    "LeakyReLU": "nnx.leaky_relu",
    "LogSigmoid": "nnx.log_sigmoid",
    "LogSoftmax": "nnx.log_softmax",
    "LSTM": _LSTM,
    "Mish": "jax.nn.mish",
    "MSELoss": "((logits - y) ** 2).mean()",
    "ModuleDict": "nnx.Dict(a=model)  # or a plain dict as an attribute",
    "ModuleList": "nnx.List([model, model])  # or a plain list as an attribute",
    "NLLLoss": (
        "optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()"
    ),
    "Parameter": "nnx.Param(jnp.zeros(3))",
    "ParameterDict": "nnx.Dict(a=nnx.Param(jnp.zeros(3)))",
    "ParameterList": "nnx.List([nnx.Param(jnp.zeros(3))])",
    "RMSprop": "nnx.Optimizer(model, optax.rmsprop(1e-3), wrt=nnx.Param)",
    "ReLU": "nnx.relu",
    "ReLU6": "nnx.relu6",
    "SELU": "nnx.selu",
    "CELU": "nnx.celu",
    "SGD": "nnx.Optimizer(model, optax.sgd(1e-2, momentum=0.9), wrt=nnx.Param)",
    "SiLU": "nnx.silu",
    "Sigmoid": "nnx.sigmoid",
    "Softmax": "nnx.softmax",
    "Softplus": "nnx.softplus",
    "Softsign": "nnx.soft_sign",
    "SyncBatchNorm": (
        "nnx.BatchNorm(num_features, rngs=rngs)"
        "  # under nnx.jit the batch is whole, however it is sharded"
    ),
    "Tanh": "nnx.tanh",
    "Tensor": "jnp.zeros(3)",
    "Upsample": "jax.image.resize(x, shape, 'bilinear')",
    "clip_grad_norm_": "optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3))",
    "cross_entropy": (
        "optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()"
    ),
    "functional": "nnx.relu  # functions stand beside the layers",
    "inference_mode": _MODE,
    "mse_loss": "((logits - y) ** 2).mean()",
    "no_grad": "jax.lax.stop_gradient(x)  # nothing else keeps a tape",
    "tensor": "jnp.zeros(3)",
}
_KERAS = {
    "Activation": "nnx.relu",
    "Adam": "nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)",
    "Add": "x + x",
    "AveragePooling2D": "nnx.avg_pool(x, (2, 2), strides=(2, 2))",
    "BatchNormalization": _BATCH_NORM,
    "Concatenate": "jnp.concatenate([x, x], axis=-1)",
    "Conv2DTranspose": _CONV_TRANSPOSE.format("(3, 3)"),
    "DepthwiseConv2D": (
        "nnx.Conv(features, features, kernel_size=(3, 3), "
        "feature_group_count=features, rngs=rngs)"
    ),
    "GlobalAveragePooling1D": "x.mean(axis=-2)",
    "GlobalAveragePooling2D": "x.mean(axis=(-3, -2))",
    "GlobalMaxPooling2D": "x.max(axis=(-3, -2))",
    "GroupNormalization": "nnx.GroupNorm(num_features, num_groups=4, rngs=rngs)",
    "Input": "x = jnp.zeros(shape)  # a model is a class; it takes arrays",
    "Lambda": _LAMBDA,
    "Layer": _SETUP,
    "LayerNormalization": "nnx.LayerNorm(num_features, rngs=rngs)",
    "MaxPooling2D": "nnx.max_pool(x, (2, 2), strides=(2, 2))",
    "Model": _SETUP,
    "Permute": "x.swapaxes(1, 2)",
    "Reshape": "x.reshape(x.shape[0], -1)",
    "SimpleRNN": ("nnx.RNN(nnx.SimpleCell(in_features, hidden_features, rngs=rngs))"),
    "SpatialDropout2D": "nnx.Dropout(0.5, broadcast_dims=(1, 2), rngs=rngs)",
    "TimeDistributed": "model(x)  # layers work on the last axis of any shape",
    "UpSampling2D": "x.repeat(2, axis=1).repeat(2, axis=2)",
    "ZeroPadding2D": "jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))",
}
_EQUINOX = {
    "MLP": _MLP,
    "StateIndex": "nnx.BatchStat(jnp.zeros(3))  # state lives in the model",
    "Shared": "nnx.List([model, model])  # a module used twice is one module",
    "apply_updates": "optimizer.update(model, grads)",
    "combine": "nnx.merge(graphdef, params, rest)",
    "error_if": "nnx.checkify(lambda model, x: model(x))",
    "field": "nnx.static(default=3)  # in an nnx.dataclass",
    "filter": "nnx.state(model, nnx.Param)",
    "filter_checkpoint": "nnx.remat(loss_fn)",
    "filter_custom_vjp": "nnx.custom_vjp(loss_fn)",
    "filter_eval_shape": "nnx.eval_shape(loss_fn, model)",
    "filter_grad": "nnx.grad(loss_fn)",
    "filter_jit": "nnx.jit(loss_fn)",
    "filter_jvp": "nnx.jvp",
    "filter_make_jaxpr": "nnx.make_jaxpr(loss_fn)(model)",
    "filter_pmap": "nnx.pmap(loss_fn)",
    "filter_shard": _CONSTRAINT,
    "filter_value_and_grad": "nnx.value_and_grad(loss_fn)",
    "filter_vjp": "nnx.vjp(loss_fn, model)",
    "filter_vmap": "nnx.vmap(loss_fn)",
    "is_array": "isinstance(x, jax.Array)",
    "is_inexact_array": "jnp.issubdtype(x.dtype, jnp.inexact)",
    "partition": "graphdef, params, rest = nnx.split(model, nnx.Param, ...)",
    "static_field": "nnx.static(default=3)  # in an nnx.dataclass",
    "tree_at": "model.kernel.value = model.kernel.value * 2  # models change in place",
    "tree_deserialise_leaves": "nnx.load(path, model=model)",
    "tree_equal": "jax.tree.map(jnp.array_equal, nnx.state(model), nnx.state(model))",
    "tree_inference": _MODE,
    "tree_pformat": "repr(model)  # or nnx.tabulate(model, x)",
    "tree_pprint": "nnx.display(model)",
    "tree_serialise_leaves": "nnx.save(path, model=model)",
}
_LINEN = {
    "DenseGeneral": "nnx.LinearGeneral(in_features, (2, out_features), rngs=rngs)",
    "FrozenDict": "nnx.to_pure_dict(nnx.state(model))",
    "MultiHeadDotProductAttention": _ATTENTION,
    "Partitioned": "nnx.with_partitioning(nnx.initializers.zeros, ('data', None))",
    "SelfAttention": f"{_ATTENTION}(x)  # one input attends to itself",
    "apply": _CALL,
    "checkpoint": "nnx.remat(loss_fn)",
    "compact": _SETUP,
    "fold_rngs": "nnx.fork_rngs(rngs, split=2)",
    "init": _CALL,
    "map_variables": "nnx.map(lambda path, leaf: leaf, model)",
    "setup": _SETUP,
    "nowrap": "# nothing to write: methods are plain methods",
    "param": "nnx.Param(nnx.initializers.lecun_normal()(rngs.params(), (2, 3)))",
    "remat_scan": "nnx.Repeat",
    "unbox": "nnx.to_pure_dict(nnx.state(model))",
    "with_logical_constraint": (_CONSTRAINT),
    "with_logical_partitioning": (
        "nnx.with_partitioning(nnx.initializers.zeros, ('data', None))"
    ),
}
_HAIKU = {
    "get_parameter": "nnx.Param(nnx.initializers.zeros(rngs.params(), (2, 3)))",
    "get_state": "nnx.state(model, nnx.BatchStat)",
    "next_rng_key": "rngs.params()",
    "PRNGKey": "jax.random.key(0)  # nnx.Rngs(0) holds streams of them",
    "transform": _CALL,
    "transform_with_state": _CALL,
    "without_apply_rng": _CALL,
}
_OLDER = {  # of the versions before 0.12
    "ArrayRef": "nnx.Variable",
    "ForkStates": "nnx.fork_rngs(rngs, split=2)",
    "MutableArray": "nnx.Variable",
    "array_ref": "nnx.Variable(jnp.zeros(3))",
    "fork": "nnx.fork_rngs(rngs, split=2)",
    "is_array_ref": "isinstance(x, nnx.Variable)",
    "is_mutable_array": "isinstance(x, nnx.Variable)",
    "mutable_array": "nnx.Variable(jnp.zeros(3))",
    "register_variable_name_type_pair": (
        "nnx.register_variable_name('kernels', nnx.Param, overwrite=True)"
    ),
    "to_arrays": "nnx.pure(nnx.state(model))  # there are no refs, so: arrays already",
    "to_refs": "model  # Variables are written in place as they are",
    "use_refs": "model  # there is one mode, in which Variables are written in place",
    "with_sharding_constraint": _CONSTRAINT,
}
_CONTEXTS = dict.fromkeys(
    (
        *("current_update_context", "update_context", "split_context"),
        *("merge_context", "UpdateContext", "SplitContext", "MergeContext"),
    ),
    "nnx.merge(*nnx.split(model))  # without a context: a transform writes what its "
    "function writes",
) | dict.fromkeys(
    ("vars_as", "with_vars"), "nnx.clone(model)  # Variables have one kind here"
)
_SHARED = {
    "Dense": ("Keras and Linen", _LINEAR),
    "Embedding": ("PyTorch, Keras and equinox", _EMBED),
    "Identity": ("PyTorch, Keras and equinox", "nnx.identity"),
    "MultiheadAttention": ("PyTorch and equinox", _ATTENTION),
}


def _by_dimension() -> dict[str, tuple[str, str]]:
    """Names that end in a number of dimensions: `Conv2d`, `Conv2D`, `MaxPool2d`."""
    made = {}
    for n, (window, layout) in _AXES.items():
        torch, keras = f"{n}d", f"{n}D"
        last = _LAST.format(layout)
        conv, transpose = _CONV.format(window), _CONV_TRANSPOSE.format(window)
        for name, code in (
            ("Conv", conv + last),
            ("ConvTranspose", transpose + last),
            ("BatchNorm", _BATCH_NORM),
            ("MaxPool", f"nnx.max_pool(x, {window}, strides={window}){last}"),
            ("AvgPool", f"nnx.avg_pool(x, {window}, strides={window}){last}"),
        ):
            source = "PyTorch" if name == "BatchNorm" else "PyTorch and equinox"
            made[name + torch] = (source, code)
        made[f"Conv{keras}"] = ("Keras and Haiku", conv + last)
    return made


NAMES: dict[str, tuple[str, str]] = {
    **_by_dimension(),
    **{name: ("PyTorch", code) for name, code in _PYTORCH.items()},
    **{name: ("Keras", code) for name, code in _KERAS.items()},
    **{name: ("equinox", code) for name, code in _EQUINOX.items()},
    **{name: ("Linen", code) for name, code in _LINEN.items()},
    **{name: ("Haiku", code) for name, code in _HAIKU.items()},
    **{name: ("flax.nnx before 0.12", code) for name, code in _OLDER.items()},
    **{name: ("the engine of flax.nnx", code) for name, code in _CONTEXTS.items()},
    **_SHARED,
}


def advice(package: str, name: str) -> str:
    """What a name that a package lacks may be here, as the end of a message.

    Args:
        package: `oakum`, or a package below it.
        name: what was looked for.

    Returns:
        Lines for the reader, or nothing where no name is near.
    """
    root = package.partition(".")[0]
    if package != root and name in dir(sys.modules[root]):
        return f"Instead: {root}.{name}"
    near = near_names(name, dir(sys.modules[package]))
    ours = any(_singular(other) == _singular(name) for other in near)
    foreign = {_plain(other): other for other in NAMES}
    known = name if name in NAMES or ours else foreign.get(_plain(name))
    if known in NAMES:
        source, code = NAMES[known]
        return f"It is a name of {source}.\nInstead: {code}"
    return f"Did you mean: {' or '.join(map(repr, near))}?" if near else ""


def of_missing(path: Iterable[Any]) -> str:
    """What to do about a leaf that weights of another library lack, or nothing.

    Args:
        path: keys of the leaf.
    """
    if [str(key) for key in path][-2:] == ["dense_h", "bias"]:
        return "; for weights of flax.nnx: nnx.GRUCell(..., recurrent_bias=False)"
    return ""


def near_names(name: str, known: Iterable[str]) -> list[str]:
    """The public names that are close to one that is not known, at most three."""
    by_key: dict[str, str] = {}
    for other in known:
        if not other.startswith("_"):
            by_key.setdefault(_plain(other), other)
    same = [n for n in by_key.values() if _singular(n) == _singular(name)]
    if same:
        return sorted(same, key=lambda other: other[0] != name[0])[:3]
    found = difflib.get_close_matches(_plain(name), by_key, n=3, cutoff=0.8)
    swapped = [key for key in by_key if sorted(key) == sorted(_plain(name))]  # vmpa
    return [by_key[key] for key in dict.fromkeys([*swapped, *found])][:3]


def _singular(name: str) -> str:
    return _plain(name).removesuffix("s")


def _plain(name: str) -> str:
    return re.sub("_", "", name).lower()
