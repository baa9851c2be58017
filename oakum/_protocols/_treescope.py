"""How treescope shows nodes and Variables in a notebook: by name, as trees that fold.

It asks each object by the method `__treescope_repr__`, so that its own automatic
display shows them as `nnx.display` does.
"""

from __future__ import annotations

from typing import Any

from .._objects._containers import List
from .._objects._nodes import Node
from .._objects.variables._variable import Variable
from .._state._state import State


def tree_repr(self: Any, path: str | None, subtree_renderer: Any) -> Any:
    """The object as a tree of treescope's.

    Args:
        path: where it stands, as code; None where that is not known.
        subtree_renderer: renders what is below.
    """
    from treescope import repr_lib

    if isinstance(self, List):
        return subtree_renderer(list(self), path=path)
    if isinstance(self, Variable):
        content = {"value": self.get_raw_value(), **self.get_metadata()}
    else:
        below = dict(self._oakum_children())
        content = {key: below[key] for key in self._oakum_order()}
    render = repr_lib.render_object_constructor
    if isinstance(self, dict | State):
        render = repr_lib.render_dictionary_wrapper
    return render(type(self), content, path=path, subtree_renderer=subtree_renderer)


for _cls in (Node, Variable):
    _cls.__treescope_repr__ = tree_repr  # type: ignore[attr-defined]
