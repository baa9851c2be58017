"""`oakum launch` starts one program in several processes that know each other."""

import contextlib
import json
import signal
import subprocess
import sys
import traceback

import pytest

from oakum.cli import _launch, _processes, main

PROGRAM = """
import os, sys, time
import jax

number = jax.process_index()
if sys.argv[1:] == ["fails"]:
    if number == 1:
        sys.exit("it is broken")
    time.sleep(300)
with open(f"{sys.argv[1]}/{number}.txt", "w") as said:
    print(jax.process_count(), jax.device_count(), __name__, file=said)
"""


OAKUM = [sys.executable, "-c", "from oakum.cli import main; raise SystemExit(main())"]
LAUNCH = ["launch", "-n", "2", "--devices", "2", "--"]
SMALL = ["--width=16", "--heads=2", "--layers=1", "--batch-size=4", "--fsdp=2"]


def oakum(*args):
    command = [*OAKUM, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


def launch(tmp_path, *args):
    script = tmp_path / "script.py"
    script.write_text(PROGRAM)
    return oakum(*LAUNCH, script, *args)


@pytest.mark.slow
def test_all_processes_run_the_script_and_see_all_devices(tmp_path):
    ran = launch(tmp_path, str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    said = [(tmp_path / f"{number}.txt").read_text() for number in range(2)]
    assert said == ["2 4 __main__\n"] * 2


@pytest.mark.slow
def test_one_that_fails_ends_all_with_its_own_message(tmp_path):
    ran = launch(tmp_path, "fails")
    assert ran.returncode == 1
    assert "[1] it is broken" in ran.stdout


@pytest.mark.slow
def test_a_recipe_of_two_processes_goes_on_in_one(tmp_path):
    recipe = ["train", "parallel_transformer", *SMALL, "--out", tmp_path]
    ran = oakum(*LAUNCH, *recipe, "--steps", 2)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert "('data': 2, 'fsdp': 2, 'tensor': 1" in ran.stdout
    saved = (tmp_path / "checkpoint.safetensors").read_bytes()
    ran = oakum(*recipe, "--steps", 3, "--resume")
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert json.loads((tmp_path / "run.json").read_text())["place"][2] == 3
    assert (tmp_path / "checkpoint.safetensors").read_bytes() != saved


def test_a_traceback_begins_in_the_program(tmp_path, monkeypatch):
    script = tmp_path / "script.py"
    script.write_text("def fail():\n    1 / 0\n\nfail()\n")
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(ZeroDivisionError) as raised:
        _processes._runner(str(script), [])()
    error = raised.value
    error.__traceback__ = error.__traceback__.tb_next  # without this test
    steps = traceback.extract_tb(_processes._of_program(error))
    assert [step.lineno for step in steps] == [4, 2]


SIGNALS = {"Ctrl-C": (signal.SIGINT, -2), "kill": (signal.SIGTERM, -9)}


@pytest.mark.parametrize("case", SIGNALS)
def test_a_signal_for_the_launcher_alone_ends_all_of_them(case):
    number, code = SIGNALS[case]
    wait = "import signal, time; signal.signal(2, signal.SIG_DFL); print(flush=True)"
    wait += "; time.sleep(99)"
    command = [sys.executable, "-c", wait]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    before = signal.getsignal(signal.SIGTERM)
    with contextlib.suppress(SystemExit), _processes._ending(children):
        for child in children:
            child.stdout.readline()
            child.stdout.close()
        signal.raise_signal(number)
    assert [child.returncode for child in children] == [code] * 2
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_recipe_says_how_to_go_on_in_as_many_processes(monkeypatch):
    monkeypatch.setattr(_launch, "_launcher", [])
    assert _launch._started_by("oakum train digits") == "oakum train digits"
    _launch.name_launcher("oakum launch -n 2 --")
    assert _launch._started_by("oakum train digits") == (
        "oakum launch -n 2 -- train digits"
    )


def test_what_to_launch_must_be_said(capsys):
    with pytest.raises(SystemExit) as raised:
        main(["launch", "-n", "2"])
    assert raised.value.code == 2
    assert "required: command" in capsys.readouterr().err
