"""A model beside the config of its weights: what the weights themselves do not tell.

Epsilons and rotary positions fit any file, and are in none; where they differ from
`config.json`, a model computes something else with the same weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .._graph import modules_of
from ..nn.attention._rope import RoPE
from ..nn.conv._conv import Conv
from ..nn.norm._batch_norm import BatchNorm
from ..nn.norm._layer_norm import LayerNorm, RMSNorm
from ._against_attention import against_attention
from ._places import Slot
from ._report import Line

_EPSILONS = ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_eps")
_OF_BATCHES = ("batch_norm_eps",)
# What a family has in its code, where the config speaks of some of its norms only.
_FIXED_EPSILONS = {"convnext": 1e-6, "convnextv2": 1e-6}


def against_config(model: Any, config: dict, slots: list[Slot]) -> Iterator[Line]:
    """Lines on layers that are set otherwise than the config says."""
    yield from _epsilons(config, slots)
    yield from _positions(model, config)
    yield from against_attention(model, config)
    if not config.get("tf_padding"):
        yield from _paddings(slots)


def _epsilons(config: dict, slots: list[Slot]) -> Iterator[Line]:
    layers = list(layers_of(slots))
    norms = [pair for pair in layers if isinstance(pair[0], LayerNorm | RMSNorm)]
    batch_norms = [pair for pair in layers if isinstance(pair[0], BatchNorm)]
    yield from _differing(norms, config, _EPSILONS)
    # Where there are no others, what the config calls a layer's is that of batches.
    names = _OF_BATCHES if norms else (*_OF_BATCHES, *_EPSILONS)
    yield from _differing(batch_norms, config, names)


def _differing(
    layers: list[tuple[Any, str]], config: dict, names: tuple[str, ...]
) -> Iterator[Line]:
    """Lines on layers whose epsilon is not what the first of the names says."""
    key = next((key for key in names if config.get(key) is not None), None)
    if key is None:
        return
    right = (config[key], _FIXED_EPSILONS.get(str(config.get("model_type"))))
    for layer, path in layers:
        if layer.epsilon not in right:
            text = f"has epsilon={layer.epsilon}, and the config {key}={config[key]}"
            yield Line("", path, text)


def _positions(model: Any, config: dict) -> Iterator[Line]:
    given = config.get("rope_parameters") or config.get("rope_scaling") or {}
    nested = [value for value in given.values() if isinstance(value, dict)]
    theta = config.get("rope_theta")
    known = [
        (values.get("rope_theta", theta), _kind(values), values.get("factor"))
        for values in nested or [given]
    ]
    if known == [(None, "default", None)]:
        return
    for path, rope in modules_of(model):
        if not isinstance(rope, RoPE):
            continue
        values = dict(rope.scaling)
        ours = (rope.theta, _kind(values), values.get("factor"))
        if not any(_agree(ours, theirs) for theirs in known):
            text = f"has {_text(*ours)}, and the config "
            text += " or ".join(_text(*theirs) for theirs in known)
            yield Line("", ".".join(map(str, path)), text)


def _kind(values: dict) -> str:
    return values.get("rope_type", values.get("type", "default"))


def _agree(ours: tuple, theirs: tuple) -> bool:
    theta = theirs[0] is None or ours[0] == theirs[0]
    return theta and ours[1] == theirs[1] and ours[2] == theirs[2]


def _text(theta: Any, kind: str, factor: Any) -> str:
    parts = [f"theta={theta}"] if theta is not None else []
    parts.append(f"rope_type={kind!r}")
    return ", ".join(parts + ([f"factor={factor}"] if factor is not None else []))


def _paddings(slots: list[Slot]) -> Iterator[Line]:
    for layer, path in layers_of(slots):
        if not isinstance(layer, Conv) or layer.padding != "SAME":
            continue
        strides = (
            layer.strides if isinstance(layer.strides, tuple) else (layer.strides,)
        )
        if any(stride is not None and stride > 1 for stride in strides):
            yield Line(
                "",
                path,
                "pads 'SAME' with a stride, which is not PyTorch's padding=(size - 1) "
                "// 2: give it in numbers, padding=[(1, 1), (1, 1)]",
            )


def layers_of(slots: list[Slot]) -> Iterator[tuple[Any, str]]:
    """The layers that the slots belong to, each once, with a path."""
    seen: set[int] = set()
    for slot in slots:
        layer = slot.leaf.layer
        if layer is None or id(layer) in seen:
            continue
        seen.add(id(layer))
        yield layer, ".".join(map(str, slot.leaf.path[:-1])) or type(layer).__name__
