"""Runs a training program: options from the command line, failures explained."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ..errors import CheckpointError, MissingExtraError
from ..train._extras import is_missing, missing_extra, require
from ..train.checkpoint._processes import is_first_process
from ..train.runs._interrupt import Interrupted

EXTRAS = ("matplotlib", "rich", "sklearn", "tyro")
INTERRUPTED = 130  # 128 + SIGINT, as shells have it

ConfigT = TypeVar("ConfigT")


def launch(
    main: Callable[[ConfigT], Any],
    config: type[ConfigT],
    args: Sequence[str] | None = None,
    *,
    command: str | None = None,
) -> None:
    """Runs a program with options from the command line.

    Ctrl-C ends the process with exit code 130, after it has said how to go on.

    Args:
        main: the program.
        config: its options: a dataclass or NamedTuple; the comment beside each field
            (or the docstring below it) explains it in `--help`.
        args: the command line; by default the one of the process.
        command: how the user calls the program; by default as Python was started.

    Example:
        ::

            if __name__ == "__main__":
                launch(main, Config)
    """
    options = list(sys.argv[1:] if args is None else args)
    command = command or shlex.join(["python", *sys.argv[:1]])

    def run() -> None:
        tyro = require("tyro")
        parsed = tyro.cli(
            config,
            prog=command,
            args=options,
            description=sys.modules[main.__module__].__doc__,
            config=(tyro.conf.FlagCreatePairsOff,),
        )
        try:
            main(parsed)
        except Interrupted:
            again = [option for option in options if option != "--resume"]
            if is_first_process():
                how = _started_by(command)
                print("go on with:", how, shlex.join([*again, "--resume"]))
            raise

    if code := run_guarded(run):
        sys.exit(code)


_launcher: list[str] = []


def name_launcher(command: str) -> None:
    """Notes the command line that started this process, up to the program."""
    _launcher[:] = [command]


def _started_by(command: str) -> str:
    """How a user calls a program again."""
    if not _launcher:
        return command
    return f"{_launcher[0]} {command.partition(' ')[2]}"


def run_guarded(run: Callable[[], None]) -> int:
    """Runs a function and explains the failures that are the user's to mend.

    Returns:
        The exit code.
    """
    try:
        run()
    except KeyboardInterrupt:
        print("stopped by Ctrl-C", file=sys.stderr)
        return INTERRUPTED
    except (CheckpointError, MissingExtraError) as error:
        return _fail(error)
    except ModuleNotFoundError as error:
        if not any(is_missing(error, extra) for extra in EXTRAS):
            raise
        return _fail(missing_extra(error.name or ""))
    return 0


def _fail(error: Exception) -> int:
    print(f"error: {error}", file=sys.stderr)
    return 1
