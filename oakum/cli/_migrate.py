"""`oakum migrate PATH…`: programs for flax.nnx become programs for oakum."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

from ..errors import MissingExtraError
from ._launch import run_guarded

_USAGE = """\
usage: oakum migrate [--diff | --check] PATH...

Rewrites programs for flax.nnx in place: imports, names, flags that select a mode of
flax, and functions under jax.jit that lose, leak or freeze state, where the rewriting
is sure. Prints file:line and what a person must look at. Formatting and comments stay.
A file that does not parse is named and left as it is; a second run changes nothing.

  --diff   print the changes, and write nothing
  --check  write nothing; the exit code says whether anything would change

The exit code is 0 where all is done, 1 where a person must look at something (or,
with --check, where something would change), 2 where a file cannot be read or parsed,
or the command line is wrong. It needs libcst: pip install 'oakum[migrate]'."""


def migrate(args: list[str]) -> int:
    """Rewrite programs for flax.nnx as programs for oakum.

    Args:
        args: files and folders, and options.

    Returns:
        The exit code.
    """
    options = {arg for arg in args if arg.startswith("-")}
    paths = [arg for arg in args if not arg.startswith("-")]
    if options & {"-h", "--help"}:
        print(_USAGE)
        return 0
    unknown = sorted(options - {"--diff", "--check"})
    if unknown or not paths:
        what = (
            f"there is no option {unknown[0]}" if unknown else "name a file or folder"
        )
        print(f"oakum migrate: {what}\n\n{_USAGE}", file=sys.stderr)
        return 2
    code = 0

    def run() -> None:
        nonlocal code
        code = _migrate(paths, diff="--diff" in options, check="--check" in options)

    return run_guarded(run) or code


def _migrate(paths: list[str], *, diff: bool, check: bool) -> int:
    if importlib.util.find_spec("libcst") is None:
        raise MissingExtraError(
            "libcst is not installed; `oakum migrate` needs it",
            remedy="pip install 'oakum[migrate]'",
        )
    from ..migrate._files import migrate_files
    from ..migrate._names import Names

    write = not diff and not check
    done = migrate_files(paths, Names(_has, _is_module), write=write, diff=diff)
    verb = "rewritten" if write else "to be rewritten"
    print(
        f"{done.changed} {verb}, {done.notes} to be looked at, "
        f"{done.unreadable} not read",
        file=sys.stderr,
    )
    if done.unreadable:
        return 2
    return int(done.notes > 0 or (check and done.changed > 0))


def _has(path: str) -> bool:
    """Whether the installed oakum has a name: `nn.Linear`."""
    value: Any = sys.modules[__name__.partition(".")[0]]
    for part in path.split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            return False
    return True


def _is_module(path: str) -> bool:
    """Whether the installed oakum has a module that can be imported by name."""
    try:
        name = f"{__name__.partition('.')[0]}.{path}"
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
