"""`oakum launch`: one program in several processes that know each other."""

from __future__ import annotations

import argparse
import contextlib
import os
import runpy
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType

from ..sharding._meeting import end_at_once
from ._launch import name_launcher

INTERRUPTED = 130
_TERMINATED = 143  # 128 + SIGTERM, as shells have it
_GRACE = 5.0  # seconds for the others to end by themselves, once one has failed
_LAUNCHER = "OAKUM_LAUNCHER"  # how the user started the processes, told to them
_WORKER = "import sys; from oakum.cli._processes import work; work(sys.argv[1:])"


def launch_processes(args: list[str]) -> int:
    """Run a command or script in several processes, by jax.distributed.

    Args:
        args: options, `--`, and a command of oakum or a script with its arguments.

    Returns:
        The exit code: that of the first process that failed.
    """
    parser = argparse.ArgumentParser(
        prog="oakum launch",
        description="Runs a command of oakum, or a script, in several processes of "
        "this machine. Without -n it runs in this process alone, and jax.distributed "
        "finds the others, as on a cluster where the scheduler starts one each.",
    )
    parser.add_argument("-n", type=int, default=0, help="how many processes")
    parser.add_argument(
        "--devices", type=int, help="pretend so many CPU devices in each of them"
    )
    parser.add_argument("command", nargs="+", help="such as train digits, or my.py")
    options = parser.parse_args(args)
    if options.n < 1:
        return work(["", "0", "0", *options.command])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    env = dict(os.environ)
    if options.devices:
        env["JAX_PLATFORMS"] = "cpu"
        count = f"--xla_force_host_platform_device_count={options.devices}"
        env["XLA_FLAGS"] = f"{env.get('XLA_FLAGS', '')} {count}".strip()
    given = [*(["--devices", str(options.devices)] if options.devices else []), "--"]
    env[_LAUNCHER] = shlex.join(["oakum", "launch", "-n", str(options.n), *given])
    children: list[subprocess.Popen] = []
    with _ending(children):
        for number in range(options.n):
            place = [address, str(options.n), str(number)]
            command = [sys.executable, "-u", "-c", _WORKER, *place, *options.command]
            children.append(_start(command, number, env))
        return _watch(children)
    return INTERRUPTED


@contextlib.contextmanager
def _ending(children: list[subprocess.Popen]) -> Iterator[None]:
    """Hands Ctrl-C on to processes, once, and leaves none of them behind."""
    is_main = threading.current_thread() is threading.main_thread()
    old = signal.signal(signal.SIGTERM, _terminate) if is_main else None
    try:
        yield
    except KeyboardInterrupt:
        # From a terminal they have it too, but not where this process alone was told.
        for child in children:
            child.send_signal(signal.SIGINT)
        with contextlib.suppress(KeyboardInterrupt):  # a second one: at once
            _watch(children)
    finally:
        for child in children:
            child.kill()
            child.wait()
        if is_main:
            signal.signal(signal.SIGTERM, old)


def _terminate(number: int, frame: FrameType | None) -> None:
    sys.exit(_TERMINATED)


def _start(command: list[str], number: int, env: dict[str, str]) -> subprocess.Popen:
    """A process; what those after the first print is marked with their number."""
    if number == 0:
        return subprocess.Popen(command, env=env)
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    child = subprocess.Popen(command, env=env, **pipe)

    def pass_on() -> None:
        for line in child.stdout or ():
            print(f"[{number}] {line}", end="", flush=True)

    threading.Thread(target=pass_on, daemon=True).start()
    return child


def _watch(children: list[subprocess.Popen]) -> int:
    """Waits for all; where one fails the others wait for it no longer."""
    while True:
        codes = [child.poll() for child in children]
        failed = [code for code in codes if code]
        if failed:
            end = time.monotonic() + _GRACE
            while time.monotonic() < end and None in [c.poll() for c in children]:
                time.sleep(0.05)
            for child in children:
                child.terminate()
            return failed[0]
        if None not in codes:
            return 0
        time.sleep(0.05)


def work(args: list[str]) -> int:
    """Runs a command or script as one of several processes.

    Args:
        args: the address of the first, how many they are and which this is; empty and
            zeros where the cluster knows. Then what to run.
    """
    address, count, number, name, *rest = args
    import jax

    name_launcher(os.environ.get(_LAUNCHER, "oakum launch --"))

    if address:
        jax.distributed.initialize(address, int(count), int(number))
    else:
        jax.distributed.initialize()
    code = 0
    with _failing_at_once():
        code = _runner(name, rest)()
        if code:
            end_at_once(SystemExit(code), code)
    sys.stdout.flush()
    jax.distributed.shutdown()
    if address:
        sys.exit(code)
    return code


def _runner(name: str, rest: list[str]) -> Callable[[], int]:
    if name.endswith(".py"):

        def run() -> int:
            sys.argv = [name, *rest]
            sys.path.insert(0, os.path.dirname(os.path.abspath(name)))
            runpy.run_path(name, run_name="__main__")
            return 0

        return run

    from ._main import main

    return lambda: main([name, *rest])


@contextlib.contextmanager
def _failing_at_once() -> Iterator[None]:
    """Ends the process where the program fails, so that the others learn of it.

    At a proper end it would wait for the others, and they for it.
    """
    try:
        yield
    except SystemExit as error:
        if not error.code:
            return
        if not isinstance(error.code, int):
            print(error.code, file=sys.stderr)
        end_at_once(error, error.code if isinstance(error.code, int) else 1)
    except BaseException as error:
        traceback.print_exception(error.with_traceback(_of_program(error)))
        end_at_once(error, INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1)


def _of_program(error: BaseException) -> TracebackType | None:
    """The traceback of an error from the program on."""
    steps = error.__traceback__
    while steps and steps.tb_frame.f_code.co_filename in _FILES:
        steps = steps.tb_next
    return steps or error.__traceback__


_FILES = (__file__, runpy.run_path.__code__.co_filename)
