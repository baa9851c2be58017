"""How PyTorch writes each layer: one table by class.

A *layout* has a `Form` for each array of the layer, by its path below it: the names
that it has in a file, and the steps to it. A layer that is no row of the table is
written array by array, under the names of its attributes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from .._graph import leaves
from ..nn._activations import PReLU
from ..nn.attention._attention import MultiHeadAttention
from ..nn.conv._conv import Conv
from ..nn.conv._conv_transpose import ConvTranspose
from ..nn.linear._embed import Embed
from ..nn.linear._linear import Linear
from ..nn.linear._linear_general import LinearGeneral
from ..nn.norm._batch_norm import BatchNorm
from ..nn.norm._group_norm import GroupNorm
from ..nn.norm._instance_norm import InstanceNorm
from ..nn.norm._layer_norm import LayerNorm, RMSNorm
from ..nn.norm._normalize import canonicalize_axes
from ..nn.norm._spectral_norm import SpectralNorm
from ..nn.norm._weight_norm import WeightNorm
from ..nn.recurrent._cells import SimpleCell
from ..nn.recurrent._gru import GRUCell
from ..nn.recurrent._lstm import LSTMCell, OptimizedLSTMCell
from ._steps import Flip, Part, Reshape, Shape, Steps, Transpose, shape_before

_TRACKED = "num_batches_tracked"
StepsOf = Callable[[Any, Shape], Steps]
PartOf = Callable[[Any, Shape], Part]


def as_it_is(layer: Any, shape: Shape) -> Steps:
    """No step."""
    return ()


@dataclasses.dataclass(frozen=True)
class Form:
    """How one array of a layer is written.

    Args:
        names: its name below the layer's; the arrays of several are added up.
        steps: of the layer and the array's shape, the steps to the array.
        part: what of a tensor it is, where the tensor holds more; likewise.
        old_names: what `names` were once.
        any_shape: whether another shape of as many elements is the same.
        is_matrix: whether `steps` settle which axis is which.
        stored: the dtype in a file, where that is always one.
        beside: what a file has besides, by name: scalars that no array of ours holds.
    """

    names: tuple[str, ...]
    steps: StepsOf = as_it_is
    part: PartOf | None = None
    old_names: tuple[str, ...] = ()
    any_shape: bool = False
    is_matrix: bool = False
    stored: np.dtype | None = None
    beside: Callable[[Any], Mapping[str, np.ndarray]] | None = None


Layout = Mapping[tuple[str, ...], Form]


def swapped(layer: Any, shape: Shape) -> Steps:
    """From `(out, in)`."""
    return (Transpose((1, 0)),)


def _general_kernel(layer: Any, shape: Shape) -> Steps:
    """From `(*batch, out, in)` to `(*batch, *in, *out)`, each side several axes."""
    lead = len(layer.batch_axis)
    batch, rest = shape[:lead], shape[lead:]
    count = len(layer.in_features)
    rows, columns = math.prod(rest[:count]), math.prod(rest[count:])
    axes = (*range(lead), lead + 1, lead)
    return (Transpose(axes), Reshape((*batch, rows, columns), shape))


def _general_bias(layer: Any, shape: Shape) -> Steps:
    lead = len(layer.batch_axis)
    flat = (*shape[:lead], math.prod(shape[lead:]))
    return () if flat == shape else (Reshape(flat, shape),)


def _conv_kernel(layer: Any, shape: Shape) -> Steps:
    """From `(out, in, *spatial)` to `(*spatial, in, out)`."""
    return (Transpose((*range(2, len(shape)), 1, 0)),)


def _conv_transpose_kernel(layer: Any, shape: Shape) -> Steps:
    """From `(in, out, *spatial)`, whose spatial axes a kernel of ours has reversed."""
    spatial = tuple(range(2, len(shape)))
    if layer.transpose_kernel:
        return (Transpose((*spatial, 1, 0)),)  # (*spatial, out, in)
    flipped = Flip(tuple(range(len(spatial))))
    groups = layer.feature_group_count
    if groups == 1:
        return (Transpose((*spatial, 0, 1)), flipped)  # (*spatial, in, out)
    size, rows, columns = shape[:-2], shape[-2], shape[-1] // groups
    apart = Reshape((groups * rows, columns, *size), (groups, rows, columns, *size))
    moved = Transpose((*(axis + 1 for axis in spatial), 1, 0, 2))
    return (apart, moved, Reshape((*size, rows, groups, columns), shape), flipped)


def _third(number: int) -> PartOf:
    """Queries, keys or values; PyTorch has as many of each, fewer heads go on alike."""

    def part(layer: Any, shape: Shape) -> Part:
        fewer = layer.num_kv_heads * layer.head_dim
        sizes = (layer.qkv_features, fewer, fewer)
        start = sum(sizes[:number])
        return Part(0, (sum(sizes),), 0, start, start + sizes[number])

    return part


def _heads_kernel(layer: Any, shape: Shape) -> Steps:
    rows, columns = shape[0], math.prod(shape[1:])
    return (Transpose((1, 0)), Reshape((rows, columns), shape))


def _heads_bias(layer: Any, shape: Shape) -> Steps:
    return (Reshape((math.prod(shape),), shape),)


def _joined_kernel(layer: Any, shape: Shape) -> Steps:
    """From `(out, heads * depth)` to `(heads, depth, out)`."""
    return (Transpose((1, 0)), Reshape((math.prod(shape[:-1]), shape[-1]), shape))


def _gate(number: int) -> PartOf:
    def part(layer: Any, shape: Shape) -> Part:
        size = layer.hidden_features
        return Part(0, (4 * size,), 0, number * size, (number + 1) * size)

    return part


def _batches(layer: Any) -> Mapping[str, np.ndarray]:
    """How many batches there were, where the layer does not count them."""
    return {} if layer.count is not None else {_TRACKED: np.zeros((), "i8")}


def _slope(layer: Any, shape: Shape) -> Steps:
    return () if shape else (Reshape((1,), ()),)


def _named(name: str, **options: Any) -> Form:
    return Form((name,), **options)


_WEIGHT = _named("weight", steps=swapped, is_matrix=True)
_BIAS = _named("bias")
_SCALE = _named("weight", old_names=("gamma",), any_shape=True)
_SHIFT = _named("bias", old_names=("beta",), any_shape=True)
_NORM: Layout = {("scale",): _SCALE, ("bias",): _SHIFT}

_ATTENTION: Layout = {
    **{
        (name, "kernel"): _named(
            "in_proj_weight", steps=_heads_kernel, part=_third(i), is_matrix=True
        )
        for i, name in enumerate(("query", "key", "value"))
    },
    **{
        (name, "bias"): _named("in_proj_bias", steps=_heads_bias, part=_third(i))
        for i, name in enumerate(("query", "key", "value"))
    },
    ("out", "kernel"): _named("out_proj.weight", steps=_joined_kernel, is_matrix=True),
    ("out", "bias"): _named("out_proj.bias"),
}
_ATTENTION_APART: Layout = {
    **_ATTENTION,
    **{
        (name, "kernel"): _named(
            f"{name[0]}_proj_weight", steps=_heads_kernel, is_matrix=True
        )
        for name in ("query", "key", "value")
    },
}

_IN = _named("weight_ih", steps=swapped, is_matrix=True)
_BACK = _named("weight_hh", steps=swapped, is_matrix=True)
_BIASES = Form(("bias_ih", "bias_hh"))
_CELL: Layout = {
    ("dense_i", "kernel"): _IN,
    ("dense_h", "kernel"): _BACK,
    ("projection", "kernel"): _named("weight_hr", steps=swapped, is_matrix=True),
}


def _lstm_cell() -> Layout:
    forms: dict[tuple[str, ...], Form] = {}
    pairs = zip(("ii", "if_", "ig", "io"), ("hi", "hf", "hg", "ho"), strict=True)
    for number, (taken, kept) in enumerate(pairs):
        part = _gate(number)
        forms[taken, "kernel"] = dataclasses.replace(_IN, part=part)
        forms[kept, "kernel"] = dataclasses.replace(_BACK, part=part)
        forms[kept, "bias"] = dataclasses.replace(_BIASES, part=part)
    return forms


TABLE: dict[type, Layout] = {
    Linear: {("kernel",): _WEIGHT, ("bias",): _BIAS},
    LinearGeneral: {
        ("kernel",): _named("weight", steps=_general_kernel, is_matrix=True),
        ("bias",): _named("bias", steps=_general_bias),
    },
    Embed: {("embedding",): _named("weight", is_matrix=True)},
    Conv: {
        ("kernel",): _named("weight", steps=_conv_kernel, is_matrix=True),
        ("bias",): _BIAS,
    },
    ConvTranspose: {
        ("kernel",): _named("weight", steps=_conv_transpose_kernel, is_matrix=True),
        ("bias",): _BIAS,
    },
    LayerNorm: _NORM,
    GroupNorm: _NORM,
    InstanceNorm: _NORM,
    RMSNorm: {("scale",): _SCALE},
    BatchNorm: {
        **_NORM,
        ("mean",): _named("running_mean"),
        ("var",): _named("running_var", beside=_batches),
        ("count",): _named(_TRACKED, any_shape=True, stored=np.dtype("i8")),
    },
    PReLU: {("negative_slope",): _named("weight", steps=_slope)},
    MultiHeadAttention: _ATTENTION,
    OptimizedLSTMCell: {**_CELL, ("dense_h", "bias"): _BIASES},
    LSTMCell: _lstm_cell(),
    GRUCell: {
        **_CELL,
        ("dense_i", "bias"): _named("bias_ih"),
        ("dense_h", "bias"): _named("bias_hh"),
    },
    SimpleCell: {**_CELL, ("dense_i", "bias"): _BIASES},
}


def _wrapped(layer: Any) -> tuple[Layout, dict[tuple[str, ...], Form]]:
    """The layout of the layer in a layer, by its own paths and by those of both."""
    inner = layout_of(layer.layer_instance) or {}
    forms = {("layer_instance", *path): _of_inner(f) for path, f in inner.items()}
    return inner, forms


def _of_inner(form: Form) -> Form:
    """A form that is asked with the wrapper of its layer."""

    def steps(layer: Any, shape: Shape) -> Steps:
        return form.steps(layer.layer_instance, shape)

    def part(layer: Any, shape: Shape) -> Part:
        assert form.part is not None
        return form.part(layer.layer_instance, shape)

    taken = None if form.part is None else part
    return dataclasses.replace(form, steps=steps, part=taken, beside=None)


def _normalized(
    inner: Layout, paths: Iterable[tuple[Any, ...]]
) -> Iterator[tuple[tuple[Any, ...], tuple[str, ...], Form, str]]:
    """Of arrays in a wrapped layer: path, path as text, layout, PyTorch's name."""
    for path in paths:
        below = tuple(map(str, path))
        if below in inner:
            (name,) = inner[below].names
            yield path, below, inner[below], name


def _weight_norm(layer: WeightNorm) -> Layout:
    """The wrapped layer's, each normalized array as a direction and its length."""
    inner, forms = _wrapped(layer)
    for path, below, form, name in _normalized(inner, layer.scales or ()):
        made = f"parametrizations.{name}.original"
        forms["layer_instance", *below] = dataclasses.replace(
            _of_inner(form), names=(f"{made}1",), old_names=(f"{name}_v",)
        )
        shape = dict(leaves(layer.layer_instance))[path].shape
        forms["scales", str(path)] = Form(
            (f"{made}0",),
            steps=_lengths(form, shape),
            old_names=(f"{name}_g",),
            any_shape=layer.feature_axes == (),
        )
    return forms


def _spectral_norm(layer: SpectralNorm) -> Layout:
    """The wrapped layer's, and the vectors that are kept of each kernel."""
    inner, forms = _wrapped(layer)
    kept = {path[:-1] for path in layer.batch_stats}
    for path in kept:
        stats = ("batch_stats", str((*path, "sigma")))
        forms[stats] = Form(())  # a result, which no file has
    for path, below, form, name in _normalized(inner, kept):
        made = f"parametrizations.{name}"
        forms["layer_instance", *below] = dataclasses.replace(
            _of_inner(form), names=(f"{made}.original",), old_names=(f"{name}_orig",)
        )
        shape = dict(leaves(layer.layer_instance))[path].shape
        for vector, steps in (("u", as_it_is), ("v", _rows(form, shape))):
            forms["batch_stats", str((*path, vector))] = Form(
                (f"{made}.0._{vector}",),
                steps=_flat(steps),
                old_names=(f"{name}_{vector}",),
            )
    return forms


def _rows(form: Form, shape: Shape) -> StepsOf:
    """Steps for a vector over the rows of a kernel: those of one column of it."""

    def steps(layer: Any, _: Shape) -> Steps:
        column = (*shape[:-1], 1)
        way = form.steps(layer.layer_instance, column)
        size = math.prod(shape[:-1])
        before = shape_before(way, column)
        return (Reshape((1, size), before), *way, Reshape(column, (1, size)))

    return steps


def _flat(steps: StepsOf) -> StepsOf:
    def flat(layer: Any, shape: Shape) -> Steps:
        return (Reshape((math.prod(shape),), shape), *steps(layer, shape))

    return flat


def _lengths(form: Form, shape: Shape) -> StepsOf:
    """Steps for a length at each index of some axes of a kernel of this shape."""

    def steps(layer: Any, sizes: Shape) -> Steps:
        axes = canonicalize_axes(layer.feature_axes, len(shape))
        ones = tuple(n if axis in axes else 1 for axis, n in enumerate(shape))
        way = form.steps(layer.layer_instance, ones)
        return way if ones == sizes else (*way, Reshape(ones, sizes))

    return steps


def layout_of(layer: Any) -> Layout | None:
    """The layout of a layer's class, or of the nearest one that it derives from."""
    if isinstance(layer, WeightNorm):
        return _weight_norm(layer)
    if isinstance(layer, SpectralNorm):
        return _spectral_norm(layer)
    if isinstance(layer, MultiHeadAttention):
        sizes = {layer.in_features, layer.in_kv_features, layer.in_v_features}
        apart = len(sizes) > 1
        return _ATTENTION_APART if apart else _ATTENTION
    for kind in type(layer).__mro__:
        if kind in TABLE:
            return TABLE[kind]
    return None
