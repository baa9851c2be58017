"""What is read from objects and written to them: State, filters and the verbs.

A State maps paths to Variables; a filter selects among them by type, path or predicate.
`split`, `merge`, `state`, `update`, `pop`, `map`, `freeze` are `encode` and `Decoder`
with filters between them.

What few programs need is imported from `_apart`, `_partitioning` and `_views`.

May import: _graph and what is left of it.
"""

from ._attributes import set_attributes as set_attributes
from ._filters import All as All
from ._filters import Any as Any
from ._filters import Everything as Everything
from ._filters import Not as Not
from ._filters import Nothing as Nothing
from ._filters import OfType as OfType
from ._filters import PathContains as PathContains
from ._filters import PathIn as PathIn
from ._filters import WithTag as WithTag
from ._filters import filter_name as filter_name
from ._filters import filters_to_predicates as filters_to_predicates
from ._filters import partition as partition
from ._filters import select_each as select_each
from ._filters import to_predicate as to_predicate
from ._freeze import TRAINABLE as TRAINABLE
from ._freeze import freeze as freeze
from ._freeze import is_frozen as is_frozen
from ._freeze import trainable as trainable
from ._freeze import unfreeze as unfreeze
from ._graph_state import GraphState as GraphState
from ._graph_state import PureState as PureState
from ._maps import find_duplicates as find_duplicates
from ._maps import map as map
from ._maps import recursive_map as recursive_map
from ._maps import swap as swap
from ._merge import merge as merge
from ._pure import as_pure as as_pure
from ._pure import call as call
from ._pure import flatten as flatten
from ._pure import unflatten as unflatten
from ._state import FlatState as FlatState
from ._state import State as State
from ._state import filter_state as filter_state
from ._state import flat_items as flat_items
from ._state import from_flat_state as from_flat_state
from ._state import map_state as map_state
from ._state import merge_state as merge_state
from ._state import replace_by_pure_dict as replace_by_pure_dict
from ._state import restore_int_paths as restore_int_paths
from ._state import split_state as split_state
from ._state import to_flat_state as to_flat_state
from ._state import to_pure_dict as to_pure_dict
from ._update import mismatches as mismatches
from ._update import raw as raw
from ._update import show as show
from ._update import update as update
from ._verbs import check_pytree as check_pytree
from ._verbs import clone as clone
from ._verbs import graphdef as graphdef
from ._verbs import pop as pop
from ._verbs import set_metadata as set_metadata
from ._verbs import split as split
from ._verbs import state as state
from ._verbs import variables as variables
from ._verbs import with_attributes as with_attributes
