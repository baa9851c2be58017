"""What code reads, in order: names, and the attributes and items of what they hold.

The bytecode is reduced to a few operations, so that other modules know none of its
names, which change with each version of Python.
"""

from __future__ import annotations

import dis
import functools
from collections.abc import Iterator
from types import CodeType
from typing import Any

GLOBAL, CELL, LOCAL, MODULE, ATTRIBUTE, ITEM, KEEP, OTHER = range(8)
"""Operations. Four begin with a name; an attribute and an item follow what they are
read of; `KEEP` gives it a local name; `OTHER` is any use of it."""
EDIT_ITEM, EDIT_ATTRIBUTE = 8, 9
Operation = tuple[int, Any]

_SILENT = frozenset(
    (
        *("CACHE", "PRECALL", "PUSH_NULL", "RESUME", "EXTENDED_ARG", "NOP"),
        *("COPY_FREE_VARS", "MAKE_CELL", "NOT_TAKEN"),
    )
)
_CONSTANTS = ("LOAD_CONST", "LOAD_SMALL_INT")
_FIRST = {
    "LOAD_GLOBAL": GLOBAL,
    "LOAD_NAME": GLOBAL,
    "LOAD_DEREF": CELL,
    "LOAD_CLASSDEREF": CELL,
    "LOAD_ATTR": ATTRIBUTE,
    "LOAD_METHOD": ATTRIBUTE,
    "IMPORT_NAME": MODULE,
    "IMPORT_FROM": ATTRIBUTE,
    "STORE_SUBSCR": EDIT_ITEM,
    "DELETE_SUBSCR": EDIT_ITEM,
    "STORE_ATTR": EDIT_ATTRIBUTE,
    "DELETE_ATTR": EDIT_ATTRIBUTE,
    "STORE_FAST": KEEP,
}


@functools.lru_cache(1024)
def operations(code: CodeType) -> tuple[Operation, ...]:
    """What a piece of code reads; what is below it is not looked at."""
    return tuple(_operations(code))


def _operations(code: CodeType) -> Iterator[Operation]:
    listed = [i for i in dis.get_instructions(code) if i.opname not in _SILENT]
    skip = 0
    for here, following in zip(listed, [*listed[1:], None], strict=True):
        if skip:
            skip -= 1
        elif here.opname in _FIRST:
            yield _FIRST[here.opname], here.argval
        elif here.opname.startswith("LOAD_FAST"):
            yield from [(LOCAL, name) for name in _names(here)]
        elif here.opname in _CONSTANTS and following and _is_item(following):
            skip = 1
            yield ITEM, here.argval
        else:
            yield OTHER, None


def _names(instruction: dis.Instruction) -> tuple[str, ...]:
    """The local names that an instruction reads or gives a value: one, or two."""
    named = instruction.argval
    return named if isinstance(named, tuple) else (named,)


def _is_item(instruction: dis.Instruction) -> bool:
    name = instruction.opname
    return name == "BINARY_SUBSCR" or (
        name == "BINARY_OP" and instruction.argrepr == "[]"
    )


@functools.lru_cache(1024)
def bound_anew(code: CodeType) -> frozenset[str]:
    """The globals, and the names of enclosing functions, that code binds itself."""
    kinds = ("STORE_GLOBAL", "STORE_DEREF", "DELETE_GLOBAL", "DELETE_DEREF")
    found = {i.argval for i in dis.get_instructions(code) if i.opname in kinds}
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            found |= bound_anew(inner)
    return frozenset(found)


@functools.lru_cache(1024)
def kept_once(code: CodeType) -> frozenset[str]:
    """The local names that code gives a value in one place alone."""
    stores = [
        name
        for i in dis.get_instructions(code)
        if i.opname.startswith("STORE_FAST")
        for name in _names(i)
    ]
    given = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return frozenset([n for n in stores if stores.count(n) == 1 and n not in given])
