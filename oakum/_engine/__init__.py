"""What every transform shares: flatten, enter, run, commit.

`_lift` takes the argument objects apart, builds their *twins* inside the trace and
commits what was written. The other files read arguments: which are differentiated
(*selection*), which axes each part has (*prefix*, *mapped*), which axes have names.

May import: _rngs and what is left of it.
"""
