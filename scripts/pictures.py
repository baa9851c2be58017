"""The pictures of the site: runs recipes, and keeps what they draw in docs/assets/.

    python scripts/pictures.py [RECIPE...]      # all of them: `make pictures`

The gallery shows the curves of each recipe, and what `digits` misread.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
ASSETS = ROOT / "docs" / "assets"
RUNS = ROOT / "runs" / "pictures"
# `lora` goes on from what `transformer` learned.
RECIPES = ["digits", "resnet", "vit", "vae", "chars", "transformer", "lora"]
RECIPES += ["lstm_tagger", "moe"]
OPTIONS = {"lora": ["--base", str(RUNS / "transformer")]}


def draw(name: str) -> None:
    """Runs a recipe from its start, and keeps its pictures."""
    out = RUNS / name
    shutil.rmtree(out, ignore_errors=True)
    oakum = Path(sys.executable).with_name("oakum")
    options = ["--out", str(out), *OPTIONS.get(name, [])]
    subprocess.run([oakum, "train", name, *options], cwd=ROOT, check=True)
    for picture in sorted(out.glob("*.png")):
        target = "mistakes.png" if name == "digits" else ""
        if picture.name == "curves.png":
            target = f"curves/{name}.png"
        if target:
            (ASSETS / target).parent.mkdir(exist_ok=True)
            shutil.copy(picture, ASSETS / target)


if __name__ == "__main__":
    for recipe in sys.argv[1:] or RECIPES:
        draw(recipe)
