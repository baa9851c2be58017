"""Norms of activations, and norms of weights around a layer.

May import: what layers share.
"""
