"""Every python block of the documentation runs, and prints what stands beside it.

The blocks of a page share a namespace. Behind a statement at the top of a block,

    print(x.shape)  # (4, 8)          is what it prints; ... stands for anything
    update(data)    # SomeError       is what it raises, or warns of

Code of other libraries stands in blocks that are marked `py`, which do not run.
"""

import ast
import builtins
import contextlib
import fnmatch
import io
import re
import warnings
from pathlib import Path

import jax
import pytest

from oakum import errors

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
# Their scripts run what is on them.
GENERATED = {"hazards.md", "lint.md", "parity.md", "programs.md"}
BLOCK = re.compile(r"^( *)```python\n(.*?)^\1```", re.M | re.S)
FOREIGN = re.compile(r"^ *```py\n(.*?)^ *```", re.M | re.S)
# The newest jax is tested without.
EXTRAS = dict.fromkeys(["folders.md", "processes.md"], "orbax.checkpoint")


def has_code(page):
    return page.name not in GENERATED and "```python" in page.read_text("utf-8")


PAGES = [ROOT / "README.md", *filter(has_code, sorted(DOCS.rglob("*.md")))]


def statements(page):
    """The statements of a page, each with the comment behind it, at its own lines."""
    text = page.read_text("utf-8")
    for block in BLOCK.finditer(text):
        indent, source = len(block[1]), block[2]
        source = "\n".join(line[indent:] for line in source.split("\n"))
        lines = source.split("\n")
        for node in ast.parse(source, str(page)).body:
            comment = re.search(r"  # (.*)$", lines[(node.end_lineno or 1) - 1])
            ast.increment_lineno(node, text.count("\n", 0, block.start()) + 1)
            yield node, comment[1] if comment else None


def run(node, page, comment, scope):
    out = io.StringIO()
    name = re.match(r"\w+(Error|Warning)\b", comment or "")
    expected = contextlib.nullcontext()
    if name:
        kind = getattr(errors, name[0], None) or getattr(builtins, name[0])
        watch = pytest.warns if name[1] == "Warning" else pytest.raises
        expected = watch(kind)
    code = compile(ast.Module([node], []), str(page), "exec")
    with expected, contextlib.redirect_stdout(out), warnings.catch_warnings():
        if name and name[1] == "Error":  # what warns before it fails
            warnings.simplefilter("ignore", errors.OakumWarning)
        exec(code, scope)
    if comment and not name and ast.unparse(node).startswith("print("):
        said = " ".join(out.getvalue().split())
        pattern = comment.replace("[", "[[]").replace("...", "*")
        assert fnmatch.fnmatchcase(said, pattern), f"{page.name}:{node.lineno}: {said}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch):
    if page.name in EXTRAS:
        pytest.importorskip(EXTRAS[page.name])
    monkeypatch.chdir(tmp_path)
    scope = {"__name__": "__main__"}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for node, comment in statements(page):
            run(node, page, comment, scope)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_that_does_not_run_is_not_ours(page):
    foreign = FOREIGN.findall(page.read_text("utf-8"))
    assert [code for code in foreign if "oakum" in code] == []
