"""Loading a part: what fits, a filtered State, a part of an object by its path."""

import numpy as np
import pytest

import oakum as nnx
from oakum.errors import CheckpointError


class Net(nnx.Module):
    def __init__(self, classes, seed):
        rngs = nnx.Rngs(seed)
        self.body = [nnx.Linear(4, 8, rngs=rngs), nnx.Linear(8, 8, rngs=rngs)]
        self.head = nnx.Linear(8, classes, rngs=rngs)


WAYS = {
    "filtered-state": lambda path, net: nnx.load(
        path, model=nnx.state(net, nnx.PathContains("body"))
    ),
    "what-fits": lambda path, net: nnx.load(path, model=net, strict=False),
    "by-path": lambda path, net: nnx.load(path, **{"model.body": net.body}),
    "by-index": lambda path, net: nnx.load(
        path, **{"model.body.0": net.body[0], "model.body.1": net.body[1]}
    ),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_the_body_is_loaded_into_a_model_with_another_head(way, tmp_path):
    path, old, new = tmp_path / "m.safetensors", Net(10, 0), Net(3, 1)
    nnx.save(path, model=old)
    before = np.asarray(new.head.kernel)
    way(path, new)
    for i in range(2):
        np.testing.assert_array_equal(new.body[i].kernel, old.body[i].kernel)
    np.testing.assert_array_equal(new.head.kernel, before)


WRONG = {
    "nothing-fits": (
        lambda path: nnx.load(path, other=Net(10, 0), strict=False),
        r"other: not in the checkpoint(.|\n)*strict=False for what",
    ),
    "no-such-part": (
        lambda path: nnx.load(path, **{"model.tail": Net(10, 0).head}),
        r"model.tail: not in the checkpoint, which has: model",
    ),
    "more-than-saved": (
        lambda path: nnx.load(path, model=nnx.State({"more": nnx.Param(1.0)})),
        r"model.more: missing from the checkpoint",
    ),
}


@pytest.mark.parametrize(("load", "text"), WRONG.values(), ids=WRONG)
def test_a_wrong_part_raises(load, text, tmp_path):
    path = tmp_path / "m.safetensors"
    nnx.save(path, model=Net(10, 0))
    with pytest.raises(CheckpointError, match=text):
        load(path)


def test_abstract_random_streams_are_filled(tmp_path):
    streams = nnx.Rngs(0)
    streams()
    nnx.save(tmp_path / "streams.safetensors", streams=streams)
    empty = nnx.eval_shape(lambda: nnx.Rngs(1))
    nnx.load(tmp_path / "streams.safetensors", streams=empty)
    assert empty.default.count.value == 1
    assert empty() == streams()
