"""From names of axes to shardings, on plain arrays.

What only programs of several processes need is imported from `_meeting`, where they
wait for each other, and `_agreement`, which compares what they hold.
"""

from ._fit import axes_of as axes_of
from ._fit import misfits as misfits
from ._place import context_mesh as context_mesh
from ._place import lying_as as lying_as
from ._place import mesh_of as mesh_of
from ._place import named_sharding as named_sharding
from ._place import place_on_mesh as place_on_mesh
from ._rules import logical_axis_rules as logical_axis_rules
from ._rules import partition_spec as partition_spec
