"""Tables and trees of models, to look at."""

from ._show import display as display
from ._summary import tabulate as tabulate
