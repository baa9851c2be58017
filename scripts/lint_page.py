"""Writes docs/lint.md: the rules of `oakum lint`, each with wrong and right code.

python scripts/lint_page.py
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from oakum.cli._pages import PREAMBLE  # noqa: E402
from oakum.lint import RULES  # noqa: E402

PAGE = ROOT / "docs" / "lint.md"
INTRO = """\
# Hazards that stand in the text

`oakum lint PATH…` reads programs and says where state would leak, grow stale or be
lost, before they run; those written for flax.nnx as well. Nothing is imported or run,
and tens of thousands of lines take a second.

```
$ oakum lint train.py
train.py:31:9: OAK001 `optimizer` is captured and updated under `jax.jit` in `step`: …
```

Only what is certain from the text of the one file is told. The exit code is 0 where
nothing is found, 1 where something is, 2 where a file cannot be read or parsed. A line
that ends in `# noqa` is passed over, or, with `# noqa: OAK001`, that rule there;
`--select OAK001,OAK003` checks some rules only. `oakum explain OAK001` shows a rule.

As a hook of pre-commit, which installs nothing and needs a python3 of 3.11 or newer:

```yaml
- repo: <the address of this repository>
  rev: <a tag or commit>
  hooks: [{{id: oakum-lint}}]
```

The programs below follow these lines:

```python
{preamble}```

This page is written by `scripts/lint_page.py`.
"""
RULE = """
## {code}: {name}

{why}

Wrong:

```python
{wrong}
```

Right:

```python
{right}
```
"""


def page() -> str:
    """The text of docs/lint.md."""
    rules = (RULE.format(**rule._asdict()) for rule in RULES.values())
    return INTRO.format(preamble=PREAMBLE) + "".join(rules)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
