"""Objects whose text is made of parts that they yield, as in flax.nnx.reprlib.

Imported where a program asks for them: two dataclasses take a millisecond to make.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from ._repr import indented


@dataclasses.dataclass
class Title:
    """How a `Representable` begins and ends: its type, and what stands between.

    Args:
        type: the type, or its name.
        start, end: around the attributes.
        kv_sep: between a name and its value.
    """

    type: str | type
    start: str = "("
    end: str = ")"
    kv_sep: str = "="


@dataclasses.dataclass
class Attr:
    """One attribute of a `Representable`.

    Args:
        key: its name.
        value: its value.
        use_raw_value: whether the value is text to show as it is.
    """

    key: str
    value: Any
    use_raw_value: bool = False


class Representable:
    """An object whose text is made of the parts that its `__nnx_repr__` yields."""

    __slots__ = ()

    def __nnx_repr__(self) -> Iterator[Title | Attr]:
        raise NotImplementedError

    def __repr__(self) -> str:
        return get_repr(self)


def get_repr(obj: Any) -> str:
    """The text of a `Representable`: its title, then an attribute a line."""
    title, *attributes = obj.__nnx_repr__()
    name = title.type if isinstance(title.type, str) else title.type.__name__
    if not attributes:
        return f"{name}{title.start}{title.end}"
    lines = [
        f"{x.key}{title.kv_sep}{x.value if x.use_raw_value else repr(x.value)}"
        for x in attributes
    ]
    body = "".join(f"{indented(line)},\n" for line in lines)
    return f"{name}{title.start}\n{body.removesuffix(f',{chr(10)}')}\n{title.end}"
