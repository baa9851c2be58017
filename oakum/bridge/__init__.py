"""flax.linen beside oakum: a Linen module as a part of a model, and the reverse.

`ToNNX` holds a Linen module and its variables as Variables; `ToLinen` makes an oakum
module inside Linen and hands its state to Linen's collections. A collection and a
Variable type stand for each other by name: 'params' and Param, 'batch_stats' and
BatchStat, others as `nnx.register_variable_name` says.

flax is needed where a name of this folder is used, and nowhere else in oakum.

May import: train and what is left of it.
"""

import typing as _typing

from .. import _lazy

if _typing.TYPE_CHECKING:
    from ..nn import initializers as initializers
    from ._functional import Functional as Functional
    from ._functional import functional as functional
    from ._to_linen import ToLinen as ToLinen
    from ._to_linen import to_linen as to_linen
    from ._to_linen import to_linen_class as to_linen_class
    from ._to_nnx import ToNNX as ToNNX
    from ._to_nnx import lazy_init as lazy_init
    from ._variables import NNXMeta as NNXMeta
    from ._variables import with_partitioning as with_partitioning

_HOMES = {
    "Functional": "._functional",
    "NNXMeta": "._variables",
    "ToLinen": "._to_linen",
    "ToNNX": "._to_nnx",
    "functional": "._functional",
    "initializers": "..nn.initializers",
    "lazy_init": "._to_nnx",
    "to_linen": "._to_linen",
    "to_linen_class": "._to_linen",
    "variables": ".variables",
    "with_partitioning": "._variables",
    "wrappers": ".wrappers",
}
__all__ = [
    "Functional",
    "NNXMeta",
    "ToLinen",
    "ToNNX",
    "functional",
    "initializers",
    "lazy_init",
    "to_linen",
    "to_linen_class",
    "with_partitioning",
]
_lazy.lazy_names(__name__, _HOMES)
