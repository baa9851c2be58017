"""What the site says of itself: its pages, its reference."""

import importlib.util
import re
from pathlib import Path

import pytest

import oakum

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("r", ROOT / "scripts" / "reference.py")
assert SPEC
assert SPEC.loader
reference = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(reference)
SITE = (ROOT / "mkdocs.yml").read_text("utf-8")
LISTED = re.findall(r": ([\w/]+\.md)$", SITE, re.M)


def test_the_reference_has_each_public_name_once():
    text = "\n".join(reference.pages().values())
    names = re.findall(r"^(?:::: |### `)oakum\.(\w+)`?$", text, re.M)
    assert sorted(names) == sorted(oakum.__all__)


def test_the_reference_has_what_a_run_needs():
    text = reference.pages()["training"]
    assert "::: oakum.train.Run\n" in text
    assert "::: oakum.train.evaluate\n" in text


@pytest.mark.parametrize("name", ["LSTMCell", "GRUCell", "BatchNorm", "LayerNorm"])
def test_the_reference_explains_arguments_that_a_family_shares(name):
    text = reference.pages()["layers"].partition(f"::: oakum.{name}\n")[2]
    assert "**`param_dtype`** – dtype of the parameters" in text.partition("\n::: ")[0]


@pytest.mark.parametrize("page", LISTED)
def test_a_page_that_is_listed_is_there(page):
    folder, _, name = page.rpartition("/")
    if folder == "reference":
        assert name.removesuffix(".md") in reference.pages() or name == "glossary.md"
    else:
        assert (ROOT / "docs" / page).exists()


def test_every_page_begins_with_a_title():
    pages = [p for p in (ROOT / "docs").rglob("*.md") if "--8<--" not in p.read_text()]
    assert [p.name for p in pages if not p.read_text("utf-8").startswith("# ")] == []
