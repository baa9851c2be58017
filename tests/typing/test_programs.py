"""Both type checkers find every mistake in users' programs, and invent none.

The programs stand in `programs/`; a line with a mistake ends with `# mistake`. One run
of each checker goes over all of them: 6 s of a core each.
"""

import ast
import shutil

import pytest

from tests.typing.checkers import CHECKERS, PROGRAMS, ROOT, marked

# The newest jax may have other types; pyright and mypy are pinned with this one.
pytestmark = [pytest.mark.slow, pytest.mark.peer]
MARKED = marked()


def _lines(name, numbers):
    lines = (PROGRAMS / name).read_text("utf-8").splitlines()
    return [lines[number - 1] for number in sorted(numbers)]


@pytest.mark.parametrize("checker", CHECKERS)
def test_every_mistake_is_found_and_none_invented(checker, tmp_path):
    folder = tmp_path / "programs"
    shutil.copytree(PROGRAMS, folder)
    found = CHECKERS[checker](folder)
    missed = {n: _lines(n, m - found[n]) for n, m in MARKED.items()}
    invented = {n: _lines(n, found[n] - m) for n, m in MARKED.items()}
    assert {n: lines for n, lines in missed.items() if lines} == {}
    assert {n: lines for n, lines in invented.items() if lines} == {}


def test_each_of_at_least_40_programs_has_mistakes_and_right_lines():
    assert len(MARKED) >= 40
    for name, numbers in MARKED.items():
        size = len((PROGRAMS / name).read_text("utf-8").splitlines())
        assert 0 < len(numbers) < size, name


def test_the_page_of_the_checkers_has_a_row_for_each_program():
    page = (ROOT / "docs" / "typing.md").read_text("utf-8")
    titles = [
        ast.get_docstring(ast.parse(path.read_text("utf-8")))
        for path in sorted(PROGRAMS.glob("*.py"))
    ]
    assert [title for title in titles if f"| {title} |" not in page] == []
