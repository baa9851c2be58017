"""Loaders that tell their place, and batches that go to a mesh."""

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import oakum as nnx

Run = nnx.train.Run


class Counting:
    """A loader whose iterators tell their place; it counts what it was asked for."""

    def __init__(self, state_type=dict):
        self.asked, self.state_type = [], state_type

    def __iter__(self):
        return CountingIterator(self)


class CountingIterator:
    def __init__(self, loader):
        self.loader, self.place = loader, 0

    def __iter__(self):
        return self

    def __next__(self):
        if self.place == 6:
            raise StopIteration
        self.loader.asked.append(self.place)
        self.place += 1
        return np.full(2, self.place - 1)

    def get_state(self):
        text = str(self.place)
        return {"at": text} if self.loader.state_type is dict else text.encode()

    def set_state(self, state):
        self.place = int(state["at"] if isinstance(state, dict) else state)


def first_batches(folder, loader, count, resume=False):
    model, seen = nnx.Linear(1, 1, rngs=nnx.Rngs(0)), []
    with Run(folder, model=model, resume=resume) as run:
        for _ in run.epochs(2):
            for batch in run.batches(loader):
                seen.append(int(batch[0]))
                if len(seen) == count:
                    run.save()
                    return seen
    return seen


@pytest.mark.parametrize("state_type", [dict, bytes])
def test_a_loader_that_tells_its_place_goes_on_there(state_type, tmp_path):
    assert first_batches(tmp_path, Counting(state_type), 4) == [0, 1, 2, 3]
    loader = Counting(state_type)
    rest = first_batches(tmp_path, loader, None, resume=True)
    assert rest == [4, 5, 0, 1, 2, 3, 4, 5]
    assert loader.asked == rest


def test_a_run_saved_after_an_epoch_begins_the_next_from_the_start(tmp_path):
    assert first_batches(tmp_path, Counting(), 6) == [0, 1, 2, 3, 4, 5]
    assert first_batches(tmp_path, Counting(), 2, resume=True) == [0, 1]


def test_of_another_iterable_the_batches_that_are_done_are_passed_over(tmp_path):
    batches = [[i, i] for i in range(6)]
    first_batches(tmp_path, batches, 4)
    assert first_batches(tmp_path, batches, 3, resume=True) == [4, 5, 0]


def test_a_dataset_of_grain_goes_on_where_it_was(tmp_path):
    grain = pytest.importorskip("grain")
    dataset = grain.MapDataset.range(24).shuffle(seed=1).to_iter_dataset().batch(4)
    whole = [int(batch[0]) for batch in dataset]
    assert first_batches(tmp_path, dataset, 4) == whole[:4]
    assert first_batches(tmp_path, dataset, 2, resume=True) == whole[4:6]


@pytest.mark.parametrize("cut", [True, False], ids=["arrays", "a loader"])
def test_batches_go_to_the_mesh(cut, tmp_path):
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    rows = NamedSharding(mesh, P("data"))
    x = np.arange(16.0, dtype=np.float32).reshape(8, 2)
    model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
    given = ((x,), 8, 0) if cut else ([(x,)],)
    with Run(tmp_path, model=model) as run:
        for _ in run.epochs(1):
            for (batch,) in run.batches(*given, sharding=rows):
                assert batch.sharding == rows
                np.testing.assert_array_equal(np.sort(batch, axis=0), x)
