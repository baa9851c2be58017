"""What constructors of other libraries call the arguments of layers.

`FOREIGN` is looked at when a module is made; all else only once a layer of oakum was
given such a keyword that it does not take.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from .errors import ArgumentError

_CHANNELS = "nothing: channels are the last axis of the input."
_NAME = "nothing: the attribute that holds the layer is its name."
_LATER = (
    "nothing here: call the function on what the layer returns, nnx.relu(layer(x))."
)

# keyword: (whose it is, what to write). `{}` is the value, and the words before `=` are
# a parameter; of several lines the first counts whose parameter the layer takes.
_KEYWORDS: dict[str, tuple[str, str]] = {
    "activation": ("Keras's", _LATER),
    "affine": ("PyTorch's", "use_scale={}, use_bias={}"),
    "batch_first": ("PyTorch's", "nothing: the batch is the first axis."),
    "b_init": ("Haiku's", "bias_init={}"),
    "beta_initializer": ("Keras's", "bias_init=nnx.initializers.zeros"),
    "bias": ("PyTorch's", "use_bias={}"),
    "bias_initializer": ("Keras's", "bias_init=nnx.initializers.zeros"),
    "bidirectional": ("PyTorch's", "nnx.Bidirectional(forward_rnn, backward_rnn)"),
    "center": ("Keras's", "use_bias={}"),
    "channels": ("equinox's", "num_features={}"),
    "create_offset": ("Haiku's", "use_bias={}"),
    "create_scale": ("Haiku's", "use_scale={}"),
    "data_format": ("Keras's and Haiku's", _CHANNELS),
    "decay_rate": ("Haiku's", "momentum={}"),
    "device": ("PyTorch's", "nothing: jax.device_put and meshes say where arrays lie."),
    "dilation": ("PyTorch's and equinox's", "kernel_dilation={}"),
    "dilation_rate": ("Keras's", "kernel_dilation={}"),
    "dropout": ("PyTorch's", "dropout_rate={}"),
    "dropout_p": ("equinox's", "dropout_rate={}"),
    "elementwise_affine": ("PyTorch's", "use_scale={}, use_bias={}"),
    "embed_dim": ("PyTorch's and Haiku's", "features={}\nin_features={}"),
    "embedding_dim": ("PyTorch's", "features={}"),
    "embedding_size": ("equinox's", "features={}"),
    "embeddings_initializer": (
        "Keras's",
        "embedding_init=nnx.initializers.normal(0.02)",
    ),
    "eps": ("PyTorch's, equinox's and Haiku's", "epsilon={}"),
    "features": (
        "Linen's",
        "out_features={}, with the size of the input as in_features\n"
        "hidden_features={}, with the size of the input as in_features\n"
        "num_features={}",
    ),
    "filters": (
        "Keras's",
        "out_features={}, with the size of the input as in_features",
    ),
    "gamma_initializer": ("Keras's", "scale_init=nnx.initializers.ones"),
    "go_backwards": ("Keras's", "reverse={}"),
    "groups": ("PyTorch's and Keras's", "num_groups={}\nfeature_group_count={}"),
    "hidden_size": ("PyTorch's, equinox's and Haiku's", "hidden_features={}"),
    "in_channels": ("PyTorch's and equinox's", "in_features={}"),
    "in_size": ("equinox's", "in_features={}"),
    "inference": ("equinox's", "deterministic={}\nuse_running_average={}"),
    "inplace": ("PyTorch's", "nothing: arrays do not change in place."),
    "input_dim": ("Keras's", "num_embeddings={}\nin_features={}"),
    "input_shape": ("Keras's", "in_features=size, that of the last axis"),
    "input_size": ("PyTorch's and equinox's", "in_features={}"),
    "kdim": ("PyTorch's", "in_kv_features={}"),
    "kernel_initializer": ("Keras's", "kernel_init=nnx.initializers.lecun_normal()"),
    "kernel_shape": ("Haiku's", "kernel_size={}"),
    "key": ("equinox's", "rngs=nnx.Rngs(key)"),
    "key_dim": ("Keras's", "qkv_features=num_heads * {}"),
    "key_size": ("equinox's and Haiku's", "qkv_features=num_heads * {}"),
    "name": ("Linen's, Keras's and Haiku's", _NAME),
    "norm_shape": ("PyTorch's", "num_features={}"),
    "normalized_shape": ("PyTorch's", "num_features={}"),
    "num_channels": ("PyTorch's", "num_features={}"),
    "num_layers": ("PyTorch's", "one nnx.RNN for each layer, in nnx.Sequential"),
    "out_channels": ("PyTorch's and equinox's", "out_features={}"),
    "out_size": ("equinox's", "out_features={}"),
    "output_channels": (
        "Haiku's",
        "out_features={}, with the size of the input as in_features",
    ),
    "output_dim": ("Keras's", "features={}\nout_features={}"),
    "output_padding": ("PyTorch's", "padding=((low, high), ...), for each axis"),
    "output_size": (
        "Haiku's",
        "out_features={}, with the size of the input as in_features",
    ),
    "proj_size": ("PyTorch's", "projection_features={}"),
    "p": ("PyTorch's and equinox's", "rate={}"),
    "padding_mode": ("PyTorch's and equinox's", "padding='CIRCULAR' or 'REFLECT'"),
    "parent": ("Linen's", _NAME),
    "query_size": ("equinox's", "in_features={}"),
    "rate": ("Haiku's", "kernel_dilation={}\ndropout_rate={}"),
    "recurrent_initializer": (
        "Keras's",
        "recurrent_kernel_init=nnx.initializers.orthogonal()",
    ),
    "return_sequences": ("Keras's", "nothing: nnx.RNN gives all steps; take y[:, -1]."),
    "return_state": ("Keras's", "return_carry={}"),
    "scale": ("Keras's", "use_scale={}"),
    "seed": ("Keras's", "rngs=nnx.Rngs({})"),
    "shape": ("equinox's", "num_features={}\nkernel_size={}"),
    "stride": ("PyTorch's, equinox's and Haiku's", "strides={}"),
    "track_running_stats": (
        "PyTorch's",
        "use_running_average=False, and model.eval() or model.train() later",
    ),
    "units": (
        "Keras's",
        "out_features={}, with the size of the input as in_features\n"
        "hidden_features={}, with the size of the input as in_features",
    ),
    "use_weight": ("equinox's", "use_scale={}"),
    "value_size": ("equinox's", "in_v_features={}"),
    "vdim": ("PyTorch's", "in_v_features={}"),
    "vocab_size": ("Haiku's", "num_embeddings={}"),
    "w_init": ("Haiku's", "kernel_init={}"),
    "with_bias": ("Haiku's", "use_bias={}"),
}
FOREIGN = frozenset(_KEYWORDS)


def check_keywords(cls: type, given: Mapping[str, Any]) -> None:
    """Explains keywords of other libraries that a layer of oakum was given.

    Args:
        cls: the class that is called.
        given: its keyword arguments.

    Raises:
        ArgumentError: it takes none of that name, and there is another way to say it.
    """
    init: Any = cls.__init__
    if not getattr(init, "__module__", "").startswith("oakum."):
        return  # a class of the user's, with keywords of its own
    parameters = inspect.signature(init).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    wrong = [name for name in given if name not in parameters]
    found = [(name, _answer(name, given[name], parameters)) for name in wrong]
    foreign = [(name, answer) for name, answer in found if answer]
    if foreign:
        names = ", ".join(f"{name}= is {_KEYWORDS[name][0]}" for name, _ in foreign)
        answers = "; and ".join(f"for {name}= write {text}" for name, text in foreign)
        raise ArgumentError(
            f"{cls.__name__} takes no keyword of that name: {names}",
            remedy=answers + ("" if answers.endswith(".") else "."),
        )


def _answer(name: str, value: Any, parameters: Mapping[str, Any]) -> str:
    """What to write in place of a keyword, or nothing where there is no answer."""
    shown = repr(value) if isinstance(value, int | float | str | tuple) else name
    for text in _KEYWORDS.get(name, ("", ""))[1].splitlines():
        parameter, assigned, _ = text.partition("=")
        if not assigned or not parameter.isidentifier() or parameter in parameters:
            return text.replace("{}", shown)
    return ""
