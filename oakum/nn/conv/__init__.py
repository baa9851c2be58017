"""Convolutions and pools, and how their windows are padded.

May import: `linear/`, and what layers share.
"""
