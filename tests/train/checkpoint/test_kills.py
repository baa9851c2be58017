"""A program that is killed while it saves leaves steps that are whole."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("orbax.checkpoint")
KILLS = int(os.environ.get("OAKUM_KILLS", "10"))
# What is forked has everything imported, and nothing of it in use yet.
PROGRAM = """
import os, random, signal, sys, time
import orbax.checkpoint
import jax.numpy as jnp
import numpy as np
import oakum as nnx

SIZE, FOLDER, KILLS = 200_000, sys.argv[1], int(sys.argv[2])


def make():
    return nnx.Dict(a=nnx.Param(jnp.zeros(SIZE)), b=nnx.Param(jnp.zeros(())))


def save_for_ever(ready):
    model = make()
    with nnx.train.Checkpoints(FOLDER, keep=2) as checkpoints:
        step = checkpoints.load(model=model) if checkpoints.steps else -1
        os.write(ready, b"1")
        while True:
            step += 1
            model.a[...] = jnp.full(SIZE, float(step))
            model.b[...] = jnp.asarray(float(step))
            checkpoints.save(step, model=model)


def check():
    model = make()
    with nnx.train.Checkpoints(FOLDER, keep=2) as checkpoints:
        if not checkpoints.steps:  # it was killed before the first was whole
            return -1
        step = checkpoints.load(model=model)
    np.testing.assert_array_equal(model.a, step)
    assert float(model.b.value) == step
    return step


def fork(function, *args):
    child = os.fork()
    if child == 0:
        try:
            print(function(*args), flush=True)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", flush=True)
        os._exit(0)
    return child


pick = random.Random(0)
for _ in range(KILLS):
    read, write = os.pipe()
    child = fork(save_for_ever, write)
    os.read(read, 1)
    time.sleep(pick.uniform(0.1, 1.5))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.waitpid(fork(check), 0)
"""


@pytest.mark.slow
def test_after_a_kill_at_any_point_the_newest_step_is_whole(tmp_path):
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), str(KILLS)]
    env = os.environ | {"JAX_PLATFORMS": "cpu"}
    ran = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=60 + 10 * KILLS
    )
    newest = ran.stdout.split("\n")[:-1]
    assert len(newest) == KILLS, ran.stderr[-2000:]
    assert list(map(int, newest)) == sorted(map(int, newest)), newest
    assert int(newest[-1]) > 0
