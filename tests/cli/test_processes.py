"""`oakum launch` starts one program in several processes that know each other."""

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


def launch(tmp_path, *args):
    script = tmp_path / "script.py"
    script.write_text(PROGRAM)
    oakum = "import sys; from oakum.cli import main; sys.exit(main())"
    options = ["launch", "-n", "2", "--devices", "2"]
    command = [sys.executable, "-c", oakum, *options, "--", str(script), *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


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


def test_what_to_launch_must_be_said(capsys):
    with pytest.raises(SystemExit) as raised:
        main(["launch", "-n", "2"])
    assert raised.value.code == 2
    assert "required: command" in capsys.readouterr().err
