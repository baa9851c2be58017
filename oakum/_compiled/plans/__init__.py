"""What a jitted function remembers of one set of argument objects: a plan.

`_kept` says which objects a plan keeps alive, `_looked_at` whether they are as they
were, `_plan` how a call goes; `_donation` what that gives away, `_results` what it
returns.

May import: _engine and what is left of it; of _compiled/, `captured/`.
"""
