"""A program in two processes with four CPU devices each, which find each other here."""

import os
import socket
import subprocess
import sys
import textwrap
import time

SECONDS = 90
START = """
import faulthandler, os, sys, traceback
faulthandler.dump_traceback_later({seconds}, exit=True)  # says what it waits for
import jax

number = int(sys.argv[2])
jax.distributed.initialize(f"127.0.0.1:{sys.argv[1]}", 2, number)
folder = sys.argv[3]
# Not the file that Gloo, which carries the messages, tells of itself in, in mid-line.
sys.stdout = open(f"{folder}/said-{number}.txt", "w", buffering=1)


def body():
    import jax.numpy as jnp
    import numpy as np
    import optax
    from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
    import oakum as nnx

    types = (AxisType.Auto,) * 2
    mesh = jax.make_mesh((2, 4), ("hosts", "local"), axis_types=types)
"""
END = """

# One that failed ends at once: a proper end would wait for the other one.
try:
    body()
except BaseException:
    traceback.print_exc()
    sys.stderr.flush()
    os._exit(1)
sys.stdout.flush()
jax.distributed.shutdown()
os._exit(0)
"""


def run_pair(body, folder):
    """Runs the lines of `body` in both processes, and gives the lines that each said.

    They see `number`, 0 or 1, `folder` and `mesh`, of axes (hosts, local). An assertion
    fails where one of them fails, or does not end in time.
    """
    program = folder / "program.py"
    start = START.replace("{seconds}", str(SECONDS - 5))
    program.write_text(start + textwrap.indent(textwrap.dedent(body), "    ") + END)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    flags = "--xla_force_host_platform_device_count=4"
    env = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    children = [_start(program, port, number, folder, env) for number in range(2)]
    end = time.monotonic() + SECONDS
    try:
        said = [c.communicate(timeout=max(1, end - time.monotonic())) for c in children]
    finally:
        for child in children:
            child.kill()
            child.wait()
    errors = "".join(error[-3000:] for _, error in said)
    assert [child.returncode for child in children] == [0, 0], errors
    return [
        (folder / f"said-{number}.txt").read_text().splitlines() for number in range(2)
    ]


def _start(program, port, number, folder, env):
    command = [sys.executable, "-u", program, port, str(number), folder]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=env, stdout=pipe, stderr=pipe, text=True)
