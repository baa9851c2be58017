"""A folder beside a checkpoint in which the new file is written before it is renamed.

A process that is killed while it saves leaves that folder, of the file's full size. Its
name tells the machine and the process, so that the next save knows which are dead.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
from collections.abc import Iterator

from ...errors import CheckpointError, MissingCheckpointError

_NAME = re.compile(r"\.([0-9a-f]{8})-([0-9]+)-[0-9a-f]+\.tmp$")


@contextlib.contextmanager
def workplace(path: str) -> Iterator[str]:
    """A new folder beside a file, which is removed at the end, whatever happens.

    Raises:
        MissingCheckpointError: there is no folder to make it in.
    """
    clear_leftovers(path)
    folder, name = os.path.split(path)
    owner = f"{_machine()}-{os.getpid()}-{secrets.token_hex(6)}"
    made = os.path.join(folder, f".{name}.{owner}.tmp")
    try:
        os.mkdir(made, 0o700)
    except FileNotFoundError:
        raise MissingCheckpointError(
            f"There is no folder {folder!r} to save in",
            remedy="make it first: pathlib.Path(path).parent.mkdir(parents=True).",
        ) from None
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def clear_leftovers(path: str) -> None:
    """Removes what saves to a path left behind whose process is dead."""
    folder, name = os.path.split(path)
    pattern = os.path.join(glob.escape(folder), f".{glob.escape(name)}.*.tmp")
    for left in glob.glob(pattern, include_hidden=True):
        found = _NAME.search(left)
        if found is None or found[1] != _machine() or _is_alive(int(found[2])):
            continue
        shutil.rmtree(left, ignore_errors=True)


def _machine() -> str:
    """This machine: of the processes of another nothing is known."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True  # another user's, or that cannot be told
    return True


def check_regular(path: str) -> None:
    """Raises where something else than a file is at a path, such as a pipe."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise CheckpointError(
            "A checkpoint is a regular file, and this is a device, a pipe or a socket",
            where=path,
            remedy="nnx.save(folder / 'model.safetensors', model=model).",
        )
