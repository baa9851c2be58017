"""Recurrent cells, and the loops that run them over time.

May import: `linear/`, and what layers share.
"""

from ..._places import names_of

__getattr__, __dir__ = names_of(__name__)
