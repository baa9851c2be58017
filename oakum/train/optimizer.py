"""Optimizers under the name by which programs know them: `nnx.optimizer.Optimizer`."""

from .._objects import OptArray as OptArray
from .._objects import OptState as OptState
from .._objects import OptVariable as OptVariable
from ._optimizer import ModelAndOptimizer as ModelAndOptimizer
from ._optimizer import Optimizer as Optimizer
