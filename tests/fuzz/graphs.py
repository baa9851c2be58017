"""Random programs over random object graphs, and their interpreter.

A program is a graph (operations on an empty Part), functions (the bodies that are
compiled) and steps. An operation is a tuple of a name and numbers or bodies; it finds
what it works on by counting through the objects that it is given, so every part of a
legal program is legal too, which makes shrinking (`shrinking.py`) plain. `Run` carries
a program out in one of the worlds of `objects.py` and writes down, line by line, what
it did.
"""

from __future__ import annotations

import contextlib
import dataclasses
import random
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import jax.numpy as jnp

from tests.fuzz.objects import (
    SIZE,
    VARIABLES,
    Config,
    Pack,
    Ring,
    Scale,
    Settings,
    arrays_of,
    name_of,
    read,
    walk,
    walk_all,
    write,
)

NAMES = "abcd"
MAKES = (
    *("Param", "Param", "BatchStat", "Count", "array", "array", "Part", "Part"),
    *("list", "dict", "tuple", "OrderedDict", "Ring", "Pack"),
    *("config", "static_dict", "closure", "number", "scale"),
)
VALUES = ("read", "write", "write", "configured", "update")
EDITS = ("new", "new", "new", "del", "tie", "add", "take", "swap", "reshape")
AROUND = ("jit", "remat", "grad")
LOOPS = ("scan", "fori_loop", "cond", "vmap", "vmap_shared")
OTHER_STEPS = ("sub", "update_from", "save_load")
COPIES = ("clone", "deepcopy", "pickle", "split_merge")
Operation = tuple[Any, ...]
Body = tuple[Operation, ...]


class Stop(Exception):
    """What a failing body raises."""


@dataclasses.dataclass(frozen=True)
class Program:
    graph: Body
    functions: tuple[tuple[int, Body], ...]  # (number of arguments, body)
    steps: tuple[Operation, ...]


# -- generating


def generate(seed: int) -> Program:
    """The program of a seed."""
    r = random.Random(seed)
    graph = tuple(
        _edit(r, r.choice(("new", "new", "new", "tie", "add")))
        for _ in range(r.randint(3, 8))
    )
    functions = tuple(
        (r.choice((1, 1, 2)), _body(r, r.choice((0, 1, 1, 2, 3)), edits=True))
        for _ in range(r.randint(1, 2))
    )
    steps = tuple(_step(r, len(functions)) for _ in range(r.randint(3, 6)))
    return Program(graph, functions, (("call", 0, 0, 0), *steps))


def _edit(r: random.Random, name: str) -> Operation:
    n = [r.randrange(60) for _ in range(3)]
    return (name, *n, r.choice(MAKES), r.choice(NAMES))


def _body(
    r: random.Random, depth: int, *, edits: bool, writes: bool = True, smooth=False
) -> Body:
    """Operations: with or without edits of structure, writes, and `while_loop`."""
    operations: list[Operation] = []
    for _ in range(r.choice((1, 1, 2, 3))):
        if depth and r.random() < 0.6:
            operations.append(_nested(r, depth, edits, writes, smooth))
        elif edits and r.random() < 0.3:
            operations.append(_edit(r, r.choice(EDITS)))
        else:
            name = r.choice(VALUES if writes else ("read", "configured"))
            operations.append((name, r.randrange(60)))
    return tuple(operations)


def _nested(
    r: random.Random, depth: int, edits: bool, writes: bool, smooth: bool
) -> Operation:
    names = [*AROUND, *LOOPS, *(() if smooth else ("while_loop",))]
    name = r.choice([n for n in names if writes or n != "vmap"])
    inside = {
        "edits": edits and name in AROUND,
        "writes": writes and name != "vmap_shared",
        "smooth": smooth or name == "grad",
    }
    bodies = [_body(r, depth - 1, **inside) for _ in range(1 + (name == "cond"))]
    if edits and name == "jit" and r.random() < 0.2:
        return ("try", r.randrange(60), (*bodies[0], ("raise",)))
    return (name, r.randrange(60), *bodies)


def _step(r: random.Random, functions: int) -> Operation:
    n = [r.randrange(60) for _ in range(2)]
    kind = r.choice(
        ("call", "call", "call", "fail", "eager", "configure", *COPIES, *OTHER_STEPS)
    )
    if kind == "call":
        return ("call", r.randrange(functions), *n)
    if kind == "fail":
        return ("fail", r.choice((0, 1)), *n, (*_body(r, 1, edits=True), ("raise",)))
    if kind == "eager":
        return ("eager", n[0], _body(r, r.choice((0, 1, 2)), edits=True))
    return (kind, *n)


# -- running


class Run:
    """A program in one of the worlds."""

    def __init__(self, program: Program, world: Any) -> None:
        self.program, self.world = program, world
        self.lines: list[str] = []
        root = world.Part()
        self.roots = [root]
        self._body(program.graph, jnp.full(SIZE, 0.1), (root,))
        self.lines = [line.replace("m", "r0", 1) for line in self.lines]
        self.functions = [
            world.jit(self._function(body)) for _, body in program.functions
        ]

    def steps(self) -> Iterator[tuple[Operation, Any]]:
        """Run step by step; give each step with its result."""
        for i, step in enumerate(self.program.steps):
            x = jnp.linspace(-0.5, 1.0, SIZE) + 0.01 * i
            yield step, getattr(self, f"_step_{step[0]}")(x, *step[1:])

    def _root(self, n: int) -> Any:
        return self.roots[n % len(self.roots)]

    def _say(self, line: str) -> None:
        self.lines.append(line)

    def _function(self, body: Body) -> Callable[..., Any]:
        return lambda x, *objects: self._body(body, x, objects)

    # steps

    def _step_call(self, x: Any, f: int, a: int, b: int) -> Any:
        f %= len(self.functions)
        count = self.program.functions[f][0]
        objects = tuple(self._root(n) for n in (a, b)[:count])
        names = ", ".join(f"r{n % len(self.roots)}" for n in (a, b)[:count])
        self._say(f"f{f}({names}):")
        return self.world.call(self.functions[f], x, objects)

    def _step_fail(self, x: Any, _: int, a: int, b: int, body: Body) -> Any:
        self._say(f"fails, jitted (r{a % len(self.roots)}):")
        f = self.world.jit(self._function(body))
        try:
            self.world.call(f, x, (self._root(a),))
        except Stop:
            return None
        raise AssertionError("the failing body did not fail")

    def _step_eager(self, x: Any, a: int, body: Body) -> Any:
        self._say(f"eagerly, m = r{a % len(self.roots)}:")
        return self._body(body, x, (self._root(a),))

    def _step_configure(self, x: Any, a: int, n: int) -> None:
        places = [
            p
            for p in walk_all((self._root(a),))
            if isinstance(p.get(), (Config, Settings))
        ]
        if not places:
            return
        place = places[n % len(places)]
        value = place.get()
        self._say(f"configure {place.path}.k = {n}, m = r{a % len(self.roots)}")
        if isinstance(value, Config):
            value.k = 1.0 + n / 60
        else:
            value["k"] = 1.0 + n / 60

    def _copy(self, how: str, a: int) -> None:
        if len(self.roots) < 4:
            self._say(f"r{len(self.roots)} = {how}(r{a % len(self.roots)})")
            self.roots.append(getattr(self.world, how)(self._root(a)))

    def _step_clone(self, x: Any, a: int, _: int) -> None:
        self._copy("clone", a)

    def _step_deepcopy(self, x: Any, a: int, _: int) -> None:
        self._copy("deepcopy", a)

    def _step_pickle(self, x: Any, a: int, _: int) -> None:
        self._copy("pickle", a)

    def _step_split_merge(self, x: Any, a: int, _: int) -> None:
        self._copy("split_merge", a)

    def _step_sub(self, x: Any, a: int, n: int) -> None:
        parts = [p for p in walk_all((self._root(a),)) if p.kind == "Part"]
        place = parts[n % len(parts)]
        if len(self.roots) < 4:
            self._say(f"r{len(self.roots)} = {place.path}, m = r{a % len(self.roots)}")
            self.roots.append(place.get())

    def _step_update_from(self, x: Any, a: int, _: int) -> None:
        self._say(f"update r{a % len(self.roots)} by 0.5 * itself")
        self.world.update(self._root(a), half)

    def _step_save_load(self, x: Any, a: int, _: int) -> None:
        self._say(f"save r{a % len(self.roots)}, change it, load it")
        self.world.save_load(self._root(a), self._spoil)

    def _spoil(self, m: Any) -> None:
        for place in arrays_of((m,)):
            write(place, jnp.zeros_like(read(place)))

    # bodies

    def _body(self, body: Body, x: Any, objects: tuple[Any, ...]) -> Any:
        for name, *args in body:
            x = getattr(self, f"_{name}")(x, objects, *args)
        return x

    def _read(self, x: Any, objects: Any, n: int) -> Any:
        places = arrays_of(objects)
        if not places:
            return jnp.tanh(x)
        place = places[n % len(places)]
        self._say(f"  x = tanh(x + 0.1 * sum({place.path}))")
        return jnp.tanh(x + 0.1 * jnp.sum(read(place).astype(jnp.float32)))

    def _write(self, x: Any, objects: Any, n: int) -> Any:
        places = arrays_of(objects)
        if not places:
            return x
        place = places[n % len(places)]
        old = read(place)
        if old.dtype == jnp.int32:
            self._say(f"  {place.path} += 1")
            write(place, old + jnp.ones_like(old))
        else:
            self._say(f"  {place.path} = 0.9 * {place.path} + 0.1 * sum(x)")
            write(place, 0.9 * old + 0.1 * jnp.sum(x))
        return x

    def _configured(self, x: Any, objects: Any, n: int) -> Any:
        places = [p for p in walk_all(objects) if p.kind == "static"]
        if not places:
            return x
        place = places[n % len(places)]
        value = place.get()
        if isinstance(value, Config):
            self._say(f"  x = x * {place.path}.k")
            return x * value.k
        if isinstance(value, Settings):
            self._say(f"  x = x * {place.path}['k']")
            return x * value["k"]
        if callable(value):
            self._say(f"  x = {place.path}(x)")
            return value(x)
        self._say(f"  x = x * {place.path}")
        return x * value

    def _update(self, x: Any, objects: Any, n: int) -> Any:
        parts = [p for p in walk_all(objects) if p.kind == "Part"]
        place = parts[n % len(parts)]
        self._say(f"  update {place.path} by 0.5 * itself")
        self.world.update(place.get(), half)
        return x

    # edits of structure

    def _fresh(self, kind: str, x: Any, n: int) -> Any:
        value = 0.1 * (n % 7) + x
        new = self.world.variable
        if kind == "array":
            return value
        if kind == "Count":
            return new(kind, jnp.array(n % 5, jnp.int32))
        if kind in VARIABLES:
            return new(kind, value)
        k = 1.0 + 0.1 * (n % 3)
        made: dict[str, Callable[[], Any]] = {
            "Part": lambda: self._fresh_part(x, n),
            "list": lambda: [new("Param", value), value],
            "dict": lambda: {"u": new("BatchStat", value), "v": value},
            "tuple": lambda: (new("Param", value), value),
            "OrderedDict": lambda: OrderedDict(v=value, u=new("Param", value)),
            "Ring": lambda: Ring([value, new("BatchStat", value)]),
            "Pack": lambda: Pack(value, new("Param", value)),
            "config": lambda: Config(k),
            "static_dict": lambda: self.world.static(Settings(k=k)),
            "closure": lambda: lambda z: z * k,
            "number": lambda: k,
            "scale": lambda: Scale(k),
        }
        return made[kind]()

    def _fresh_part(self, x: Any, n: int) -> Any:
        part = self.world.Part()
        part.a = self._fresh("Param", x, n)
        return part

    def _new(
        self, x: Any, objects: Any, n: int, k: int, _: int, kind: str, key: str
    ) -> Any:
        parts = [p for p in walk_all(objects) if p.kind == "Part"]
        place = parts[n % len(parts)]
        self._say(f"  {place.path}.{key} = new {kind}")
        clear(place.get(), key)
        setattr(place.get(), key, self._fresh(kind, x, k))
        return x

    def _del(self, x: Any, objects: Any, n: int, *_: Any) -> Any:
        parts = [p for p in walk_all(objects) if p.kind == "Part"]
        place = parts[n % len(parts)]
        for key in NAMES:
            if hasattr(place.get(), key):
                self._say(f"  del {place.path}.{key}")
                delattr(place.get(), key)
                break
        return x

    def _tie(
        self, x: Any, objects: Any, n: int, k: int, _: int, __: str, key: str
    ) -> Any:
        places = walk_all(objects)
        parts = [p for p in places if p.kind == "Part"]
        shared = [p for p in places if p.kind in (*VARIABLES, "Part")]
        place, target = parts[n % len(parts)], shared[k % len(shared)]
        self._say(f"  {place.path}.{key} = {target.path}")
        clear(place.get(), key)
        setattr(place.get(), key, target.get())
        return x

    def _add(
        self, x: Any, objects: Any, n: int, k: int, _: int, kind: str, key: str
    ) -> Any:
        places = [
            p
            for p in walk_all(objects)
            if p.kind in ("list", "dict", "OrderedDict", "Ring")
        ]
        if not places or kind in ("config", "static_dict", "closure", "number"):
            return x
        place = places[n % len(places)]
        container, value = place.get(), self._fresh(kind, x, k)
        if name_of(container) in ("list", "Ring"):
            self._say(f"  {place.path}.append(new {kind})")
            container.append(value)
        else:
            self._say(f"  {place.path}[{key!r}] = new {kind}")
            container[key] = value
        return x

    def _take(self, x: Any, objects: Any, n: int, *_: Any) -> Any:
        places = [
            p
            for p in walk_all(objects)
            if p.kind in ("list", "dict", "OrderedDict", "Ring") and len(p.get()) > 1
        ]
        if places:
            place = places[n % len(places)]
            container = place.get()
            if name_of(container) in ("list", "Ring"):
                self._say(f"  {place.path}.pop()")
                container.pop()
            else:
                self._say(f"  del {place.path}[{sorted(container)[0]!r}]")
                del container[sorted(container)[0]]
        return x

    def _swap(self, x: Any, objects: Any, n: int, *_: Any) -> Any:
        parts = [p for p in walk_all(objects) if p.kind == "Part"]
        place = parts[n % len(parts)]
        part = place.get()
        keys = [k for k in NAMES if hasattr(part, k)][:2]
        marked = [isinstance(getattr(part, key), Settings) for key in keys]
        if len(keys) == 2 and not any(marked):  # a name that is static takes no state
            one, two = keys
            self._say(f"  swap {place.path}.{one} and .{two}")
            first, second = getattr(part, one), getattr(part, two)
            setattr(part, one, second)
            setattr(part, two, first)
        return x

    def _reshape(self, x: Any, objects: Any, n: int, *_: Any) -> Any:
        places = [p for p in arrays_of(objects) if p.kind in ("BatchStat", "array")]
        if places:
            place = places[n % len(places)]
            self._say(f"  {place.path} = zeros of another shape")
            write(place, jnp.full((2, SIZE), 0.1) + 0.1 * jnp.sum(x))
        return x

    def _raise(self, x: Any, objects: Any) -> Any:
        self._say("  raise Stop")
        raise Stop

    # transforms

    def _nest(self, name: str, x: Any, objects: Any, n: int, *bodies: Body) -> Any:
        parts = [p for p in walk_all(objects) if p.kind == "Part"]
        place = parts[n % len(parts)]
        self._say(f"  {name}, m = {place.path}: (")
        functions = [self._function(body) for body in bodies]
        m = place.get()
        bare = name == "grad" and not any(p.kind == "Param" for p in walk(m, "m"))
        way = "nested_jit" if name == "jit" or bare else name
        if name == "cond":
            x = self.world.cond(*functions, x, m)
        else:
            x = getattr(self.world, way)(*functions, x, m)
        self._say("  )")
        return x

    def _try(self, x: Any, objects: Any, n: int, body: Body) -> Any:
        parts = [p for p in walk_all(objects) if p.kind == "Part"]
        place = parts[n % len(parts)]
        self._say(f"  try jit, m = {place.path}: (")
        with contextlib.suppress(Stop):
            self.world.try_(self._function(body), x, (place.get(),))
        self._say("  )")
        return x


def _nested_method(name: str) -> Any:
    return lambda self, x, objects, *args: self._nest(name, x, objects, *args)


for _name in (*AROUND, *LOOPS, "while_loop"):
    setattr(Run, f"_{_name}", _nested_method(_name))


def clear(part: Any, key: str) -> None:
    """Delete what is marked as static: no state may take its place."""
    if isinstance(getattr(part, key, None), Settings):
        delattr(part, key)


def half(a: Any) -> Any:
    """Half of a floating array; others as they are."""
    return a * 0.5 if jnp.issubdtype(a.dtype, jnp.floating) else a
