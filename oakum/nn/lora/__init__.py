"""Low-rank adaptation: the layers, and how they are put into a model.

May import: `linear/`, `norm/`, and what layers share.
"""
