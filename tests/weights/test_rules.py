"""Tensors that hold the arrays of several layers, and what rules cannot be."""

import numpy as np
import pytest

import oakum as nnx
from oakum.errors import ArgumentError, ArgumentValueError
from oakum.weights import into
from tests.weights.families import open_source

Q, K, V = "query", "key", "value"


class Net(nnx.Module):
    """Queries of 2 heads of 3, keys and values of as many; each array numbered."""

    def __init__(self, kv=6, use_bias=True):
        sizes = {Q: 6, K: kv, V: kv}
        for name, size in sizes.items():
            layer = nnx.Linear(4, size, use_bias=use_bias, rngs=nnx.Rngs(0))
            setattr(self, name, layer)


def _pytorch(net, name):
    return np.asarray(getattr(net, name).kernel.value).T  # (out, in)


def _blocks(net):
    return np.concatenate([_pytorch(net, name) for name in (Q, K, V)])


def _by_head(net):
    parts = [_pytorch(net, name).reshape(2, -1, 4) for name in (Q, K, V)]
    return np.concatenate(parts, 1).reshape(-1, 4)


def _in_turns(net):
    return np.stack([_pytorch(net, name) for name in (Q, K, V)], 1).reshape(-1, 4)


ORDERS = {
    "blocks": (into(Q, K, V), _blocks, 6),
    "blocks_of_other_sizes": (into(Q, K, V), _blocks, 4),
    "heads": (into(Q, K, V, order="heads", heads=2), _by_head, 6),
    "heads_in_groups": (into(Q, K, V, order="heads", heads=2), _by_head, 2),
    "alternate": (into(Q, K, V, order="alternate"), _in_turns, 6),
    "not_transposed": (into(Q, K, V, transpose=False), lambda net: _blocks(net).T, 6),
}


@pytest.mark.parametrize(("target", "expected", "kv"), ORDERS.values(), ids=ORDERS)
def test_one_tensor_holds_several_layers(tmp_path, target, expected, kv):
    net = Net(kv, use_bias=False)
    for i, name in enumerate((Q, K, V)):
        kernel = getattr(net, name).kernel
        kernel.value = np.arange(kernel.size, dtype="f").reshape(kernel.shape) + 100 * i
    nnx.weights.save(net, tmp_path, {"qkv": target})
    tensor = np.array(open_source(tmp_path).view("qkv.weight"))
    np.testing.assert_array_equal(tensor, expected(net))
    other = Net(kv, use_bias=False)
    nnx.weights.load(other, tmp_path, {"qkv": target})
    for name in (Q, K, V):
        np.testing.assert_array_equal(_pytorch(other, name), _pytorch(net, name))


def test_inputs_flattened_channels_first_are_put_in_our_order():
    image = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype("f")
    weight = np.random.default_rng(1).normal(size=(7, 60)).astype("f")
    model = nnx.Linear(60, 7, use_bias=False, rngs=nnx.Rngs(0))
    rules = {"fc": into("", channels_first=(3, 4, 5))}
    nnx.weights.load(model, {"fc.weight": weight}, rules)
    ours = model(image.transpose(0, 2, 3, 1).reshape(2, 60))
    np.testing.assert_allclose(ours, image.reshape(2, 60) @ weight.T, atol=1e-5)


def test_of_several_rules_the_longest_decides():
    model = nnx.Dict(a=Net(use_bias=False))
    kernels = {"x.key": 1, "y": 2, "x.value": 3}
    shape = {name: np.full((6, 4), n, "f") for name, n in kernels.items()}
    tensors = {f"{name}.weight": x for name, x in shape.items()}
    nnx.weights.load(model, tensors, {"x": "a", "y": "a.query"})
    assert float(model.a.query.kernel[0, 0]) == 2
    assert float(model.a.value.kernel[0, 0]) == 3


BAD = {
    "no_text": (lambda: nnx.weights.Rules({"a": 3}), ArgumentError, "got 'a': 3"),
    "no_path": (lambda: into(), ArgumentValueError, "0 paths"),
    "no_heads": (
        lambda: into(Q, K, order="heads"),
        ArgumentValueError,
        "order='heads', heads=8",
    ),
    "hole": (
        lambda: nnx.weights.plan(Net(), {}, {"a": "b.{i}"}),
        ArgumentValueError,
        "{i} in its path alone",
    ),
    "sizes": (
        lambda: nnx.weights.plan(Net(5), {}, {"a": into(Q, K, V, order="alternate")}),
        ArgumentValueError,
        "joins 3 arrays",
    ),
    "half": (
        lambda: nnx.weights.plan(Net(), {}, {"a": into(Q, K, "other")}),
        ArgumentValueError,
        "one layer for each part",
    ),
}


@pytest.mark.parametrize(("make", "kind", "match"), BAD.values(), ids=BAD)
def test_what_no_rule_can_be_is_refused(make, kind, match):
    with pytest.raises(kind, match=match):
        make()
