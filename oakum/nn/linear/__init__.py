"""Products: Linear, LinearGeneral, Einsum, Embed, and what they multiply by.

May import: what layers share (the files of `nn/`).
"""

from ..._places import names_of

__getattr__, __dir__ = names_of(__name__)
