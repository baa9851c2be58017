"""The report: what was found of a file and a model, line by line."""

from __future__ import annotations

import dataclasses

_KINDS = {
    "missing": "missing: the model wants it, and the file has no such tensor",
    "misshapen": "misshapen: the tensor has another shape than the model wants",
    "extra": "extra: the file has it, and no array of the model takes it",
    "suspicious": "suspicious: it fits, and may be wrong all the same",
    "tied": "tied: two names of one tensor",
    "cast": "cast: another dtype than that of the file, or of the model",
    "ignored": "ignored: buffers that are no weights, and what ignore= names",
    "skipped": "skipped: only= or skip= leave it as it is",
    "left": "left: no weights, and still without values",
    "notes": "notes",
    "mapped": "mapped",
}


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of a report; either side may be without a name.

    Args:
        name: the tensor of the file.
        path: the array of the model.
        text: what is to be said.
    """

    name: str
    path: str
    text: str = ""

    def __str__(self) -> str:
        sides = " -> ".join(filter(None, [self.name, self.path]))
        return ": ".join(filter(None, [sides, self.text]))


@dataclasses.dataclass
class Report:
    """What `load` did, or would do; its text is a table of all of it.

    Args:
        source: where the tensors come from.
        mapped: tensors with the arrays that take them, and the steps between.
        cast: those that change their dtype.
        tied: names that share the tensor of another.
        missing: arrays for which there is no tensor.
        extra: tensors for which there is no array.
        misshapen: those whose shapes do not fit.
        suspicious: what fits, and may be wrong all the same.
        ignored: tensors that are no weights.
        skipped: arrays left as they are.
        left: what is no weight, and has no value in an abstract model.
        notes: what was done besides.
    """

    source: str = ""
    mapped: list[Line] = dataclasses.field(default_factory=list)
    cast: list[Line] = dataclasses.field(default_factory=list)
    tied: list[Line] = dataclasses.field(default_factory=list)
    missing: list[Line] = dataclasses.field(default_factory=list)
    extra: list[Line] = dataclasses.field(default_factory=list)
    misshapen: list[Line] = dataclasses.field(default_factory=list)
    suspicious: list[Line] = dataclasses.field(default_factory=list)
    ignored: list[Line] = dataclasses.field(default_factory=list)
    skipped: list[Line] = dataclasses.field(default_factory=list)
    left: list[Line] = dataclasses.field(default_factory=list)
    notes: list[Line] = dataclasses.field(default_factory=list)

    @property
    def fits(self) -> bool:
        """Whether nothing is missing, misshapen or extra."""
        return not (self.missing or self.misshapen or self.extra)

    def counts(self) -> str:
        """How many lines there are of each kind."""
        found = [(kind, len(getattr(self, kind))) for kind in _KINDS]
        return ", ".join(f"{count} {kind}" for kind, count in found if count)

    def text(self, kinds: tuple[str, ...] = tuple(_KINDS), most: int = 40) -> str:
        """The lines of some kinds.

        Args:
            kinds: names of lists.
            most: how many lines of one kind to show.
        """
        parts = []
        for kind in kinds:
            lines: list[Line] = getattr(self, kind)
            if not lines:
                continue
            parts.append(_KINDS[kind])
            parts += [f"  {line}" for line in lines[:most]]
            if len(lines) > most:
                parts.append(f"  and {len(lines) - most} more")
        return "\n".join(parts)

    def __str__(self) -> str:
        return f"{self.source}: {self.counts()}\n{self.text(most=10**9)}"
