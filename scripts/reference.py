"""The pages of the reference: every public name of oakum, by what it is for.

mkdocs runs it as a hook (mkdocs.yml), so that the pages are never behind the package.
"""

from __future__ import annotations

import inspect
import re
import sys
import types
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import oakum

TITLES = {
    "modules": "Modules and Variables",
    "state": "State and filters",
    "randomness": "Random streams",
    "transforms": "Transforms",
    "layers": "Layers",
    "functions": "Functions of JAX",
    "training": "Training",
    "weights": "Weights in and out",
    "sharding": "Sharding",
    "looking": "Errors, the guard, looking",
    "others": "For programs of flax.nnx",
}
# The first module that a name's home begins with decides about its page.
HOMES = {
    "oakum._objects": "modules",
    "oakum._state._partitioning": "sharding",
    "oakum._state": "state",
    "oakum._graph": "state",
    "oakum._rngs": "randomness",
    "oakum._modes": "others",
    "oakum.transforms": "transforms",
    "oakum._compiled": "transforms",
    "oakum._engine": "transforms",
    "oakum._protocols": "transforms",
    "oakum.nn": "layers",
    "oakum.sharding": "sharding",
    "oakum.train.placement": "sharding",
    "oakum.train": "training",
    "oakum.weights": "weights",
    "oakum._guard": "looking",
    "oakum._display": "looking",
    "oakum.errors": "looking",
    "jax": "functions",
}
INTROS = {
    "functions": "These are JAX's own, under the names that flax.nnx has for them.",
    "others": "Names that programs for flax.nnx use, and that are not needed here.",
}


def pages() -> dict[str, str]:
    """The text of each page, by its name."""
    entries: dict[str, list[str]] = {page: [] for page in TITLES}
    for path, value in sorted(public().items(), key=lambda item: item[0].lower()):
        page, entry = _entry(path, value)
        entries[page].append(entry)
    return {
        page: f"# {title}\n\n{INTROS.get(page, '')}\n\n" + "\n\n".join(entries[page])
        for page, title in TITLES.items()
    }


def public() -> dict[str, Any]:
    """Every public name with its value, at the top first."""
    found = {f"oakum.{name}": getattr(oakum, name) for name in oakum.__all__}
    known = set(map(id, found.values()))
    for module in (oakum.train, oakum.errors, oakum.weights):
        for name in dir(module):
            value = getattr(module, name, None)
            home = getattr(value, "__module__", "")
            if callable(value) and home.startswith("oakum") and id(value) not in known:
                found |= {} if name[0] == "_" else {f"{module.__name__}.{name}": value}
    return found


def _entry(path: str, value: Any) -> tuple[str, str]:
    name = path.rpartition(".")[2]
    home = getattr(value, "__module__", None) or ""
    if isinstance(value, types.ModuleType):
        text = (value.__doc__ or "").strip().partition("\n")[0]
        return "others", f"### `{path}`\n\nA module. {text}"
    page = next((p for h, p in HOMES.items() if f"{home}.".startswith(f"{h}.")), None)
    if page is None or page == "functions":
        own = getattr(value, "__name__", name)
        what = f"`{home}.{own}`" if page else f"`{value!r}`"
        what = what.replace("jax._src.nn.functions", "jax.nn")
        what = what.replace("jax._src.ops.special", "jax.nn")
        return page or "others", f"### `{path}`\n\n{what}"
    own = getattr(value, "__name__", name)
    if own != name:  # a second name
        return "others" if hasattr(oakum, own) else page, f"### `{path}`\n\nIs `{own}`."
    return page, f"::: {path}{_shared_arguments(value)}"


def _shared_arguments(value: Any) -> str:
    """What the bases of a family of layers say of the arguments of all of them."""
    text, told = "", set()
    for base in getattr(value, "__mro__", ())[1:]:
        init = vars(base).get("__init__")
        doc = inspect.cleandoc(getattr(init, "__doc__", None) or "")
        if base.__module__.startswith("oakum.nn.") and "\nArgs:\n" in doc:
            section = doc.partition("\nArgs:\n")[2].partition("\n\n")[0]
            entries = re.sub(r"\n {5,}", " ", section)
            lines = [line.strip() for line in entries.splitlines()]
            new = [x for x in lines if x.partition(":")[0] not in told | {"**others"}]
            told |= {line.partition(":")[0] for line in new}
            items = "\n".join(
                [re.sub(r"^([\w, ]+): ", r"- **`\1`** – ", x) for x in new]
            )
            text += f"\n\nArguments of every `{base.__name__}`:\n\n{items}"
    return text


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages to the site."""
    from mkdocs.structure.files import File

    for page, text in pages().items():
        files.append(File.generated(config, f"reference/{page}.md", content=text))
    return files
