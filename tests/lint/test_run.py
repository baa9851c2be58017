"""Lines that are excused, how fast a file is read, and that the folder stands alone."""

import runpy
import subprocess
import sys
import time
from pathlib import Path

import pytest

import oakum.lint
from oakum.lint import UnreadableError, check_source, iter_files, run
from tests.lint.snippets import WRONG, program

ROOT = Path(__file__).parents[2]
DRAWS = """\
import jax
key = jax.random.key(0)
a = jax.random.normal(key)
b = jax.random.normal(key)  {comment}
"""
ALONE = """
import sys
sys.path.insert(0, {folder!r})
import lint
assert lint.check_source({text!r})[0].code == "OAK004"
assert not {{"jax", "numpy", "oakum"}} & sys.modules.keys()
"""


@pytest.mark.parametrize(
    "comment",
    ["# noqa", "#noqa: OAK004", "# noqa: E501,OAK004", "# NOQA : oak004 for the test"],
)
def test_a_line_is_excused(comment):
    assert check_source(DRAWS.format(comment=comment)) == []


@pytest.mark.parametrize("comment", ["", "# noqa: OAK001", "# no question"])
def test_a_line_is_not_excused(comment):
    (finding,) = check_source(DRAWS.format(comment=comment), "a.py")
    assert str(finding).startswith("a.py:4:5: OAK004 the key `key` is used again")


def test_what_is_no_python_is_refused_with_its_place():
    with pytest.raises(UnreadableError, match=r"a.py:2:1: does not parse"):
        check_source("import jax\n)", "a.py")


def test_of_the_package_and_the_examples_nothing_is_said(capsys):
    paths = [ROOT / name for name in ("oakum", "examples", "bench", "scripts")]
    assert run(paths) == 0, capsys.readouterr().out


def test_the_folder_stands_alone():
    folder = str(Path(oakum.lint.__file__).parents[1])
    code = ALONE.format(folder=folder, text=DRAWS.format(comment=""))
    subprocess.run([sys.executable, "-S", "-c", code], check=True)


def test_the_page_is_what_the_rules_say():
    page = runpy.run_path(str(ROOT / "scripts" / "lint_page.py"))["page"]()
    assert (ROOT / "docs" / "lint.md").read_text("utf-8") == page


def test_the_hook_of_pre_commit_runs_without_oakum(tmp_path):
    (tmp_path / "a.py").write_text(DRAWS.format(comment=""))
    hook = ROOT / "scripts" / "lint_hook.py"
    command = [sys.executable, "-S", str(hook), "a.py"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout.startswith("a.py:4:5: OAK004")
    assert (
        "entry: scripts/lint_hook.py" in (ROOT / ".pre-commit-hooks.yaml").read_text()
    )


def test_ten_thousand_lines_take_less_than_a_second():
    # Of programs that are all model and hazard, about 50,000 lines a second, and of
    # the package more; the time of the process, not of the clock.
    texts = [program(body) for body in WRONG.values()]
    texts += [path.read_text("utf-8") for path in iter_files([ROOT / "oakum" / "nn"])]
    lines = sum(text.count("\n") for text in texts)
    assert lines > 5000
    started = time.process_time()
    for text in texts:
        check_source(text)
    assert lines / (time.process_time() - started) > 10_000
