"""What fits and may be wrong all the same: looked for before a model is used.

Nothing here refuses: a line says what was seen, and what it would mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

from ...nn.linear._embed import Embed
from ...nn.norm._batch_norm import BatchNorm
from ...nn.norm._layer_norm import LayerNorm, RMSNorm
from ...nn.norm._norm import Norm
from .._places import Slot
from .._plan import Plan
from .._report import Line
from .._steps import Shape, Transpose
from ..files._source import Source
from ._against_config import against_config, layers_of

_LOOK = 1 << 15  # elements that are looked at, at each end of a tensor
_LARGE = 1e8  # beyond what training gives, and below a bit of an exponent that changed
# Their configs say that they tie, and mean how logits are scaled.
_ALWAYS_TIED = ("t5", "mt5", "umt5", "longt5")


def suspect(model: Any, source: Source, plan: Plan) -> None:
    """Adds to a report what looks wrong."""
    report = plan.report
    report.suspicious += [Line("", "", doubt) for doubt in source.doubts]
    for slot in plan.slots:
        report.suspicious += _of_slot(slot, source)
    report.suspicious += _norms(plan.slots, source)
    report.suspicious += _ties(plan, source)
    report.suspicious += against_config(model, source.config, plan.slots)
    report.notes += _inexact(plan.slots)
    for line, name, other in plan.checks:
        if _equal(source, name, other):
            report.tied.append(line)
        else:
            report.extra.append(Line(name, line.path, f"{line.text}, which differs"))
            report.suspicious.append(
                Line(name, line.path, "a head of its own, in the file of a tied model")
            )


def _of_slot(slot: Slot, source: Source) -> list[Line]:
    name = slot.refs[0].name
    doubts = [
        (name, _of_axes(slot, source.shape(name))),
        *((ref.name, _of_values(slot, source, ref.name)) for ref in slot.refs),
        (name, _of_dtype(source.dtype(name), slot.leaf.value.dtype)),
    ]
    return [Line(name, slot.path, doubt) for name, doubt in doubts if doubt]


def _of_axes(slot: Slot, shape: Shape) -> str | None:
    """Of a square tensor whose axes no rule tells apart: how it was taken."""
    is_square = len(shape) > 1 and shape[-1] == shape[-2] > 1
    is_told = slot.rule is not None and slot.rule.target.transpose is not None
    if not is_square or is_told or slot.leaf.form is not None:
        return None
    moved = any(isinstance(step, Transpose) for step in slot.steps)
    taken = "transposed" if moved else "as it is"
    return (
        f"square, {list(shape)}, and taken {taken}: no rule says which "
        "axis is which; into(path, transpose=...) does"
    )


def _of_values(slot: Slot, source: Source, name: str) -> str | None:
    values, axes = _values(source, name), sum(size > 1 for size in source.shape(name))
    if values is None:
        return None
    if not np.isfinite(values).all():
        return "has values that are not finite"
    if (largest := float(np.abs(values).max())) > _LARGE:
        return f"has values as large as {largest:.1e}"
    layer, part = slot.leaf.layer, slot.leaf.path[-1]
    if isinstance(layer, BatchNorm) and part == "var" and values.min() < 0:
        return "has variances below 0"
    return _of_like_values(slot, values, axes)


def _of_like_values(slot: Slot, values: np.ndarray, axes: int) -> str | None:
    """Of values that are one and the same, all of them or many at the end."""
    if axes > 1 and np.ptp(values) == 0:
        return f"is {values.flat[0]} all over, as if it had never been trained"
    layer = slot.leaf.layer
    scales = isinstance(layer, Norm | RMSNorm) and slot.leaf.path[-1] == "scale"
    if scales and not values.any() and not getattr(layer, "offset", 0.0):
        return "is 0 all over, and so is all that comes out"
    if axes > 1 and not isinstance(layer, Embed):  # whose last rows may be unused
        return _of_its_end(values.reshape(-1))
    return None


def _of_its_end(values: np.ndarray) -> str | None:
    """Of zeros that are a quarter of what is looked at, behind all the rest."""
    count = int(np.argmax(values[::-1] != 0))
    if count * 4 < values.size:
        return None
    return f"ends in {count} zeros or more, as a file that was not written to its end"


def _of_dtype(stored: np.dtype, built: np.dtype) -> str | None:
    if stored.kind in "iu" and built.kind not in "iub":
        return f"holds {stored.name}, which no scale was applied to"
    if jnp.issubdtype(stored, np.floating) and built.kind in "iu":
        return f"holds {stored.name}, where the model was built in {built.name}"
    if stored.kind != built.kind and {stored.kind, built.kind} & {*"bc"}:
        return f"holds {stored.name}, where the model was built in {built.name}"
    return None


def _ties(plan: Plan, source: Source) -> Iterator[Line]:
    """Heads that are not tied as the config says, though the model takes them so."""
    says = source.config.get("tie_word_embeddings")
    if says is False:
        for line in plan.report.tied:
            yield Line(line.name, line.path, f"{line.text}; the config ties none")
    if not says or source.config.get("model_type") in _ALWAYS_TIED:
        return
    for name, other, path in plan.untied:
        if not _equal(source, name, other):
            text = f"is not {other}, to which the config ties it"
            yield Line(name, path, text)


def _inexact(slots: list[Slot]) -> list[Line]:
    """Norms that compute a little else than PyTorch's, each kind in one line."""
    layers = [pair for pair in layers_of(slots) if not isinstance(pair[0], RMSNorm)]
    lines = []
    for attribute, value, text in (
        ("use_fast_variance", True, "is less exact than PyTorch where means are large"),
        ("unbiased_variance", False, "averages another variance in training"),
    ):
        paths = [p for x, p in layers if getattr(x, attribute, None) is value]
        if paths:
            also = f", likewise for {len(paths) - 1} more" if paths[1:] else ""
            text += f": {attribute}={not value} is as there{also}"
            lines.append(Line("", paths[0], text))
    return lines


def _norms(slots: list[Slot], source: Source) -> list[Line]:
    """Norms whose scales look like what is added to 1, or the reverse."""
    plain: list[tuple[Slot, float]] = []
    offset: list[tuple[Slot, float]] = []
    for slot in slots:
        if not isinstance(slot.leaf.layer, LayerNorm | RMSNorm):
            continue
        if slot.leaf.path[-1] != "scale":
            continue
        mean = _mean(source, slot.refs[0].name)
        if mean is None:
            continue
        shifted = getattr(slot.leaf.layer, "offset", 0.0)
        (offset if shifted else plain).append((slot, mean))
    lines = []
    for group, wrong, advice in (
        (plain, 0.0, "as in a file whose norms multiply by 1 + w: offset=1"),
        (offset, 1.0, "as in a file whose norms multiply by w: offset=0"),
    ):
        found = [(s, mean) for s, mean in group if abs(mean - wrong) < 0.25]
        if len(found) * 2 > len(group):
            lines += [
                Line(s.refs[0].name, s.path, f"its mean is {mean:.2f}, {advice}")
                for s, mean in found
            ]
    return lines


def _mean(source: Source, name: str) -> float | None:
    values = _values(source, name)
    return None if values is None else float(values.mean())


def _values(source: Source, name: str) -> Any:
    """A tensor's values; of a large one those at both ends, in the file's order."""
    shape = source.shape(name)
    if source.dtype(name).kind in "biuc" or 0 in shape:
        return None
    values = source.view(name)
    if math.prod(shape) > 2 * _LOOK:
        if not (isinstance(values, np.ndarray) and values.flags.c_contiguous):
            return None
        flat = values.reshape(-1)
        values = np.concatenate([flat[:_LOOK], flat[-_LOOK:]])
    return np.asarray(values).astype(np.float32)


def _equal(source: Source, name: str, other: str) -> bool:
    if source.shape(name) != source.shape(other):
        return False
    one, two = (np.asarray(source.view(n)) for n in (name, other))
    return bool(np.array_equal(one, two))
