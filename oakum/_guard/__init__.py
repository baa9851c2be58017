"""Trace-leak detection: knows traces, not Modules.

`_trace` tells which trace is running, `_origin` where an object was made, `_check`
holds the rules for reads and writes, `_explain` builds the message.
"""

from ._check import resolve as resolve
from ._check import seal as seal
from ._check import writable as writable
from ._explain import object_path as object_path
from ._explain import stack_path as stack_path
from ._origin import describe as describe
from ._origin import here as here
from ._trace import ROOT as ROOT
from ._trace import Frame as Frame
from ._trace import active as active
from ._trace import context as context
from ._trace import current_trace as current_trace
