"""What an idiom is, and how what it does in two libraries is compared.

An *idiom* is a short program that takes the library as `nnx` and returns plain values.
Its *outcome* is what it returned, in a form in which two libraries' objects compare, or
the built-in class of what it raised, and the warnings of the library itself. Two
outcomes are `equal`, `close` (numbers apart by rounding) or `different`; where this
version of flax lacks the name, the idiom is `absent` from the comparison.
"""

from __future__ import annotations

import builtins
import contextlib
import dataclasses
import io
import re
import warnings
from collections.abc import Callable, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

# Relative and absolute distance up to which two numbers differ by rounding alone.
ROUNDING = 2e-5, 2e-6

# What this version of flax says of a name that only a newer one has.
ABSENT = re.compile("AttributeError: [Mm]odule '?flax.nnx'? has no attribute")


def as_numbers(text: str) -> tuple[int, ...]:
    """The numbers of a version."""
    return tuple(map(int, re.findall(r"\d+", text)))


INSTALLED = as_numbers(version("flax")) if find_spec("flax") else ()


@dataclasses.dataclass(frozen=True)
class Idiom:
    """A program of a table: what it shows, and why the libraries differ, if they do."""

    area: str
    name: str
    program: Callable[[Any], Any]
    fact: str
    reason: str = ""
    slow: bool = False

    @property
    def key(self) -> str:
        return f"{self.area}/{self.name}"


class Table:
    """The idioms of one area, in the order in which they are written."""

    def __init__(self, area: str):
        self.area = area
        self.idioms: list[Idiom] = []

    def idiom(self, program: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Add a program, whose docstring says what it shows."""
        self.add(program.__name__, program, program.__doc__ or "")
        return program

    def slow(self, program: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Add a program that takes too long for the quick core."""
        self.add(program.__name__, program, program.__doc__ or "", slow=True)
        return program

    def differs(self, reason: str, before: str = "") -> Callable[[Callable], Callable]:
        """Add a program whose results differ on purpose, for a reason.

        Args:
            reason: why.
            before: the version of flax that does the same, where there is one.
        """
        same_now = before and as_numbers(before) <= INSTALLED

        def add(program: Callable[[Any], Any]) -> Callable[[Any], Any]:
            why = "" if same_now else reason
            self.add(program.__name__, program, program.__doc__ or "", why)
            return program

        return add

    def add(self, name, program, fact, reason="", slow=False) -> None:
        if any(each.name == name for each in self.idioms):
            raise ValueError(f"two idioms of {self.area} are named {name}")
        fact = " ".join(fact.split())
        self.idioms.append(Idiom(self.area, name, program, fact, reason, slow))

    def add_programs(
        self,
        programs: Mapping[str, Callable[[Any], Any]],
        reasons: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Add programs whose names say what they show; reasons where they differ."""
        for name, program in programs.items():
            fact = f"What `{name}` gives or raises."
            self.add(name, program, fact, reasons.get(name, ""))


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a program did: its plain result, or the class and text of what it raised."""

    result: Any = None
    raised: str = ""
    bases: tuple[str, ...] = ()
    message: str = ""
    warned: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.raised:
            return f"raises {self.raised}: {self.message}"
        shown = one_line(self.result)
        return shown + "".join(f", warns {name}" for name in self.warned)


def outcome(idiom: Idiom, nnx: Any) -> Outcome:
    """Run a program in a library."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(record=True) as caught,
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
    ):
        warnings.simplefilter("always")
        try:
            result = plain(idiom.program(nnx))
        except Exception as error:
            return Outcome(
                raised=builtin_class(type(error)).__name__,
                bases=tuple(base.__name__ for base in type(error).__mro__),
                message=f"{type(error).__name__}: {error}".strip().split("\n")[0][:200],
            )
    own = {each.category for each in caught}
    names = sorted(c.__name__ for c in own if c.__module__.startswith("oakum"))
    return Outcome(result, warned=tuple(names))


def builtin_class(cls: type[BaseException]) -> type:
    """The first class of the builtins among the bases: what a caller catches."""
    return next(base for base in cls.__mro__ if base.__module__ == "builtins")


def compared(flax: Outcome, oakum: Outcome) -> tuple[str, str]:
    """`equal`, `close`, `different` or `absent`, and what differs first."""
    if flax.raised and ABSENT.match(flax.message):
        return "absent", flax.message
    if oakum.warned:
        return "different", f"oakum warns: {', '.join(oakum.warned)}"
    if flax.raised or oakum.raised:
        same = bool(flax.raised) and flax.raised in oakum.bases
        return ("equal", "") if same else ("different", f"flax {flax}; oakum {oakum}")
    found = list(differences(flax.result, oakum.result, "result"))
    if not found:
        return "equal", ""
    apart = next((text for rounding, text in found if not rounding), "")
    return ("different", apart) if apart else ("close", found[0][1])


def differences(one: Any, other: Any, path: str):
    """Each difference of two plain results: whether it is rounding, and its text."""
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            yield False, f"{path}: flax has {sorted(one)}, oakum has {sorted(other)}"
            return
        for key in one:
            yield from differences(one[key], other[key], f"{path}[{key!r}]")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for position, (first, second) in enumerate(zip(one, other, strict=True)):
            yield from differences(first, second, f"{path}[{position}]")
    elif isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        yield from array_differences(one, other, path)
    elif not (type(one) is type(other) and same(one, other)):
        yield False, f"{path}: flax {one_line(one)}, oakum {one_line(other)}"


def array_differences(one: np.ndarray, other: np.ndarray, path: str):
    """Whether two arrays differ in type, by more than rounding, or by rounding."""
    if one.dtype != other.dtype or one.shape != other.shape:
        kinds = [f"{each.dtype}{list(each.shape)}" for each in (one, other)]
        yield False, f"{path}: flax {kinds[0]}, oakum {kinds[1]}"
        return
    if one.tobytes() == other.tobytes():
        return
    if not jnp.issubdtype(one.dtype, jnp.inexact):
        yield False, f"{path}: flax {one_line(one)}, oakum {one_line(other)}"
        return
    wide = np.complex128 if one.dtype.kind == "c" else np.float64
    first, second = one.astype(wide), other.astype(wide)
    relative, absolute = ROUNDING
    near = np.allclose(first, second, relative, absolute, equal_nan=True)
    apart = float(np.max(np.abs(first - second), initial=0))
    yield near, f"{path}: apart by {apart:.2g}"


def same(one: Any, other: Any) -> bool:
    """Equality under which NaN is equal to itself."""
    return bool(one == other) or (one != one and other != other)


def one_line(value: Any, limit: int = 160) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


# -- plain forms


def plain(value: Any) -> Any:
    """A value in a form in which the objects of two libraries are compared."""
    for kinds, form in FORMS:
        if isinstance(value, kinds):
            return form(value)
    if is_variable(value):
        return [f"<{type(value).__name__}>", plain(value.get_value())]
    if dataclasses.is_dataclass(value):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return {"<class>": type(value).__name__, **plain(fields)}
    raise TypeError(
        f"an idiom returned {type(value).__name__}, which has no plain form"
    )


def is_variable(value: Any) -> bool:
    names = {base.__name__ for base in type(value).__mro__}
    return "Variable" in names and hasattr(value, "get_value")


def plain_array(value: Any) -> Any:
    if isinstance(value, jax.Array) and jnp.issubdtype(
        value.dtype, jax.dtypes.prng_key
    ):
        return ["<key>", np.asarray(jax.random.key_data(value))]
    return np.asarray(value)


def plain_mapping(value: Mapping) -> dict:
    return {plain_key(key): plain(each) for key, each in value.items()}


def plain_key(key: Any) -> Any:
    return tuple(map(plain_key, key)) if isinstance(key, tuple) else str(key)


def plain_class(value: type) -> str:
    if issubclass(value, BaseException):
        return f"<class {builtin_class(value).__name__}>"
    return f"<class {value.__name__}>"


FORMS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    ((type(None), bool, int, float, complex, str, bytes, type(...)), lambda v: v),
    ((np.ndarray, jax.Array, np.generic), plain_array),
    (np.dtype, str),
    (jax.ShapeDtypeStruct, lambda v: ["<abstract>", str(v.dtype), list(v.shape)]),
    (jax.sharding.PartitionSpec, str),
    (jax.sharding.NamedSharding, lambda v: ["<sharding>", str(v.spec)]),
    (Mapping, plain_mapping),
    ((set, frozenset), lambda v: sorted(map(str, v))),
    ((list, tuple), lambda v: [plain(each) for each in v]),
    (type, plain_class),
    (builtins.BaseException, lambda v: f"<{builtin_class(type(v)).__name__}>"),
)
