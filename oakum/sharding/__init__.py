"""From names of axes to shardings, on plain arrays."""

from ._agreement import check_agreement as check_agreement
from ._fit import axes_of as axes_of
from ._fit import misfits as misfits
from ._meeting import end_at_once as end_at_once
from ._meeting import exchange_briefly as exchange_briefly
from ._meeting import meet as meet
from ._meeting import wait_for as wait_for
from ._place import context_mesh as context_mesh
from ._place import lying_as as lying_as
from ._place import named_sharding as named_sharding
from ._place import place_on_mesh as place_on_mesh
from ._rules import logical_axis_rules as logical_axis_rules
from ._rules import partition_spec as partition_spec
