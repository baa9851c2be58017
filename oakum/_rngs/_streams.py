"""RngStream and Rngs: keys on demand.

A stream holds a key and a count. Each call folds the count into the key and adds one to
it, so that the n-th key depends on the seed and n alone, and no key comes twice.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from .._objects import Pytree, RngCount, RngKey, own_dict
from .._state import to_predicate
from ..errors import ArgumentValueError, MissingRngError

if TYPE_CHECKING:
    from ._declared import Draws as Declared
else:
    Declared = object

_OF_A_TRACED_SEED = (
    "under vmap and scan give streams, not seeds: "
    "nnx.vmap(lambda rngs: Model(rngs))(nnx.Rngs(0).fork(split=n)); or make keys of "
    "the seeds, jax.vmap(jax.random.key)(seeds)."
)
Shape = int | tuple[int, ...]
_DISTRIBUTIONS = (
    *("ball", "bernoulli", "beta", "binomial", "bits", "categorical", "cauchy"),
    *("chisquare", "choice", "dirichlet", "double_sided_maxwell", "exponential"),
    *("f", "gamma", "generalized_normal", "geometric", "gumbel", "laplace"),
    *("loggamma", "logistic", "lognormal", "maxwell", "multinomial"),
    *("multivariate_normal", "normal", "orthogonal", "pareto", "permutation"),
    *("poisson", "rademacher", "randint", "rayleigh", "t", "triangular"),
    *("truncated_normal", "uniform", "wald", "weibull_min"),
)
_INITIALIZERS = (
    *("delta_orthogonal", "glorot_normal", "glorot_uniform", "he_normal"),
    *("he_uniform", "kaiming_normal", "kaiming_uniform", "lecun_normal"),
    *("lecun_uniform", "variance_scaling", "xavier_normal", "xavier_uniform"),
)


class _Draws(Pytree, Declared):
    """The distributions of `jax.random`, without the key.

    `stream.normal((2, 3))` draws with the stream's next key;
    `stream.lecun_normal()((2, 3))` initializes with it.
    """

    __slots__ = ()

    def __call__(self) -> jax.Array:
        raise NotImplementedError

    if not TYPE_CHECKING:  # a checker would take any name for an attribute

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")


def _draw(function: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    @functools.wraps(function)
    def method(self: _Draws, *args: Any, **kwargs: Any) -> jax.Array:
        return function(self(), *args, **kwargs)

    return method


def _initialize(make: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(make)
    def method(self: _Draws, *args: Any, **kwargs: Any) -> Callable[..., jax.Array]:
        initializer = make(*args, **kwargs)
        return lambda *a, **k: initializer(self(), *a, **k)

    return method


for _name in _DISTRIBUTIONS:
    setattr(_Draws, _name, _draw(getattr(jax.random, _name)))
for _name in _INITIALIZERS:
    setattr(_Draws, _name, _initialize(getattr(jax.nn.initializers, _name)))


class RngStream(_Draws):
    """A stream of random keys.

    Args:
        key: a seed, or a key of any shape.
        tag: the name of the stream, by which filters select it.

    Example:
        >>> import oakum as nnx
        >>> stream = nnx.RngStream(0, tag='noise')
        >>> first, second = stream(), stream()
        >>> bool(first == second)
        False
    """

    def __init__(self, key: jax.Array | int, *, tag: str):
        if isinstance(key, int):
            key = jax.random.key(key)
        elif isinstance(key, jax.Array) and key.dtype == jnp.uint32:
            key = jax.random.wrap_key_data(key)
        if not isinstance(key, jax.Array) or not jnp.issubdtype(
            key.dtype, jax.dtypes.prng_key
        ):
            raise ArgumentValueError(
                f"Stream {tag!r} needs a seed or a key, got {key!r:.60}",
                remedy=_OF_A_TRACED_SEED
                if isinstance(key, Tracer)
                else "an int, jax.random.key(0), or another stream.",
            )
        self.tag = tag
        self.key = RngKey(key, tag=tag)
        self.count = RngCount(jnp.zeros(key.shape, jnp.uint32), tag=tag)

    def __call__(self) -> jax.Array:
        """The next key: `()` of a key dtype."""
        count = self.count.get_value()
        key = jax.random.fold_in(self.key.get_value(), count)
        self.count.set_value(count + jnp.ones((), jnp.uint32))
        return key

    def split(self, k: Shape) -> RngStream:
        """A stream of `k` keys split from the next one."""
        return type(self)(jax.random.split(self(), k), tag=self.tag)

    def fork(self, *, split: Shape | None = None) -> RngStream:
        """A new stream that starts from the next key of this one."""
        key = self()
        if split is not None:
            key = jax.random.split(key, split)
        return type(self)(key, tag=self.tag)

    def broadcast(self, k: Shape) -> RngStream:
        """A stream of `k` times the next key: every element draws the same."""
        key = self()
        shape = (k,) if isinstance(k, int) else tuple(k)
        return type(self)(jnp.broadcast_to(key, shape + key.shape), tag=self.tag)


def _passed_on(key: Any, tag: str) -> RngStream:
    """A stream of this name: a given one itself, so that neither repeats the other.

    Under another name it is a new object that counts on with the given one.
    """
    if not isinstance(key, RngStream):
        return RngStream(key, tag=tag)
    if key.tag == tag:
        return key
    stream = RngStream(key.key.get_value(), tag=tag)
    stream.count = key.count
    return stream


class Rngs(_Draws):
    """Random streams by name; a name that is not given draws from `default`.

    A given stream is passed on, not copied: it goes on from its count, here and where
    it came from, and no key comes twice.

    Args:
        default: seed, key or stream for `default`, or a mapping from name to these.
        **rngs: seed, key or stream for each name.

    Example:
        >>> import oakum as nnx
        >>> rngs = nnx.Rngs(0, dropout=1)
        >>> key = rngs.params()     # from 'default'
        >>> mask = rngs.dropout.bernoulli(0.5, (2, 3))
        >>> mask.shape
        (2, 3)
    """

    def __init__(
        self,
        default: int | jax.Array | RngStream | Mapping[str, Any] | None = None,
        **rngs: int | jax.Array | RngStream,
    ):
        if isinstance(default, Mapping):
            rngs = {**default, **rngs}
        elif default is not None:
            rngs["default"] = default
        for tag, key in rngs.items():
            setattr(self, tag, _passed_on(key, tag))

    def _stream(self, name: str, error: type[Exception]) -> RngStream:
        streams = own_dict(self)
        if name in streams:
            return streams[name]
        if "default" in streams:
            return streams["default"]
        raise error(
            str(
                MissingRngError(
                    f"Rngs has no stream {name!r} and no default; it has: "
                    f"{', '.join(streams) or 'none'}",
                    remedy=f"nnx.Rngs(0), or nnx.Rngs(..., {name}=0).",
                )
            )
        )

    def __getitem__(self, name: str) -> RngStream:
        return self._stream(name, KeyError)

    def __getattr__(self, name: str) -> RngStream:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._stream(name, AttributeError)

    def __call__(self) -> jax.Array:
        """The next key of the default stream."""
        return self.default()

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.items())

    def __len__(self) -> int:
        return len(list(self.items()))

    def __contains__(self, name: object) -> bool:
        return name in own_dict(self)

    def items(self) -> Iterator[tuple[str, RngStream]]:
        """Name and stream of each."""
        return ((n, s) for n, s in own_dict(self).items() if isinstance(s, RngStream))

    def split(self, k: Shape | Mapping[Any, Shape | None]) -> Rngs:
        """New Rngs whose streams hold `k` keys each.

        Args:
            k: the shape, or a mapping from filter to shape; a stream with None, or
                without a match, is passed on as it is.
        """
        return self._each(k, RngStream.split)

    def broadcast(self, k: Shape | Mapping[Any, Shape | None]) -> Rngs:
        """New Rngs whose streams hold the same key `k` times.

        Args:
            k: the shape, or a mapping from filter to shape; a stream with None, or
                without a match, is passed on as it is.
        """
        return self._each(k, RngStream.broadcast)

    def _each(self, k: Any, verb: Callable[[RngStream, Any], RngStream]) -> Rngs:
        shapes = by_filter(k)
        new = {}
        for name, stream in self.items():
            shape = first_match(shapes, (), stream)
            new[name] = stream if shape is None else verb(stream, shape)
        return Rngs(**new)

    def fork(self, *, split: Shape | Mapping[Any, Shape] | None = None) -> Rngs:
        """New Rngs that start from the next key of each stream.

        Args:
            split: the shape to split new keys into, or a mapping from filter to shape.
        """
        shapes = by_filter(split)
        return Rngs(
            **{n: s.fork(split=first_match(shapes, (), s)) for n, s in self.items()}
        )


def by_filter(shapes: Any) -> list[tuple[Callable, Any]]:
    """Predicates with their shapes, from a shape for all or a mapping by filter."""
    if shapes is None:
        return []
    if not isinstance(shapes, Mapping):
        shapes = {...: shapes}
    return [(to_predicate(filter), shape) for filter, shape in shapes.items()]


def first_match(shapes: list[tuple[Callable, Any]], path: tuple, value: Any) -> Any:
    """The shape of the first predicate that selects a value; None where none does."""
    for predicate, shape in shapes:
        if predicate(path, value):
            return shape
    return None
