"""Writes docs/hazards.md: the matrix of hazards, measured for oakum and its peers.

python scripts/hazards.py
"""

from __future__ import annotations

import collections
import sys
import warnings
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import equinox as eqx  # noqa: E402
import flax  # noqa: E402
import flax.nnx  # noqa: E402
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

import oakum  # noqa: E402
from tests.guard import holders, matrix  # noqa: E402

PAGE = ROOT / "docs" / "hazards.md"
INTRO = """# What happens to state under a trace

Every way to change state, in every transform, however the state gets into the function.
Each cell runs the same body in the transform twice, with a change from outside between
the calls, and compares the state and the results with those of plain Python:

| sign | meaning |
|---|---|
| ✓ | as plain Python |
| ! | an error at the line, and every object as it was |
| w | a warning that names the state, the line and the remedy |
| ✗ | silent: another result than that of plain Python, or a tracer left in an object |

The first sign is for an object that is passed as an argument; what follows is for an
object that the function captures: by closure, as a global, as a bound method, by
`functools.partial`, as a default argument (several signs where these differ).

This page is written by `scripts/hazards.py` (jax {jax}); the tests check the table of
oakum.
"""


def measured(nnx: Any) -> dict[tuple[str, str, str], str]:
    """The outcome of every cell."""
    return {cell: matrix.outcome(nnx, cell) for cell in matrix.CELLS}


# -- equinox: its modules are frozen, so that most changes are refused by Python itself


class Frozen(eqx.Module):
    """What corresponds to the box."""

    w: jax.Array
    items: list


EQUINOX_CHANGES = {
    "read": lambda m, x: x * m.w.sum(),
    "parameter": lambda m, x: setattr(m, "w", m.w * 0.9 + x),
    "attribute": lambda m, x: setattr(m, "mode", "changed"),
    "list_append": lambda m, x: m.items.append(x * 2) or x,
    "submodule": lambda m, x: setattr(m, "sub", Frozen(x * 2, [])),
}


class Filtered:
    """Equinox's transforms by the names that the matrix uses."""

    jit = staticmethod(eqx.filter_jit)
    remat = staticmethod(eqx.filter_checkpoint)
    eval_shape = staticmethod(eqx.filter_eval_shape)


EQUINOX_TRANSFORMS = [t for t in matrix.TRANSFORMS if t.startswith("jax.")]
EQUINOX_TRANSFORMS += ["nnx.jit", "nnx.remat", "nnx.eval_shape"]


def equinox_outcome(cell: tuple[str, str, str]) -> str:
    """As `matrix.outcome`. Nothing changes from outside: a frozen module cannot."""
    transform, change, way = cell
    box = Frozen(jnp.ones(3), [])
    body = EQUINOX_CHANGES[change]
    try:
        f, state = matrix.WAYS[way](body, box)
        call = matrix.TRANSFORMS[transform](Filtered, f, state)
        for _ in range(2):
            _, back = call(matrix.X)
            if back:
                (box,) = back
                call = matrix.TRANSFORMS[transform](
                    Filtered, *matrix.WAYS[way](body, box)
                )
    except Exception:
        tracers = any(isinstance(item, jax.core.Tracer) for item in box.items)
        return "silent" if tracers else "raises"
    appended = change == "list_append" and not transform.endswith("eval_shape")
    expected = [1.0, 1.0] if appended else []
    try:
        right = np.allclose(np.asarray(box.items), expected)
    except Exception:
        return "silent"
    return "right" if right else "silent"


# -- the page


def section(name: str, note: str, outcomes: dict, rename: Any = str) -> str:
    """The table of one library, under its counts."""
    counts = collections.Counter(outcomes.values())
    grouped = collections.defaultdict(dict)
    for cell, outcome in outcomes.items():
        grouped[rename(cell[0]), cell[1]][cell] = outcome
    signs = {key: matrix.sign(cells) for key, cells in grouped.items()}
    transforms = list(dict.fromkeys(transform for transform, _ in signs))
    told = ", ".join(f"{counts[kind]} {kind}" for kind in matrix.SIGNS)
    return f"\n## {name}\n\n{note}{told}.\n\n{matrix.table(signs, transforms)}\n"


HOLDERS_INTRO = """
# What a model holds, and whether a compiled call sees it change

A number stands in a container, in a module of another library, in a NumPy array, or
in configuration. It is edited between two calls, by this thread or by another, or each
of two calls doubles it (state only); right is what plain Python gives. The signs in a
cell are those of {transforms}, in this order.
"""

LIMITS = """
# What is told, and what nobody can see

- An object that a function puts in a list or dict which is an argument of its own:
  JAX takes a list apart, so the caller's does not get it. `LostUpdateWarning` says so
  when the function is traced. `nnx.List`, and a list that is an attribute, get it.
- A set, a deque or a plain object with state in it, as an argument: `ArgumentError`.
- `object.__setattr__` on a module between two compiled calls is seen where the text of
  the program has it: its modules, and the classes of what is compiled, are searched. In
  what is imported later, a later cell of a notebook, or an installed library it is
  **not seen**: to compare all attributes of a model with 290 arrays takes 40 µs, which
  no other program is to pay in each call.
- Numbers, texts, arrays and functions of the program that a jitted function finds by
  itself are compiled in, as in JAX, and looked at again in each call where its code
  names them: names of functions around it, globals, attributes, constant items, short
  lists, also in the functions that it calls. Others compile anew; from the eighth time
  on that is told. **Not
  seen**: `__defaults__` of a function that are bound anew (to look at them took 2 to
  35 µs in each call), what a computed name leads to
  (`operator.attrgetter`), `os.environ`, `random`, a list of more than 64 numbers that
  is looped over, single numbers of a NumPy array of more than 4 KiB edited in place
  (some of all are compared), what an installed library finds, and more than 64 of them.
- A method or a number put on the class of a module, once a function that takes such
  modules is compiled, is seen, and on the class of an object that a jitted function
  finds by itself; on that of configuration in a module a method is **not seen**.
- A list, or an object of another library, that a function of JAX's own (`jax.jit`,
  `jax.grad`) edits under a name of the program's, without reading it from a module:
  **not seen**, as in JAX. A function of oakum's transforms is told, where a traced
  value is left there.
"""


def held(nnx: Any, name: str) -> str:
    """The table of what models hold, of one library."""
    cells = holders.CELLS
    if nnx is holders.Equinox:
        cells = [cell for cell in cells if cell[0] not in holders.ALONE]
    outcomes = {cell: holders.outcome(nnx, cell) for cell in cells}
    counts = collections.Counter(outcomes.values())
    told = ", ".join(f"{counts[kind]} {kind}" for kind in holders.SIGNS)
    return f"\n## {name}: holders\n\n{told}.\n\n{holders.table(outcomes)}\n"


def equinox_name(transform: str) -> str:
    """What users of equinox write."""
    name = transform.replace("nnx.", "eqx.filter_")
    return name.replace("filter_remat", "filter_checkpoint")


def main() -> None:
    warnings.simplefilter("ignore")
    cells = [
        (t, c, w)
        for t in EQUINOX_TRANSFORMS
        for c in EQUINOX_CHANGES
        for w in matrix.WAYS
    ]
    frozen = {cell: equinox_outcome(cell) for cell in cells}
    pages = [
        section("oakum", "", measured(oakum)),
        section(f"flax.nnx {flax.__version__}", "", measured(flax.nnx)),
        section(
            f"equinox {eqx.__version__}",
            "Its modules are frozen dataclasses without state of their own, so only "
            "these changes have a counterpart. ",
            frozen,
            equinox_name,
        ),
        HOLDERS_INTRO.format(
            transforms=", ".join(f"`{t}`" for t in holders.TRANSFORMS)
        ),
        held(oakum, "oakum"),
        held(flax.nnx, f"flax.nnx {flax.__version__}"),
        held(holders.Equinox, f"equinox {eqx.__version__}"),
        LIMITS,
    ]
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(INTRO.replace("{jax}", jax.__version__) + "".join(pages))
    print(PAGE.read_text())


if __name__ == "__main__":
    main()
