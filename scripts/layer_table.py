"""Writes docs/moving/torch_layers.md: each layer of PyTorch, and what it is here.

    python scripts/layer_table.py

The rows are those of tests/weights/layers.py, which the tests compare with what PyTorch
computes; where each tensor goes is what `nnx.weights.plan` says of it.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

import jax  # noqa: E402

import oakum as nnx  # noqa: E402
from oakum.weights.files._source import open_source  # noqa: E402
from tests.weights import recipes  # noqa: E402
from tests.weights.layers import ABSENT, SECTIONS, Row, ways  # noqa: E402

PAGE = ROOT / "docs" / "moving" / "torch_layers.md"
TENSORS = ROOT / "tests" / "weights" / "layers.safetensors"
RECIPES = ROOT / "tests" / "weights" / "recipes.py"
INTRO = """\
# Layers of PyTorch, one by one

What each layer of PyTorch is here, and where [`nnx.weights`](../weights.md) puts its
tensors. Outputs agree to 3e-6 in float32, or to 1e-5 of their size; files that are
loaded and saved again are the same bit for bit, unless the table says otherwise.
Channels are the last axis here and the second one there. This page is written by
`scripts/layer_table.py`, from the rows by which the tests compare both.
"""
AFTER = """
## Written with layers of ours

What the table names without `nnx`. The attributes bear PyTorch's names, so that no rule
is needed.

```py
{recipes}```

## Absent

| PyTorch | instead |
|---|---|
{absent}

Initial values differ too, for who trains anew: PyTorch draws kernels and biases of
Linear, Conv and LSTM evenly from ±1/√fan_in, an Embedding from a normal of 1; layers of
ours draw kernels with a spread of 1/√fan_in, and biases are 0.
"""


def page() -> str:
    """The text of the page."""
    parts = [INTRO]
    for title, rows in SECTIONS.items():
        parts += [f"## {title}", "", "| PyTorch | here | its tensors | |"]
        parts.append("|---|---|---|---|")
        parts += [*(_line(name, row) for name, row in rows.items()), ""]
    absent = "\n".join(f"| {name} | {text} |" for name, text in ABSENT.items())
    source = RECIPES.read_text("utf-8").partition("\n\n")[2]
    return "\n".join(parts) + AFTER.format(recipes=source, absent=absent)


def _line(name: str, row: Row) -> str:
    ours = "<br>or ".join(f"`{text}`" for text in ways(row))
    remarks = [row.note, f"saved otherwise: {row.one_way}" if row.one_way else ""]
    note = "; ".join(filter(None, remarks))
    return f"| `{row.torch}` | {ours} | {'<br>'.join(_tensors(name, row))} | {note} |"


def _tensors(name: str, row: Row) -> list[str]:
    """Where the tensors of a row go."""
    source, start = open_source(TENSORS), f"{name}.state."
    found = {
        key.removeprefix(start): source.view(key)
        for key in source.tensors
        if key.startswith(start)
    }
    if not found:
        return []
    names = {**vars(recipes), "functools": functools, "jax": jax}

    def make() -> nnx.Module:
        return eval(ways(row)[0], {**names, "rngs": nnx.Rngs(0)})

    report = nnx.weights.plan(nnx.eval_shape(make), found, row.rules)
    assert report.fits, str(report)
    lines = []
    for line in report.mapped:
        steps = line.text.partition("]")[2].removeprefix(", ")
        lines.append(f"`{line.name}` → `{line.path}`" + (f": {steps}" if steps else ""))
    return lines


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
