"""`oakum train`: short runs of the recipes, resumed and interrupted."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from oakum.cli import main

for extra in ("rich", "matplotlib", "tyro", "sklearn"):
    pytest.importorskip(extra)

ROOT = Path(__file__).parents[2]
RECIPES = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))
RUNS = [recipe for recipe in RECIPES if recipe != "parallel_transformer"]
OPTIONS = ("epochs", "batch-size", "learning-rate", "seed", "out", "resume")


CODE = "import sys; from oakum.cli import main; sys.exit(main())"


@pytest.fixture(scope="module", autouse=True)
def environment(tmp_path_factory) -> Iterator[None]:
    """One device, as users have it, and a cache, so that only one run compiles."""
    cache = str(tmp_path_factory.mktemp("cache"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XLA_FLAGS", "")
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("JAX_COMPILATION_CACHE_DIR", cache)
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        yield


def start(*args: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(*args: object) -> str:
    process = start("-c", CODE, *args)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def weights(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / "checkpoint.safetensors")


def assert_same_bits(one: Path, other: Path) -> None:
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Path, str]:
    """Folder and output of three epochs without an interruption."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, run("train", "digits", "--epochs", 3, "--out", folder)


@pytest.mark.slow
def test_the_last_line_is_the_test_accuracy(whole):
    _, output = whole
    assert re.fullmatch(r"test accuracy \d{2}\.\d\d%", output.splitlines()[-1])


@pytest.mark.slow
def test_a_run_leaves_its_pictures_and_history(whole):
    folder, _ = whole
    for name in ("curves.png", "mistakes.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    rows = json.loads((folder / "run.json").read_text())["history"]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert rows[2]["loss"] < rows[0]["loss"]


@pytest.mark.slow
def test_a_run_resumed_after_an_epoch_ends_with_the_same_bits(whole, tmp_path):
    run("train", "digits", "--epochs", 1, "--out", tmp_path)
    run("train", "digits", "--epochs", 3, "--out", tmp_path, "--resume")
    assert_same_bits(whole[0], tmp_path)


@pytest.mark.slow
def test_a_run_resumed_after_ctrl_c_ends_with_the_same_bits(whole, tmp_path):
    args = ("train", "digits", "--epochs", 3, "--out", tmp_path)
    with start("-c", CODE, *args) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("epoch 1/3")
        time.sleep(0.05)  # into the second epoch
        process.send_signal(signal.SIGINT)
        output = process.stdout.read()
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert f"--epochs 3 --out {tmp_path} --resume" in output
    place = json.loads((tmp_path / "run.json").read_text())["place"]
    assert place < [3, 0]

    run(*args, "--resume")
    assert_same_bits(whole[0], tmp_path)
    rows = json.loads((tmp_path / "run.json").read_text())["history"]
    expected = json.loads((whole[0] / "run.json").read_text())["history"]
    assert [row.pop("epoch") for row in rows] == [row.pop("epoch") for row in expected]
    for row, other in zip(rows, expected, strict=True):
        assert row == pytest.approx(other)


@pytest.mark.slow
def test_a_finished_run_can_be_resumed(whole):
    folder, output = whole
    before = weights(folder)
    again = run("train", "digits", "--epochs", 3, "--out", folder, "--resume")
    assert again.splitlines() == [output.splitlines()[-1]]
    assert before.keys() == weights(folder).keys()


@pytest.mark.slow
def test_resuming_with_another_seed_is_refused(whole, capsys):
    code = call("train", "digits", "--out", whole[0], "--resume", "--seed", 7)
    assert code == 1
    error = capsys.readouterr().err
    assert "seed=0" in error
    assert "seed=7" in error


def call(*args: object) -> int | str | None:
    """The exit code of the command, run in this process."""
    try:
        return main([str(arg) for arg in args])
    except SystemExit as end:
        return end.code


def test_resuming_nothing_is_refused(tmp_path, capsys):
    assert call("train", "digits", "--out", tmp_path / "none", "--resume") == 1
    error = capsys.readouterr().err
    assert "no run to resume" in error
    assert str(tmp_path / "none") in error


@pytest.mark.parametrize("recipe", RUNS)
def test_help_explains_every_option(recipe, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert call("train", recipe, "--help") == 0
    lines = capsys.readouterr().out.splitlines()
    for option in OPTIONS:
        line = next(line for line in lines if f"--{option}" in line)
        assert re.search(rf"--{option}( [A-Z]+)?\s+[A-Z][a-z].*\. \(default: ", line)


@pytest.mark.parametrize("args", [[], ["--help"], ["train"], ["train", "--help"]])
def test_help_names_what_comes_next(args, capsys):
    assert call(*args) == 0
    assert ("digits" if "train" in args else "train") in capsys.readouterr().out


@pytest.mark.parametrize("args", [["explode"], ["train", "explode"]])
def test_an_unknown_name_is_refused_and_the_known_ones_listed(args, capsys):
    assert call(*args) == 2
    error = capsys.readouterr().err
    assert "'explode'" in error
    assert "train" in error


def test_a_missing_extra_is_named_with_the_remedy(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert call("train", "digits", "--out", tmp_path) == 1
    error = capsys.readouterr().err
    assert "scikit-learn is not installed" in error
    assert "pip install 'oakum[train]'" in error


@pytest.mark.slow
def test_a_recipe_runs_on_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with start(ROOT / "examples" / "digits.py", "--epochs", 1) as process:
        output, _ = process.communicate()
    assert output.splitlines()[-1].startswith("test accuracy ")
    assert (tmp_path / "runs" / "digits" / "checkpoint.safetensors").exists()


@pytest.mark.parametrize("recipe", ["digits", "chars"])
def test_a_recipe_is_under_80_lines(recipe):
    source = (ROOT / "examples" / f"{recipe}.py").read_text("utf-8")
    assert len(source.splitlines()) < 80


@pytest.mark.slow
def test_chars_learns_and_writes(tmp_path):
    args = ("train", "chars", "--epochs", 1, "--batch-size", 256, "--out", tmp_path)
    lines = run(*args).splitlines()
    bits = float(re.findall(r"test bits per char (\S+)", lines[0])[0])
    assert bits < 5  # a model that has learnt nothing needs 7
    assert lines[1].startswith("def ")
