"""Which axis of each array a transform goes over, and the functions so mapped.

An axis specification is a *prefix* of the arguments. `_axes` finds in it the axis of
each array, `_by_filter` what a State says by filters, `_axis_metadata` the names that
axes bear; `_mapped` and `_scanned` run a function on such parts.

May import: the files of `_engine/` beside it.
"""
