"""How a graph of objects is described: taken apart, built again, walked.

A *form* is what a node remembers of its own keys and configuration; a GraphDef is the
structure of a whole graph, interned; the leaves are its Variables and bare arrays, each
once, in canonical order. `encode` takes a graph apart, `Decoder` builds it again, the
walks visit objects with their paths.

May import: _objects and what is left of it.
"""

from ._edits import edits_alone as edits_alone
from ._flatten import DynamicArg as DynamicArg
from ._flatten import Encoder as Encoder
from ._flatten import encode as encode
from ._flatten import holds_plain as holds_plain
from ._flatten import tree_key as tree_key
from ._form import remember as remember
from ._graphdef import ARG as ARG
from ._graphdef import KEPT as KEPT
from ._graphdef import LEAF as LEAF
from ._graphdef import NODE as NODE
from ._graphdef import OWN as OWN
from ._graphdef import REF as REF
from ._graphdef import STATIC as STATIC
from ._graphdef import TREE as TREE
from ._graphdef import VAR as VAR
from ._graphdef import GraphDef as GraphDef
from ._graphdef import Path as Path
from ._graphdef import leaf_tokens as leaf_tokens
from ._looks import Attributes as Attributes
from ._looks import Looks as Looks
from ._match import alike as alike
from ._match import holds as holds
from ._match import object_tokens as object_tokens
from ._match import of_classes_now as of_classes_now
from ._snapshot import objects_of as objects_of
from ._unflatten import Decoder as Decoder
from ._unflatten import decode as decode
from ._walk import children as children
from ._walk import is_leaf as is_leaf
from ._walk import is_tree as is_tree
from ._walk import iter_children as iter_children
from ._walk import iter_graph as iter_graph
from ._walk import iter_module_children as iter_module_children
from ._walk import iter_modules as iter_modules
from ._walk import leaves as leaves
from ._walk import modules_of as modules_of
from ._walk import places as places
from ._walk import walk as walk
