"""Transforms that take objects: all of them on the one engine, `_lift`."""

from ._autodiff import DiffState as DiffState
from ._autodiff import grad as grad
from ._autodiff import value_and_grad as value_and_grad
from ._control import cond as cond
from ._control import switch as switch
from ._jit import jit as jit
from ._loops import fori_loop as fori_loop
from ._loops import while_loop as while_loop
from ._prefix import Carry as Carry
from ._prefix import StateAxes as StateAxes
from ._remat import remat as remat
from ._scan import scan as scan
from ._shardings import StateSharding as StateSharding
from ._vmap import vmap as vmap
