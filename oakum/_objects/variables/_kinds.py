"""The types of Variables that come with the library, by which filters select them."""

from __future__ import annotations

from ._variable import A, Variable


class Param(Variable[A]):
    """A trainable parameter."""

    __slots__ = ()


class BatchStat(Variable[A]):
    """Running statistics of a batch, as BatchNorm keeps them."""

    __slots__ = ()


class Cache(Variable[A]):
    """State kept from one call for the next, such as attention keys and values."""

    __slots__ = ()


class Intermediate(Variable[A]):
    """A value recorded during a call, as `Module.sow` does."""

    __slots__ = ()


class Perturbation(Intermediate[A]):
    """A zero added to an intermediate value, to take the gradient there."""

    __slots__ = ()


class RngState(Variable[A]):
    """State of a random stream."""

    __slots__ = ()


class RngKey(RngState[A]):
    """The key of a random stream."""

    __slots__ = ()


class RngCount(RngState[A]):
    """How many keys a random stream has given out."""

    __slots__ = ()


class OptState(Variable[A]):
    """State of an optimizer."""

    __slots__ = ()


class OptArray(OptState[A]):
    """An array of an optimizer's state that belongs to no single parameter."""

    __slots__ = ()


class OptVariable(OptState[A]):
    """An array of an optimizer's state that belongs to one parameter."""

    __slots__ = ()
