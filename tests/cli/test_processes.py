"""`oakum launch` starts one program in several processes that know each other."""

import json
import subprocess
import sys

import pytest

from oakum.cli import main

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


def test_what_to_launch_must_be_said(capsys):
    with pytest.raises(SystemExit) as raised:
        main(["launch", "-n", "2"])
    assert raised.value.code == 2
    assert "required: command" in capsys.readouterr().err
