"""Finds state that would go wrong silently under a trace: knows traces, not Modules.

`_trace` tells which trace runs, `_origin` where an object was made, `_check` holds
the rules for reads and writes, `_copies` follows what JAX copies, `_edits` what happens
unseen to lists, dicts and objects of others (`_contents`), `_threads` what other
threads give away, `_handed_out` what captured state hands out, `_explain` and
`_report` build the messages, `_switch` says which hazards are looked for.
"""

from ._check import all_eager as all_eager
from ._check import is_alive as is_alive
from ._check import own as own
from ._check import readable as readable
from ._check import refuse as refuse
from ._check import resolve as resolve
from ._check import seal as seal
from ._check import writable as writable
from ._contents import content_of as content_of
from ._contents import contents_below as contents_below
from ._contents import put_back as put_back
from ._contents import quiet as quiet
from ._contents import same_content as same_content
from ._copies import copies as copies
from ._copies import note_copies as note_copies
from ._copies import note_flatten as note_flatten
from ._copies import note_merged as note_merged
from ._copies import note_out as note_out
from ._copies import note_parts as note_parts
from ._copies import note_taken as note_taken
from ._edits import edited as edited
from ._edits import note_held as note_held
from ._edits import note_plain as note_plain
from ._edits import note_settings as note_settings
from ._explain import leak_error as leak_error
from ._explain import place_of_function as place_of_function
from ._handed_out import handing_out as handing_out
from ._origin import describe as describe
from ._origin import here as here
from ._report import abstract_error as abstract_error
from ._report import check_values as check_values
from ._report import deleted_error as deleted_error
from ._report import note_consumed as note_consumed
from ._report import outlived as outlived
from ._report import tell_drawn as tell_drawn
from ._report import tell_foreign as tell_foreign
from ._report import tell_left_behind as tell_left_behind
from ._report import tell_put_in as tell_put_in
from ._report import tell_stale_cast as tell_stale_cast
from ._stack import object_path as object_path
from ._stack import stack_path as stack_path
from ._stack import standing_for as standing_for
from ._switch import guard as guard
from ._threads import consuming as consuming
from ._threads import settled as settled
from ._threads import settled_values as settled_values
from ._trace import ROOT as ROOT
from ._trace import Frame as Frame
from ._trace import TraceState as TraceState
from ._trace import active as active
from ._trace import context as context
from ._trace import current_trace as current_trace
from ._trace import place_of as place_of
from ._trace import raise_pending as raise_pending
