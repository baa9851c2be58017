"""Transforms that take objects: all of them on the one engine, `_lift`."""

import typing as _typing

from .. import _lazy
from .._compiled._shardings import StateSharding as StateSharding
from .._engine._selection import DiffState as DiffState
from ._jit import jit as jit
from .derivatives._grad import grad as grad
from .derivatives._grad import value_and_grad as value_and_grad

if _typing.TYPE_CHECKING:
    from .._engine.axes._axis_metadata import AxisNames as AxisNames
    from .._engine.axes._axis_metadata import transform_metadata as transform_metadata
    from .._engine.axes._prefix import Carry as Carry
    from .._engine.axes._prefix import StateAxes as StateAxes
    from .._engine.axes._prefix import prefix as prefix
    from ._abstract import abstract as abstract
    from ._abstract import eval_shape as eval_shape
    from ._abstract import make_jaxpr as make_jaxpr
    from ._abstract_model import get_abstract_model as get_abstract_model
    from ._checkify import checkify as checkify
    from ._control import cond as cond
    from ._control import switch as switch
    from ._loops import fori_loop as fori_loop
    from ._loops import while_loop as while_loop
    from ._partial import cached_partial as cached_partial
    from ._partial import jit_partial as jit_partial
    from ._profile import profile as profile
    from ._scan import scan as scan
    from ._shard_map import pmap as pmap
    from ._shard_map import shard_map as shard_map
    from ._vmap import vmap as vmap
    from .derivatives._custom_vjp import custom_vjp as custom_vjp
    from .derivatives._remat import remat as remat
    from .derivatives._vjp import jvp as jvp
    from .derivatives._vjp import vjp as vjp

_lazy.lazy_names(
    __name__,
    {
        "AxisNames": ".._engine.axes._axis_metadata",
        "Carry": ".._engine.axes._prefix",
        "StateAxes": ".._engine.axes._prefix",
        "abstract": "._abstract",
        "cached_partial": "._partial",
        "checkify": "._checkify",
        "cond": "._control",
        "custom_vjp": ".derivatives._custom_vjp",
        "eval_shape": "._abstract",
        "fori_loop": "._loops",
        "get_abstract_model": "._abstract_model",
        "jit_partial": "._partial",
        "jvp": ".derivatives._vjp",
        "make_jaxpr": "._abstract",
        "pmap": "._shard_map",
        "prefix": ".._engine.axes._prefix",
        "profile": "._profile",
        "remat": ".derivatives._remat",
        "scan": "._scan",
        "shard_map": "._shard_map",
        "switch": "._control",
        "transform_metadata": ".._engine.axes._axis_metadata",
        "vjp": ".derivatives._vjp",
        "vmap": "._vmap",
        "while_loop": "._loops",
    },
)
