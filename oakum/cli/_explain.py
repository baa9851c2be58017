"""`oakum explain NAME`: why an error, warning or rule is there, and what to write."""

from __future__ import annotations

import difflib
import sys

from ..lint import RULES
from ._pages import PAGES, Page

_BASES = {
    "OakumError": "Every error of oakum is one, and one of Python's own for its kind "
    "too, such as\nValueError: `except nnx.errors.OakumError` catches them all.",
    "OakumWarning": "Every warning of oakum is one: "
    "`warnings.simplefilter('error', nnx.errors.OakumWarning)`\nmakes errors of them.",
}
_TITLES = {code: f"{code}: {rule.name}" for code, rule in RULES.items()}
_ALL = {
    **PAGES,
    **{code: Page(rule.why, rule.wrong, rule.right) for code, rule in RULES.items()},
}


def explain(args: list[str]) -> int:
    """Explain an error, warning or rule: why it is there, wrong code, right code.

    Args:
        args: its name, or the code of a rule of `oakum lint`.

    Returns:
        The exit code.
    """
    name = args[0] if args else "--help"
    name = name.upper() if name.upper() in RULES else name
    if name in _ALL:
        page = _ALL[name]
        wrong, right = (
            "\n".join(f"    {line}" for line in code.splitlines())
            for code in (page.wrong, page.right)
        )
        title = _TITLES.get(name, name)
        print(f"{title}\n\n{page.why}\n\nWrong:\n\n{wrong}\n\nRight:\n\n{right}")
        return 0
    if name in _BASES:
        ending = name.removeprefix("Oakum")
        kinds = [f"  {each}" for each in PAGES if each.endswith(ending)]
        print("\n".join([name, "", _BASES[name], "", *kinds]))
        return 0
    asked = name in ("-h", "--help")
    out = sys.stdout if asked else sys.stderr
    if not asked:
        near = difflib.get_close_matches(name, _ALL, 1, cutoff=0.4)
        hint = f"; is it {near[0]}?" if near else ""
        print(f"oakum explain: there is no page {name!r}{hint}\n", file=out)
    names = [f"  {_TITLES.get(each, each)}" for each in _ALL]
    print("\n".join(["usage: oakum explain NAME", "", *names]), file=out)
    return 0 if asked else 2
