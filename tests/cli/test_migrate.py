"""`oakum migrate`: files in place, `--diff`, `--check`, exit codes, what is left."""

import importlib.util
import os

import pytest

from oakum.cli import main

pytest.importorskip("libcst")

BEFORE = "from flax import nnx\n\nmodel = nnx.Linear(2, 3, rngs=nnx.Rngs(0))\n"
AFTER = BEFORE.replace("from flax import nnx", "import oakum as nnx")
LEFT = BEFORE + "nnx.update_context(model)\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.py").write_text(BEFORE)
    return tmp_path


def test_a_file_is_rewritten_in_place(folder, capsys):
    (folder / "a.py").chmod(0o755)
    assert main(["migrate", "a.py"]) == 0
    assert (folder / "a.py").read_text() == AFTER
    assert os.access(folder / "a.py", os.X_OK)
    assert os.listdir(folder) == ["a.py"]
    captured = capsys.readouterr()
    assert captured.out == "a.py: rewritten\n"
    assert captured.err == "1 rewritten, 0 to be looked at, 0 not read\n"


def test_a_second_run_writes_nothing(folder, capsys):
    main(["migrate", "."])
    written = (folder / "a.py").stat().st_mtime_ns
    assert main(["migrate", "--check", "."]) == 0
    assert main(["migrate", "."]) == 0
    assert (folder / "a.py").stat().st_mtime_ns == written


def test_diff_shows_the_change_and_writes_nothing(folder, capsys):
    assert main(["migrate", "--diff", "a.py"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[:2] == ["--- a/a.py", "+++ b/a.py"]
    assert "-from flax import nnx" in shown
    assert "+import oakum as nnx" in shown
    assert (folder / "a.py").read_text() == BEFORE


def test_check_says_whether_anything_would_change(folder, capsys):
    assert main(["migrate", "--check", "a.py"]) == 1
    assert capsys.readouterr().out == "a.py: would be rewritten\n"
    assert (folder / "a.py").read_text() == BEFORE


def test_what_is_left_to_a_person_is_told_by_file_and_line(folder, capsys):
    (folder / "a.py").write_text(LEFT)
    assert main(["migrate", "."]) == 1
    assert "a.py:4: oakum has no `nnx.update_context`" in capsys.readouterr().out
    assert main(["migrate", "."]) == 1


def test_a_file_that_does_not_parse_is_named_and_left(folder, capsys):
    (folder / "bad.py").write_text("from flax import nnx\nx = (\n")
    (folder / "latin.py").write_bytes(b"# \xff\n")
    assert main(["migrate", "."]) == 2
    captured = capsys.readouterr()
    assert "bad.py:2:5: does not parse: '(' was never closed" in captured.err
    assert "latin.py: cannot be read" in captured.err
    assert (folder / "bad.py").read_text() == "from flax import nnx\nx = (\n"
    assert (folder / "a.py").read_text() == AFTER


def test_the_encoding_of_a_file_is_kept(folder):
    head = "# -*- coding: latin-1 -*-\n# größe\n"
    (folder / "a.py").write_bytes((head + BEFORE).encode("latin-1"))
    assert main(["migrate", "a.py"]) == 0
    assert (folder / "a.py").read_bytes() == (head + AFTER).encode("latin-1")


@pytest.mark.parametrize(
    ("args", "said"),
    [([], "name a file"), (["--fix", "a.py"], "there is no option --fix")],
)
def test_a_wrong_command_line_is_refused(args, said, capsys):
    assert main(["migrate", *args]) == 2
    assert said in capsys.readouterr().err
    assert main(["migrate", "--help"]) == 0


def test_the_extra_is_named_where_it_is_missing(monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n: None if n == "libcst" else find(n)
    )
    assert main(["migrate", "a.py"]) == 1
    said = capsys.readouterr().err
    assert "libcst is not installed" in said
    assert "pip install 'oakum[migrate]'" in said
