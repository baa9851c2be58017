"""Attention: the function and the layer, masks, the cache, rotary positions.

May import: `linear/`, `norm/`, and what layers share.
"""

from ..._places import names_of

__getattr__, __dir__ = names_of(__name__)
