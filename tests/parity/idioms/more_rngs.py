"""Random streams in detail: keyword forms, split, fork, broadcast, restore, errors."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.parity.table import Table

TABLE = Table("more_rngs")


def state(nnx, node):
    return {
        ".".join(map(str, p)): jax.random.key_data(v)
        if jnp.issubdtype(v.dtype, jax.dtypes.prng_key)
        else v
        for p, v in (
            (p, v.get_raw_value())
            for p, v in nnx.to_flat_state(nnx.state(node, nnx.RngState))
        )
    }


def model(nnx):
    return nnx.Dict(
        a=nnx.Dropout(0.5, rngs=nnx.Rngs(0)),
        b=nnx.Dropout(0.5, rngs=nnx.Rngs(dropout=1)),
    )


def drawn(nnx, rngs, n=2):
    return [rngs.params() for _ in range(n)] + [rngs.dropout() for _ in range(n)]


def with_rngs_changed(nnx, change, **options):
    rngs = nnx.Rngs(0, params=1)
    rngs.params()
    backups = getattr(nnx, change)(rngs, **options)
    inside = state(nnx, rngs)
    nnx.restore_rngs(backups)
    return inside, state(nnx, rngs)


def with_split(nnx, **options):
    return with_rngs_changed(nnx, "split_rngs", **options)


def with_fork(nnx, **options):
    return with_rngs_changed(nnx, "fork_rngs", **options)


def split_decorator(nnx):
    @nnx.split_rngs(splits=3, only="params")
    def f(rngs):
        return rngs.params.key.shape, rngs.default.key.shape

    rngs = nnx.Rngs(0, params=1)
    return f(rngs), state(nnx, rngs)


def fork_decorator(nnx):
    @nnx.fork_rngs(split={"params": 2})
    def f(rngs):
        return rngs.params.key.shape, rngs.default.key.shape

    rngs = nnx.Rngs(0, params=1)
    return f(rngs), state(nnx, rngs)


def split_method(nnx, *args, **kwargs):
    rngs = nnx.Rngs(0, params=1, dropout=2)
    new = rngs.split(*args, **kwargs)
    return state(nnx, new), state(nnx, rngs)


def fork_method(nnx, *args, **kwargs):
    rngs = nnx.Rngs(0, params=1, dropout=2)
    new = rngs.fork(*args, **kwargs)
    return state(nnx, new), state(nnx, rngs)


def broadcast_method(nnx, *args, **kwargs):
    rngs = nnx.Rngs(0, params=1)
    new = rngs.broadcast(*args, **kwargs)
    return state(nnx, new), state(nnx, rngs)


def stream_methods(nnx):
    stream = nnx.Rngs(params=3).params
    one, two = stream(), stream()
    forked, split = stream.fork(), stream.split(2)
    return (
        one,
        two,
        state(nnx, forked),
        state(nnx, split),
        stream.tag,
        stream.last is None,
    )


def reseeded(nnx, policy, splits=None, **keys):
    m = model(nnx)
    if splits:
        nnx.split_rngs(m, splits=splits)
    nnx.reseed(m, policy=policy, **keys)
    return state(nnx, m)


def random_methods(nnx):
    rngs = nnx.Rngs(0, params=1)
    return (
        rngs.normal((2,)),
        rngs.uniform((2,), minval=1.0, maxval=2.0),
        rngs.params.normal((2,)),
        rngs.randint((2,), 0, 10),
        rngs.bernoulli(0.5, (3,)),
        rngs.categorical(jnp.ones(3)),
        rngs.permutation(4),
        rngs.truncated_normal(-1.0, 1.0, (2,)),
        rngs.choice(4, (2,)),
        rngs.lecun_normal()((2, 2)),
        rngs.params.zeros()((2,)),
    )


def jit_counts(nnx):
    rngs = nnx.Rngs(0)

    @nnx.jit
    def f(rngs):
        return rngs.params(), rngs.dropout()

    return f(rngs), f(rngs), state(nnx, rngs)


def rngs_as_pytree(nnx):
    rngs = nnx.Rngs(0, params=1)
    leaves = jax.tree.leaves(rngs)
    again = jax.tree.map(lambda x: x, rngs)
    return len(leaves), again.params(), rngs.params()


def in_vmap(nnx, rngs):
    return nnx.vmap(lambda r: r.params())(rngs)


PROGRAMS = {
    "of_an_int": lambda nnx: drawn(nnx, nnx.Rngs(0)),
    "of_a_key": lambda nnx: drawn(nnx, nnx.Rngs(jax.random.key(3))),
    "of_an_old_key": lambda nnx: drawn(nnx, nnx.Rngs(jax.random.PRNGKey(3))),
    "of_an_array": lambda nnx: drawn(nnx, nnx.Rngs(jnp.array(3))),
    "of_numpy": lambda nnx: drawn(nnx, nnx.Rngs(np.int32(3))),
    "of_a_dict": lambda nnx: drawn(nnx, nnx.Rngs({"params": 0, "dropout": 1})),
    "of_a_dict_and_keywords": lambda nnx: drawn(
        nnx, nnx.Rngs({"params": 0}, dropout=1)
    ),
    "of_default_and_keywords": lambda nnx: drawn(nnx, nnx.Rngs(0, dropout=1)),
    "of_default_keyword": lambda nnx: drawn(nnx, nnx.Rngs(default=0)),
    "of_rngs": lambda nnx: drawn(nnx, nnx.Rngs(nnx.Rngs(0))),
    "of_nothing": lambda nnx: nnx.Rngs().params(),
    "of_a_string": lambda nnx: nnx.Rngs("a"),
    "of_a_float": lambda nnx: nnx.Rngs(1.5),
    "of_none": lambda nnx: nnx.Rngs(None),
    "of_a_vector": lambda nnx: nnx.Rngs(jnp.arange(3)),
    "of_a_float_keyword": lambda nnx: nnx.Rngs(params=1.5),
    "of_a_variable": lambda nnx: nnx.Rngs(nnx.Rngs(3).default.key).params(),
    "no_such_stream": lambda nnx: nnx.Rngs(params=0).dropout(),
    "no_such_item": lambda nnx: nnx.Rngs(params=0)["dropout"],
    "item": lambda nnx: nnx.Rngs(params=0)["params"](),
    "call": lambda nnx: (nnx.Rngs(0)(), nnx.Rngs(params=0).params()),
    "call_without_default": lambda nnx: nnx.Rngs(params=0)(),
    "mapping": lambda nnx: (
        list(nnx.Rngs(0, params=1)),
        len(nnx.Rngs(0, params=1)),
        "params" in nnx.Rngs(0, params=1),
        "dropout" in nnx.Rngs(0),
        [k for k, _ in nnx.Rngs(0, params=1).items()],
    ),
    "stream_methods": stream_methods,
    "random_methods": random_methods,
    "split_int": lambda nnx: split_method(nnx, 2),
    "split_tuple": lambda nnx: split_method(nnx, (2, 3)),
    "split_dict": lambda nnx: split_method(nnx, {"params": 2}),
    "split_dict_two": lambda nnx: split_method(nnx, {"params": 2, ...: 3}),
    "split_dict_filter": lambda nnx: split_method(nnx, {("params", "dropout"): 2}),
    "split_none": lambda nnx: split_method(nnx, {"nothing": 2}),
    "fork": lambda nnx: fork_method(nnx),
    "fork_int": lambda nnx: fork_method(nnx, split=2),
    "fork_dict": lambda nnx: fork_method(nnx, split={"params": 2}),
    "fork_dict_two": lambda nnx: fork_method(nnx, split={"params": 2, ...: None}),
    "broadcast_int": lambda nnx: broadcast_method(nnx, 2),
    "broadcast_dict": lambda nnx: broadcast_method(nnx, {"params": 2}),
    "split_rngs_int": lambda nnx: with_split(nnx, splits=2),
    "split_rngs_tuple": lambda nnx: with_split(nnx, splits=(2, 1)),
    "split_rngs_only": lambda nnx: with_split(nnx, splits=2, only="params"),
    "split_rngs_squeeze": lambda nnx: with_split(nnx, splits=1, squeeze=True),
    "split_rngs_squeeze_two": lambda nnx: with_split(nnx, splits=2, squeeze=True),
    "split_rngs_without_splits": lambda nnx: nnx.split_rngs(nnx.Rngs(0)),
    "fork_rngs": with_fork,
    "fork_rngs_split": lambda nnx: with_fork(nnx, split=2),
    "fork_rngs_dict": lambda nnx: with_fork(nnx, split={"params": 2}),
    "split_decorator": split_decorator,
    "fork_decorator": fork_decorator,
    "reseed": lambda nnx: reseeded(nnx, "scalars_only", dropout=5),
    "reseed_default": lambda nnx: reseeded(nnx, "scalars_only", default=5),
    "reseed_key": lambda nnx: reseeded(nnx, "scalars_only", dropout=jax.random.key(1)),
    "reseed_scalars_only": lambda nnx: reseeded(nnx, "scalars_only", 2, dropout=5),
    "reseed_match_shape": lambda nnx: reseeded(nnx, "match_shape", 2, dropout=5),
    "reseed_own_policy": lambda nnx: reseeded(
        nnx, lambda path, key, shape: jax.random.split(key, shape), 2, dropout=5
    ),
    "reseed_bad_policy": lambda nnx: reseeded(nnx, "nothing", dropout=5),
    "jit_counts": jit_counts,
    "as_pytree": rngs_as_pytree,
    "vmap_of_split": lambda nnx: in_vmap(nnx, nnx.Rngs(0).split(3)),
    "vmap_of_fork": lambda nnx: in_vmap(nnx, nnx.Rngs(0).fork(split=3)),
    "with_rngs": lambda nnx: state(
        nnx, nnx.with_rngs(nnx.Rngs(0, params=1), split=2, graph=False)
    ),
    "with_rngs_fork": lambda nnx: state(
        nnx, nnx.with_rngs(nnx.Rngs(0, params=1), fork="params", graph=False)
    ),
    "with_rngs_broadcast": lambda nnx: state(
        nnx, nnx.with_rngs(nnx.Rngs(0, params=1), broadcast={"params": 2}, graph=False)
    ),
    "with_rngs_conflict": lambda nnx: nnx.with_rngs(
        nnx.Rngs(0, params=1), split={"params": 2}, fork="params", graph=False
    ),
    "key_impl": lambda nnx: (
        jax.random.key_data(nnx.Rngs(jax.random.key(0, impl="rbg")).params()).shape
    ),
    "stream_types": lambda nnx: (
        type(nnx.Rngs(0).default.key).__name__,
        type(nnx.Rngs(0).default.count).__name__,
        nnx.Rngs(0).default.count.dtype,
        nnx.Rngs(params=0).params.key.tag,
    ),
    "dropout_keeps_rngs": lambda nnx: state(nnx, nnx.Dropout(0.5, rngs=nnx.Rngs(0))),
    "dropout_of_a_stream": lambda nnx: state(
        nnx, nnx.Dropout(0.5, rngs=nnx.Rngs(0).dropout)
    ),
    "set_attribute": lambda nnx: [
        setattr(r, "other", nnx.Rngs(5).default) or r.other() for r in [nnx.Rngs(0)]
    ],
}

TABLE.add_programs(PROGRAMS)
