"""A program in two processes with four CPU devices each; and in one with all eight."""

import os
import re
import socket
import subprocess
import sys
import textwrap
import time

SECONDS = 240
START = """
import faulthandler, os, sys
faulthandler.dump_traceback_later({seconds}, exit=True)  # says what it waits for
import jax

count, number, folder = int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
if count > 1:
    jax.distributed.initialize(f"127.0.0.1:{sys.argv[1]}", count, number)
# Not the file that Gloo, which carries the messages, tells of itself in, in mid-line.
sys.stdout = open(f"{folder}/said-{count}-{number}.txt", "w", buffering=1)


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
    sys.excepthook(*sys.exc_info())
    sys.stderr.flush()
    os._exit(1)
sys.stdout.flush()
if count > 1:
    jax.distributed.shutdown()
os._exit(0)
"""


def run_pair(body, folder, *, alone=False, codes=(0, 0)):
    """Runs the lines of `body` in both processes, and gives the lines that each said.

    They see `number`, 0 or 1, `count`, `folder` and `mesh`, of axes (hosts, local). An
    assertion fails where one of them does not end as is expected, or not in time.

    Args:
        body: the program.
        folder: for files.
        alone: whether one process with all eight devices runs it meanwhile, of count 1,
            whose lines come last.
        codes: how they are to end.
    """
    program = folder / "program.py"
    start = START.replace("{seconds}", str(SECONDS - 5))
    program.write_text(start + textwrap.indent(textwrap.dedent(body), "    ") + END)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    processes = [(2, 0), (2, 1), *([(1, 0)] if alone else [])]
    children = [_start(program, port, *place, folder) for place in processes]
    end = time.monotonic() + SECONDS
    try:
        said = [c.communicate(timeout=max(1, end - time.monotonic())) for c in children]
    finally:
        for child in children:
            child.kill()
            child.wait()
    errors = "".join(error[-3000:] for _, error in said)
    expected = [*codes, *([0] if alone else [])]
    assert [child.returncode for child in children] == expected, errors
    return [
        (folder / f"said-{count}-{number}.txt").read_text().splitlines()
        for count, number in processes
    ]


def _start(program, port, count, number, folder):
    # But for the devices as the tests themselves are run: compiled in less time.
    flags = re.sub(r"\S*device_count=\d+", "", os.environ.get("XLA_FLAGS", ""))
    flags += f" --xla_force_host_platform_device_count={8 // count}"
    env = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-u", program, port, str(count), str(number), folder]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=env, stdout=pipe, stderr=pipe, text=True)
