"""A model beside the config of its weights: what the weights themselves do not tell.

Epsilons and rotary positions fit any file, and are in none; where they differ from
`config.json`, a model computes something else with the same weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..._graph import modules_of
from ...nn.attention._rope import RoPE
from ...nn.conv._conv import Conv
from ...nn.norm._batch_norm import BatchNorm
from ...nn.norm._layer_norm import LayerNorm, RMSNorm
from .._places import Slot
from .._report import Line
from ._against_attention import against_attention

_EPSILONS = ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_eps")
_OF_BATCHES = ("batch_norm_eps",)
# What a family has in its code, where the config speaks of some of its norms only.
_FIXED_EPSILONS = {"convnext": 1e-6, "convnextv2": 1e-6}
# What a config may have beside what it says of the rotation.
_FROM_ABOVE = ("rope_theta", "partial_rotary_factor")
# What RoPE takes where a scaling does not say.
_DEFAULTS = {"beta_fast": 32, "beta_slow": 1, "truncate": True}


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
    known = [_turning(values, config) for values in nested or [given]]
    if known == [{"rope_type": "default"}]:
        return
    for path, rope in modules_of(model):
        if not isinstance(rope, RoPE):
            continue
        ours = {**dict(rope.scaling), "rope_theta": rope.theta}
        ours = _turning({**_DEFAULTS, **ours}, {})
        if ours["rope_type"] != "proportional":
            ours["partial_rotary_factor"] = rope.fraction
        apart = [_apart(ours, theirs) for theirs in known]
        if all(apart):
            names = min(apart, key=len)
            text = f"has {_text(ours, names)}, and the config "
            text += " or ".join(_text(theirs, names) for theirs in known)
            yield Line("", ".".join(map(str, path)), text)


def _turning(values: dict, config: dict) -> dict:
    """How positions turn, by the names of today's configs."""
    above = {name: config.get(name) for name in _FROM_ABOVE}
    found = {**above, **{k: v for k, v in values.items() if v is not None}}
    found["rope_type"] = found.get("rope_type", found.pop("type", "default"))
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in found.items()
        if value is not None
    }


def _apart(ours: dict, theirs: dict) -> list[str]:
    """The numbers that both do not have alike."""
    names = ["rope_type", *_FROM_ABOVE]
    if theirs["rope_type"] != "default":
        names += [name for name in theirs if name not in names]
    return [n for n in names if n in theirs and ours.get(n) != theirs[n]]


def _text(values: dict, names: list[str]) -> str:
    shown = dict.fromkeys(["rope_theta", "rope_type", *names])
    return ", ".join(f"{n}={values[n]!r}" for n in shown if n in values)


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
