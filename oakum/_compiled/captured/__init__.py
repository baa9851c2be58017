"""What a jitted function reaches by itself, beside its arguments.

A *step* is a name, item or attribute under which it found an object; `_below` says what
stands below each value, `_sources` which steps lead to captured state (`_captured`),
`_switches` what else decides which state it finds, `_numbers` what else its code reads
(`_values`, `_noted`), `_made` whose a piece of configuration is that it leaves in a
model.

May import: _engine and what is left of it.
"""
