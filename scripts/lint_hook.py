#!/usr/bin/env python3
"""`oakum lint` without oakum: for pre-commit, on a machine without jax.

scripts/lint_hook.py PATH...
"""

import sys
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036 - the python3 of any machine
    sys.exit("oakum lint needs python3 to be Python 3.11 or newer")

# The folder imports nothing but the standard library, and nothing of oakum.
sys.path.insert(0, str(Path(__file__).parents[1] / "oakum"))

import lint

if __name__ == "__main__":
    sys.exit(lint.run(sys.argv[1:]))
