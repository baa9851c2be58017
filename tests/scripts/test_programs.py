"""Public programs: how the script runs, counts and writes, without any of them."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

programs = importlib.import_module("programs")
program_table = importlib.import_module("program_table")


def in_place_of_nnx(code):
    """What a program prints with oakum in the place of flax.nnx."""
    settings = {**os.environ, "PYTHONPATH": str(ROOT / "scripts" / "stand_in")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=settings
    )
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


WAYS = """
import flax.nnx
import flax.nnx as renamed
from flax import linen, nnx
from flax.nnx import Linear
from flax.nnx.nn import linear
import oakum

assert flax.nnx is renamed is nnx is oakum
assert Linear is oakum.Linear
assert linear.__name__ == "oakum.nn.linear"
assert linen.__name__ == "flax.linen"
assert oakum.__spec__.name == "oakum"
try:
    import flax.nnx.nothing
except ModuleNotFoundError as missing:
    print(missing)
"""


@pytest.mark.peer
@pytest.mark.slow
def test_oakum_stands_in_however_nnx_is_imported():
    pytest.importorskip("flax")
    said = (
        "No module named 'flax.nnx.nothing': oakum stands in, without 'oakum.nothing'"
    )
    assert in_place_of_nnx(WAYS) == said


REPORT = """<testsuites><testsuite>
<testcase classname="a" name="good"/>
<testcase classname="a" name="bad"><failure message="1 is not 2"/></testcase>
<testcase classname="a" name="off"><skipped message="no GPU"/></testcase>
<testcase classname="a" name="torn"><failure/><error message="y"/></testcase>
</testsuite></testsuites>"""


def test_a_report_gives_each_test_one_outcome(tmp_path):
    report = tmp_path / "report.xml"
    report.write_text(REPORT)
    found = programs.read_report(report)
    assert {name: (each.result, each.text) for name, each in found.items()} == {
        "a::good": ("passed", ""),
        "a::bad": ("failure", "1 is not 2"),
        "a::off": ("skipped", "no GPU"),
        "a::torn": ("error", "y"),
    }
    assert programs.passed(found) == {"a::good"}
    assert programs.read_report(tmp_path / "none.xml") == {}


def make_row(name, **lost):
    versions = "3.11, 0.10.2, 0.12.8"
    texts = {"repository": name, "commit": "abc", "versions": versions, "what": "`t`"}
    return {**texts, "flax": 3, "oakum": 3 - len(lost), "lost": lost}


def test_a_page_keeps_its_rows(tmp_path):
    page = tmp_path / "programs.md"
    rows = {"o/b": make_row("o/b"), "o/a": make_row("o/a", **{"t[x|y]": "said / so"})}
    page.write_text(programs.page_of(rows))
    assert programs.read_rows(page) == rows
    assert "| o/a | abc | 3.11, 0.10.2, 0.12.8 | `t` | 3 | 2 |" in page.read_text()
    assert programs.read_rows(tmp_path / "none.md") == {}


def test_a_page_says_what_gave_no_row_until_it_does(monkeypatch):
    monkeypatch.setattr(programs, "NOT_RUN", {"o/c": "needs a GPU"})
    assert "\n- o/c: needs a GPU.\n" in programs.page_of({"o/a": make_row("o/a")})
    assert "needs a GPU" not in programs.page_of({"o/c": make_row("o/c")})


TINY = """
import os, sys
from flax import nnx
assert nnx.__name__ == {name!r}, nnx.__name__
"""


@pytest.mark.peer
@pytest.mark.slow
def test_a_script_runs_on_both_sides(tmp_path):
    """It passes with flax alone, and the row says what oakum said."""
    pytest.importorskip("flax")
    checkout = tmp_path / "tiny"
    checkout.mkdir()
    (checkout / "train.py").write_text(TINY.format(name="flax.nnx"))
    program = program_table.Program("owner/tiny", "`train.py`", scripts=("train.py",))
    row = programs.row(program, checkout, sys.executable, tmp_path)
    assert (row["flax"], row["oakum"]) == (1, 0)
    assert row["lost"] == {"train.py": "AssertionError: oakum"}


def test_every_program_says_what_is_run():
    names = [program.name for program in program_table.PROGRAMS]
    assert len(set(names)) == len(names) >= 15
    assert all(
        each.what and (each.tests or each.scripts) for each in program_table.PROGRAMS
    )
