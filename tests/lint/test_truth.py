"""The snippets are what they are said to be: oakum itself refuses the wrong ones.

The other rules are of hazards that cannot be seen while a program runs; their programs
run to their end.
"""

import warnings

import jax
import pytest

import oakum
from tests.lint.right_snippets import RIGHT
from tests.lint.snippets import WRONG, program

# One result of the call is handed back, and oakum takes it for all of them.
UNSEEN = {"OAK003 only_the_loss_and_the_model_come_back"}
# The guard warns while the function is traced: it cannot know that of a captured model
# only the structure is read, or that nothing will change it.
WARNED = {
    *("excused", "structure_of_a_captured_model"),
    *(
        "captured_model_that_nothing_changes",
        "lambda_over_a_model_that_nothing_changes",
    ),
}
SEEN_AT_RUN_TIME = ("OAK001", "OAK002", "OAK003", "OAK008")


def run(body):
    run_text(program(body))


def run_text(text):
    """Run a whole program with every hazard an error."""
    promotion = jax.numpy_dtype_promotion("standard")
    with warnings.catch_warnings(), jax.numpy_rank_promotion("allow"), promotion:
        warnings.simplefilter("ignore")
        with oakum.guard("error"):
            exec(text, {"__name__": "snippet"})


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(WRONG.keys() - UNSEEN))
def test_a_wrong_program_fails_where_oakum_can_see_it(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if name.startswith(SEEN_AT_RUN_TIME):
        refusals = (oakum.errors.OakumError, oakum.errors.OakumWarning, TypeError)
        with pytest.raises((*refusals, jax.errors.JAXTypeError)):
            run(WRONG[name])
    else:
        run(WRONG[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(RIGHT.keys() - WARNED))
def test_a_right_program_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(RIGHT[name])
