"""The engine under every transform: flatten, enter, run, commit.

1. `Flat.of` takes the argument objects apart, each shared reference once.
2. `run_body` makes twins inside the trace, and runs the user's function on them.
3. The transform runs the pure function of leaves that contains step 2.
4. `commit` writes new leaves, and any change of structure, to the originals.

The originals never hold a tracer. What step 2 learned of the result is an `Outcome`: it
holds no arrays, so that a compiled call can replay it.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import jax
import jax.numpy as jnp

from .. import _guard as guard
from .._graph import (
    ARG,
    KEPT,
    LEAF,
    NODE,
    STATIC,
    TREE,
    VAR,
    Decoder,
    Encoder,
    GraphDef,
    edits_alone,
    object_tokens,
    remember,
)
from .._guard import ROOT, Frame, context
from .._objects import Variable, bump, get_value, set_value, versions
from .._repr import path_text
from .._statics import Part, Static, restore, unchanged
from ._left_behind import tell_left_behind
from ._outcome import Outcome
from ._unseen import (
    AttributesMet,
    contents,
    move_edit,
    note_before,
    note_met,
    settle,
    take_back,
    take_over,
    tell_put_in,
)
from ._values import Values

_read = object.__getattribute__  # past what the guard does at each access


class Flat:
    """Argument objects, taken apart.

    Attributes:
        token: the structure, not interned.
        objects: nodes and Variables by index.
        statics, trees: the static values, and the pytrees of others, that can change
            unseen.
        variables: the Variables in canonical order.
        numbers: the index of each Variable.
        places: container and key of each bare leaf in canonical order.
        plain: where each plain list or dict stands, by its index.
    """

    __slots__ = (
        "_graphdef",
        "numbers",
        "objects",
        "places",
        "plain",
        "statics",
        "token",
        "trees",
        "variables",
    )

    def __init__(self, token: Any, encoder: Encoder):
        self.token = token
        self._graphdef: GraphDef | None = None
        self.objects = encoder.objects
        self.variables, self.numbers = encoder.variables, encoder.numbers
        self.places = encoder.leaves
        self.statics = encoder.statics
        self.trees = encoder.trees
        self.plain = encoder.plain

    @classmethod
    def of(cls, value: Any, opaque: bool = True) -> Flat:
        """Takes a pytree of objects and arrays apart."""
        encoder = Encoder(opaque=opaque)
        return cls(encoder.visit(value), encoder)

    @classmethod
    def like(cls, known: Flat, objects: list[Any]) -> Flat:
        """Other objects of the structure of some that were taken apart.

        Args:
            known: those; they hold no bare arrays, and nothing that changes unseen.
            objects: the others by index.
        """
        self = object.__new__(cls)
        self.token, self._graphdef = known.token, known._graphdef
        self.objects, self.numbers = objects, known.numbers
        self.variables = list(map(objects.__getitem__, known.numbers))
        self.places, self.statics, self.trees = [], [], []
        self.plain = known.plain
        return self

    @property
    def graphdef(self) -> GraphDef:
        """The structure."""
        if self._graphdef is None:
            self._graphdef = GraphDef(self.token)
        return self._graphdef

    def values(self, arrays: Any = ()) -> Values:
        """The values of the Variables and of the bare leaves, with those of arrays."""
        bare = [slot[key] for slot, key in self.places]
        return Values(list(map(get_value, self.variables)), bare, arrays)


def run_body(
    frame: Frame,
    token: Any,
    originals: list[Any],
    inputs: Values,
    call: Callable[[Any], Any],
    opaque: bool = True,
    donated: frozenset[int] = frozenset(),
    keep: bool = False,
) -> tuple[Outcome, list[Any], list[Any]]:
    """Runs a function on twins, inside a frame that the caller has entered.

    Args:
        frame: the running transform.
        token: the structure of the arguments.
        originals: the objects by index.
        inputs: the values of the arguments.
        call: takes the rebuilt arguments.
        opaque: whether the result may hold what is no array.
        donated: indices of Variables that count as written in any case, since their
            arrays do not survive the call.
        keep: whether bare arrays that the function leaves alone are no outputs, where
            it changes the structure elsewhere.

    Returns:
        The Outcome, the output values in its order, and all objects by index, with
        those that the function made after the twins.
    """
    decoder = Decoder(*inputs, origins=originals)
    roots = decoder.build(token)
    twins = list(map(decoder.objects.__getitem__, range(len(originals))))
    frame.twins = {id(obj): twin for obj, twin in zip(originals, twins, strict=True)}
    untouched = note_before(frame, token, twins, roots)
    result = _call_on_twins(frame, originals, call, roots)
    settle(frame)
    tell_put_in(frame, result)
    tell_left_behind(frame)
    outcome = Outcome()
    outcome.n_known, outcome.n_spare = len(twins), 0
    encoder = Encoder(twins, opaque=opaque)
    outcome.roots, outcome.restructured, outcome.changed = None, False, ()
    edits = versions(twins)
    if any(edits):
        outcome.changed = tuple([i for i, edited in enumerate(edits) if edited])
        encoder.reopen()
        described = _describe_anew(encoder, token, roots)
        changed = described != token
        outcome.roots = objects_alone(described)
        outcome.restructured = changed or leaf_in_tree(outcome.roots, False)
        if keep:
            places, encoder.leaves = iter(encoder.leaves), []
            roots = _kept(outcome.roots, places, encoder.leaves, untouched)
            outcome.roots = edits_alone(roots, set(outcome.changed), len(twins))
            encoder.numbers[:] = [
                token[2] for token in object_tokens(outcome.roots) if token[0] == VAR
            ]
    outcome.result = encoder.visit(result)
    new = encoder.objects
    outcome.emitted = tuple(encoder.numbers)
    outcome.written = tuple(
        [i for i, twin, old in decoder.made if twin._raw is not old or i in donated]
    )
    outcome.n_leaves = len(encoder.leaves)
    values = [twins[i]._raw for i in outcome.written]
    values += [new[i]._raw for i in outcome.emitted if i >= outcome.n_known]
    values += [slot[key] for slot, key in _with_result(encoder.leaves, result)]
    if guard.copies:
        guard.note_out(new)
    return outcome, values, new


def _call_on_twins(
    frame: Frame, originals: list[Any], call: Callable[[Any], Any], roots: Any
) -> Any:
    """What a body returns, if it edits nothing but its twins.

    Raises:
        TraceContextError: it edited an object that it captures, which is undone.
    """
    captured: list[tuple[Any, list[Part]]] = []
    attributes = AttributesMet(frame.mark)
    # A lambda that knows the frame would be taken for its end.
    read, mark = frame.read, frame.mark
    frame.outside = lambda obj: (
        attributes.note(obj) or captured.append((obj, note_met(read, mark, obj)))
    )
    before = contents(originals)
    frame.sync = (lambda: take_over(frame, before)) if before else None
    try:
        result = call(roots)
    finally:
        frame.outside = frame.sync = None  # a cycle, which would keep the twins
        edited = [(obj, parts) for obj, parts in captured if not unchanged(parts)]
        for _, parts in edited:
            restore(parts)
        moved = [(o, take_back(o.items, held)) for o, held in before]
        plain = guard.edited(frame.read)
        holders = attributes.put_back()
    for one in plain:
        raise guard.leak_error(one, one.place)
    for obj in [*[obj for obj, _ in edited], *holders]:
        raise guard.leak_error(obj, guard.place_of_function(frame))
    if context.pending is not None:  # of a function of JAX's inside of this one
        guard.raise_pending()
    for original, content in moved:
        move_edit(frame, original, content)
    return result


def _kept(token: Any, places: Iterator, left: list, untouched: dict) -> Any:
    """A description where the bare arrays of a node that are as before are kept.

    Args:
        token: the description.
        places: where its bare arrays stand.
        left: takes the places of those that are not kept.
        untouched: the arrays before, by node and key.
    """
    if token[0] == LEAF:
        left.append(next(places))
    if token[0] == TREE:
        children = [_kept(child, places, left, untouched) for child in token[4]]
        return (*token[:4], tuple(children))
    if token[0] != NODE:
        return token
    _, form, number, children = token
    kept = []
    for (key, _), child in zip(form.open, children, strict=True):
        if child[0] == LEAF:
            slot, at = next(places)
            if untouched.get((number, key), left) is slot[at]:
                kept.append((KEPT,))
                continue
            left.append((slot, at))
            kept.append(child)
        else:
            kept.append(_kept(child, places, left, untouched))
    return (NODE, form, number, tuple(kept))


def _describe_anew(
    encoder: Encoder, token: Any, value: Any, slot: Any = None, key: Any = None
) -> Any:
    """The token of the arguments after the run; what was dynamic in them still is."""
    if token[0] == ARG:
        return token
    if token[0] == TREE and token[1] in (tuple, list, dict):
        _, kind, treedef, keys, children = token
        if keys == (tuple(value) if kind is dict else tuple(range(len(value)))):
            parts = [
                _describe_anew(encoder, child, value[key], value, key)
                for child, key in zip(children, keys, strict=True)
            ]
            return (TREE, kind, treedef, keys, tuple(parts))
    return encoder.visit(value, slot, key)


def objects_alone(token: Any) -> Any:
    """A description of arguments without what is dynamic, which nobody writes back."""
    if token[0] == ARG:
        return (STATIC, Static(None))
    if token[0] == TREE:
        return (*token[:4], tuple(map(objects_alone, token[4])))
    return token


def leaf_in_tree(token: Any, in_tree: bool = False) -> bool:
    """Whether a bare leaf stands in a tuple: the commit then makes a new tuple."""
    if token[0] == LEAF:
        return in_tree
    if token[0] == TREE:
        return any([leaf_in_tree(child, True) for child in token[4]])
    if token[0] == NODE:
        return any([leaf_in_tree(child, False) for child in token[3]])
    return False


def _with_result(places: list, result: Any) -> list:
    """Gives the place of a result that is itself a leaf, which stands in nothing."""
    return [((result,), 0) if slot is None else (slot, key) for slot, key in places]


def check_writable(outcome: Outcome, originals: list[Any]) -> None:
    """Raises where the results may not be written to the originals.

    Raises:
        TraceContextError: a foreign trace is running, to which they do not belong.
    """
    objects = [originals[i] for i in {*outcome.written, *outcome.changed}]
    if not guard.all_eager(objects):
        for obj in objects:
            guard.writable(obj)


def commit(
    outcome: Outcome,
    originals: list[Any],
    values: Sequence[Any],
    args: Any = (),
    own: dict[Any, Any] | None = None,
) -> Any:
    """Writes the results to the originals, and rebuilds what the function returned.

    It may be called again with the same values: an interrupted commit is repeated.

    Args:
        outcome: what a run of the function did.
        originals: the objects by index.
        values: the output values in the Outcome's order.
        args: arrays that the result refers to by number, as `DynamicArg`.
        own: keeps what originals had before, for the case that it is called again.
    """
    n_written = len(outcome.written)
    if outcome.simple:
        deque(map(set_value, [originals[i] for i in outcome.written], values), 0)
        rest = islice(values, n_written, None)
        decoder = Decoder((), rest, args, dict(enumerate(originals)), own=own)
        return decoder.build(outcome.result)
    by_index = dict(zip(outcome.written, values, strict=False))
    rest = iter(values[n_written:])
    emitted = []
    for number in outcome.emitted:
        if number >= outcome.n_known:
            emitted.append(next(rest))
        elif number in by_index:
            emitted.append(by_index[number])
        else:
            emitted.append(originals[number]._raw)
    decoder = Decoder(emitted, rest, args, dict(enumerate(originals)), own=own)
    if outcome.roots is not None:
        decoder.build(outcome.roots)
    result = decoder.build(outcome.result)
    for number, value in by_index.items():
        originals[number]._raw = value
    edited = {id(originals[number]) for number in outcome.changed}
    for obj, content, extra in decoder.fills:
        if id(obj) in edited:
            fill(obj, content, extra, outcome.restructured)
    return result


def fill(obj: Any, content: Any, extra: Any, restructured: bool) -> None:
    """Fills an object, as a Decoder says.

    Args:
        obj: a node or Variable.
        content: its children, or its value.
        extra: its form, or its metadata.
        restructured: whether compiled calls are to look at it anew.
    """
    if isinstance(obj, Variable):
        obj._raw = content
        obj._meta = dict(extra)
    else:
        obj._oakum_fill(content)
        object.__setattr__(obj, "_oakum_marks", extra.marks)
    # The transform around sees by it that a bare array was set. Where there is none it
    # would cost the plan of the next call.
    if restructured or obj._oakum_frame is not None or obj._oakum_mark is not ROOT:
        version = bump(obj)
        if not isinstance(obj, Variable):
            remember(obj, extra, version)


def commit_whole(
    outcome: Outcome, originals: list[Any], values: Sequence[Any], args: Any = ()
) -> Any:
    """`commit`, completed even where it is interrupted."""
    own: dict[Any, Any] = {}
    try:
        return commit(outcome, originals, values, args, own)
    except BaseException:
        commit(outcome, originals, values, args, own)
        raise


@contextlib.contextmanager
def all_or_nothing(value: Any) -> Iterator[None]:
    """Runs a block on objects themselves; where it fails, they are as before.

    Args:
        value: a pytree of objects and arrays.
    """
    flat = Flat.of(value)
    before = flat.values()
    try:
        yield
    except BaseException:
        objects = dict(enumerate(flat.objects))
        decoder = Decoder(*before, existing=objects)
        decoder.build(flat.token)
        for obj, content, extra in decoder.fills:
            fill(obj, content, extra, restructured=True)
        raise


class Body:
    """The user's function as a pure function of leaves, for transforms that run it now.

    Args:
        transform: the name of the transform as users write it.
        function: the user's function.
        flat: its arguments `(args, kwargs)`, taken apart.
    """

    def __init__(self, transform: str, function: Callable[..., Any], flat: Flat):
        self.transform = transform
        self.function = function
        self.flat = flat
        self.outcome = Outcome()
        # Identities alone: to keep the objects would keep the tracers they hold.
        self.object_ids: list[int] = []

    def run(self, inputs: Values) -> list[Any]:
        """Runs the function on twins of these values; returns the output values."""
        with Frame(self.transform, self.function) as frame:
            self.outcome, values, objects = run_body(
                frame,
                self.flat.token,
                self.flat.objects,
                inputs,
                lambda call: self.function(*call[0], **call[1]),
            )
        self.object_ids = list(map(id, objects))
        return values

    def commit(self, values: Sequence[Any], args: Any = ()) -> Any:
        """Writes the output values back; returns what the function returned."""
        check_writable(self.outcome, self.flat.objects)
        return commit_whole(self.outcome, self.flat.objects, values, args)


def same_type(a: Any, b: Any) -> bool:
    """Whether two arrays or numbers have the same shape and dtype."""
    if isinstance(a, jax.Array) and isinstance(b, jax.Array):
        return a.shape == b.shape and a.dtype == b.dtype
    return jnp.shape(a) == jnp.shape(b) and jnp.result_type(a) == jnp.result_type(b)


def variable_paths(flat: Flat, bare: bool = False) -> list[str]:
    """How messages name each Variable of `(args, kwargs)`, such as `args[0].kernel`.

    Args:
        flat: the arguments.
        bare: whether the bare leaves are meant instead.
    """
    names = []
    for path, is_variable in flat.graphdef.paths:
        if is_variable != bare:
            names.append(argument_path(path))
    return names


def argument_path(path: tuple) -> str:
    """How messages name a place in `(args, kwargs)`."""
    head = f"args[{path[1]}]" if path[0] == 0 else str(path[1])
    return head + path_text(path[2:])
