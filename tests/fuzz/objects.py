"""What the programs of `graphs.py` work on, twice: oakum's objects, and plain ones.

`Watched` makes oakum's objects and uses its transforms. `Plain` makes ordinary Python
objects and has no transforms: `jit` calls, `scan` is a `for`, a gradient is JAX's over
the values of the boxes. One interpreter runs both; `describe` tells what is there.
"""

from __future__ import annotations

import collections
import copy
import dataclasses
import pickle
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

import oakum as nnx
from tests.pytrees import Ring

SIZE, TIMES = 3, 2


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Pack:
    """Two values in a dataclass that JAX knows."""

    u: Any
    v: Any


@dataclasses.dataclass
class Config:
    """Configuration, which can be edited in place."""

    k: float


@dataclasses.dataclass(frozen=True)
class Scale:
    """A configured function."""

    k: float

    def __call__(self, x: Any) -> Any:
        return x * self.k


class Settings(dict):
    """Configuration in a dict, which can be edited in place."""


class Part(nnx.Module):
    """A module whose attributes the program sets."""


class Thing:
    """The plain counterpart of a module."""


class Box:
    """The plain counterpart of a Variable."""

    def __init__(self, kind: str, value: Any) -> None:
        self.kind, self.value = kind, value


VARIABLES = {"Param": nnx.Param, "BatchStat": nnx.BatchStat, "Count": nnx.Cache}
KINDS = {kind: name for name, kind in VARIABLES.items()}


@dataclasses.dataclass
class Place:
    """Where something stands: its path, and how it is read and written."""

    path: str
    get: Callable[[], Any]
    put: Callable[[Any], None]
    kind: str  # "Param", "BatchStat", "Count" or "array"


def name_of(value: Any) -> str:
    """What a value is, in words that both worlds share."""
    if type(value) in KINDS:
        return KINDS[type(value)]
    if isinstance(value, Box):
        return value.kind
    if isinstance(value, jax.Array):
        return "array"
    if isinstance(value, Settings):
        return "static"
    if isinstance(value, (Part, Thing)):
        return "Part"
    for kind in (Ring, Pack, collections.OrderedDict, tuple, list, dict):
        if isinstance(value, kind):
            return kind.__name__
    return "static"


def children(value: Any) -> list[tuple[Any, str, Any]]:
    """(key, how it is written after the parent, child) in an order of the structure."""
    kind = name_of(value)
    if kind in ("Part", "Pack"):
        items = {k: v for k, v in vars(value).items() if not k.startswith("_")}
        return [(k, f".{k}", items[k]) for k in sorted(items)]
    if kind in ("list", "tuple", "Ring"):
        return [(i, f"[{i}]", v) for i, v in enumerate(value)]
    if kind in ("dict", "OrderedDict"):
        keys = list(value) if kind == "OrderedDict" else sorted(value)
        return [(k, f"[{k!r}]", value[k]) for k in keys]
    return []


def put_child(parent: Any, key: Any, value: Any, renew: Callable[[Any], None]) -> None:
    """Set a child in place, or build a tuple anew."""
    if isinstance(parent, tuple):
        renew((*parent[:key], value, *parent[key + 1 :]))
    elif name_of(parent) in ("Part", "Pack"):
        setattr(parent, key, value)
    else:
        parent[key] = value


def walk(root: Any, path: str) -> Iterator[Place]:
    """Everything below an object, each object once."""
    seen: set[int] = set()

    def visit(path: str, get: Callable[[], Any], put: Any) -> Iterator[Place]:
        value = get()
        kind = name_of(value)
        if kind not in ("array", "static"):
            if id(value) in seen:
                return
            seen.add(id(value))
        yield Place(path, get, put, kind)
        for key, written, _ in children(value):

            def get_child(key: Any = key) -> Any:
                parent = get()
                if name_of(parent) in ("Part", "Pack"):
                    return getattr(parent, key)
                return parent[key]

            yield from visit(
                path + written,
                get_child,
                lambda new, key=key: put_child(get(), key, new, put),
            )

    yield from visit(path, lambda: root, None)


def walk_all(objects: tuple[Any, ...]) -> list[Place]:
    """Everything below some objects, each object once."""
    found: list[Place] = []
    seen: set[int] = set()
    for i, root in enumerate(objects):
        for place in walk(root, "mno"[i]):
            if place.kind not in ("array", "static"):
                if id(place.get()) in seen:
                    continue
                seen.add(id(place.get()))
            found.append(place)
    return found


def describe(roots: list[Any]) -> list[tuple[str, str, Any]]:
    """(path, kind, value) of everything, with the first path of what is shared."""
    lines: list[tuple[str, str, Any]] = []
    first: dict[int, str] = {}

    def visit(path: str, value: Any) -> None:
        kind = name_of(value)
        if kind in (*VARIABLES, "Part", "list", "dict"):
            if id(value) in first:
                lines.append((path, "same as", first[id(value)]))
                return
            first[id(value)] = path
        if kind in (*VARIABLES, "array"):
            lines.append((path, kind, getattr(value, "value", value)))
        elif kind == "static":
            lines.append((path, kind, value))
        else:
            lines.append((path, kind, None))
        for _, written, child in children(value):
            visit(path + written, child)

    for i, root in enumerate(roots):
        visit(f"r{i}", root)
    return lines


def variables(root: Any) -> list[Any]:
    """The Variables or boxes below an object."""
    return [p.get() for p in walk(root, "m") if p.kind in VARIABLES]


def arrays_of(objects: tuple[Any, ...]) -> list[Place]:
    """What holds an array, each place once."""
    return [p for p in walk_all(objects) if p.kind in (*VARIABLES, "array")]


def read(place: Place) -> Any:
    value = place.get()
    return value if place.kind == "array" else value.value


def write(place: Place, value: Any) -> None:
    if place.kind == "array":
        place.put(value)
    else:
        place.get().value = value


class Watched:
    """oakum's objects and transforms."""

    Part = Part

    @staticmethod
    def variable(kind: str, value: Any) -> Any:
        return VARIABLES[kind](value)

    static = staticmethod(nnx.static)
    jit = staticmethod(nnx.jit)
    clone = staticmethod(nnx.clone)
    deepcopy = staticmethod(copy.deepcopy)

    @staticmethod
    def pickle(m: Any) -> Any:
        return pickle.loads(pickle.dumps(m))

    @staticmethod
    def split_merge(m: Any) -> Any:
        graphdef, params, rest = nnx.split(m, nnx.Param, ...)
        return nnx.merge(graphdef, params, rest, copy=True)

    @staticmethod
    def save_load(m: Any, spoil: Callable[[Any], None]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            nnx.save(Path(folder) / "m", m=m)
            spoil(m)
            nnx.load(Path(folder) / "m", m=m)

    @staticmethod
    def update(m: Any, scale: Callable[[Any], Any]) -> None:
        nnx.update(m, jax.tree.map(scale, nnx.state(m)))

    @staticmethod
    def call(f: Any, x: Any, objects: tuple[Any, ...]) -> Any:
        return f(x, *objects)

    @staticmethod
    def try_(f: Any, x: Any, objects: tuple[Any, ...]) -> Any:
        return nnx.jit(f)(x, *objects)

    @staticmethod
    def remat(f: Any, x: Any, m: Any) -> Any:
        return nnx.remat(f)(x, m)

    @staticmethod
    def nested_jit(f: Any, x: Any, m: Any) -> Any:
        return nnx.jit(f)(x, m)

    @staticmethod
    def grad(f: Any, x: Any, m: Any) -> Any:
        def loss(m: Any) -> Any:
            y = f(x, m)
            return y.sum(), y

        grads, y = nnx.grad(loss, has_aux=True)(m)
        for g in jax.tree.leaves(grads):
            y = y + 0.1 * jnp.sum(g**2)
        return y

    @staticmethod
    def cond(f: Any, g: Any, x: Any, m: Any) -> Any:
        return nnx.cond(x.sum() > 0.2, f, g, x, m)

    @staticmethod
    def scan(f: Any, x: Any, m: Any) -> Any:
        def step(carry: Any) -> Any:
            y, model = carry
            return f(y, model), model

        loop = nnx.scan(step, in_axes=(nnx.Carry,), out_axes=nnx.Carry, length=TIMES)
        return loop((x, m))[0]

    @staticmethod
    def fori_loop(f: Any, x: Any, m: Any) -> Any:
        def step(_: Any, carry: Any) -> Any:
            y, model = carry
            return f(y, model), model

        return nnx.fori_loop(0, TIMES, step, (x, m))[0]

    @staticmethod
    def while_loop(f: Any, x: Any, m: Any) -> Any:
        def step(carry: Any) -> Any:
            i, y, model = carry
            return i + 1, f(y, model), model

        return nnx.while_loop(lambda c: c[0] < TIMES, step, (jnp.array(0), x, m))[1]

    @staticmethod
    def vmap(f: Any, x: Any, m: Any) -> Any:
        for place in arrays_of((m,)):
            a = read(place)
            write(place, jnp.stack([a, a]))
        y = nnx.vmap(f)(jnp.stack([x, -x]), m)
        for place in arrays_of((m,)):
            write(place, read(place)[1])
        return y.sum(0)

    @staticmethod
    def vmap_shared(f: Any, x: Any, m: Any) -> Any:
        return nnx.vmap(f, in_axes=(0, None))(jnp.stack([x, -x]), m).sum(0)


class Plain:
    """Plain objects, and what the transforms mean for them."""

    Part = Thing
    variable = Box
    deepcopy = staticmethod(copy.deepcopy)
    pickle = staticmethod(copy.deepcopy)

    @staticmethod
    def static(value: Any) -> Any:
        return value

    @staticmethod
    def jit(f: Any) -> Any:
        return f

    @staticmethod
    def clone(m: Any) -> Any:
        """A copy that shares its configuration, which is static."""
        configs = [p.get() for p in walk(m, "m") if p.kind == "static"]
        return copy.deepcopy(m, {id(c): c for c in configs})

    split_merge = clone

    @staticmethod
    def save_load(m: Any, spoil: Callable[[Any], None]) -> None:
        pass

    @staticmethod
    def update(m: Any, scale: Callable[[Any], Any]) -> None:
        for place in arrays_of((m,)):
            write(place, scale(read(place)))

    @staticmethod
    def call(f: Any, x: Any, objects: tuple[Any, ...]) -> Any:
        undo = remember(objects)
        try:
            return f(x, *objects)
        except Exception:
            undo()
            raise

    try_ = call

    @staticmethod
    def nested_jit(f: Any, x: Any, m: Any) -> Any:
        return f(x, m)

    remat = nested_jit

    @staticmethod
    def grad(f: Any, x: Any, m: Any) -> Any:
        undo = remember((m,))
        params = [v for v in variables(m) if v.kind == "Param"]

        def loss(values: list[Any]) -> Any:
            for v, value in zip(params, values, strict=True):
                v.value = value
            try:
                return f(x, m).sum()
            finally:
                undo()

        grads = jax.grad(loss)([v.value for v in params])
        y = f(x, m)
        for g in grads:
            y = y + 0.1 * jnp.sum(g**2)
        return y

    @staticmethod
    def cond(f: Any, g: Any, x: Any, m: Any) -> Any:
        # Under the gradient of another the values are tracers, not numbers.
        undo, turn = remember((m,)), x.sum() > 0.2
        y_true = f(x, m)
        then = [read(p) for p in arrays_of((m,))]
        undo()
        y_false = g(x, m)
        for place, value in zip(arrays_of((m,)), then, strict=True):
            write(place, jnp.where(turn, value, read(place)))
        return jnp.where(turn, y_true, y_false)

    @staticmethod
    def scan(f: Any, x: Any, m: Any) -> Any:
        for _ in range(TIMES):
            x = f(x, m)
        return x

    fori_loop = while_loop = scan

    @staticmethod
    def vmap(f: Any, x: Any, m: Any) -> Any:
        undo = remember((m,))
        y = f(x, m)
        undo()
        return y + f(-x, m)

    vmap_shared = staticmethod(lambda f, x, m: f(x, m) + f(-x, m))


def remember(objects: tuple[Any, ...]) -> Callable[[], None]:
    """How to put plain objects back as they are now."""
    steps: list[Callable[[], None]] = []

    def put_back(value: Any, kept: Any) -> None:
        if hasattr(value, "__dict__") and not isinstance(value, (dict, list, Ring)):
            value.__dict__.clear()
            value.__dict__.update(kept)
            return
        value.clear()
        (value.update if isinstance(value, dict) else value.extend)(kept)

    for place in walk_all(objects):
        value = place.get()
        if place.kind in (*VARIABLES, "Part", "Pack"):
            kept: Any = dict(vars(value))
        elif place.kind in ("list", "Ring", "dict", "OrderedDict"):
            kept = copy.copy(value)
        else:
            continue
        steps.append(lambda value=value, kept=kept: put_back(value, kept))

    def undo() -> None:
        for step in steps:
            step()

    return undo
