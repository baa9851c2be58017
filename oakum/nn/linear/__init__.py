"""Products: Linear, LinearGeneral, Einsum, Embed, and what they multiply by.

May import: what layers share (the files of `nn/`).
"""
