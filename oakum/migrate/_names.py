"""What flax.nnx and oakum call differently, and what oakum does without.

Names are those below `flax.nnx`, with dots. What oakum itself has is asked of `Names`,
so that no list of it can grow old.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

PACKAGE = "oakum"
HOMES = ("flax.experimental.nnx", "flax.nnx", PACKAGE)


class Names(NamedTuple):
    """Questions to the installed oakum."""

    has: Callable[[str], bool]  # `nn.linear.default_kernel_init`: is it an attribute?
    is_module: Callable[[str], bool]  # `nn.linear`: can it be imported?


# Another name for the same thing, in old and new versions of flax.
RENAMED = {
    "GraphState": "State",
    "VariableState": "Variable",
    "abstract_with_sharding": "as_abstract",
    "get_abstract_model": "abstract",
    "pure": "as_pure",
    "vars_as": "with_vars",
}
# Keywords that select a mode of flax; oakum has one mode.
MODE_FLAGS = {"graph", "graph_updates"}
VARIABLE_FLAGS = {"hijax", "ref"}
# Functions and contexts that select a mode for what follows, or for a block.
MODE_SWITCHES = {"set_graph_mode", "set_graph_updates", "var_defaults"}
# What to write instead of what oakum does without on purpose.
REMEDIES = {
    "as_pure": "`nnx.to_pure_dict(state)` gives the plain values of a state",
    "pure": "`nnx.to_pure_dict(state)` gives the plain values of a state",
    "update_context": "pass the objects to the transform, which updates them in place",
    "current_update_context": "pass the objects to the transform, which updates them",
    "split_context": "`nnx.split` and `nnx.merge` keep shared references by themselves",
    "merge_context": "`nnx.split` and `nnx.merge` keep shared references by themselves",
    "with_vars": "Variables have one kind here; take the call away",
    "vars_as": "Variables have one kind here; take the call away",
    "bridge": "keep `from flax.nnx import bridge` for the parts that are Linen modules",
    "compat": "take the function of the same name from oakum itself",
}


def relative(qualified: str) -> str | None:
    """The part of a dotted name below nnx: `nn.linear` of `flax.nnx.nn.linear`."""
    for home in HOMES:
        if qualified == home:
            return ""
        if qualified.startswith(f"{home}."):
            return qualified[len(home) + 1 :]
    return None


def present_name(name: str, names: Names) -> str | None:
    """What oakum calls a name below nnx; None where it has no such thing."""
    if names.has(name):
        return name
    first, dot, rest = name.partition(".")
    renamed = RENAMED.get(first, first) + dot + rest
    if names.has(renamed):
        return renamed
    # A name by its place: `nn.linear.Linear`, `optimizer.Optimizer`.
    last = name.rpartition(".")[2]
    return last if dot and names.has(last) else None
