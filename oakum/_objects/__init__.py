"""What users make: Variables, Modules, containers, and what they are made of.

A Variable is a box of one array with a type and metadata; a node is an object with
named children: a Module, `List`, `Dict`. Every structural change of either bumps its
*version*. A static value is part of the structure and compared by value. Variables have
the room `variables/`; beside it stand nodes, and what both share.

May import: errors, _compat, _typing, _repr, _guard, sharding.
"""

from ._annotations import DataAnnotation as DataAnnotation
from ._annotations import StaticAnnotation as StaticAnnotation
from ._classes import class_edits as class_edits
from ._containers import Dict as Dict
from ._containers import List as List
from ._dicts import OneByOne as OneByOne
from ._module import Module as Module
from ._module import Pytree as Pytree
from ._module import data as data
from ._module import dataclass as dataclass
from ._module import has_data as has_data
from ._module import is_layer as is_layer
from ._module import register_data_type as register_data_type
from ._module import static as static
from ._nodes import NUMBERS as NUMBERS
from ._nodes import Node as Node
from ._nodes import is_array as is_array
from ._nodes import is_data as is_data
from ._nodes import is_node as is_node
from ._nodes import is_object as is_object
from ._nodes import is_variable as is_variable
from ._vars import WithDict as WithDict
from ._vars import blank as blank
from ._vars import own_dict as own_dict
from ._vars import put_raw as put_raw
from ._version import bump as bump
from ._version import clock as clock
from ._version import versions as versions
from ._where import module_path as module_path
from .variables._axis_names import PARTITION_NAME as PARTITION_NAME
from .variables._axis_names import axis_names as axis_names
from .variables._axis_names import sharding_of as sharding_of
from .variables._axis_names import spread as spread
from .variables._axis_names import use_eager_sharding as use_eager_sharding
from .variables._axis_names import using_eager_sharding as using_eager_sharding
from .variables._kinds import BatchStat as BatchStat
from .variables._kinds import Cache as Cache
from .variables._kinds import Intermediate as Intermediate
from .variables._kinds import OptArray as OptArray
from .variables._kinds import OptState as OptState
from .variables._kinds import OptVariable as OptVariable
from .variables._kinds import Param as Param
from .variables._kinds import Perturbation as Perturbation
from .variables._kinds import RngCount as RngCount
from .variables._kinds import RngKey as RngKey
from .variables._kinds import RngState as RngState
from .variables._metadata import VariableMetadata as VariableMetadata
from .variables._metadata import with_metadata as with_metadata
from .variables._names import register_variable_name as register_variable_name
from .variables._names import variable_name_from_type as variable_name_from_type
from .variables._names import variable_type_from_name as variable_type_from_name
from .variables._variable import A as A
from .variables._variable import Variable as Variable
from .variables._variable import get_meta as get_meta
from .variables._variable import get_value as get_value
from .variables._variable import place as place
from .variables._variable import set_value as set_value
