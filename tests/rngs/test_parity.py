"""Random streams: the same seed and the same calls give the keys of flax.nnx."""

import jax
import jax.numpy as jnp
import pytest

import oakum
from tests.nn.peer import lenient
from tests.peer import assert_same, flax_nnx, plain

pytestmark = pytest.mark.peer

F32 = jnp.float32
ONE, TWO = jnp.ones((), F32), jnp.full((), 2.0, F32)
SHAPE = (3,)
DRAWS = {
    "ball": lambda r: r.ball(3, shape=SHAPE),
    "bernoulli": lambda r: r.bernoulli(0.3, SHAPE),
    "beta": lambda r: r.beta(ONE, TWO, SHAPE),
    "binomial": lambda r: r.binomial(TWO, ONE / 2, SHAPE),
    "bits": lambda r: r.bits(SHAPE),
    "categorical": lambda r: r.categorical(jnp.ones(4), shape=SHAPE),
    "cauchy": lambda r: r.cauchy(SHAPE),
    "chisquare": lambda r: r.chisquare(TWO, SHAPE),
    "choice": lambda r: r.choice(jnp.arange(9), SHAPE),
    "dirichlet": lambda r: r.dirichlet(jnp.ones(3), (2,)),
    "double_sided_maxwell": lambda r: r.double_sided_maxwell(0.0, 1.0, SHAPE),
    "exponential": lambda r: r.exponential(SHAPE),
    "f": lambda r: r.f(TWO, TWO, SHAPE),
    "gamma": lambda r: r.gamma(TWO, SHAPE),
    "generalized_normal": lambda r: r.generalized_normal(2.0, SHAPE),
    "geometric": lambda r: r.geometric(ONE / 2, SHAPE),
    "gumbel": lambda r: r.gumbel(SHAPE),
    "laplace": lambda r: r.laplace(SHAPE),
    "loggamma": lambda r: r.loggamma(TWO, SHAPE),
    "logistic": lambda r: r.logistic(SHAPE),
    "lognormal": lambda r: r.lognormal(ONE, SHAPE),
    "maxwell": lambda r: r.maxwell(SHAPE),
    "multinomial": lambda r: r.multinomial(5.0, jnp.full(4, 0.25)),
    "multivariate_normal": lambda r: r.multivariate_normal(jnp.zeros(2), jnp.eye(2)),
    "normal": lambda r: r.normal(SHAPE, dtype=jnp.bfloat16),
    "orthogonal": lambda r: r.orthogonal(2),
    "pareto": lambda r: r.pareto(TWO, SHAPE),
    "permutation": lambda r: r.permutation(jnp.arange(9)),
    "poisson": lambda r: r.poisson(TWO, SHAPE),
    "rademacher": lambda r: r.rademacher(SHAPE),
    "randint": lambda r: r.randint(SHAPE, 0, 100),
    "rayleigh": lambda r: r.rayleigh(ONE, SHAPE),
    "t": lambda r: r.t(TWO, SHAPE),
    "triangular": lambda r: r.triangular(0.0, 0.5, 1.0, SHAPE),
    "truncated_normal": lambda r: r.truncated_normal(-1.0, 1.0, SHAPE),
    "uniform": lambda r: r.uniform(SHAPE, minval=1.0, maxval=2.0),
    "wald": lambda r: r.wald(ONE, SHAPE),
    "weibull_min": lambda r: r.weibull_min(1.0, 2.0, SHAPE),
    "delta_orthogonal": lambda r: r.delta_orthogonal()((3, 2, 2), F32),
    "variance_scaling": lambda r: r.variance_scaling(1.0, "fan_in", "normal")((2, 3)),
}
INITIALIZERS = """
    glorot_normal glorot_uniform he_normal he_uniform kaiming_normal kaiming_uniform
    lecun_normal lecun_uniform xavier_normal xavier_uniform
"""
for _name in INITIALIZERS.split():
    DRAWS[_name] = lambda r, n=_name: getattr(r, n)()((2, 3), F32)


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_draw_as_in_flax(draw):
    """From Rngs, from a named stream, twice each."""

    def case(nnx):
        rngs = nnx.Rngs(0, noise=1)
        with lenient():  # what jax.random itself promotes
            return [draw(rngs), draw(rngs), draw(rngs.noise), draw(rngs.noise)]

    assert_same(case)


def test_every_method_of_flax_is_drawn():
    own = {"split", "broadcast", "fork", "items"}
    for kind in ("Rngs", "RngStream"):
        ours, theirs = (set(dir(getattr(n, kind))) for n in (oakum, flax_nnx))
        public = {n for n in theirs if not n.startswith("_")}
        assert public <= ours
        assert public - own == set(DRAWS)


def keys_of(rngs):
    return {name: (stream(), stream.key, stream.count) for name, stream in rngs.items()}


def model(nnx):
    class Model(nnx.Module):
        def __init__(self):
            rngs = nnx.Rngs(params=0, dropout=1)
            self.rngs = rngs
            self.drops = nnx.List([nnx.Dropout(0.5, rngs=rngs) for _ in range(2)])

    return Model()


def after(nnx, verb, *, undo=False, node=model):
    node = node(nnx)
    backups = verb(node)
    inside = plain(nnx, nnx.state(node))
    if undo:
        nnx.restore_rngs(backups)
    return inside, nnx.state(node)


def decorated(nnx, verb):
    seen = []

    @verb
    def use(module, *, more):
        seen.append(plain(nnx, (nnx.state(module), nnx.state(more))))
        return module.rngs.params.key.shape

    module, more = model(nnx), nnx.Rngs(3)
    shape = use(module, more=more)
    return shape, seen, nnx.state(module), nnx.state(more)


def rngs(nnx):
    return nnx.Rngs(0, params=1, dropout=jax.random.key(2))


STREAMS = {
    "Rngs:default": lambda nnx: keys_of(nnx.Rngs(0)),
    "Rngs:names": lambda nnx: keys_of(rngs(nnx)),
    "Rngs:mapping": lambda nnx: keys_of(nnx.Rngs({"a": 1, "b": 2}, c=3)),
    "Rngs:key": lambda nnx: keys_of(nnx.Rngs(jax.random.key(7))),
    "Rngs:old-key": lambda nnx: keys_of(nnx.Rngs(jax.random.PRNGKey(7))),
    "Rngs:stream": lambda nnx: keys_of(nnx.Rngs(a=nnx.RngStream(3, tag="a"))),
    "Rngs:none": lambda nnx: len(nnx.Rngs()),
    "Rngs:falls-back": lambda nnx: [(s := nnx.Rngs(0)).params(), s.other(), s()],
    "Rngs:missing": lambda nnx: nnx.Rngs(params=0).dropout(),
    "Rngs:missing-item": lambda nnx: nnx.Rngs(params=0)["dropout"],
    "Rngs:item": lambda nnx: rngs(nnx)["params"](),
    "Rngs:mapping-protocol": lambda nnx: (
        list(r := rngs(nnx)),
        len(r),
        "params" in r,
        "nope" in r,
        [n for n, _ in r.items()],
    ),
    "Rngs:bad-seed": lambda nnx: nnx.Rngs("seed"),
    "Rngs:float-seed": lambda nnx: nnx.Rngs(1.5),
    "Rngs:three-calls": lambda nnx: [(r := rngs(nnx)).params(), r.params(), r.a()],
    "Rngs:state": lambda nnx: nnx.state(rngs(nnx)),
    "Rngs:by-type": lambda nnx: (
        nnx.state(rngs(nnx), nnx.RngKey),
        nnx.state(rngs(nnx), nnx.RngCount),
    ),
    "Rngs:by-tag": lambda nnx: nnx.state(rngs(nnx), "params"),
    "RngStream:calls": lambda nnx: [(s := nnx.RngStream(5, tag="a"))(), s(), s.count],
    "RngStream:tag": lambda nnx: nnx.RngStream(5, tag="a").tag,
    "RngStream:split": lambda nnx: nnx.state(nnx.RngStream(5, tag="a").split((2, 3))),
    "RngStream:fork": lambda nnx: nnx.state(nnx.RngStream(5, tag="a").fork()),
    "RngStream:fork-split": lambda nnx: nnx.state(
        nnx.RngStream(5, tag="a").fork(split=4)
    ),
    "RngStream:broadcast": lambda nnx: nnx.state(
        nnx.RngStream(5, tag="a").broadcast((2, 3))
    ),
    "RngStream:split-twice": lambda nnx: (
        (s := nnx.RngStream(5, tag="a")).split(2).key,
        s.split(2).key,
    ),
    "split:number": lambda nnx: keys_only(nnx, rngs(nnx).split(4)),
    "split:shape": lambda nnx: keys_only(nnx, rngs(nnx).split((2, 2))),
    "split:filters": lambda nnx: keys_only(
        nnx, rngs(nnx).split({"params": 5, "dropout": None, ...: (2, 3)})
    ),
    "broadcast:number": lambda nnx: keys_only(nnx, rngs(nnx).broadcast(4)),
    "broadcast:filters": lambda nnx: keys_only(
        nnx, rngs(nnx).broadcast({"params": 5, "dropout": None, ...: (2, 3)})
    ),
    "broadcast:none": lambda nnx: keys_only(nnx, rngs(nnx).broadcast(None)),
    "fork:all": lambda nnx: keys_only(nnx, rngs(nnx).fork()),
    "fork:split": lambda nnx: keys_only(nnx, rngs(nnx).fork(split=3)),
    "fork:filters": lambda nnx: keys_only(nnx, rngs(nnx).fork(split={"params": 2})),
    "fork:advances": lambda nnx: ((r := rngs(nnx)).fork(), nnx.state(r)),
    "split_rngs:all": lambda nnx: after(nnx, lambda m: nnx.split_rngs(m, splits=3)),
    "split_rngs:shape": lambda nnx: after(
        nnx, lambda m: nnx.split_rngs(m, splits=(2, 2))
    ),
    "split_rngs:only": lambda nnx: after(
        nnx, lambda m: nnx.split_rngs(m, splits=3, only="dropout")
    ),
    "split_rngs:squeeze": lambda nnx: after(
        nnx, lambda m: nnx.split_rngs(m, splits=1, squeeze=True)
    ),
    "split_rngs:squeeze-several": lambda nnx: after(
        nnx, lambda m: nnx.split_rngs(m, splits=2, squeeze=True)
    ),
    "split_rngs:decorator": lambda nnx: decorated(nnx, nnx.split_rngs(splits=3)),
    "split_rngs:context": lambda nnx: context(nnx, nnx.split_rngs, splits=2),
    "restore_rngs:split": lambda nnx: after(
        nnx, lambda m: nnx.split_rngs(m, splits=3), undo=True
    ),
    "restore_rngs:fork": lambda nnx: after(nnx, nnx.fork_rngs, undo=True),
    "fork_rngs:all": lambda nnx: after(nnx, nnx.fork_rngs),
    "fork_rngs:split": lambda nnx: after(nnx, lambda m: nnx.fork_rngs(m, split=3)),
    "fork_rngs:filters": lambda nnx: after(
        nnx, lambda m: nnx.fork_rngs(m, split={"params": None, "dropout": 2})
    ),
    "fork_rngs:decorator": lambda nnx: decorated(nnx, nnx.fork_rngs()),
    "fork_rngs:decorator-split": lambda nnx: decorated(nnx, nnx.fork_rngs(split=2)),
    "fork_rngs:context": lambda nnx: context(nnx, nnx.fork_rngs),
    "reseed:one": lambda nnx: after(nnx, lambda m: nnx.reseed(m, dropout=42)),
    "reseed:key": lambda nnx: after(
        nnx, lambda m: nnx.reseed(m, dropout=jax.random.key(4), params=3)
    ),
    "reseed:not-a-scalar": lambda nnx: after(
        nnx, lambda m: (nnx.split_rngs(m, splits=2), nnx.reseed(m, dropout=1))
    ),
    "reseed:match_shape": lambda nnx: after(
        nnx,
        lambda m: (
            nnx.split_rngs(m, splits=2),
            nnx.reseed(m, dropout=1, policy="match_shape"),
        ),
    ),
    "reseed:own-policy": lambda nnx: after(
        nnx,
        lambda m: nnx.reseed(
            m, params=1, policy=lambda p, k, s: jax.random.split(k, 2)
        ),
    ),
    "reseed:bad-policy": lambda nnx: nnx.reseed(model(nnx), params=1, policy="nope"),
    "with_rngs:split": lambda nnx: new_and_old(nnx, split=4),
    "with_rngs:split-filters": lambda nnx: new_and_old(nnx, split={"params": 4}),
    "with_rngs:broadcast": lambda nnx: new_and_old(nnx, broadcast={"dropout": 2}),
    "with_rngs:fork": lambda nnx: new_and_old(nnx, fork=...),
    "with_rngs:fork-filter": lambda nnx: new_and_old(nnx, fork="params"),
    "with_rngs:mixed": lambda nnx: new_and_old(
        nnx, split={"params": 2}, broadcast={"dropout": 2}, fork=...
    ),
    "with_rngs:only": lambda nnx: new_and_old(nnx, split=4, only=nnx.PathContains("a")),
    "with_rngs:overlap": lambda nnx: new_and_old(
        nnx, split={"params": 2}, broadcast={"params": 2}
    ),
    "with_rngs:decorator": lambda nnx: decorated(
        nnx, nnx.with_rngs(split=3, **_mode(nnx))
    ),
}


def keys_only(nnx, streams):
    return {name: (s.key, s.count) for name, s in streams.items()}


def context(nnx, verb, **options):
    node = model(nnx)
    with verb(node, **options) as backups:
        inside = plain(nnx, nnx.state(node))
    return inside, nnx.state(node), len(list(backups))


def _mode(nnx):
    """Flax has `with_rngs` in one of its modes alone."""
    return {} if nnx is oakum else {"graph_updates": False}


def new_and_old(nnx, **options):
    old = rngs(nnx)
    new = nnx.with_rngs(old, **options, **_mode(nnx))
    return nnx.state(new), nnx.state(old)


@pytest.mark.parametrize("case", STREAMS.values(), ids=STREAMS)
def test_streams_do_as_in_flax(case):
    assert_same(case)
