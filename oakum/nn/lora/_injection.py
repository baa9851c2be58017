"""add_lora and merge_lora: adapters of low rank for the layers of a model, and back.

nnx.add_lora(model, nnx.PathContains('attention'), rank=8, rngs=rngs)
optimizer = nnx.Optimizer(model, optax.adam(1e-3))  # trains the adapters alone
...
nnx.merge_lora(model)
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..._graph import Path, children, leaves, places, walk
from ..._objects import PARTITION_NAME, Module, Node, Variable
from ..._rngs import Rngs
from ..._state import freeze, select_each, show, swap, trainable
from ...errors import ArgumentError, FilterError, StructureError
from ...transforms import vmap
from ..linear._linear import Linear
from ..linear._linear_general import LinearGeneral
from ..norm._spectral_norm import SpectralNorm
from ..norm._weight_norm import WeightNorm
from ._lora import LoRA, LoRALinear
from ._lora_general import LoRALinearGeneral

_FORMER: dict[type, type] = {LoRALinear: Linear, LoRALinearGeneral: LinearGeneral}


def add_lora(
    model: Module, *filters: Any, rank: int, rngs: Rngs, **options: Any
) -> None:
    """Gives layers of a model an adapter of low rank each, and freezes all the rest.

    A selected Linear becomes a LoRALinear, a LinearGeneral (such as a projection of
    MultiHeadAttention) a LoRALinearGeneral; the outputs stay as they are until the
    adapters are trained. All Params but adapters are frozen, and `nnx.unfreeze(model,
    filter)` lets some of them train along.

    The very same Variables keep their paths: `layer.kernel`, and beside it come
    `layer.lora.lora_a` and `layer.lora.lora_b`. So a checkpoint of the model without
    adapters fits `nnx.state(model, nnx.Not(nnx.LoRAParam))`, and one of the adapters
    `nnx.state(model, nnx.LoRAParam)`.

    Hu et al.: LoRA, https://arxiv.org/abs/2106.09685, 2021; without its factor
    alpha / r.

    Args:
        model: the model to change. A layer that it holds in several places stays one.
        *filters: which layers, by path and layer; all where there are none. A layer in
            several places is selected by one of them.
        rank: rank of the adapters.
        rngs: gives the keys of the initializers, from its `params` stream.
        **options: of LoRA, such as `a_initializer` or `lora_param_type`; `dtype` and
            `param_dtype` are by default those of the layer.

    Raises:
        FilterError: a filter selects no such layer; lists those that there are.
        ArgumentError: the model is no module, or itself the layer that is selected.
        StructureError: a kernel has another shape than its layer was made for.

    Example:
        >>> import oakum as nnx
        >>> model = nnx.Sequential(nnx.Linear(2, 8, rngs=nnx.Rngs(0)), nnx.relu)
        >>> nnx.add_lora(model, nnx.Linear, rank=2, rngs=nnx.Rngs(1))
        >>> [path for path, _ in nnx.to_flat_state(nnx.state(model, nnx.trainable))]
        [('layers', 0, 'lora', 'lora_a'), ('layers', 0, 'lora', 'lora_b')]
    """
    _check_model("add_lora", model)
    out = _normalized(model)
    known = {p: x for p, x in walk(model) if _is_plain(x) and id(x) not in out}
    nothing = functools.partial(_nothing_to_adapt, model, known)
    chosen = select_each(places(model, known), filters, nothing)
    _check_below("add_lora", model, chosen)
    paths = {id(node): path for path, node in known.items()}
    new = {id(x): _adapted(x, paths[id(x)], rank, rngs, options) for x in chosen}
    loras = [node for _, node in walk(model) if isinstance(node, LoRA)]
    own = {id(v) for lora in loras for v in (lora.lora_a, lora.lora_b)}
    rest = [v for p, v in leaves(model) if trainable(p, v) and id(v) not in own]
    if rest:
        freeze(rest)
    swap(model, new)


def merge_lora(model: Module) -> None:
    """Adds every adapter to the kernel that it adapts, and takes it out.

    The layers are again what they were before `add_lora`, with the same Variables at
    the same paths, and compute what they did with the adapters, to rounding. What is
    frozen stays so until `nnx.unfreeze(model)`. A LoRA that was put around a Linear by
    hand, as its `base_module`, gives way to that Linear.

    Args:
        model: the model to change.

    Raises:
        FilterError: there is no adapter.
        ArgumentError: an adapter has no kernel to be added to, or one of integers or
            that a wrapper normalizes; the model is no module, or itself the layer.
        StructureError: a kernel is used elsewhere too, where there is no adapter.
            Whatever is raised, nothing was changed.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> model = nnx.Sequential(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        >>> nnx.add_lora(model, rank=2, rngs=nnx.Rngs(1))
        >>> nnx.merge_lora(model)
        >>> type(model.layers[0]).__name__
        'Linear'
    """
    _check_model("merge_lora", model)
    found = _adapters(model)
    _check_below("merge_lora", model, [layer for _, layer, _, _ in found])
    _check_alone(model, found)
    kernels = [_folded(base.kernel, lora) for _, _, base, lora in found]
    new = {id(layer): _without(layer, base) for _, layer, base, _ in found}
    for (_, _, base, _), kernel in zip(found, kernels, strict=True):
        base.kernel.set_value(kernel)
    swap(model, new)


def _is_plain(node: Any) -> bool:
    """Whether an adapter can be given to a node."""
    return type(node) is Linear or (type(node) is LinearGeneral and not node.batch_axis)


def _nothing_to_adapt(model: Module, known: dict[Path, Any], name: str) -> FilterError:
    lines = [f"\n  {show(path)}: {_describe(node)}" for path, node in known.items()]
    if len(lines) > 20:
        lines[20:] = [f"\n  and {len(lines) - 20} more"]
    return FilterError(
        f"No layer to adapt: {name} selects no Linear or LinearGeneral",
        where=f"{type(model).__name__} has{''.join(lines) or ' none'}",
        remedy="select by type or path, as in nnx.add_lora(model, "
        "nnx.PathContains('query'), ...); put nnx.LoRA(..., base_module=layer) "
        "around another kind of layer by hand.",
    )


def _features(layer: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Sizes of the axes that a layer maps, and of those that it maps them to."""
    if isinstance(layer, Linear):
        return (layer.in_features,), (layer.out_features,)
    return layer.in_features, layer.out_features


def _describe(layer: Any) -> str:
    inner, outer = (" x ".join(map(str, sizes)) for sizes in _features(layer))
    return f"{type(layer).__name__} ({inner} to {outer})"


def _adapted(layer: Any, path: Path, rank: int, rngs: Rngs, options: dict) -> Any:
    """A layer of the same Variables with an adapter."""
    inner, outer = _features(layer)
    shape = layer.kernel.shape
    stacked = shape[: len(shape) - len(inner) - len(outer)]
    if shape != (*stacked, *inner, *outer):
        raise StructureError(
            f"The kernel has shape {shape}, expected {(*inner, *outer)}, or the axes "
            "of a stack of layers before these",
            where=f"{show(path)}: {_describe(layer)}",
            remedy="stack along the first axis: nnx.vmap(..., out_axes=0).",
        )
    floats = jnp.issubdtype(layer.param_dtype, jnp.inexact)
    dtypes = {
        "dtype": layer.dtype,
        "param_dtype": layer.param_dtype if floats else jnp.float32,
    }
    make = functools.partial(
        LoRA, math.prod(inner), rank, math.prod(outer), **{**dtypes, **options}
    )
    lora = _stack(make, stacked, rngs)
    if isinstance(layer, LinearGeneral):
        return LoRALinearGeneral(layer, lora)
    new = _recast(layer, LoRALinear)
    new.lora = lora
    return new


def _stack(make: Callable[..., LoRA], sizes: tuple[int, ...], rngs: Rngs) -> LoRA:
    """A LoRA, or one with leading axes for a stack of layers."""
    if not sizes:
        return make(rngs=rngs)
    names = {PARTITION_NAME: None}
    below = functools.partial(_stack, make, sizes[1:])
    return vmap(below, transform_metadata=names)(rngs.fork(split=sizes[0]))


def _recast(layer: Any, kind: Any) -> Any:
    """A layer of another class with the same attributes."""
    new = kind.__new__(kind)
    new.__setstate__(layer.__getstate__())
    return new


def _without(layer: Any, base: Any) -> Any:
    if layer is not base:
        return base
    new = _recast(layer, _FORMER[type(layer)])
    del new.lora
    return new


def _adapters(model: Module) -> list[tuple[Path, Any, Any, LoRA]]:
    """Path, layer, the layer that has the kernel (itself or its base), and adapter."""
    nodes = list(walk(model))
    layers = [(p, x, x, x.lora) for p, x in nodes if type(x) in _FORMER]
    inside = {id(lora) for _, _, _, lora in layers}
    for path, node in nodes:
        if not isinstance(node, LoRA) or id(node) in inside:
            continue
        if type(node.base_module) is not Linear:
            raise ArgumentError(
                "This LoRA stands around no Linear, so that there is no kernel to add "
                f"it to: base_module is {type(node.base_module).__name__}",
                where=show(path),
                remedy="merge a part of the model alone, as in "
                "nnx.merge_lora(model.encoder).",
            )
        layers.append((path, node, node.base_module, node))
    if not layers:
        raise FilterError(
            f"No adapter to merge: {type(model).__name__} holds no LoRA",
            remedy="nnx.add_lora(model, ..., rank=8, rngs=rngs) first.",
        )
    normalized = _normalized(model)
    for path, layer, base, _ in layers:
        dtype, fault = base.kernel.dtype, ""
        if not isinstance(base.kernel, Variable):
            fault = "its kernel is a bare array, and no Param"
        if not jnp.issubdtype(dtype, jnp.inexact):
            fault = f"a kernel of {dtype} would lose what is added to it"
        if id(layer) in normalized:
            fault = "WeightNorm or SpectralNorm changes the kernel in each call"
        if fault:
            raise ArgumentError(
                f"This adapter cannot be merged: {fault}",
                where=show(path),
                remedy="keep the adapter, or give the model a Linear of floats first.",
            )
    return layers


def _normalized(model: Any) -> set[int]:
    """The layers that are called with other kernels than they hold, by `id`."""
    wrappers = [x for _, x in walk(model) if isinstance(x, WeightNorm | SpectralNorm)]
    return {id(x) for each in wrappers for _, x in walk(each.layer_instance)}


def _folded(kernel: Variable, lora: LoRA) -> Any:
    """The value of a kernel with the adapter added."""
    old, a, b = (x.get_value() for x in (kernel, lora.lora_a, lora.lora_b))
    with jax.numpy_dtype_promotion("standard"):
        dtype = jnp.result_type(jnp.float32, old, a, b)
    change = jnp.matmul(a.astype(dtype), b.astype(dtype), precision="highest")
    return (old.astype(dtype) + change.reshape(old.shape)).astype(old.dtype)


def _check_model(verb: str, model: Any) -> None:
    if not isinstance(model, Node):
        raise ArgumentError(
            f"{verb} changes a model in place, and got a {type(model).__name__}",
            remedy=f"nnx.{verb}(model, ...) for each model.",
        )


def _check_below(verb: str, model: Any, layers: list[Any]) -> None:
    if any(layer is model for layer in layers):
        raise ArgumentError(
            f"{verb} puts other layers in a model, and this {type(model).__name__} "
            "is itself the layer",
            remedy=f"model = nnx.Sequential(layer); nnx.{verb}(model, ...).",
        )


def _check_alone(model: Any, found: list[tuple[Path, Any, Any, LoRA]]) -> None:
    """Raises where a kernel, or a base, is used by others than its adapter's layer."""
    holders: dict[int, list[Path]] = {}
    for path, parent in walk(model):
        for key, child in children(parent):
            holders.setdefault(id(child), []).append((*path, key))
    for path, layer, base, _ in found:
        shared = [base.kernel] if layer is base else [base, base.kernel]
        for part in shared:
            if len(holders[id(part)]) > 1:
                names = ", ".join(map(show, holders[id(part)]))
                raise StructureError(
                    f"To merge this adapter would change all that use its "
                    f"{type(part).__name__}: {names}",
                    where=show(path),
                    remedy="keep the adapter, or give each a copy: "
                    "layer.kernel = layer.kernel.copy().",
                )
