"""The arrays of a call, apart from the structure of its arguments."""

from __future__ import annotations

from typing import Any, NamedTuple


class Values(NamedTuple):
    """What goes through a transform of JAX in place of objects: a pytree of arrays.

    Attributes:
        variables: the values of the Variables, in canonical order or by number.
        bare: those of the bare arrays that objects hold, likewise.
        arrays: those that are arguments themselves, or parts of their pytrees.
    """

    variables: Any
    bare: Any
    arrays: Any = ()
