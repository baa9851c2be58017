"""`oakum lint`: what it prints, its exit codes, what it takes and passes over."""

import pytest

from oakum.cli import main

STALE = """\
import jax
import oakum as nnx
model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
predict = jax.jit(lambda x: model(x))
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_finding_has_place_code_and_remedy(folder, capsys):
    (folder / "a.py").write_text(STALE)
    assert main(["lint", "a.py"]) == 1
    shown = capsys.readouterr().out
    assert shown.startswith("a.py:4:29: OAK002 `model` is captured under `jax.jit`")
    assert "use `nnx.jit`" in shown


def test_a_folder_is_searched_but_no_environment(folder, capsys):
    for name in ("src", "venv", ".hidden", "env"):
        (folder / name).mkdir()
        (folder / name / "a.py").write_text(STALE)
    (folder / "env" / "pyvenv.cfg").touch()
    assert main(["lint", "."]) == 1
    captured = capsys.readouterr()
    (line,) = captured.out.splitlines()
    assert line.startswith("src/a.py:4")
    assert "1 finding;" in captured.err


def test_nothing_is_said_of_clean_files(folder, capsys):
    (folder / "a.py").write_text(STALE.replace("jax.jit", "nnx.jit"))
    (folder / "empty.py").write_text("")
    (folder / "notes.txt").write_text("(")
    assert main(["lint", "."]) == 0
    assert capsys.readouterr().out == ""


def test_a_file_that_does_not_parse_is_named_and_the_others_are_checked(folder, capsys):
    (folder / "a.py").write_text("def (:\n")
    (folder / "b.py").write_text(STALE)
    (folder / "c.py").write_bytes(b"# \xff\n")
    assert main(["lint", "a.py", "b.py", "c.py", "none.py"]) == 2
    captured = capsys.readouterr()
    assert "b.py:4:29: OAK002" in captured.out
    assert "a.py:1:5: does not parse: invalid syntax" in captured.err
    assert "c.py: cannot be read" in captured.err
    assert "none.py: cannot be read" in captured.err


def test_rules_are_selected_by_their_codes(folder):
    (folder / "a.py").write_text(STALE)
    assert main(["lint", "--select", "oak001,OAK003", "a.py"]) == 0
    assert main(["lint", "--select=OAK002", "a.py"]) == 1


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "name a file or a folder"),
        (["--fix", "a.py"], "there is no option --fix"),
        (["--select", "OAK999", "a.py"], "there is no rule 'OAK999'"),
    ],
)
def test_a_wrong_command_line_is_refused(args, said, capsys):
    assert main(["lint", *args]) == 2
    assert said in capsys.readouterr().err


def test_help_lists_the_rules(capsys):
    assert main(["lint", "--help"]) == 0
    assert "OAK004  a random key is used twice" in capsys.readouterr().out
