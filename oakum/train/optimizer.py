"""Optimizers under the name by which programs know them: `nnx.optimizer.Optimizer`."""

from ..core import OptArray as OptArray
from ..core import OptState as OptState
from ..core import OptVariable as OptVariable
from ._optimizer import ModelAndOptimizer as ModelAndOptimizer
from ._optimizer import Optimizer as Optimizer
