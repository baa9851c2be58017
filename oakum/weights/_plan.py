"""A plan: which tensor goes where, and what stands against it, before one is read."""

from __future__ import annotations

import dataclasses
import fnmatch
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._state import filter_name, to_predicate
from ..errors import ArgumentError, CheckpointError, FilterError
from ._places import Leaf, Ref, Slot, find_slots
from ._report import Line, Report
from ._rules import Rules
from ._steps import Reshape, Shape, Transpose, shape_before
from .files._source import Source

# Buffers that older files hold, and that a model computes for itself.
_BUFFERS = (
    "*rotary_emb.inv_freq",
    "*position_ids",
    "*num_batches_tracked",
    "*.masked_bias",
    "*embed_scale",
    "*rotary_emb.cos_cached",
    "*rotary_emb.sin_cached",
    "*relative_position_index",
)
_MASKS = ("*attn.bias", "*attention.bias")  # of four axes, causal masks


@dataclasses.dataclass
class Plan:
    """What is to be loaded.

    Args:
        slots: with refs of the names that the file has.
        dtypes: the dtype of each.
        report: what was found.
        others: leaves that are no weights.
        checks: pairs of a tensor and another that it must equal.
        untied: tensors that the model takes beside those that rules tie them to, and
            where to.
    """

    slots: list[Slot]
    dtypes: list[np.dtype]
    report: Report
    others: list[Leaf]
    checks: list[tuple[Line, str, str]]
    untied: list[tuple[str, str, str]]


def make_plan(
    model: Any,
    source: Source,
    rules: Rules,
    *,
    dtype: Any = None,
    only: Any = ...,
    skip: Any = None,
    ignore: str | Iterable[str] = (),
    layouts: bool = True,
) -> Plan:
    """Brings the arrays of a model and the tensors of a file together."""
    _check_dtype(dtype)
    slots, others = find_slots(model, rules, layouts=layouts)
    report = Report(source.text)
    planner = _Planner(source, rules, report, dtype)
    wanted, skipped = _chosen(slots, only, skip)
    _check_chosen(wanted, skipped, only, skip)
    planner.settle_names([slot for slot in slots if not slot.leaf.same])
    for slot in skipped:
        planner.skip(slot)
    for slot in wanted:
        if slot.leaf.same:
            planner.alias(slot)
        else:
            planner.add(slot)
    given = (ignore,) if isinstance(ignore, str) else tuple(ignore)
    planner.find_extra([*rules.ignore, *given], slots)
    if not report.fits:
        report.notes += _idle_rules(rules, slots)
    return Plan(
        planner.slots,
        planner.dtypes,
        report,
        others,
        planner.checks,
        planner.find_untied(),
    )


def check_fits(report: Report, verb: str = "load") -> None:
    """Raises where a report has what must not be.

    Raises:
        CheckpointError: tensors are missing, misshapen or extra.
    """
    if report.fits:
        return
    bad = ("missing", "misshapen", "extra")
    counts = ", ".join(
        f"{len(getattr(report, kind))} {kind}" for kind in bad if getattr(report, kind)
    )
    error = CheckpointError(
        f"weights.{verb}: {counts}. Nothing was changed\n"
        + report.text((*bad, "suspicious", "notes")),
        where=report.source,
        remedy=_remedy(report),
    )
    error.report = report  # type: ignore[attr-defined]
    raise error


def _remedy(report: Report) -> str:
    parts = []
    if report.missing or report.misshapen:
        parts.append(
            "correct the rules, or build the model as the config says; leave a part as "
            "it is with skip=nnx.PathContains('head')"
        )
    if report.extra:
        parts.append(f"let go of tensors by name: ignore=[{report.extra[0].name!r}]")
    return "; ".join(parts) + ". nnx.weights.plan(model, source, rules) shows all."


def check_float(dtype: Any, verb: str) -> None:
    """Refuses a dtype to cast to that has no place for what weights are.

    Raises:
        ArgumentError: it is of no kind of floating-point numbers.
    """
    try:
        fits = _is_float(np.dtype(dtype))
    except TypeError:
        fits = False
    if not fits:
        raise ArgumentError(
            f"weights.{verb}: dtype={dtype!r} is none of floating-point numbers",
            remedy="dtype=jnp.bfloat16, or None to leave each as it is. Integers want "
            "a scale, which no cast can know.",
        )


def _check_dtype(dtype: Any) -> None:
    if dtype is not None and not (isinstance(dtype, str) and dtype == "model"):
        check_float(dtype, "load")


def _check_chosen(
    wanted: list[Slot], skipped: list[Slot], only: Any, skip: Any
) -> None:
    if skipped and not wanted:
        some = ", ".join(slot.path for slot in skipped[:5])
        given = f"only={filter_name(only)}"
        given += "" if skip is None else f" and skip={filter_name(skip)}"
        raise FilterError(
            f"Of the arrays of the model, {given} leave none to load",
            remedy=f"it has {some}{' and others' * (len(skipped) > 5)}: name some of "
            "these.",
        )


def _idle_rules(rules: Rules, slots: list[Slot]) -> Iterator[Line]:
    """Rules by which no array is named, one of which may be misspelt."""
    named = {slot.rule.name for slot in slots if slot.rule is not None}
    for name, target in rules.given:
        if name not in named:
            paths = ", ".join(target.paths)
            yield Line(name, paths, "a rule for what the model does not have")


def _chosen(slots: list[Slot], only: Any, skip: Any) -> tuple[list[Slot], list[Slot]]:
    takes, leaves = to_predicate(only), to_predicate(skip)
    wanted: list[Slot] = []
    skipped: list[Slot] = []
    for slot in slots:
        leaf = slot.leaf
        chosen = takes(leaf.path, leaf.variable) and not leaves(
            leaf.path, leaf.variable
        )
        (wanted if chosen else skipped).append(slot)
    return wanted, skipped


class _Planner:
    def __init__(self, source: Source, rules: Rules, report: Report, dtype: Any):
        self.source = source
        self.rules = rules
        self.report = report
        self.dtype = dtype
        self.used: dict[str, str] = {}
        self.slots: list[Slot] = []
        self.dtypes: list[np.dtype] = []
        self.checks: list[tuple[Line, str, str]] = []
        self.actual: Callable[[str], str] = lambda name: name

    def settle_names(self, slots: list[Slot]) -> None:
        """Finds out whether the file's names lack a base, or have one more."""
        tensors = self.source.tensors
        names = {ref.name for slot in slots for ref in slot.refs}
        best, text = self._count(names, self.actual), ""
        bases = {name.split(".")[0] for name in names if "." in name}
        for base in sorted(bases):
            count = self._count(names, _without(base, tensors))
            if count > best:
                best, self.actual = count, _without(base, tensors)
                text = f"the file's names lack the base {base!r}"
        for base in sorted({name.split(".")[0] for name in tensors if "." in name}):
            count = self._count(names, _with(base, tensors))
            if count > best:
                best, self.actual = count, _with(base, tensors)
                text = f"the file's names have the base {base!r}"
        if text:
            self.report.notes.append(Line("", "", text))

    def _count(self, names: set[str], actual: Callable[[str], str]) -> int:
        return sum(actual(name) in self.source.tensors for name in names)

    def _find(self, ref: Ref) -> str | None:
        """The name of the tensor in the file, or None."""
        for name in (ref.name, *ref.old_names):
            if self.actual(name) in self.source.tensors:
                return self.actual(name)
        return None

    def skip(self, slot: Slot) -> None:
        for ref in slot.refs:
            name = self._find(ref)
            if name is not None:
                self.used[name] = slot.path
        self.report.skipped.append(Line(slot.refs[0].name, slot.path))

    def alias(self, slot: Slot) -> None:
        """A second place of an array that was taken before."""
        for ref in slot.refs:
            name = self._find(ref)
            twin = self._twin(slot.leaf)
            if name is None or name in self.used or twin is None:
                continue
            line = Line(name, slot.path, f"shares the array of {twin}")
            self.checks.append((line, name, twin))
            self.used[name] = slot.path

    def _twin(self, leaf: Leaf) -> str | None:
        for slot in self.slots:
            if slot.leaf.variable is leaf.variable and slot.index == leaf.index:
                return slot.refs[0].name
        return None

    def add(self, slot: Slot) -> None:
        """Takes up a slot, if the file has what it wants."""
        refs = [self._resolve(slot, ref) for ref in slot.refs]
        if any(ref is None for ref in refs):
            return
        slot = dataclasses.replace(slot, refs=refs)
        fitted = self._fitted(slot)
        if fitted is None:
            return
        dtype = self._dtype(fitted)
        self.slots.append(fitted)
        self.dtypes.append(dtype)
        names = " + ".join(ref.name for ref in fitted.refs)
        self.report.mapped.append(Line(names, fitted.path, _steps_text(fitted)))

    def _resolve(self, slot: Slot, ref: Ref) -> Ref | None:
        name = self._find(ref)
        if name is None:
            name = self._tied(slot, ref)
        if name is None:
            value = slot.leaf.value
            text = f"{np.dtype(value.dtype).name}{list(slot.tensor_shape(ref))}"
            self.report.missing.append(Line(ref.name, slot.path, text))
            return None
        self.used[name] = slot.path
        return dataclasses.replace(ref, name=name)

    def _tied(self, slot: Slot, ref: Ref) -> str | None:
        """The tensor that stands in for one that the file lacks."""
        other = self.rules.tied.get(ref.name)
        if other is None or self.actual(other) not in self.source.tensors:
            return None
        name = self.actual(other)
        self.report.tied.append(
            Line(ref.name, slot.path, f"is not in the file, and takes {name}")
        )
        return name

    def _fitted(self, slot: Slot) -> Slot | None:
        """The slot, with a change of shape where that is all that differs."""
        for ref in slot.refs:
            wanted, got = slot.tensor_shape(ref), self.source.shape(ref.name)
            if wanted == got:
                continue
            form = slot.leaf.form
            free = form is None or form.any_shape
            same = _squeezed(wanted) == _squeezed(got)
            if form is not None and form.any_shape and _has_axes(slot.leaf.layer):
                same = math.prod(wanted) == math.prod(got)
            if free and same and ref.part is None and len(slot.refs) == 1:
                return dataclasses.replace(
                    slot, steps=(Reshape(got, wanted), *slot.steps)
                )
            text = f"expected {list(wanted)}, got {list(got)}{_hint(slot, wanted, got)}"
            self.report.misshapen.append(Line(ref.name, slot.path, text))
            return None
        return slot

    def _dtype(self, slot: Slot) -> np.dtype:
        stored = self.source.dtype(slot.refs[0].name)
        built = np.dtype(slot.leaf.value.dtype)
        wanted = stored
        if self.dtype == "model":
            wanted = built
        elif self.dtype is not None and _is_float(stored):
            wanted = np.dtype(self.dtype)
        wanted = np.dtype(jax.dtypes.canonicalize_dtype(wanted))
        name = slot.refs[0].name
        if wanted != stored:
            text = f"{stored.name} becomes {wanted.name}"
            self.report.cast.append(Line(name, slot.path, text))
        elif wanted != built:
            text = f"stays {stored.name}, where the model was built in {built.name}"
            self.report.cast.append(Line(name, slot.path, text))
        return wanted

    def find_untied(self) -> list[tuple[str, str, str]]:
        """What the model takes by itself, though rules have it tied."""
        pairs = [(self.actual(a), self.actual(b)) for a, b in self.rules.tied.items()]
        used = self.used
        return [(a, b, used[a]) for a, b in pairs if a in used and b in used]

    def find_extra(self, ignore: list[str], slots: list[Slot]) -> None:
        """Lists the tensors that nothing takes."""
        layers = {
            self.actual(ref.name).rpartition(".")[0]: slot
            for slot in slots
            for ref in slot.refs
        }
        ties = {self.actual(a): self.actual(b) for a, b in self.rules.tied.items()}
        for name in self.source.tensors:
            if name in self.used:
                continue
            shape = self.source.shape(name)
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in ignore):
                self.report.ignored.append(Line(name, "", "by ignore="))
            elif _is_buffer(name, shape):
                text = f"a buffer, {list(shape)}"
                if name.endswith("num_batches_tracked"):
                    text = "kept beside the layer, and written again for this object"
                self.report.ignored.append(Line(name, "", text))
            elif name in ties and ties[name] in self.used:
                path = self.used[ties[name]]
                line = Line(name, path, f"the model ties it to {ties[name]}")
                self.checks.append((line, name, ties[name]))
            else:
                text = f"{self.source.dtype(name).name}{list(shape)}"
                near = layers.get(name.rpartition(".")[0])
                if near is not None:
                    text += f", beside what {_layer_path(near)} takes"
                self.report.extra.append(Line(name, "", text))


def _without(base: str, tensors: Any) -> Callable[[str], str]:
    def actual(name: str) -> str:
        short = name.removeprefix(f"{base}.")
        return short if name not in tensors and short in tensors else name

    return actual


def _with(base: str, tensors: Any) -> Callable[[str], str]:
    def actual(name: str) -> str:
        long = f"{base}.{name}"
        return long if name not in tensors and long in tensors else name

    return actual


def _is_buffer(name: str, shape: Shape) -> bool:
    if any(fnmatch.fnmatchcase(name, pattern) for pattern in _BUFFERS):
        return True
    mask = any(fnmatch.fnmatchcase(name, pattern) for pattern in _MASKS)
    return mask and len(shape) == 4 and shape[:2] == (1, 1) and shape[2] == shape[3]


def _is_float(dtype: np.dtype) -> bool:
    return bool(jnp.issubdtype(dtype, np.floating))


def _has_axes(layer: Any) -> bool:
    """Whether the features of a layer may be several axes, which it has as one."""
    axes = getattr(layer, "feature_axes", ())
    return isinstance(axes, tuple | list) and len(axes) > 1


def _squeezed(shape: Shape) -> Shape:
    return tuple(size for size in shape if size != 1)


def _hint(slot: Slot, wanted: Shape, got: Shape) -> str:
    swapped = len(got) > 1 and (*got[:-2], got[-1], got[-2]) == wanted
    if not swapped:
        return ""
    takes = any(isinstance(step, Transpose) for step in slot.steps)
    return (
        f"; exchanged, the axes would fit: into(path, transpose={not takes}) in the "
        "rules"
    )


def _layer_path(slot: Slot) -> str:
    return ".".join(map(str, slot.leaf.path[:-1])) or "the model"


def _steps_text(slot: Slot) -> str:
    parts = [str(ref.part) for ref in slot.refs if ref.part is not None][:1]
    before = shape_before(slot.steps, slot.shape)
    return ", ".join(
        [f"{list(before)}", *parts, *[str(step) for step in slot.steps]]
        + ["added up"] * (len(slot.refs) > 1)
    )
