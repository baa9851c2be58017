"""A compiled call that walks nothing.

A *plan* is what a jitted function remembers of one set of argument objects (`plans/`),
an *entry* what was compiled for one structure; `captured/` says how a function reaches
what it captures. `Jitted` holds them; `once` compiles control flow outside of a trace.

May import: _engine and what is left of it.
"""
