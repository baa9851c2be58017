"""`oakum explain`: a page's wrong program gives the error, its right one does not."""

from __future__ import annotations

import re
import sys
import warnings
from unittest.mock import Mock

import jax
import pytest

import oakum as nnx
from oakum import errors
from oakum._compat._processes import Absent
from oakum.cli import main
from oakum.cli._pages import PAGES, PREAMBLE
from oakum.lint import RULES, check_source


def run(code: str, name: str = "") -> None:
    promotion = jax.numpy_dtype_promotion("standard")
    with warnings.catch_warnings(), jax.numpy_rank_promotion("allow"), promotion:
        if name:  # the wrong program may deserve other warnings as well
            warnings.simplefilter("ignore", errors.OakumWarning)
        if name.endswith("Warning"):
            warnings.simplefilter("error", getattr(errors, name))
        exec(PREAMBLE + code, {"__name__": "page"})


@pytest.mark.parametrize("name", PAGES)
def test_the_wrong_program_gives_the_error(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = PAGES[name].wrong
    if name == "MissingExtraError":
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    if name == "ProcessesError":
        alone = Mock(side_effect=Absent([0], {}))
        monkeypatch.setattr(jax, "process_count", lambda: 2)
        monkeypatch.setattr("oakum.sharding._meeting.exchange", alone)
    if name == "LostUpdateWarning":
        code = "with nnx.guard('error'):\n    " + code.replace("\n", "\n    ")
    with pytest.raises(getattr(errors, name)) as caught:
        run(code, name)
    assert type(caught.value).__name__ == name
    assert f"oakum explain {name}" in str(caught.value)


@pytest.mark.parametrize("name", PAGES)
def test_the_right_program_runs(name, tmp_path, monkeypatch):
    if name == "MissingExtraError":
        pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    run(PAGES[name].right)


def test_every_error_with_a_page_is_one():
    assert set(PAGES) == errors.EXPLAINED
    without = {"Explained", "OakumError", "OakumWarning"}
    classes = {n for n, c in vars(errors).items() if isinstance(c, type)}
    assert classes - without == errors.EXPLAINED


@pytest.mark.parametrize("name", ["OakumError", "OakumWarning"])
def test_a_base_class_has_the_names_of_its_kinds(name, capsys):
    assert main(["explain", name]) == 0
    listed = re.findall(r"^  (\w+)$", capsys.readouterr().out, re.M)
    base = getattr(errors, name)
    assert set(listed) == {n for n in PAGES if issubclass(getattr(errors, n), base)}


@pytest.mark.parametrize("code", RULES)
def test_a_rule_finds_its_wrong_program_and_passes_its_right_one(code):
    found = check_source(PREAMBLE + RULES[code].wrong)
    assert {finding.code for finding in found} == {code}
    assert check_source(PREAMBLE + RULES[code].right) == []


@pytest.mark.parametrize("code", RULES)
def test_the_right_program_of_a_rule_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with nnx.guard("error"):
        run(RULES[code].right)


def test_the_command_prints_the_page_of_a_rule(capsys):
    assert main(["explain", "oak001"]) == 0
    assert "OAK001: captured state is written" in capsys.readouterr().out


def test_the_command_prints_the_page(capsys):
    assert main(["explain", "TraceContextError"]) == 0
    text = capsys.readouterr().out
    assert "Wrong:" in text
    assert "def update(optimizer, x):" in text


def test_an_unknown_name_is_answered_with_the_nearest(capsys):
    assert main(["explain", "TraceError"]) == 2
    assert "is it TraceContextError?" in capsys.readouterr().err
    assert main(["explain"]) == 0
    assert "LostUpdateWarning" in capsys.readouterr().out
