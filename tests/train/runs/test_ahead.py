"""Batches that are drawn ahead of the loop, and what a resumed run says of them."""

import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from oakum.errors import ArgumentValueError
from tests.train.runs.test_loaders import Counting

DEVICE = jax.devices()[1]


class Loader:
    """Six batches in one buffer, each drawn by a thread that is noted."""

    def __init__(self, fails_at=None):
        self.drawn, self.threads, self.fails_at = [], set(), fails_at

    def __iter__(self):
        buffer = np.zeros(2, np.float32)
        for number in range(6):
            if number == self.fails_at:
                raise OSError("the disk is gone")
            buffer[:] = number
            self.drawn.append(number)
            self.threads.add(threading.current_thread())
            yield {"b": buffer, "a": [number, "text"]}


def run_over(folder, data, stop=None, **options):
    seen, model = [], nnx.Linear(1, 1, rngs=nnx.Rngs(0))
    resume = options.pop("resume", False)
    with nnx.train.Run(folder, model=model, resume=resume) as run:
        for _ in run.epochs(1):
            for batch in run.batches(data, **options):
                seen.append(batch)
                if len(seen) == stop:
                    run.save()
                    return seen, run
    return seen, run


def settled(loader):
    count = -1
    while count != (count := len(loader.drawn)):
        time.sleep(0.05)
    return count


def test_a_loader_is_read_as_far_ahead_as_it_may_and_no_further(tmp_path):
    loader = Loader()
    with nnx.train.Run(tmp_path) as run:
        for _ in run.epochs(1):
            for taken, batch in enumerate(run.batches(loader, ahead=3), 1):
                assert settled(loader) == min(6, taken + 3)
                assert list(batch) == ["b", "a"]
                assert batch["b"].tolist() == [taken - 1] * 2  # not what the buffer has
    (thread,) = loader.threads
    assert thread is not threading.current_thread()
    assert not thread.is_alive()


@pytest.mark.parametrize("ahead", [None, 0])
def test_without_a_place_to_go_to_a_loader_is_read_when_it_is_asked(ahead, tmp_path):
    loader = Loader()
    seen, _ = run_over(tmp_path, loader, stop=2, ahead=ahead)
    assert loader.drawn == [0, 1]
    assert seen[0]["b"] is seen[1]["b"]
    assert loader.threads == {threading.current_thread()}


def test_batches_are_moved_by_the_thread(tmp_path):
    batches = [{"x": np.full(2, n, np.float32)} for n in range(3)]
    seen, _ = run_over(tmp_path, batches, sharding=DEVICE)
    assert [batch["x"].devices() for batch in seen] == [{DEVICE}] * 3
    np.testing.assert_array_equal(np.stack([b["x"] for b in seen])[:, 0], [0, 1, 2])


def test_what_the_loader_raises_comes_after_the_batches_before(tmp_path):
    loader, seen = Loader(fails_at=2), []
    with nnx.train.Run(tmp_path) as run:
        batches = run.steps(9, loader, ahead=2)
        seen += [next(batches)["a"][0], next(batches)["a"][0]]
        with pytest.raises(OSError, match="disk is gone"):
            next(batches)
    assert seen == [0, 1]


def test_a_stream_gives_all_its_batches_over_epochs_that_are_left_early(tmp_path):
    stream, seen = iter(range(7)), []
    with nnx.train.Run(tmp_path) as run:
        for _ in run.epochs(3):
            for count, number in enumerate(run.batches(stream, ahead=2), 1):
                seen.append(number)
                if count == 2:
                    break
    assert seen == [0, 1, 2, 3, 4, 5]


def test_of_a_stream_no_more_is_drawn_than_there_are_steps(tmp_path):
    stream = iter(range(7))
    with nnx.train.Run(tmp_path) as run:
        assert list(run.steps(3, stream, ahead=2)) == [0, 1, 2]
    assert next(stream) == 3


def test_the_thread_has_the_contexts_of_jax_that_the_loop_has(tmp_path):
    class Sums:
        def __iter__(self):
            yield jnp.ones(2, jnp.int32) + jnp.ones(2, jnp.bfloat16)

    with jax.numpy_dtype_promotion("standard"), jax.default_device(DEVICE):
        ((batch,), _) = run_over(tmp_path, Sums(), ahead=1)
    assert batch.devices() == {DEVICE}


SAYS = {
    "order": ((np.arange(12.0, dtype=np.float32),), {"size": 2, "seed": 0}, ""),
    "count": (
        [[n, n] for n in range(6)],
        {"ahead": 2},
        "resumed at step 4: 4 batches of the loader were passed over\n",
    ),
    "state": (
        Counting(),
        {"ahead": 2},
        "resumed at step 4: the loader is back where it was\n",
    ),
}


@pytest.mark.parametrize("how", SAYS)
def test_a_resumed_run_says_how_it_found_its_place(how, tmp_path, capsys):
    data, options, text = SAYS[how]
    whole, run = run_over(tmp_path / "whole", data, **options)
    assert run.resumed_by is None
    run_over(tmp_path / "part", data, stop=4, **options)
    assert capsys.readouterr().out == ""
    rest, run = run_over(tmp_path / "part", data, resume=True, **options)
    np.testing.assert_array_equal(np.array(rest), np.array(whole[4:]))
    assert run.resumed_by == how
    assert capsys.readouterr().out == text


def test_the_share_of_waiting_is_measured(tmp_path):
    class Slow:
        def __iter__(self):
            for number in range(4):
                time.sleep(0.05)
                yield number

    _, run = run_over(tmp_path / "slow", Slow())
    assert 0.7 < run.input_wait <= 1
    with nnx.train.Run(tmp_path / "ahead") as run:
        assert run.input_wait == 0
        for number in run.steps(4, Slow(), ahead=2):
            time.sleep(0.06 if number else 0.2)
    assert run.input_wait < 0.4  # 0.12: of the first one alone


def test_a_number_of_batches_ahead_is_not_negative(tmp_path):
    with pytest.raises(ArgumentValueError, match=r"ahead=-1(?s:.*)0 for none"):
        run_over(tmp_path, [1], ahead=-1)
