"""Every wrong snippet is found by its rule and no other; no right one is."""

import pytest

from oakum.lint import check_source
from tests.lint.right_snippets import RIGHT
from tests.lint.snippets import IMPORTS, WRONG, WRONG_UNDER_FLAX, program


def codes(text):
    return {finding.code for finding in check_source(text)}


@pytest.mark.parametrize("style", IMPORTS)
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_program_is_found(name, style):
    assert codes(program(WRONG[name], style)) == {name.split()[0]}


@pytest.mark.parametrize("name", WRONG_UNDER_FLAX)
def test_a_program_that_is_wrong_under_flax_alone_is_found_there(name):
    body = WRONG_UNDER_FLAX[name]
    assert codes(program(body, "flax")) == {name.split()[0]}
    assert codes(program(body, "oakum")) == set()


@pytest.mark.parametrize("style", IMPORTS)
@pytest.mark.parametrize("name", RIGHT)
def test_of_a_right_program_nothing_is_said(name, style):
    assert check_source(program(RIGHT[name], style)) == []


def test_the_tables_are_large_enough():
    assert len(WRONG) >= 50
    assert len(RIGHT) >= 30
