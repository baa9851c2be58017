"""Training: optimizer, metrics, averages of parameters, checkpoints, runs."""

import typing

from .. import _lazy
from . import optimizer as optimizer
from ._optimizer import ModelAndOptimizer as ModelAndOptimizer
from ._optimizer import Optimizer as Optimizer

if typing.TYPE_CHECKING:
    from . import metrics as metrics
    from ._ema import EMA as EMA
    from ._fit import Interrupted as Interrupted
    from ._fit import Run as Run
    from ._metrics import Metric as Metric
    from ._metrics import MultiMetric as MultiMetric
    from ._train_state import TrainState as TrainState
    from .checkpoint._checkpoint import load as load
    from .checkpoint._checkpoint import save as save
    from .placement._layout import layout as layout
    from .placement._rules import fsdp as fsdp
    from .placement._shard import init_sharded as init_sharded
    from .placement._shard import shard as shard

_lazy.lazy_names(
    __name__,
    {
        "EMA": "._ema",
        "Interrupted": "._fit",
        "Metric": "._metrics",
        "MultiMetric": "._metrics",
        "Run": "._fit",
        "TrainState": "._train_state",
        "fsdp": ".placement._rules",
        "init_sharded": ".placement._shard",
        "layout": ".placement._layout",
        "load": ".checkpoint._checkpoint",
        "metrics": ".metrics",
        "save": ".checkpoint._checkpoint",
        "shard": ".placement._shard",
    },
)
