"""Training: optimizer, metrics, averages of parameters, checkpoints, runs."""

from ._optimizer import ModelAndOptimizer as ModelAndOptimizer
from ._optimizer import Optimizer as Optimizer
