"""Transforms that take objects: all of them on the one engine, `_lift`."""

import typing

from .. import _lazy
from ._autodiff import DiffState as DiffState
from ._autodiff import grad as grad
from ._autodiff import value_and_grad as value_and_grad
from ._jit import jit as jit
from ._shardings import StateSharding as StateSharding

if typing.TYPE_CHECKING:
    from ._abstract_model import get_abstract_model as get_abstract_model
    from ._control import cond as cond
    from ._control import switch as switch
    from ._loops import fori_loop as fori_loop
    from ._loops import while_loop as while_loop
    from ._prefix import Carry as Carry
    from ._prefix import StateAxes as StateAxes
    from ._remat import remat as remat
    from ._scan import scan as scan
    from ._vmap import vmap as vmap

__getattr__ = _lazy.lazy_names(
    __name__,
    {
        "Carry": "._prefix",
        "StateAxes": "._prefix",
        "cond": "._control",
        "fori_loop": "._loops",
        "get_abstract_model": "._abstract_model",
        "remat": "._remat",
        "scan": "._scan",
        "switch": "._control",
        "vmap": "._vmap",
        "while_loop": "._loops",
    },
)
