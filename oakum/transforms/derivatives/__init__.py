"""Derivatives: grad, vjp and jvp, functions with a derivative of their own, and remat.

What each takes a derivative of is a `Selection` (`_engine/_selection.py`).

May import: _compiled and what is left of it.
"""
