"""`oakum migrate`: programs for flax.nnx become programs for oakum.

`_names` has what is called otherwise; `_renames` rewrites imports, names and flags
in a tree of libcst, which keeps the formatting; `_traps` and `_arguments` rewrite the
hazards that `oakum.lint` finds, where that is sure, by `_edits` of the text; `_notes`
lists what a person must look at; `_program` does all of it for a text, `_files` for
files.

libcst is an extra: only `_renames` and `_program` import it, and only the command
imports these. May import `lint`, and nothing else of oakum.
"""
