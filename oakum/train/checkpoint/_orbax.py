"""What orbax keeps in a folder: a tree of arrays, by names that stand for paths.

A *name* is the keys of a path, joined by slashes; what orbax or the file system would
take for a separator is escaped in them, since orbax joins keys by dots: `{'a.b': x}`
and `{'a': {'b': x}}` would be one array to it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...errors import CheckpointError
from .._extras import require
from ._contents import is_key
from ._loading import Slot, number_of, value_of
from ._sparing import gigabytes_to_read

_ESCAPES = {"%": "%25", ".": "%2E", "/": "%2F"}
_METADATA = "_METADATA"


def orbax() -> Any:
    """The package orbax.checkpoint.

    Raises:
        MissingExtraError: it is not installed.
    """
    # It warns of ways to call it that its own managers take.
    logging.getLogger("absl").addFilter(_is_no_news)
    return require("orbax.checkpoint")


def _is_no_news(record: logging.LogRecord) -> bool:
    return record.levelno > logging.WARNING


def name_of(keys: tuple[Any, ...]) -> str:
    """The name of an array by the keys of its path."""
    return "/".join(map(_escaped, keys))


def _escaped(key: Any) -> str:
    text = str(key).encode("utf-8", "backslashreplace").decode()
    return "".join(_ESCAPES.get(c, c) for c in text) or "%"


def nested(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Arrays by name, as nested dicts."""
    tree: dict[str, Any] = {}
    for name, array in arrays.items():
        *above, last = name.split("/")
        node = tree
        for key in above:
            node = node.setdefault(key, {})
        node[last] = array
    return tree


def flat(tree: Any, above: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """What stands at each path of nested dicts, lists or tuples."""
    if isinstance(tree, Mapping):
        pairs: Any = tree.items()
    elif isinstance(tree, list | tuple):
        pairs = enumerate(tree)
    else:
        return {above: tree}
    found: dict[tuple[str, ...], Any] = {}
    for key, below in pairs:
        found |= flat(below, (*above, str(key)))
    return found


def is_tree_of_orbax(folder: Path) -> bool:
    """Whether a folder is one tree that orbax wrote."""
    return (folder / _METADATA).is_file()


def arrays_in(folder: Path) -> dict[tuple[str, ...], Any]:
    """Metadata of each array in a tree that orbax wrote, by path.

    Raises:
        CheckpointError: it cannot be read.
    """
    with _checkpointer() as checkpointer, _explained(folder):
        metadata = checkpointer.metadata(folder)
        found = getattr(metadata, "item_metadata", metadata)
        return flat(getattr(found, "tree", found))


def read_into(folder: Path, slots: list[Slot]) -> None:
    """Reads the arrays of slots from a tree, each by its name, to where it goes.

    Raises:
        CheckpointError: it cannot be read.
    """
    ocp = orbax()
    stored: dict[str, Any] = {}
    args: dict[str, Any] = {}
    for slot in slots:
        if slot.leaf.number is not None:
            slot.new = number_of(slot)
        elif 0 in slot.leaf.spec.shape:  # orbax keeps nothing of it
            slot.new = value_of(slot, _empty(slot))
        else:
            stored[slot.leaf.tensor] = 0
            args[slot.leaf.tensor] = _restore_args(ocp, slot)
    if stored:
        limit = gigabytes_to_read(s for s in slots if s.leaf.tensor in stored)
        with _checkpointer(limit) as checkpointer, _explained(folder):
            tree = checkpointer.restore(
                folder,
                args=ocp.args.PyTreeRestore(
                    nested(stored), restore_args=nested(args), partial_restore=True
                ),
            )
        found = {"/".join(path): x for path, x in flat(tree).items()}
        for slot in slots:
            if slot.leaf.tensor in stored:
                array = found[slot.leaf.tensor]
                is_done = isinstance(array, jax.Array)
                slot.new = array if is_done else value_of(slot, np.asarray(array))


class _explained:
    """Turns what orbax raises into an error that names the folder."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if isinstance(error, Exception):
            text = str(error).partition("\n")[0]
            raise CheckpointError(
                f"orbax cannot read the checkpoint: {text}",
                where=str(self.folder),
                remedy="load another step, or save it anew.",
            ) from error


def _checkpointer(limit: float | None = None) -> Any:
    ocp = orbax()
    return ocp.Checkpointer(ocp.PyTreeCheckpointHandler(restore_concurrent_gb=limit))


def _restore_args(ocp: Any, slot: Slot) -> Any:
    whole = is_key(slot.old) or isinstance(slot.old, np.ndarray | np.generic)
    if whole or slot.leaf.weak or slot.sharding is None:
        return ocp.RestoreArgs(restore_type=np.ndarray)
    return ocp.ArrayRestoreArgs(sharding=slot.sharding)


def _empty(slot: Slot) -> np.ndarray:
    spec = slot.leaf.spec
    if is_key(slot.old):
        return np.zeros(jax.eval_shape(jax.random.key_data, slot.old).shape, np.uint32)
    return np.zeros(spec.shape, jnp.dtype(spec.dtype))
