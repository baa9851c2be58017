"""Verbs on the random streams inside a model: split, fork, reseed, restore."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

import jax
import jax.numpy as jnp

from .._graph import Path, iter_graph
from .._modes import takes_modes
from .._state import recursive_map, to_predicate
from .._typing import F, Filter, M
from ..errors import ArgumentValueError
from ._streams import RngStream, Shape, by_filter

_MISSING: Any = object()
_ALL = (..., True)
Rule = tuple[str, Any, tuple]  # a verb of RngStream, the filter, the verb's arguments
Backup = tuple[RngStream, jax.Array, jax.Array]


class RngBackups:
    """The streams that a verb changed, with their keys and counts from before.

    As a context manager it restores them at the end of the block.
    """

    def __init__(self, backups: list[Backup]):
        self.backups = backups

    def __iter__(self) -> Iterator[Backup]:
        return iter(self.backups)

    def __enter__(self) -> RngBackups:
        return self

    def __exit__(self, *exc: object) -> None:
        restore_rngs(self)


def restore_rngs(backups: Iterable[Any]) -> None:
    """Puts streams back to where `split_rngs` or `fork_rngs` found them.

    Args:
        backups: what these returned, or `backup_keys`.
    """
    for stream, key, *count in backups:
        stream.key.set_value(key)
        for each in count:
            stream.count.set_value(each)


def backup_keys(node: Any) -> list[tuple[RngStream, jax.Array]]:
    """The streams inside a node and their keys, for `restore_rngs`.

    Args:
        node: the node; its counts are not part of it, and go on.
    """
    return [(stream, stream.key.get_value()) for _, stream in _streams(node)]


def _streams(node: Any) -> list[tuple[Path, RngStream]]:
    return [(p, s) for p, s in iter_graph(node) if isinstance(s, RngStream)]


def _selects(predicate: Callable, path: Path, stream: RngStream) -> bool:
    return predicate((*path, "key"), stream.key) and predicate(
        (*path, "count"), stream.count
    )


def _over_arguments(verb: Callable[..., RngBackups], **options: Any) -> Callable:
    """A decorator that applies a verb to the arguments for the time of a call."""

    def decorate(f: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(f)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with verb((args, kwargs), **options):
                return f(*args, **kwargs)

        return wrapped

    return decorate


@overload
def split_rngs(
    node: Any, *, splits: Shape, only: Filter = ..., squeeze: bool = ...
) -> RngBackups: ...
@overload
def split_rngs(
    *, splits: Shape, only: Filter = ..., squeeze: bool = ...
) -> Callable[[F], F]: ...
@takes_modes
def split_rngs(
    node: Any = _MISSING, *, splits: Shape, only: Any = ..., squeeze: bool = False
) -> Any:
    """Splits the keys of the streams inside a node, in place.

    Args:
        node: the node; left out for a decorator that splits the streams inside the
            arguments, for the time of each call.
        splits: the shape to split each key into.
        only: a filter for which streams.
        squeeze: with `splits=1`, whether to leave the shape of the key as it is.

    Returns:
        `RngBackups`, by which `restore_rngs` undoes it; or the decorator.

    Example:
        >>> import oakum as nnx
        >>> rngs = nnx.Rngs(0)
        >>> with nnx.split_rngs(rngs, splits=3):
        ...     rngs.default.key.shape
        (3,)
        >>> rngs.default.key.shape
        ()
    """
    if squeeze and splits != 1:
        raise ArgumentValueError(
            f"squeeze=True with splits={splits}", remedy="squeeze needs splits=1."
        )
    if node is _MISSING:
        return _over_arguments(split_rngs, splits=splits, only=only, squeeze=squeeze)
    predicate = to_predicate(only)
    shape = (splits,) if isinstance(splits, int) else tuple(splits)
    backups = []
    for path, stream in _streams(node):
        if not _selects(predicate, path, stream):
            continue
        next_key = stream()
        backups.append((stream, stream.key.get_value(), stream.count.get_value()))
        key = jax.random.split(next_key, shape)
        stream.key.set_value(key[0] if squeeze else key)
        counts = stream.count.shape if squeeze else shape + stream.count.shape
        stream.count.set_value(jnp.zeros(counts, jnp.uint32))
    return RngBackups(backups)


@overload
def fork_rngs(
    node: Any, *, split: Shape | Mapping[Any, Shape] | None = ...
) -> RngBackups: ...
@overload
def fork_rngs(
    *, split: Shape | Mapping[Any, Shape] | None = ...
) -> Callable[[F], F]: ...
@takes_modes
def fork_rngs(node: Any = _MISSING, *, split: Any = None) -> Any:
    """Gives the streams inside a node new keys, drawn from their own, in place.

    Args:
        node: the node; left out for a decorator that forks the streams inside the
            arguments, for the time of each call.
        split: a shape to split the new keys into, or a mapping from filter to shape.

    Returns:
        `RngBackups`, by which `restore_rngs` undoes it; or the decorator.
    """
    if node is _MISSING:
        return _over_arguments(fork_rngs, split=split)
    shapes = by_filter({...: None} if split is None else split)
    backups = []
    for path, stream in _streams(node):
        for predicate, shape in shapes:
            if _selects(predicate, path, stream):
                forked = stream.fork(split=shape)
                backups.append(
                    (stream, stream.key.get_value(), stream.count.get_value())
                )
                stream.key.set_value(forked.key.get_value())
                stream.count.set_value(forked.count.get_value())
                break
    return RngBackups(backups)


@takes_modes
def reseed(
    node: Any,
    *,
    policy: Any = "scalars_only",
    **stream_keys: int | jax.Array | RngStream,
) -> None:
    """Gives the streams inside a node new seeds, in place.

    Args:
        node: the node.
        policy: what to do with streams of several keys: `'scalars_only'` raises,
            `'match_shape'` splits the new key, or a function of path, key and shape.
        **stream_keys: a seed or key for each stream name.

    Raises:
        ArgumentValueError: a stream has several keys, and the policy allows none; there
            is no such policy; or no stream of a name: nothing was changed.

    Example:
        >>> import oakum as nnx
        >>> model = nnx.Dropout(0.5, rngs=nnx.Rngs(dropout=0))
        >>> nnx.reseed(model, dropout=42)
    """
    fresh = {
        name: RngStream(_plain(key), tag=name) for name, key in stream_keys.items()
    }
    choose = _POLICIES.get(policy) if isinstance(policy, str) else policy
    if not callable(choose):
        raise ArgumentValueError(
            f"reseed: unknown policy {policy!r}",
            remedy="'scalars_only', 'match_shape', or a function of path, key, shape.",
        )
    streams = _streams(node)
    tags = sorted({stream.tag for _, stream in streams})
    for name in fresh:
        if name not in tags:
            raise ArgumentValueError(
                f"reseed: {type(node).__name__} has no stream {name!r}; it has: "
                f"{', '.join(tags) or 'none'}",
                remedy="give the names of streams that are there: "
                f"nnx.reseed(model, {tags[0] if tags else 'dropout'}=0).",
            )
    chosen: list[tuple[RngStream, Any]] = []
    for path, stream in streams:
        if stream.tag in fresh:
            key = choose(path, fresh[stream.tag](), stream.key.shape)
            chosen.append((stream, key))
    for stream, key in chosen:
        stream.key.set_value(key)
        stream.count.set_value(jnp.zeros(key.shape, jnp.uint32))


def _plain(key: Any) -> Any:
    return key.key.get_value() if isinstance(key, RngStream) else key


def _scalars_only(path: Path, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    if shape:
        raise ArgumentValueError(
            f"reseed: the stream at {'.'.join(map(str, path)) or 'the root'} has keys "
            f"of shape {shape}, expected a single key",
            remedy="policy='match_shape' gives each a key of its own.",
        )
    return key


def _match_shape(path: Path, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return jax.random.split(key, shape) if shape else key


_POLICIES = {"scalars_only": _scalars_only, "match_shape": _match_shape}


@overload
def with_rngs(
    node: M,
    *,
    split: Shape | Mapping[Any, Shape] | None = ...,
    fork: Filter = ...,
    broadcast: Shape | Mapping[Any, Shape] | None = ...,
    only: Filter = ...,
) -> M: ...
@overload
def with_rngs(
    *,
    split: Shape | Mapping[Any, Shape] | None = ...,
    fork: Filter = ...,
    broadcast: Shape | Mapping[Any, Shape] | None = ...,
    only: Filter = ...,
) -> Callable[[F], F]: ...
@takes_modes
def with_rngs(
    node: Any = _MISSING,
    *,
    split: Any = None,
    fork: Any = None,
    broadcast: Any = None,
    only: Any = True,
) -> Any:
    """A copy of a node whose streams are split, forked or broadcast.

    Args:
        node: the node; left out for a decorator that does so to the arguments.
        split, broadcast: a shape, or a mapping from filter to shape.
        fork: a filter, or several.
        only: a filter for which streams to look at.

    Raises:
        ArgumentValueError: two rules select the same stream.

    Example:
        >>> import oakum as nnx
        >>> new = nnx.with_rngs(nnx.Rngs(params=0, dropout=1), split={'params': 4})
        >>> new.params.key.shape, new.dropout.key.shape
        ((4,), ())
    """
    options = {"split": split, "fork": fork, "broadcast": broadcast, "only": only}
    if node is _MISSING:
        return functools.partial(_with_rngs_of_arguments, options)
    rules = _rules(split, fork, broadcast)
    selects = to_predicate(only)

    def replace(path: Path, value: Any) -> Any:
        if isinstance(value, RngStream) and selects(path, value):
            return _by_rule(rules, path, value)
        return value

    return recursive_map(replace, node)


def _with_rngs_of_arguments(options: dict[str, Any], f: Callable) -> Callable:
    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = with_rngs((args, kwargs), **options)
        return f(*args, **kwargs)

    return wrapped


def _rules(split: Any, fork: Any, broadcast: Any) -> list[Rule]:
    rules: list[Rule] = []
    for name, shapes in (("split", split), ("broadcast", broadcast)):
        if shapes is not None:
            mapping = shapes if isinstance(shapes, Mapping) else {...: shapes}
            rules += [(name, filter, (shape,)) for filter, shape in mapping.items()]
    if fork is not None and (isinstance(fork, str) or not isinstance(fork, Sequence)):
        fork = (fork,)
    return rules + [("fork", filter, ()) for filter in fork or ()]


def _by_rule(rules: list[Rule], path: Path, stream: RngStream) -> RngStream:
    """What the rule that selects a stream makes of it; itself where none does."""
    matched: dict[str, Rule] = {}
    for rule in rules:
        if rule[0] not in matched and to_predicate(rule[1])(path, stream):
            matched[rule[0]] = rule
    specific = [n for n, rule in matched.items() if rule[1] not in _ALL]
    if len(specific) > 1:
        raise ArgumentValueError(
            f"with_rngs: {' and '.join(specific)} both select the stream at "
            f"{'.'.join(map(str, path)) or 'the root'}",
            remedy="let one rule select each stream.",
        )
    for verb, _, arguments in matched.values():
        return getattr(stream, verb)(*arguments)
    return stream
