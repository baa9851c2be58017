"""What `oakum migrate` makes of the traps runs in oakum, each hazard an error."""

import pytest

pytest.importorskip("libcst")

from oakum.cli._migrate import _has, _is_module
from oakum.migrate._names import Names
from oakum.migrate._program import migrate_program
from tests.lint.right_snippets import RIGHT
from tests.lint.snippets import WRONG, program
from tests.lint.test_truth import run_text

NAMES = Names(_has, _is_module)
# A dict with some of the paths only: what `update` takes is another matter.
OTHERWISE_WRONG = {"OAK001 update_of_the_state"}
MENDED = [
    name
    for name, body in WRONG.items()
    if name.startswith(("OAK001", "OAK002", "OAK003"))
    and name not in OTHERWISE_WRONG
    and not migrate_program(program(body, "flax"), NAMES).notes
]


def test_most_of_the_traps_are_mended():
    assert len(MENDED) >= 38


@pytest.mark.slow
@pytest.mark.parametrize("name", MENDED)
def test_a_trap_that_is_mended_runs(name):
    run_text(migrate_program(program(WRONG[name], "flax"), NAMES).text)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_program_changes_its_import_alone(name):
    migrated = migrate_program(program(RIGHT[name], "flax"), NAMES)
    assert migrated.text == program(RIGHT[name])
    assert migrated.notes == []
