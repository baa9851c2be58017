"""Training: optimizer, metrics, averages of parameters, checkpoints, runs."""

from . import metrics as metrics
from . import optimizer as optimizer
from ._checkpoint import load as load
from ._checkpoint import save as save
from ._ema import EMA as EMA
from ._fit import Interrupted as Interrupted
from ._fit import Run as Run
from ._metrics import Metric as Metric
from ._metrics import MultiMetric as MultiMetric
from ._optimizer import ModelAndOptimizer as ModelAndOptimizer
from ._optimizer import Optimizer as Optimizer
