"""Low-rank adaptation: the layers, and how they are put into a model.

May import: `linear/`, `norm/`, and what layers share.
"""

from ..._places import names_of

__getattr__, __dir__ = names_of(__name__)
