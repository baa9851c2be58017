"""Dicts whose edits all go through `__setitem__` and `__delitem__`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Self

_MISSING: Any = object()


class OneByOne:
    """What a dict needs whose `__setitem__` is to be asked for each item."""

    __slots__ = ()

    def update(self: Any, *args: Any, **kwargs: Any) -> None:
        """Sets several items."""
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def __ior__(self, other: Any) -> Self:
        self.update(other)
        return self


class EditedDict(OneByOne, dict):
    """A dict that is the view of something: each edit of it has to arrive there."""

    __slots__ = ()

    def setdefault(self, name: Any, default: Any = None) -> Any:
        """The item; it is set where it is missing."""
        if name not in self:
            self[name] = default
        return self[name]

    def pop(self, name: Any, default: Any = _MISSING) -> Any:
        """Deletes an item, and gives it."""
        if name not in self and default is not _MISSING:
            return default
        value = self[name]
        del self[name]
        return value

    def popitem(self) -> tuple[Any, Any]:
        """Deletes the item that was set last."""
        if not self:
            raise KeyError("no attributes")
        name = list(self)[-1]
        return name, self.pop(name)

    def clear(self) -> None:
        """Deletes all items."""
        for name in list(self):
            del self[name]
