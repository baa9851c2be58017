"""What fails in one process ends there at once, and the other one is told."""

import pytest

from tests.distributed.pair import run_pair

FAILS = """
    import fcntl
    import time
    from oakum.sharding import _meeting as meeting
    from oakum.train.checkpoint import _checkpoint as processes

    began = time.monotonic()
    lives = open(f"{folder}/lives", "w")  # locked until process 1 is no more
    if number == 1:
        fcntl.flock(lives, fcntl.LOCK_EX)

    def told(error, *parts, act=None, **objects):
        try:
            act() if act else nnx.save(f"{folder}/no", **objects)
        except error as raised:
            assert all(part in str(raised) for part in parts), raised
            assert time.monotonic() - began < 60
        else:
            raise AssertionError("nothing was raised")

    def placed(*shape):
        x = np.zeros(shape, np.float32)
        rows = NamedSharding(mesh, P(("hosts", "local")))
        return nnx.Param(jax.make_array_from_callback(x.shape, rows, lambda i: x[i]))

    # It cannot begin to gather, where the other one has.
    real = processes.gathered

    def failing(array):
        if number == 1 and array.shape == (16, 2):
            raise MemoryError("no room for it")
        return real(array)

    processes.gathered = failing
    texts = ["nnx.save failed in process 1"]
    error = nnx.errors.CheckpointError if number == 0 else MemoryError
    split = nnx.Dict(a=placed(8, 2), b=placed(16, 2))
    told(error, "no room for it", *texts[:1 - number], split=split)
    processes.gathered = real

    # A computation that never ends, as the other one has not begun it, is given up.
    never = type("Never", (), {"is_ready": lambda self: False})()
    meeting.WAIT_SECONDS, seconds = 0.5, meeting.WAIT_SECONDS
    says = ["nnx.save: an array", "0.5 s", "all processes call"]
    wait = lambda: meeting.wait_for("nnx.save", never)
    told(nnx.errors.ProcessesError, *says, act=wait)
    meeting.WAIT_SECONDS = seconds

    # Nobody catches it: this process ends, and the other one learns of it in a call.
    if number == 1:
        raise LookupError("it is broken")
    told(nnx.errors.ProcessesError, "process 1 has ended", "LookupError: it is broken",
         model=nnx.Linear(2, 2, rngs=nnx.Rngs(0)))
    told(nnx.errors.ProcessesError, "process 1 has ended", model=nnx.Dict())
    assert not os.path.exists(f"{folder}/no")
    print("told")
    sys.stdout.flush()
    fcntl.flock(lives, fcntl.LOCK_EX)  # with process 0, JAX ends those still there
    os._exit(0)  # at a proper end it would wait for the other one
"""


@pytest.mark.slow
def test_a_process_that_fails_ends_at_once_and_the_other_is_told(tmp_path):
    assert run_pair(FAILS, tmp_path, codes=(0, 1)) == [["told"], []]
