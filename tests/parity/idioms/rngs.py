"""Rngs: streams, keys, splitting, forking, broadcasting, reseeding."""

import jax
import jax.numpy as jnp

from tests.parity.table import Table

TABLE = Table("rngs")
idiom, differs = TABLE.idiom, TABLE.differs


@idiom
def keys_of_a_stream(nnx):
    """The keys of a stream, one by one."""
    rngs = nnx.Rngs(0)
    return rngs.params(), rngs.params(), rngs(), rngs.dropout()


@idiom
def named_streams(nnx):
    """Named streams have seeds of their own."""
    rngs = nnx.Rngs(params=1, dropout=2)
    return rngs.params(), rngs.dropout(), rngs.params.count[...]


@idiom
def default_and_named(nnx):
    """A default stands in for streams without a name."""
    rngs = nnx.Rngs(0, dropout=1)
    return rngs.noise(), rngs.dropout(), "dropout" in rngs, "noise" in rngs


@idiom
def missing_stream(nnx):
    """A stream that is not there, without a default."""
    nnx.Rngs(params=0).dropout()


@idiom
def stream_by_key(nnx):
    """`rngs['params']`, and Rngs of a key."""
    rngs = nnx.Rngs(jax.random.key(3), dropout=jax.random.key(4))
    return rngs["default"](), rngs["dropout"]()


@idiom
def raw_key_data(nnx):
    """A stream made of a raw key."""
    return nnx.Rngs(jax.random.PRNGKey(0)).params()


@idiom
def random_methods(nnx):
    """Streams draw by the functions of `jax.random`."""
    rngs = nnx.Rngs(0)
    return (
        rngs.normal((2,)),
        rngs.params.uniform((2,), minval=1.0, maxval=2.0),
        rngs.randint((3,), 0, 10),
        rngs.bernoulli(0.5, (4,)),
        rngs.dropout.normal((2,), jnp.bfloat16),
    )


@idiom
def more_random_methods(nnx):
    """Further distributions and initializers."""
    rngs = nnx.Rngs(0)
    return (
        rngs.truncated_normal(-1.0, 1.0, (2,)),
        rngs.categorical(jnp.zeros(5), shape=(3,)),
        rngs.permutation(6),
        rngs.gamma(2.0, (2,)),
        rngs.lecun_normal()((3, 4)),
        rngs.params.he_uniform()((3, 4)),
        rngs.choice(5, (2,)),
    )


@idiom
def count_goes_up(nnx):
    """The count is state, and goes up with each key."""
    rngs = nnx.Rngs(0)
    rngs(), rngs(), rngs.default()
    return rngs.default.count.value, rngs.default.key.value


@idiom
def state_of_rngs(nnx):
    """The paths and types of the state of Rngs."""
    flat = nnx.to_flat_state(nnx.state(nnx.Rngs(0, dropout=1)))
    return [(path, type(v).__name__, str(v.value.dtype)) for path, v in flat]


@idiom
def tags_of_streams(nnx):
    """The state of a stream is tagged by its name."""
    rngs = nnx.Rngs(params=0, dropout=1)
    return [p for p, _ in nnx.to_flat_state(nnx.state(rngs, "dropout"))]


@idiom
def items_of_rngs(nnx):
    """`items`, iteration and `len`."""
    rngs = nnx.Rngs(params=0, dropout=1)
    return [name for name, _ in rngs.items()], list(rngs), len(rngs)


@idiom
def rngs_of_rngs(nnx):
    """Rngs of a dict of seeds."""
    rngs = nnx.Rngs({"params": 1, "dropout": 2})
    return rngs.params(), rngs.dropout()


@idiom
def fork(nnx):
    """`fork` gives new streams and draws one key from each."""
    rngs = nnx.Rngs(0, dropout=1)
    forked = rngs.fork()
    return forked.params(), forked.dropout(), rngs.params(), rngs.dropout()


@idiom
def fork_with_split(nnx):
    """`fork(split=n)` splits every stream, or those that are named."""
    rngs = nnx.Rngs(0, dropout=1)
    a = rngs.fork(split=3)
    b = rngs.fork(split={"dropout": 2})
    streams = a.default, a.dropout, b.default, b.dropout
    return [stream.key.value for stream in streams]


@idiom
def fork_with_filters(nnx):
    """`fork(split={filter: n})` by filters and shapes."""
    forked = nnx.Rngs(params=0, dropout=1).fork(split={"params": None, ...: (2, 2)})
    return forked.params.key.value, forked.dropout.key.value, forked.dropout.count.value


@idiom
def split_rngs_as_context(nnx):
    """`split_rngs` in a `with` block splits and restores."""
    rngs = nnx.Rngs(0, dropout=1)
    with nnx.split_rngs(rngs, splits=3, only="dropout"):
        inside = rngs.dropout.key.value, rngs.default.key.value
    return inside, rngs.dropout.key.value, rngs.dropout.count.value


@idiom
def split_rngs_as_decorator(nnx):
    """`split_rngs` around a function splits its arguments' streams."""

    @nnx.split_rngs(splits=3)
    def f(rngs):
        return rngs.params.key.value

    rngs = nnx.Rngs(0)
    return f(rngs), rngs.default.key.value if "default" in rngs else None


@idiom
def split_rngs_squeeze(nnx):
    """`squeeze=True` splits by one without an axis."""
    rngs = nnx.Rngs(0)
    with nnx.split_rngs(rngs, splits=1, squeeze=True):
        return rngs.default.key.value


@idiom
def squeeze_of_several(nnx):
    """`squeeze` with more than one split is refused."""
    nnx.split_rngs(nnx.Rngs(0), splits=2, squeeze=True)


@idiom
def split_rngs_of_a_model(nnx):
    """`split_rngs` of a model's streams, then `restore_rngs`."""
    m = nnx.Dropout(0.5, rngs=nnx.Rngs(0))
    backups = nnx.split_rngs(m, splits=2)
    inside = m.rngs.key.value
    nnx.restore_rngs(backups)
    return inside, m.rngs.key.value


@idiom
def fork_rngs_as_context(nnx):
    """`fork_rngs` in a `with` block."""
    rngs = nnx.Rngs(0, dropout=1)
    with nnx.fork_rngs(rngs, split={"dropout": 2}):
        inside = rngs.default(), rngs.dropout.key.value
    return inside, rngs.default(), rngs.dropout()


@idiom
def with_rngs(nnx):
    """`with_rngs` splits, forks and broadcasts by stream."""
    rngs = nnx.Rngs(a=0, b=1, c=2)
    out = nnx.with_rngs(rngs, split={"a": 2}, fork="b", broadcast={"c": 2}, graph=False)
    return out.a.key.value, out.b.key.value, out.c.key.value


@idiom
def with_rngs_of_all(nnx):
    """`with_rngs(split=n)` of a model splits all of its streams."""
    m = nnx.Dropout(0.5, rngs=nnx.Rngs(0))
    return nnx.with_rngs(m, split=2, graph=False).rngs.key.value, m.rngs.key.value


@differs("works on all objects; flax wants its tree mode, `graph=False`")
def with_rngs_in_the_default_mode(nnx):
    """`with_rngs` without a flag for a mode."""
    return nnx.with_rngs(nnx.Rngs(0), split=2).default.key.value


@idiom
def reseed_by_name(nnx):
    """`reseed` gives new keys and counts of zero."""
    m = nnx.Dropout(0.5, rngs=nnx.Rngs(dropout=0))
    m(jnp.ones(3))
    nnx.reseed(m, dropout=5)
    return m.rngs.key.value, m.rngs.count.value, m(jnp.ones(8))


@idiom
def reseed_all_by_default(nnx):
    """`reseed` with `default` reseeds what has no name of its own."""
    rngs = nnx.Rngs(params=0, dropout=1)
    nnx.reseed(rngs, params=7, dropout=jax.random.key(8))
    return rngs.params.key.value, rngs.dropout.key.value


@differs("reseeding a stream that is not there raises; flax says nothing")
def reseed_of_a_missing_stream(nnx):
    """`reseed` of a stream that the model lacks."""
    nnx.reseed(nnx.Rngs(params=0), drpout=1)


@idiom
def stream_split_method(nnx):
    """`RngStream.split` and `Rngs.split` give stacked streams."""
    rngs = nnx.Rngs(0)
    return rngs.split(3).default.key.value


@idiom
def broadcast_method(nnx):
    """`Rngs.broadcast` repeats the keys."""
    return nnx.Rngs(0).broadcast(3).default.key.value


@differs("streams made of a stream go on from its count; flax repeats its keys")
def rngs_of_a_used_stream(nnx):
    """`Rngs(stream)` of a stream that was drawn from."""
    rngs = nnx.Rngs(0)
    drawn = rngs()
    again = nnx.Rngs(rngs.default)()
    return bool((jax.random.key_data(drawn) == jax.random.key_data(again)).all())


@idiom
def stream_alone(nnx):
    """An RngStream by itself."""
    stream = nnx.RngStream(jax.random.key(0), tag="noise")
    return stream(), stream.normal((2,)), stream.count.value, stream.tag


@idiom
def default_rngs_of_dropout(nnx):
    """Dropout keeps a fork of the stream it is given."""
    rngs = nnx.Rngs(0)
    a, b = nnx.Dropout(0.5, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)
    return a.rngs.key.value, b.rngs.key.value, a.rngs.count.value


@idiom
def dropout_with_rngs_at_call(nnx):
    """Dropout takes Rngs or a key at the call."""
    d = nnx.Dropout(0.5)
    return d(jnp.ones(6), rngs=nnx.Rngs(0)), d(jnp.ones(6), rngs=nnx.Rngs(dropout=3))


@idiom
def dropout_without_rngs(nnx):
    """Dropout without Rngs raises when it needs one."""
    nnx.Dropout(0.5)(jnp.ones(2))


@idiom
def layers_draw_in_order(nnx):
    """Layers draw keys in the order of their making."""
    rngs = nnx.Rngs(0)
    a = nnx.Linear(2, 2, rngs=rngs)
    b = nnx.Linear(2, 2, rngs=rngs)
    return a.kernel.value, b.kernel.value, rngs.params.count.value


@idiom
def rngs_as_a_layer_argument(nnx):
    """A model may hold Rngs and draw from them."""

    class Noise(nnx.Module):
        def __init__(self, rngs):
            self.rngs = rngs.fork()

        def __call__(self, x):
            return x + self.rngs.noise.normal(x.shape)

    m = Noise(nnx.Rngs(0))
    return m(jnp.zeros(2)), m(jnp.zeros(2))


@idiom
def rngs_under_jit(nnx):
    """Streams advance in compiled functions."""
    rngs = nnx.Rngs(0)
    f = nnx.jit(lambda r: r.normal((2,)))
    return f(rngs), f(rngs), rngs.default.count.value


@idiom
def rngs_under_vmap(nnx):
    """Split streams give each row its own noise."""
    rngs = nnx.Rngs(0)

    @nnx.split_rngs(splits=3)
    @nnx.vmap(in_axes=(0, 0))
    def f(r, x):
        return x + r.normal(())

    return f(rngs, jnp.zeros(3)), rngs.default.count.value


@idiom
def rng_seed_of_a_wrong_kind(nnx):
    """A string is no seed."""
    nnx.Rngs("seed")
