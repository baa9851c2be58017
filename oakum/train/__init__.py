"""Training: optimizer, metrics, averages of parameters, checkpoints, runs."""

from ._checkpoint import load as load
from ._checkpoint import save as save
from ._optimizer import ModelAndOptimizer as ModelAndOptimizer
from ._optimizer import Optimizer as Optimizer
