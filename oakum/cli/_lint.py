"""`oakum lint PATH…`: the hazards that stand in the text."""

from __future__ import annotations

import sys

from ..lint import RULES, run

_USAGE = """\
usage: oakum lint [--select CODES] PATH...

Prints path:line:column, the code of a rule and what to write instead, for each hazard
in the files, and in the files of Python of the folders. Nothing is imported or run.
A line that ends in `# noqa` is passed over, or, with `# noqa: OAK001`, that rule there.

  --select CODES  only these rules, by their codes with commas between them

The exit code is 0 where nothing is found, 1 where something is, 2 where a file cannot
be read or parsed, or the command line is wrong. oakum explain CODE tells more.

"""


def lint(args: list[str]) -> int:
    """Find hazards in programs before they run.

    Args:
        args: files and folders, and options.

    Returns:
        The exit code.
    """
    paths: list[str] = []
    codes: list[str] = []
    rest = iter(args)
    for arg in rest:
        if arg in ("-h", "--help"):
            print(_help())
            return 0
        option, is_given, value = arg.partition("=")
        if option == "--select":
            value = value if is_given else next(rest, "")
            codes += [code.strip().upper() for code in value.split(",")]
        elif arg.startswith("-"):
            return _refuse(f"there is no option {arg}")
        else:
            paths.append(arg)
    unknown = [code for code in codes if code not in RULES]
    if unknown:
        return _refuse(f"there is no rule {unknown[0]!r}")
    return run(paths, codes) if paths else _refuse("name a file or a folder")


def _help() -> str:
    return _USAGE + "\n".join(f"  {code}  {rule.name}" for code, rule in RULES.items())


def _refuse(what: str) -> int:
    print(f"oakum lint: {what}\n\n{_help()}", file=sys.stderr)
    return 2
