"""The README's programs run, and its table is the benchmark's."""

import re
from pathlib import Path

import jax
import pytest

README = (Path(__file__).parent.parent / "README.md").read_text()
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
    nnx, jnp = scope["nnx"], scope["jnp"]
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
