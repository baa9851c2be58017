#!/usr/bin/env bash
# ruff 0.17.6 with pymdown-extensions 12.3: `ruff format` also formats code blocks of
# Markdown whose fence names Python, and the order of pymdownx.snippets to show a file,
# `--8<-- "file"`, is a Python expression to it: 8 negated twice is less than a string negated
# twice. It becomes `--8 < --"file"`, which is no order any more, so the page shows that line
# in place of the file; neither tool says a word. With the fence `{ .py }` the line stays. Seen:
# shown before: True, after: False, with the other fence: True
#
# Runs the pinned packages alone, in a temporary folder; fails if what it says has changed.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check \
  ruff==0.17.6 markdown==3.11.3 pymdown-extensions==12.3
echo 'print("from the file")' > shown.py
for fence in 'py' '{ .py }'; do
  printf '# Page\n\n```%s\n--8<-- "shown.py"\n```\n' "$fence" > "${fence//[^a-z]/}-${#fence}.md"
done
venv/bin/python - <<'PYTHON'
import pathlib
import subprocess

import markdown

EXTENSIONS = ["pymdownx.superfences", "pymdownx.snippets"]


def shows(page):
    html = markdown.markdown(pathlib.Path(page).read_text(), extensions=EXTENSIONS)
    return "from the file" in html


before = shows("py-2.md")
subprocess.run(["venv/bin/ruff", "format", "--isolated", "."], check=True)
after, other = shows("py-2.md"), shows("py-7.md")
print("shown before:", before, "after:", after, "with the other fence:", other)
print(pathlib.Path("py-2.md").read_text())
assert (before, after, other) == (True, False, True)
PYTHON
