"""Attention: the function and the layer, masks, the cache, rotary positions.

May import: `linear/`, `norm/`, and what layers share.
"""
