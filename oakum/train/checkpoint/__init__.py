"""Saving and loading: one file that holds structure, arrays and checks.

May import: `_extras`, and what is left of `train/`.
"""
