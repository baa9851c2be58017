"""`oakum lint`: hazards that stand in the text, found before the program runs.

The folder stands alone: it reads source text with `ast`, imports neither jax nor
anything of oakum, and may itself be imported as a package of its own. `_scopes` walks
a tree once; `_source` says what names mean; `_traces` which functions run under a
transform; `_writes` what writes to state. Each file of `rules/` is one rule, with its
page for `oakum explain`; `_run` reads files and prints findings.
"""

from ._run import RULES as RULES
from ._run import Finding as Finding
from ._run import UnreadableError as UnreadableError
from ._run import check_file as check_file
from ._run import check_source as check_source
from ._run import find_faults as find_faults
from ._run import iter_files as iter_files
from ._run import run as run

__all__ = [
    "RULES",
    "Finding",
    "UnreadableError",
    "check_file",
    "check_source",
    "find_faults",
    "iter_files",
    "run",
]
