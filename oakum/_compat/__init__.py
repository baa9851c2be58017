"""The one folder that touches JAX outside its documented API, by what it wraps.

Each use has a fallback, so that `import oakum` succeeds on a JAX that moved or dropped
what stands here; at worst the guard then sees less.

What `import oakum` needs is imported from here; `_processes`, `_programs` and
`_shardings`, which take long to import, are named by those who use them.

May import: nothing of oakum.
"""

from ._annotations import annotations_of as annotations_of
from ._arrays import ConcreteArray as ConcreteArray
from ._arrays import held_by_programs as held_by_programs
from ._arrays import used_in_equations_alone as used_in_equations_alone
from ._arrays import was_consumed as was_consumed
from ._frames import asks_for_structure as asks_for_structure
from ._frames import caller_of_function as caller_of_function
from ._frames import caller_of_program as caller_of_program
from ._frames import caller_of_trees as caller_of_trees
from ._frames import locals_of_callers as locals_of_callers
from ._frames import takes_result_apart as takes_result_apart
from ._frames import watch_call as watch_call
from ._traces import EAGER as EAGER
from ._traces import current_trace as current_trace
from ._traces import may_be_running as may_be_running
from ._traces import recorded_constants as recorded_constants
from ._traces import root_trace as root_trace
from ._traces import running_traces as running_traces
from ._traces import trace_of as trace_of
from ._traces import tracing as tracing
