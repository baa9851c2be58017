"""The entry point: finds the subcommand and hands it the other arguments."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version

from ._explain import explain
from ._lint import lint
from ._migrate import migrate
from ._processes import launch_processes
from ._train import train

# Each takes the arguments after its name and returns the exit code.
_COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "train": train,
    "launch": launch_processes,
    "explain": explain,
    "lint": lint,
    "migrate": migrate,
}


def main(args: Sequence[str] | None = None) -> int:
    """Runs the command `oakum`.

    Args:
        args: the command line without the program's name; by default the one that the
            process was started with.

    Returns:
        The exit code: 0 for success, 1 for a failure that was explained, 2 for a wrong
        command line, 130 after Ctrl-C, 141 where nobody reads on.

    Example:
        >>> from oakum.cli import main
        >>> main(["--help"])
        usage: oakum COMMAND ...
        ...
        0
    """
    name, *rest = list(sys.argv[1:] if args is None else args) or ["--help"]
    if name in ("-h", "--help"):
        print(_help())
        return 0
    if name in ("-V", "--version"):
        print(_version())
        return 0
    if name not in _COMMANDS:
        print(f"oakum: there is no command {name!r}\n\n{_help()}", file=sys.stderr)
        return 2
    try:
        code = _COMMANDS[name](rest)
        sys.stdout.flush()
    except BrokenPipeError:  # `oakum explain NAME | head`
        # What is still buffered would fail once more when Python ends.
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return 141  # as a shell says of a program that SIGPIPE ended
    return code


def _version() -> str:
    """What a report of a fault should name."""
    names = ("oakum", "jax", "optax")
    found = []
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:  # a folder on the path, that is not installed
            found.append(f"{name} (not installed)")
    return f"{found[0]} ({', '.join(found[1:])}, Python {platform.python_version()})"


def _help() -> str:
    lines = ["usage: oakum COMMAND ...", ""]
    for name, command in _COMMANDS.items():
        summary = (command.__doc__ or "").splitlines()[0]
        lines.append(f"  {name:<10}{summary}")
    return "\n".join(
        [
            *lines,
            "",
            "oakum COMMAND --help explains a command; "
            "oakum --version names the versions.",
        ]
    )
