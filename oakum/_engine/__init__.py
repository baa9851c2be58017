"""What every transform shares: flatten, enter, run, commit.

`_lift` takes the argument objects apart, builds their *twins* inside the trace and
commits what was written. The other files read arguments: which are differentiated
(*selection*), what a loop hands on (*carry*), and, in `axes/`, over which axes of each
part a transform goes.

May import: _rngs and what is left of it.
"""
