"""Recurrent cells, and the loops that run them over time.

May import: `linear/`, and what layers share.
"""
