"""What objects are to others: methods, texts, JAX pytrees, trees of treescope.

Importing this folder gives every node its methods (`train`, `sow`, ...) and registers
nodes and Variables with JAX. `capture` and what observes calls of methods are here.

May import: _state and what is left of it.
"""

from . import _methods as _methods
from . import _pytrees as _pytrees
from . import _treescope as _treescope
