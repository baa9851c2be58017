"""Files of tensors: the format, and the sources that `load` takes.

A source is a folder, a file or a dict of arrays. May import: `_steps`.
"""
