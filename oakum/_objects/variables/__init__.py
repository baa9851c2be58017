"""Variables: boxes of one array, with a type, metadata, and names of their axes.

`_variable` has the box, `_kinds` the types that come with the library. The rest is what
the box is made of (*operators*, what it *owns*), and what is known of it by name.

May import: what Variables and nodes share (`_version`, `_declared`, `_setup`,
`_pickle`), and what `_objects/` may import.
"""
