"""What the README and CONTRIBUTING say is there: programs, names, commands, files."""

import re
from pathlib import Path

import jax
import pytest

import oakum as nnx
from oakum.cli._recipes import find_recipes

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BOTH = README + (ROOT / "CONTRIBUTING.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.S)


def test_the_example_trains_in_both_forms_of_the_optimizer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scope: dict = {}
    with jax.numpy_dtype_promotion("standard"):  # as users have it
        exec(BLOCKS[1] + BLOCKS[2], scope)
    assert int(scope["optimizer"].step.value) == 1
    assert (tmp_path / "model.safetensors").exists()


@pytest.mark.filterwarnings("ignore::oakum.errors.StaleStateWarning")
def test_the_first_mistake_is_blocked_with_the_remedy_shown():
    mistake = next(block for block in BLOCKS if "class Trainer" in block)
    source = (
        "import jax, jax.numpy as jnp, optax, oakum as nnx\n"
        "def loss(model, key, data): return model(data).sum()\n" + mistake
    )
    scope: dict = {}
    exec(source, scope)
    jnp = scope["jnp"]
    trainer = scope["Trainer"](nnx.Linear(2, 1, rngs=nnx.Rngs(0)))
    with (
        jax.numpy_dtype_promotion("standard"),
        pytest.raises(nnx.TraceContextError) as caught,
    ):
        trainer.update(jnp.ones(2), jnp.ones((1, 2)))
    message = str(caught.value)
    assert "@nnx.jit\n    def update(optimizer, key, data):" in message
    assert "update(self.optimizer, key, data)" in message
    assert int(trainer.optimizer.step.value) == 0


def test_the_benchmark_table_is_there():
    table = README.split("<!-- bench -->")[1].split("<!-- /bench -->")[0]
    kinds = ("train", "forward", "eager forward", "trace")
    assert all(f"| {kind} |" in table for kind in kinds)


def test_links_lead_somewhere_outside_of_a_checkout_too():
    links = re.findall(r"\]\(([^)]*)\)|src=\"([^\"]*)\"|href=\"([^\"]*)\"", README)
    targets = ["".join(link) for link in links]
    assert [t for t in targets if not t.startswith(("https://", "#"))] == []


def test_every_name_is_there():
    names = set(re.findall(r"\bnnx\.(\w+)", README))
    assert {"jit", "update", "guard"} <= names
    assert [name for name in names if not hasattr(nnx, name)] == []
    absent = README.split("contexts of flax's engine do not exist (")[1].split(")")[0]
    absent_names = re.findall(r"`(\w+)`", absent)
    assert "update_context" in absent_names
    assert not any(hasattr(nnx, name) for name in absent_names)


def test_every_command_is_there():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"(?:^|`)make ([a-z-]+)", BOTH, re.M))
    assert {"demo", "test", "test-newest"} <= targets
    assert [t for t in targets if f"\n{t}:" not in makefile] == []
    recipes = set(re.findall(r"oakum train ([a-z]+)", README))
    assert recipes
    assert recipes <= set(find_recipes())


def test_every_file_is_there():
    files = set(re.findall(r"\b((?:\w+/)+\w+\.(?:py|md))\b", BOTH))
    assert {"bench/dispatch.py", "tests/guard/matrix.py"} <= files
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_every_hazard_of_the_guard_has_its_row():
    table = README.split("## Five ways")[1].split("`nnx.guard(")[0]
    rows = re.findall(r"^\| (\w+) \|", table, re.M)[1:]
    assert rows == ["leak", "stale", "lost", "torn", "escaped"]
