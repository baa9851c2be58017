"""jit: compiles a function that takes objects, and updates them in place.

What a call needs depends on the identity of the argument objects alone, and is
remembered in a `Plan`; what it compiles depends on their structure, and is an `Entry`,
which different objects of one structure share.
"""

from __future__ import annotations

import functools
import inspect
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax

from ..core import DynamicArg, Node, Static, Variable, clock, is_object
from ..errors import ArgumentError, OakumError
from ..guard import current_trace
from ._entry import Entry, NeedsOriginals, Traced
from ._lift import Flat, check_writable, get_value
from ._plan import DeferInterrupt, Plan
from ._shardings import constrain_result, expand_in_shardings

_MISSING: Any = object()
_MAX_PLANS = 64
_LEAF, _OBJECT, _CONTAINER, _WRONG = range(4)
_kinds: dict[type, int] = {}


def jit(
    fun: Any = _MISSING,
    *,
    in_shardings: Any = None,
    out_shardings: Any = None,
    static_argnums: int | Sequence[int] | None = None,
    static_argnames: str | Iterable[str] | None = None,
    donate_argnums: int | Sequence[int] | None = None,
    donate_argnames: str | Iterable[str] | None = None,
    keep_unused: bool = False,
    device: Any = None,
    backend: str | None = None,
    inline: bool = False,
    donate: bool = True,
) -> Any:
    """Compiles a function that takes objects, and updates them in place.

    Args:
        fun: the function; left out where used as a decorator with arguments.
        in_shardings: a sharding, or one for each argument; `StateSharding` for one by
            filter.
        out_shardings: a sharding or pytree of them for what the function returns.
        static_argnums, static_argnames: arguments that are compared by value and
            compiled in.
        donate_argnums, donate_argnames: array arguments whose buffers may be reused.
        keep_unused, device, backend, inline: as for `jax.jit`.
        donate: False keeps the old arrays of state that the function overwrites. By
            default they are reused where nobody else holds them.

    Returns:
        A function of the same arguments. It has `lower`, `trace`, `eval_shape` and
        `clear_cache`, as the functions that `jax.jit` returns.

    Raises:
        TraceContextError: the function writes to state that is not an argument.
        ArgumentError: an argument or a returned value is neither array nor object.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> @nnx.jit
        ... def increment(counter, by):
        ...     counter.value += by
        >>> counter = nnx.Variable(jnp.array(1))
        >>> increment(counter, 2)
        >>> int(counter.value)
        3
    """
    options: dict[str, Any] = {
        "in_shardings": in_shardings,
        "out_shardings": out_shardings,
        "static_argnums": static_argnums,
        "static_argnames": static_argnames,
        "donate_argnums": donate_argnums,
        "donate_argnames": donate_argnames,
        "keep_unused": keep_unused,
        "device": device,
        "backend": backend,
        "inline": inline,
        "donate": donate,
    }
    if fun is _MISSING:
        return functools.partial(jit, **options)
    return Jit(fun, options).call


class Jit:
    """The plans and entries of one jitted function; `call` is what the user gets.

    Args:
        function: the user's function.
        options: the keyword arguments of `jit`.
    """

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]):
        self._function = function
        self._options = options
        self._static = _argument_set(function, options, "static")
        self._donated = _argument_set(function, options, "donate")
        self._plans: dict[Any, Plan] = {}
        self._entries: dict[Any, Entry] = {}
        self._captured: dict[int, Any] = {}
        self._lock = threading.RLock()
        self.call = functools.update_wrapper(self._make_call(), function)
        for method in (self.trace, self.lower, self.eval_shape, self.clear_cache):
            setattr(self.call, method.__name__, method)
        self.call._cache_size = self._cache_size  # type: ignore[attr-defined]

    def _make_call(self) -> Callable[..., Any]:
        """The function that users call: a closure, since that costs least."""
        plans, static, known_kinds = self._plans, self._static, _kinds
        full_key, first_call, function = (
            self._full_key,
            self._first_call,
            self._function,
        )
        now = clock

        def call(*args: Any, **kwargs: Any) -> Any:
            if kwargs or static:
                key, dynamic = full_key(args, kwargs)
            else:
                parts: list[Any] = []
                dynamic = []
                for arg in args:
                    kind = known_kinds.get(type(arg))
                    if kind == _LEAF:
                        parts.append(None)
                        dynamic.append(arg)
                    elif kind == _OBJECT:
                        parts.append(id(arg))
                    else:
                        parts.append(_part(arg, len(parts), dynamic, function))
                key = tuple(parts)
            plan = plans.get(key)
            if (
                plan is None
                or plan.mark is not current_trace()
                or (plan.clock != now.now and not plan.current())
            ):
                return first_call(key, args, kwargs, dynamic)
            try:
                if plan.reader is None:
                    return plan.run(dynamic)
                results = plan.reader(*map(get_value, plan.variables), *dynamic)
                (outcome,) = results
                if outcome is plan.outcome:
                    return results[outcome][0]
                return plan.commit(results)
            except NeedsOriginals:
                return first_call(key, args, kwargs, dynamic)

        return call

    def _full_key(self, args: tuple, kwargs: dict) -> tuple[Any, list[Any]]:
        parts: list[Any] = []
        dynamic: list[Any] = []
        for position, arg in enumerate(args):
            if position in self._static:
                parts.append(_static(arg, position, self._function))
            else:
                parts.append(_part(arg, position, dynamic, self._function))
        for name in sorted(kwargs):
            parts.append(name)
            if name in self._static:
                parts.append(_static(kwargs[name], name, self._function))
            else:
                parts.append(_part(kwargs[name], name, dynamic, self._function))
        return (len(args), *parts), dynamic

    # -- the first call of a structure, or of an object

    def _first_call(self, key: Any, args: tuple, kwargs: dict, dynamic: list) -> Any:
        with self._lock:
            plan, traced = self._prepare(key, args, kwargs, dynamic)
            if not plan.eager:
                return plan.run(dynamic)
            # Before the call, so that Ctrl-C is held back for the call alone.
            traced.traced.lower().compile()
        with DeferInterrupt():
            return plan.run(dynamic)

    def _prepare(
        self, key: Any, args: tuple, kwargs: dict, dynamic: list
    ) -> tuple[Plan, Traced]:
        """The plan for these arguments, traced; captured state becomes an input."""
        plan = self._plans.get(key)
        while True:
            if plan is None or plan.mark != current_trace() or not plan.current():
                plan = self._make_plan(key, args, kwargs)
            traced = self._trace(plan, dynamic)
            fresh = {
                i: o for i, o in plan.entry.captured.items() if i not in self._captured
            }
            if not fresh:
                break
            self._captured.update(fresh)
            self._entries.pop(plan.entry.key, None)
            plan = None
        if len(self._plans) >= _MAX_PLANS:
            self._plans.pop(next(iter(self._plans)), None)
        self._plans[key] = plan
        return plan, traced

    def _trace(self, plan: Plan, dynamic: list) -> Traced:
        values = plan.values() + dynamic
        objects = plan.objects()
        traced = plan.entry.trace(objects, values, plan.eager)
        check_writable(traced.outcome, objects)
        return traced

    def _make_plan(self, key: Any, args: tuple, kwargs: dict) -> Plan:
        template = self._template(args, kwargs)
        captured = tuple(self._captured.values())
        flat = Flat.of((template, captured), opaque=False)
        roots = [
            x for x in jax.tree.leaves(template, is_leaf=is_object) if is_object(x)
        ]
        self._check_donated(flat, args, kwargs)
        shardings = self._options["in_shardings"]
        known = (flat.graphdef, key if shardings is not None else None)
        entry = self._entries.get(known)
        if entry is None:
            entry = self._entries[known] = self._make_entry(flat, args, kwargs)
            entry.key = known
        plan = Plan(flat, roots, entry)
        plans, forget = self._plans, key
        plan.watch = [weakref.ref(r, lambda _: plans.pop(forget, None)) for r in roots]
        return plan

    def _make_entry(self, flat: Flat, args: tuple, kwargs: dict) -> Entry:
        function, given = self._function, self._options
        options = {n: given[n] for n in ("keep_unused", "inline") if given[n]}
        options |= {n: given[n] for n in ("device", "backend") if given[n] is not None}
        if given["in_shardings"] is not None:
            options["in_shardings"] = expand_in_shardings(
                given["in_shardings"], flat, args, kwargs, self._static
            )
        n_state = flat.graphdef.num_leaves
        numbers = self._donated_numbers(args, kwargs)
        if numbers:
            options["donate_argnums"] = tuple(n_state + n for n in numbers)
        out_shardings = given["out_shardings"]

        def call(value: Any) -> Any:
            (args, kwargs), _captured = value
            result = function(*args, **kwargs)
            return (
                result
                if out_shardings is None
                else constrain_result(out_shardings, result)
            )

        return Entry(function, flat.graphdef, call, options, given["donate"])

    def _template(self, args: tuple, kwargs: dict) -> tuple:
        """The arguments, with numbered places for what changes from call to call."""
        count = 0

        def place(arg: Any, name: Any) -> Any:
            nonlocal count
            if name in self._static:
                return _static(arg, name, self._function)
            if _kind(arg) == _CONTAINER:
                leaves, treedef = jax.tree.flatten(arg, is_leaf=is_object)
                if any(map(is_object, leaves)):
                    items = []
                    for leaf in leaves:
                        if not is_object(leaf):
                            leaf, count = DynamicArg(count), count + 1
                        items.append(leaf)
                    return jax.tree.unflatten(treedef, items)
            elif is_object(arg):
                return arg
            count += 1
            return DynamicArg(count - 1)

        positional = tuple([place(arg, i) for i, arg in enumerate(args)])
        return positional, {name: place(kwargs[name], name) for name in sorted(kwargs)}

    def _donated_numbers(self, args: tuple, kwargs: dict) -> list[int]:
        numbers: list[int] = []
        count = 0
        for name, arg in (*enumerate(args), *sorted(kwargs.items())):
            if name in self._static:
                continue
            before = count
            count += len(_dynamic_of(arg))
            if name in self._donated:
                numbers.extend(range(before, count))
        return numbers

    def _check_donated(self, flat: Flat, args: tuple, kwargs: dict) -> None:
        """An array may not be donated and passed again, or held by an object."""
        if not self._donated:
            return
        named = (*enumerate(args), *sorted(kwargs.items()))
        donated: dict[int, Any] = {}
        kept: dict[int, Any] = {
            id(v): "the state of an object" for v in flat.values()[0]
        }
        for name, arg in named:
            if name in self._static:
                continue
            for leaf in _dynamic_of(arg):
                for array in jax.tree.leaves(leaf):
                    (donated if name in self._donated else kept)[id(array)] = name
        objects: dict[int, Any] = {}
        for name, arg in named:
            if is_object(arg):
                if id(arg) in objects and (name in self._donated) != (
                    objects[id(arg)] in self._donated
                ):
                    raise _donated_twice(self._function, name, objects[id(arg)])
                objects[id(arg)] = name
        for ident in donated.keys() & kept.keys():
            raise _donated_twice(self._function, donated[ident], kept[ident])

    # -- as jax.jit

    def trace(self, *args: Any, **kwargs: Any) -> Any:
        """Traces for these arguments, without running: a `jax.stages.Traced`."""
        key, dynamic = self._full_key(args, kwargs)
        with self._lock:
            return self._prepare(("trace", key), args, kwargs, dynamic)[1].traced

    def lower(self, *args: Any, **kwargs: Any) -> Any:
        """Lowers for these arguments, without running: a `jax.stages.Lowered`."""
        key, dynamic = self._full_key(args, kwargs)
        with self._lock:
            _, traced = self._prepare(("trace", key), args, kwargs, dynamic)
            return Lowered(traced.traced.lower(), self.call)

    def eval_shape(self, *args: Any, **kwargs: Any) -> Any:
        """What the function would return, with shapes and dtypes only."""
        from ..core import Decoder

        key, dynamic = self._full_key(args, kwargs)
        with self._lock:
            plan, traced = self._prepare(("trace", key), args, kwargs, dynamic)
        _, outcome, leaves = traced
        objects = dict(enumerate(plan.objects()))
        n = len(outcome.written)
        new = len([i for i in outcome.emitted if i >= outcome.n_known])
        emitted = iter(leaves[n : n + new])
        values = [
            next(emitted) if i >= outcome.n_known else objects[i]._raw
            for i in outcome.emitted
        ]
        decoder = Decoder(values, leaves[n + new :], (), objects)
        if outcome.roots is not None:
            decoder.build(outcome.roots)
        return decoder.build(outcome.result)

    def clear_cache(self) -> None:
        """Forgets all that was compiled."""
        with self._lock:
            for entry in self._entries.values():
                entry.plain.clear_cache()
                entry.function.clear_cache()
            self._plans.clear()
            self._entries.clear()
            self._captured.clear()

    def _cache_size(self) -> int:
        """How many times the function was traced."""
        return sum(entry.traces for entry in self._entries.values())


class Lowered:
    """A lowered function of objects; otherwise as `jax.stages.Lowered`."""

    def __init__(self, lowered: Any, function: Callable[..., Any]):
        self._lowered, self._jit = lowered, function

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lowered, name)

    def compile(self, *args: Any, **kwargs: Any) -> Compiled:
        """Compiles; the result is called as the function itself."""
        return Compiled(self._lowered.compile(*args, **kwargs), self._jit)


class Compiled:
    """A compiled function of objects; otherwise as `jax.stages.Compiled`."""

    def __init__(self, compiled: Any, function: Callable[..., Any]):
        self._compiled, self._jit = compiled, function

    def __getattr__(self, name: str) -> Any:
        return getattr(self._compiled, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._jit(*args, **kwargs)


def _kind(arg: Any) -> int:
    """What a value is to a call; asked once for each type."""
    cls = type(arg)
    kind = _kinds.get(cls)
    if kind is None:
        if issubclass(cls, Variable | Node):
            kind = _OBJECT
        elif hasattr(cls, "dtype") or issubclass(cls, int | float | complex):
            kind = _LEAF
        elif jax.tree.structure(arg) == jax.tree.structure(0):
            kind = _WRONG
        else:
            kind = _CONTAINER
        _kinds[cls] = kind
    return kind


def _part(arg: Any, name: Any, dynamic: list[Any], function: Any) -> Any:
    kind = _kind(arg)
    if kind == _OBJECT:
        return id(arg)
    if kind == _WRONG:
        if not hasattr(arg, "__jax_array__"):
            raise _wrong_argument(arg, name, function)
        kind = _LEAF
    if kind == _CONTAINER:
        leaves, treedef = jax.tree.flatten(arg, is_leaf=is_object)
        found = tuple([id(leaf) if is_object(leaf) else None for leaf in leaves])
        if any(found):
            dynamic.extend([leaf for leaf in leaves if not is_object(leaf)])
            return treedef, found
    dynamic.append(arg)
    return None


def _dynamic_of(arg: Any) -> list[Any]:
    """The dynamic arguments that an argument becomes."""
    dynamic: list[Any] = []
    _part(arg, None, dynamic, None)
    return dynamic


def _static(arg: Any, name: Any, function: Any) -> Static:
    if is_object(arg):
        raise ArgumentError(
            f"Argument {name!r} of {_name(function)} is static, but a "
            f"{type(arg).__name__} was passed, which holds state",
            remedy="leave it out of static_argnums and static_argnames: objects are "
            "taken as they are.",
        )
    try:
        return Static(arg)
    except OakumError as error:
        raise type(error)(
            f"Static argument {name!r} of {_name(function)}: {error.what}",
            remedy=error.remedy,
        ) from None


def _wrong_argument(arg: Any, name: Any, function: Any) -> ArgumentError:
    return ArgumentError(
        f"Argument {name!r} of {_name(function)} is a {type(arg).__name__}, which is "
        f"neither an array nor an oakum object: {arg!r:.60}",
        remedy=f"name it in static_argnums=({name!r},) if it is configuration."
        if isinstance(name, int)
        else f"name it in static_argnames=({name!r},) if it is configuration.",
    )


def _donated_twice(function: Any, donated: Any, kept: Any) -> ArgumentError:
    return ArgumentError(
        f"{_name(function)}: argument {donated!r} is donated, but the same is kept by "
        f"{kept!r}",
        remedy="donate all of its uses, or pass a copy: jnp.copy(x).",
    )


def _name(function: Any) -> str:
    return getattr(function, "__name__", "the function")


def _argument_set(function: Any, options: dict[str, Any], what: str) -> frozenset[Any]:
    """Positions and names of the arguments that `what_argnums` and `_argnames` name."""
    numbers, names = options[f"{what}_argnums"], options[f"{what}_argnames"]
    numbers = (numbers,) if isinstance(numbers, int) else tuple(numbers or ())
    names = (names,) if isinstance(names, str) else tuple(names or ())
    if not numbers and not names:
        return frozenset()
    try:
        parameters = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return frozenset((*numbers, *names))
    unknown = [n for n in names if n not in parameters and "kwargs" not in parameters]
    if unknown:
        raise ArgumentError(
            f"{what}_argnames={unknown} are no parameters of {_name(function)}",
            remedy=f"it has: {', '.join(parameters)}.",
        )
    numbers = tuple(n if n >= 0 else n + len(parameters) for n in numbers)
    named = [parameters[n] for n in numbers if n < len(parameters)]
    placed = [parameters.index(n) for n in names if n in parameters]
    return frozenset((*numbers, *names, *named, *placed))
