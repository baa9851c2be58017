"""Recipes: where they are, and which files are some.

A recipe is a file that defines `Config` and `main` at its top level. The recipes stand
in `examples/`: in a checkout, beside the package; in an installation, in
`share/oakum/examples` of the environment.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple


class Recipe(NamedTuple):
    """A recipe that was found but not imported."""

    path: Path
    summary: str


def find_recipes() -> dict[str, Recipe]:
    """Finds all recipes, by name."""
    recipes = {}
    for path in sorted(_iter_examples()):
        tree = ast.parse(path.read_text("utf-8"))
        defined = {getattr(node, "name", "") for node in tree.body}
        if {"Config", "main"} <= defined:
            summary = (ast.get_docstring(tree) or "").partition("\n")[0]
            recipes[path.stem] = Recipe(path, summary)
    return recipes


def describe_options(path: Path, command: str) -> str:
    """Lists the options of a recipe from its text, where nothing of it can be imported.

    Args:
        path: the file of the recipe.
        command: how the user calls it.
    """
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    (config,) = (node for node in tree.body if getattr(node, "name", "") == "Config")
    assert isinstance(config, ast.ClassDef)
    lines = [f"usage: {command} [OPTIONS]", "", ast.get_docstring(tree) or "", ""]
    for field in config.body:
        if not isinstance(field, ast.AnnAssign):
            continue
        name = ast.unparse(field.target).replace("_", "-")
        kind = ast.unparse(field.annotation)
        option = f"--{name}" if kind == "bool" else f"--{name} {kind.upper()}"
        comment = text.splitlines()[field.lineno - 1].partition("#")[2].strip()
        default = f" (default: {ast.unparse(field.value)})" if field.value else ""
        lines.append(f"  {option:<24}{comment}{default}")
    lines += ["", "To run it: pip install 'oakum[train]'"]
    return "\n".join(lines)


def import_recipe(path: Path) -> ModuleType:
    """Imports a recipe from its file; it may import others that lie beside it."""
    name = f"oakum_recipe_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # the source of Config is looked up there, for --help
    # As Python does for a file that it runs.
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module


def _iter_examples() -> Iterator[Path]:
    package = Path(__file__).parents[1]
    checkout = package.parent
    if (checkout / "pyproject.toml").is_file():
        return (checkout / "examples").glob("*.py")
    # Searched upwards, because only the installer knows how far down the package is:
    # `lib/python3.11/site-packages` in an environment, nothing after `pip --target`.
    shares = (parent / "share" / "oakum" / "examples" for parent in package.parents)
    return next((share for share in shares if share.is_dir()), package).glob("*.py")
