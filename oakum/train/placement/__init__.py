"""Where the state of objects lies on a mesh: one call says it for all of them.

A *rule* is a filter and the spec of what it selects; a *layout* is the spec of every
array. What an optimizer or an average keeps for a parameter lies where the parameter
does, and needs no rule.

May import: `checkpoint`, and what is left of it.
"""
