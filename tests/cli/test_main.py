"""The command `oakum` itself: its version, its help, what it refuses."""

import importlib.util
import os
import re
import sys

from oakum.cli import main


def test_the_version_names_what_a_report_needs(capsys):
    assert main(["--version"]) == 0
    shown = capsys.readouterr().out
    assert re.fullmatch(r"oakum \S+ \(jax \S+, optax \S+, Python 3\S+\)\n", shown)


def test_an_unknown_command_is_answered_with_all_of_them(capsys):
    assert main(["lnt"]) == 2
    assert "oakum: there is no command 'lnt'" in capsys.readouterr().err
    assert main([]) == 0
    assert "  lint " in capsys.readouterr().out


def test_the_options_of_a_recipe_are_told_without_the_extra(monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n: None if n == "tyro" else find(n)
    )
    assert main(["train", "digits", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--epochs INT            Passes over the training images. (def" in shown
    assert "--resume  " in shown
    assert "pip install 'oakum[train]'" in shown


def test_a_reader_that_has_enough_is_no_failure(monkeypatch):
    read, write = os.pipe()
    os.close(read)  # as of `oakum explain LostUpdateWarning | head -1`
    with os.fdopen(write, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert main(["explain", "LostUpdateWarning"]) == 141
