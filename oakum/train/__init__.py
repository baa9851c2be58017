"""Training: optimizer, metrics, averages of parameters, checkpoints, runs."""

import typing as _typing

from .. import _lazy
from . import optimizer as optimizer
from ._optimizer import ModelAndOptimizer as ModelAndOptimizer
from ._optimizer import Optimizer as Optimizer

if _typing.TYPE_CHECKING:
    from . import metrics as metrics
    from ._ema import EMA as EMA
    from ._metrics import Metric as Metric
    from ._metrics import MultiMetric as MultiMetric
    from ._scan_steps import scan_steps as scan_steps
    from ._train_state import TrainState as TrainState
    from .checkpoint._checkpoint import load as load
    from .checkpoint._checkpoint import save as save
    from .checkpoint._checkpoints import Checkpoints as Checkpoints
    from .placement._layout import layout as layout
    from .placement._rules import fsdp as fsdp
    from .placement._shard import init_sharded as init_sharded
    from .placement._shard import shard as shard
    from .runs._interrupt import Interrupted as Interrupted
    from .runs._loggers import CSVLogger as CSVLogger
    from .runs._loggers import JSONLogger as JSONLogger
    from .runs._loggers import Logger as Logger
    from .runs._loggers import TensorBoardLogger as TensorBoardLogger
    from .runs._loggers import WandbLogger as WandbLogger
    from .runs._measures import gradient_norm as gradient_norm
    from .runs._measures import learning_rate as learning_rate
    from .runs._nonfinite import find_nonfinite as find_nonfinite
    from .runs._run import Run as Run
    from .runs._validate import evaluate as evaluate

_lazy.lazy_names(
    __name__,
    {
        "Checkpoints": ".checkpoint._checkpoints",
        "EMA": "._ema",
        "Metric": "._metrics",
        "MultiMetric": "._metrics",
        "CSVLogger": ".runs._loggers",
        "Interrupted": ".runs._interrupt",
        "JSONLogger": ".runs._loggers",
        "Logger": ".runs._loggers",
        "Run": ".runs._run",
        "TensorBoardLogger": ".runs._loggers",
        "WandbLogger": ".runs._loggers",
        "evaluate": ".runs._validate",
        "find_nonfinite": ".runs._nonfinite",
        "gradient_norm": ".runs._measures",
        "learning_rate": ".runs._measures",
        "TrainState": "._train_state",
        "fsdp": ".placement._rules",
        "init_sharded": ".placement._shard",
        "layout": ".placement._layout",
        "load": ".checkpoint._checkpoint",
        "metrics": ".metrics",
        "save": ".checkpoint._checkpoint",
        "scan_steps": "._scan_steps",
        "shard": ".placement._shard",
    },
)
