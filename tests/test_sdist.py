"""The source distribution: all of the package, its recipes, and no tests."""

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """The files of a source distribution, relative to its folder."""
    pytest.importorskip("setuptools", minversion="77")
    copy = tmp_path_factory.mktemp("source")
    for name in FILES:
        shutil.copy(ROOT / name, copy)
    for name in ("oakum", "examples", "tests"):
        ignored = shutil.ignore_patterns("__pycache__", "*.safetensors")
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    code = "from setuptools import build_meta; build_meta.build_sdist('dist')"
    subprocess.run([sys.executable, "-c", code], cwd=copy, check=True)
    (archive,) = (copy / "dist").glob("oakum-*.tar.gz")
    with tarfile.open(archive) as file:
        return {name.partition("/")[2] for name in file.getnames()}


@pytest.mark.slow
def test_it_holds_the_whole_package_and_the_recipes(names):
    wanted = [*(ROOT / "oakum").rglob("*.py"), *(ROOT / "examples").glob("*.py")]
    paths = {str(path.relative_to(ROOT)) for path in wanted} | {
        "oakum/py.typed",
        *FILES,
    }
    assert paths - names == set()


@pytest.mark.slow
def test_it_holds_no_tests(names):
    assert [name for name in names if name.startswith("tests")] == []
