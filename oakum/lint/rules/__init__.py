"""The rules: a file for each kind of hazard, with its pages and how it is found.

May import: the files of lint beside this room.
"""
