"""`oakum explain NAME`: why an error or a warning is there, and what to write."""

from __future__ import annotations

import difflib
import sys

from ._pages import PAGES


def explain(args: list[str]) -> int:
    """Explain an error or a warning: why it is there, wrong code, right code.

    Args:
        args: its name.

    Returns:
        The exit code.
    """
    name = args[0] if args else "--help"
    if name in PAGES:
        page = PAGES[name]
        wrong, right = (
            "\n".join(f"    {line}" for line in code.splitlines())
            for code in (page.wrong, page.right)
        )
        print(f"{name}\n\n{page.why}\n\nWrong:\n\n{wrong}\n\nRight:\n\n{right}")
        return 0
    asked = name in ("-h", "--help")
    out = sys.stdout if asked else sys.stderr
    if not asked:
        near = difflib.get_close_matches(name, PAGES, 1, cutoff=0.4)
        hint = f"; is it {near[0]}?" if near else ""
        print(f"oakum explain: there is no page {name!r}{hint}\n", file=out)
    print(
        "\n".join(["usage: oakum explain NAME", "", *map("  {}".format, PAGES)]),
        file=out,
    )
    return 0 if asked else 2
