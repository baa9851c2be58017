"""`oakum train NAME`: runs a recipe."""

from __future__ import annotations

import importlib.util
import sys

from ._launch import launch, run_guarded
from ._recipes import describe_options, find_recipes, import_recipe


def train(args: list[str]) -> int:
    """Train a model by a recipe and keep it in a folder.

    Args:
        args: the name of the recipe, then its options.

    Returns:
        The exit code.
    """
    recipes = find_recipes()
    name, *options = args or ["--help"]
    if name not in recipes and name not in ("-h", "--help"):
        print(f"oakum train: there is no recipe {name!r}\n", file=sys.stderr)
        name = ""
    if name not in recipes:
        width = max(map(len, recipes)) + 2
        lines = [f"  {key:<{width}}{r.summary}" for key, r in recipes.items()]
        lines = ["usage: oakum train RECIPE [OPTIONS]", "", *lines, ""]
        lines.append("oakum train RECIPE --help explains the options of a recipe.")
        print("\n".join(lines), file=sys.stdout if name else sys.stderr)
        return 0 if name else 2

    asks = {"-h", "--help"} & set(options)
    if asks and importlib.util.find_spec("tyro") is None:
        print(describe_options(recipes[name].path, f"oakum train {name}"))
        return 0

    def run() -> None:
        recipe = import_recipe(recipes[name].path)
        launch(recipe.main, recipe.Config, options, command=f"oakum train {name}")

    return run_guarded(run)
