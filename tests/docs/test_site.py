"""What the site says of itself: its pages, its reference."""

import importlib.util
import re
from pathlib import Path

import pytest

import oakum
from oakum.cli._recipes import find_recipes

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


GALLERY = (ROOT / "docs" / "gallery.md").read_text("utf-8")
# What pymdownx.snippets takes for an order to show a file.
SHOWN = re.compile(r'^ *-+8<-+ +"([^"]+)"$', re.M)


@pytest.mark.parametrize("recipe", find_recipes())
def test_the_gallery_shows_the_program_and_the_curves_of_each_recipe(recipe):
    assert f"\n| `{recipe}` |" in GALLERY
    assert f"examples/{recipe}.py" in SHOWN.findall(GALLERY)
    if recipe != "parallel_transformer":  # it takes several devices
        assert f"](assets/curves/{recipe}.png)" in GALLERY


@pytest.mark.parametrize(
    "page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.stem
)
def test_an_order_to_show_a_file_is_none_that_a_formatter_rewrites(page):
    text = page.read_text("utf-8")
    assert not re.search(r"-+ ?8 ?< ?-+ ?\"", SHOWN.sub("", text))
    # ruff formats blocks whose fence names Python, and takes the order for arithmetic.
    assert not re.search(r"^ *```py\w*\n *-+8<-+", text, re.M)


def test_every_picture_that_a_page_shows_is_there():
    for page in (ROOT / "docs").rglob("*.md"):
        for target in re.findall(r"!\[[^]]*\]\(([^)]+)\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
