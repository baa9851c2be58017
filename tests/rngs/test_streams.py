"""Random streams by what they promise: fresh keys, exact restores, clear errors."""

import copy
import pickle

import jax
import jax.numpy as jnp
import pytest

import oakum as nnx
from oakum.errors import ArgumentValueError


def bits(key):
    return jax.random.key_data(key).tolist()


def state_bits(node):
    return [
        jax.random.key_data(leaf.get_value()).tolist()
        if isinstance(leaf, nnx.RngKey)
        else leaf.get_value().tolist()
        for _, leaf in nnx.to_flat_state(nnx.state(node, nnx.RngState))
    ]


def test_no_key_comes_twice():
    rngs = nnx.Rngs(0, noise=1)
    streams = [rngs, rngs.noise, rngs.fork(), rngs.fork(), *[rngs.fork().noise]]
    keys = [str(bits(stream())) for stream in streams for _ in range(20)]
    assert len(set(keys)) == len(keys)


def test_a_stream_is_a_function_of_seed_and_count():
    stream, other = nnx.RngStream(3, tag="a"), nnx.RngStream(3, tag="a")
    for _ in range(4):
        stream()
    other.count[...] = jnp.uint32(4)
    assert bits(stream()) == bits(other())


@pytest.mark.parametrize(
    "duplicate",
    [copy.deepcopy, nnx.clone, lambda r: pickle.loads(pickle.dumps(r))],
    ids=["deepcopy", "clone", "pickle"],
)
def test_a_duplicate_goes_on_with_the_same_keys(duplicate):
    rngs = nnx.Rngs(0, noise=1)
    rngs.noise()
    other = duplicate(rngs)
    assert bits(other.noise()) == bits(rngs.noise())


def test_split_keys_draw_each_for_itself():
    keys = nnx.RngStream(0, tag="a").split(3)
    draws = jax.vmap(jax.random.uniform)(keys.key.get_value())
    assert len(set(draws.tolist())) == 3


def test_broadcast_keys_draw_alike():
    keys = nnx.RngStream(0, tag="a").broadcast(3)
    draws = jax.vmap(jax.random.uniform)(keys.key.get_value())
    assert len(set(draws.tolist())) == 1


@pytest.mark.parametrize(
    "verb",
    [nnx.fork_rngs, lambda node: nnx.split_rngs(node, splits=2)],
    ids=["fork", "split"],
)
def test_restore_puts_back_all_but_the_key_that_was_drawn(verb):
    node = nnx.Dict(a=nnx.Rngs(0), b=nnx.Rngs(1, c=2))
    expected = copy.deepcopy(node)
    for rngs in expected.values():
        for _, stream in rngs.items():
            stream()
    with verb(node):
        assert state_bits(node) != state_bits(expected)
    assert state_bits(node) == state_bits(expected)


def test_streams_are_restored_when_the_function_raises():
    rngs = nnx.Rngs(0)

    @nnx.split_rngs(splits=2)
    def fail(rngs):
        assert rngs.default.key.shape == (2,)
        raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        fail(rngs)
    assert rngs.default.key.shape == ()


def test_a_shared_stream_is_split_once():
    rngs = nnx.Rngs(0)
    node = nnx.List([rngs, rngs])
    nnx.split_rngs(node, splits=2)
    assert rngs.default.key.shape == (2,)
    assert node[0] is node[1]


def test_with_rngs_keeps_ties_and_leaves_the_original():
    layer = nnx.Dropout(0.5, rngs=nnx.Rngs(0))
    node = nnx.List([layer, layer, nnx.Param(jnp.ones(2))])
    new = nnx.with_rngs(node, split=3)
    assert new[0] is new[1]
    assert new[0].rngs.key.shape == (3,)
    assert layer.rngs.key.shape == ()
    assert new[2] is node[2]


def test_with_rngs_decorates_positional_and_named_arguments():
    @nnx.with_rngs(split={"a": 2})
    def shapes(rngs, pair, *, named):
        return [r.a.key.shape for r in (rngs, pair[0], named["x"])]

    one, two, three = (nnx.Rngs(a=0) for _ in range(3))
    assert shapes(one, (two,), named={"x": three}) == [(2,)] * 3
    assert one.a.key.shape == ()


def test_keys_inside_jit_are_those_outside():
    draw = nnx.jit(lambda rngs: (rngs.normal((2,)), rngs.noise.normal((2,))))
    inside, outside = nnx.Rngs(0, noise=1), nnx.Rngs(0, noise=1)
    for _ in range(2):
        expected = outside.normal((2,)), outside.noise.normal((2,))
        for got, wanted in zip(draw(inside), expected, strict=True):
            assert (got == wanted).all()
    assert state_bits(inside) == state_bits(outside)


def split_model():
    node = nnx.Dict(a=nnx.Rngs(params=0))
    nnx.split_rngs(node, splits=2)
    return node


ERRORS = {
    "no-stream": (
        lambda: nnx.Rngs(params=0, noise=1).dropout(),
        AttributeError,
        [r"'dropout'", "params, noise", r"nnx\.Rngs\(\.\.\., dropout=0\)"],
    ),
    "no-stream-item": (
        lambda: nnx.Rngs()["dropout"],
        KeyError,
        ["'dropout'", "it has: none", r"nnx\.Rngs\(0\)"],
    ),
    "no-default": (lambda: nnx.Rngs(a=0)(), AttributeError, ["'default'", "has: a"]),
    "seed-of-text": (
        lambda: nnx.Rngs(a="seed"),
        ArgumentValueError,
        ["Stream 'a'", "'seed'", r"jax\.random\.key\(0\)"],
    ),
    "plain-array": (
        lambda: nnx.RngStream(jnp.ones(2), tag="t"),
        ArgumentValueError,
        ["Stream 't' needs a seed or a key"],
    ),
    "seed-under-vmap": (
        lambda: nnx.vmap(lambda seed: nnx.Rngs(seed)())(jnp.arange(2)),
        ArgumentValueError,
        ["Stream 'default' needs", r"nnx\.Rngs\(0\)\.fork\(split=n\)"],
    ),
    "squeeze": (
        lambda: nnx.split_rngs(nnx.Rngs(0), splits=2, squeeze=True),
        ArgumentValueError,
        ["splits=2", "squeeze needs splits=1"],
    ),
    "squeeze-decorator": (
        lambda: nnx.split_rngs(splits=2, squeeze=True),
        ArgumentValueError,
        ["splits=2"],
    ),
    "reseed-keys": (
        lambda: nnx.reseed(split_model(), params=1),
        ArgumentValueError,
        [r"a\.params", r"shape \(2,\)", "policy='match_shape'"],
    ),
    "reseed-policy": (
        lambda: nnx.reseed(nnx.Rngs(0), default=1, policy="all"),
        ArgumentValueError,
        ["'all'", "'scalars_only', 'match_shape'"],
    ),
    "reseed-missing": (
        lambda: nnx.reseed(split_model(), noise=1),
        ArgumentValueError,
        ["no stream 'noise'; it has: .*params", r"nnx.reseed\(model, "],
    ),
    "two-rules": (
        lambda: nnx.with_rngs(nnx.Rngs(a=0), split={"a": 2}, broadcast={"a": 2}),
        ArgumentValueError,
        ["split and broadcast", "stream at a", "one rule"],
    ),
    "unknown-method": (
        lambda: nnx.RngStream(0, tag="t").no_such_draw(),
        AttributeError,
        ["RngStream has no attribute 'no_such_draw'"],
    ),
}


@pytest.mark.parametrize(("case", "kind", "parts"), ERRORS.values(), ids=ERRORS)
def test_error_names_the_stream_and_the_remedy(case, kind, parts):
    for part in parts:
        with pytest.raises(kind, match=part):
            case()


PASSED_ON = {
    "split": lambda r: r.split({"params": 5, "dropout": None}),
    "split-without-match": lambda r: r.split({"params": 5}),
    "broadcast": lambda r: r.broadcast({"params": 5, ...: None}),
    "by-name": lambda r: nnx.Rngs(dropout=r["dropout"]),
    "other-name": lambda r: nnx.Rngs(noise=r["dropout"]),
    "default": lambda r: nnx.Rngs(r.dropout),
    "mapping": lambda r: nnx.Rngs(dict(r.items())),
    "with_rngs": lambda r: nnx.with_rngs(r, split={"params": 5}),
    "fork": lambda r: r.fork(),
}


@pytest.mark.parametrize("way", PASSED_ON.values(), ids=PASSED_ON)
def test_no_key_comes_twice_from_what_is_made_of_streams(way):
    rngs = nnx.Rngs(params=1, dropout=2)
    drawn = [bits(rngs.dropout()) for _ in range(2)]
    for _ in range(2):
        new = way(rngs)
        name = next(n for n in ("dropout", "noise", "default") if n in new)
        drawn += [bits(new[name]()), bits(rngs.dropout()), bits(new[name]())]
    assert len({str(key) for key in drawn}) == len(drawn)


@pytest.mark.parametrize("way", ["split", "by-name", "other-name", "default"])
def test_a_stream_that_is_passed_on_goes_on_from_its_count(way):
    rngs = nnx.Rngs(params=1, dropout=2)
    rngs.dropout()
    expected = bits(jax.random.fold_in(jax.random.key(2), 1))
    new = PASSED_ON[way](rngs)
    name = next(n for n in ("dropout", "noise", "default") if n in new)
    assert bits(new[name]()) == expected


def test_a_mask_is_not_repeated_in_a_compiled_step():
    rngs, layer = nnx.Rngs(params=1, dropout=2), nnx.Dropout(0.5, deterministic=False)

    @nnx.jit
    def step(rngs):
        return layer(jnp.ones(64), rngs=rngs.split({"params": 5}))

    masks = [step(rngs).tolist() for _ in range(3)]
    assert masks[0] != masks[1] != masks[2] != masks[0]


def test_a_refused_reseed_changes_nothing():
    model = nnx.Dict(a=nnx.Rngs(noise=0), b=split_model())
    before = state_bits(model)
    with pytest.raises(ArgumentValueError, match="policy='match_shape'"):
        nnx.reseed(model, noise=1, params=1)
    assert state_bits(model) == before


def test_repr_shows_streams_and_counts():
    rngs = nnx.Rngs(0, noise=1)
    rngs.noise()
    text = repr(rngs)
    assert "noise=RngStream" in text
    assert "RngCount(uint32[] 1" in text
