"""The one folder that touches JAX outside its documented API, by what it wraps.

Each use has a fallback, so that `import oakum` succeeds on a JAX that moved or dropped
what stands here; at worst the guard then sees less.

May import: nothing of oakum.
"""

from typing import TYPE_CHECKING

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
from ._processes import Absent as Absent
from ._processes import exchange as exchange
from ._processes import gather_of_processes as gather_of_processes
from ._processes import take_leave as take_leave
from ._programs import beyond_first_rounds as beyond_first_rounds
from ._programs import checkify as checkify
from ._programs import has_callback as has_callback
from ._programs import jaxpr_function as jaxpr_function
from ._programs import out_types as out_types
from ._programs import quick_function as quick_function
from ._programs import quick_options as quick_options
from ._programs import running_calls_back as running_calls_back
from ._programs import sparing_options as sparing_options
from ._shardings import FOLLOWS as FOLLOWS
from ._shardings import is_sharding_type_error as is_sharding_type_error
from ._shardings import like as like
from ._traces import EAGER as EAGER
from ._traces import current_trace as current_trace
from ._traces import may_be_running as may_be_running
from ._traces import recorded_constants as recorded_constants
from ._traces import root_trace as root_trace
from ._traces import running_traces as running_traces
from ._traces import tracing as tracing

if TYPE_CHECKING:
    from jax.experimental import checkify as _checkify

    CheckifyError = _checkify.Error
