"""Transforms that take objects: all of them on the one engine, `_lift`."""

from ._autodiff import DiffState as DiffState
from ._autodiff import grad as grad
from ._autodiff import value_and_grad as value_and_grad
from ._jit import jit as jit
from ._remat import remat as remat
from ._shardings import StateSharding as StateSharding
