"""Programs before and after `oakum migrate`."""

import ast

import pytest

pytest.importorskip("libcst")

from oakum.migrate._names import Names
from oakum.migrate._program import UnreadableError, migrate_program
from tests.migrate.programs import PROGRAMS

# What oakum has is fixed here, so that a name that comes later changes no row.
LACKED = {"update_context", "as_pure", "bridge", "set_graph_mode", "GraphState"}
LACKED |= {
    "VariableState",
    "abstract_with_sharding",
    "default_kernel_init",
    "to_arrays",
}
NAMES = Names(
    has=lambda path: not LACKED & set(path.split(".")) and "linear" not in path,
    is_module=lambda path: path == "nn",
)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_comes_out_as_it_should(name):
    row = PROGRAMS[name]
    migrated = migrate_program(row.before, NAMES)
    assert migrated.text == row.after
    assert [note.line for note in migrated.notes] == [line for line, _ in row.notes]
    for note, (_, words) in zip(migrated.notes, row.notes, strict=True):
        assert words in note.text


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_second_run_changes_nothing(name):
    once = migrate_program(PROGRAMS[name].before, NAMES)
    assert migrate_program(once.text, NAMES) == once


@pytest.mark.parametrize("name", PROGRAMS)
def test_line_ends_are_kept(name):
    row = PROGRAMS[name]
    migrated = migrate_program(row.before.replace("\n", "\r\n"), NAMES)
    assert migrated.text == row.after.replace("\n", "\r\n")


def test_what_is_no_python_is_refused_with_its_place():
    with pytest.raises(UnreadableError, match=r"2:8: does not parse"):
        migrate_program("from flax import nnx\nx = 1 +\n", NAMES)


def test_the_table_is_large_enough():
    assert len(PROGRAMS) >= 40
    for row in PROGRAMS.values():
        ast.parse(row.after)
