"""A core of the parity tables: names, and the idioms that are quick to run.

`python scripts/parity.py` runs all of them, on several versions of flax and jax.
"""

import re
from pathlib import Path

import pytest

import oakum
from tests.parity import names, relations, table
from tests.parity.idioms import CORE, IDIOMS, PENDING
from tests.parity.spellings import SPELLINGS, holds

README, PAGE = (Path(__file__).parents[2] / p for p in ("README.md", "docs/parity.md"))
pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def flax_nnx():
    return pytest.importorskip("flax.nnx")


def case(idiom):
    pending = [pytest.mark.xfail(strict=False)] if idiom.key in PENDING else []
    return pytest.param(idiom, id=idiom.key, marks=pending)


@pytest.mark.parametrize("idiom", [case(idiom) for idiom in CORE])
def test_idiom_gives_the_same_result(idiom, flax_nnx):
    outcomes = table.outcome(idiom, flax_nnx), table.outcome(idiom, oakum)
    result, detail = table.compared(*outcomes)
    wanted = {"different", "absent"} if idiom.reason else {"equal", "close", "absent"}
    assert result in wanted, detail or "equal: its reason to differ is stale"


def test_names_and_parameters_are_those_of_flax(flax_nnx):
    rows = [
        r for r in names.rows(flax_nnx, oakum) if r.status in ("absent", "different")
    ]
    assert [(r.name, r.detail) for r in rows if not r.reason] == []


def test_reasons_are_of_names_that_differ(flax_nnx):
    rows = names.rows(flax_nnx, oakum)
    unlike = {r.name for r in rows if r.status in ("absent", "different")}
    classes = {name.split(".")[0] for name in unlike}
    known = {n for n in names.PARAMETERS if hasattr(flax_nnx, n.split(".")[0])}
    assert (names.ABSENT.keys() | known) - unlike - classes == set()


def test_classes_are_subclasses_as_in_flax(flax_nnx):
    rows = relations.rows(flax_nnx, oakum)
    assert [(r.name, r.other) for r in rows if not r.reason] == []


@pytest.mark.parametrize("spelling", SPELLINGS, ids=lambda s: f"{s[0]}={s[1]}")
def test_two_spellings_mean_one_thing(spelling, flax_nnx):
    _, _, check = spelling
    assert holds(check, flax_nnx)
    assert holds(check, oakum)


def test_the_readme_has_the_number_of_idioms_of_the_page():
    said = [re.findall(r"(\d+) idioms", page.read_text()) for page in (README, PAGE)]
    assert said[0] == said[1][:1] != []


def test_every_idiom_says_what_it_shows():
    assert [idiom.key for idiom in IDIOMS if not idiom.fact.endswith((".", "!"))] == []
    assert len({idiom.key for idiom in IDIOMS}) == len(IDIOMS) >= 300
