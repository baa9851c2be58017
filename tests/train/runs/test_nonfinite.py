"""nan and inf in a run: found, named, and never saved."""

import re

import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from oakum.errors import NonFiniteError
from oakum.train import Run, find_nonfinite


class Net(nnx.Module):
    def __init__(self):
        self.layers = [nnx.Linear(2, 2, rngs=nnx.Rngs(i)) for i in range(2)]
        self.norm = nnx.LayerNorm(2, rngs=nnx.Rngs(0))

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.norm(jnp.log(x - x))


def run_with(folder, measures, **options):
    model = Net()
    with Run(folder, model=model, **options) as run:
        for epoch in run.epochs(2):
            for step, _ in enumerate(run.batches([0] * 4)):
                if epoch == 1 and step == 2:
                    model.layers[1].bias[...] = jnp.full(2, jnp.nan)
                run.log(**measures(epoch, step))
            run.record()
    return run


def test_the_step_and_the_first_variable_are_named(tmp_path):
    def measures(epoch, step):
        return {"loss": np.nan if epoch and step > 2 else 1.0}

    match = r"(?s)at step 8: loss is nan.*1 of 6 Params.*`model.layers\[1\].bias`"
    with pytest.raises(NonFiniteError, match=match) as caught:
        run_with(tmp_path, measures)
    assert "saved at step 4" in str(caught.value)
    assert "find_nonfinite(model, *batch)" in str(caught.value)
    assert Run(tmp_path, resume=True, model=Net()).epoch == 1


def test_a_param_that_is_not_finite_is_not_saved(tmp_path):
    with pytest.raises(NonFiniteError, match=r"at step 8: 1 of 6 Params holds"):
        run_with(tmp_path, lambda epoch, step: {"loss": 1.0})
    assert Run(tmp_path, resume=True, model=Net()).epoch == 1


def test_a_run_by_steps_names_the_step_of_the_loss_and_not_its_last(tmp_path):
    model = Net()

    def train():
        with Run(tmp_path, model=model) as run:
            for _ in run.steps(9, [0] * 4):
                if run.step == 5:
                    model.layers[1].bias[...] = jnp.full(2, jnp.nan)
                run.log(loss=model.layers[1].bias.sum())

    with pytest.raises(NonFiniteError, match=r"at step 6: loss is nan\. Now 1 of 6"):
        train()


def test_another_measure_is_watched_or_none(tmp_path):
    def measures(epoch, step):
        return {"norm": np.inf}

    run_with(tmp_path / "none", measures, watch=None)
    with pytest.raises(NonFiniteError, match=r"at step 1: norm is inf"):
        run_with(tmp_path / "norm", measures, watch="norm")


def test_what_is_watched_is_named_at_its_step(tmp_path):
    model = Net()

    def train():
        with Run(tmp_path, model=model) as run:
            for _ in run.batches([0] * 4):
                grads = {"a": jnp.ones(2), "b": jnp.ones(2) / float(run.step != 2)}
                run.watch(grads=grads)
                run.log(loss=0.0)

    with pytest.raises(NonFiniteError, match=r"at step 3: 1 of 2 watched.*`grads.b`"):
        train()


def broken(change):
    model = Net()
    change(model)
    return model


def set_nan(model):
    model.layers[0].kernel[...] = model.layers[0].kernel[...].at[0, 0].set(jnp.nan)


FIRST = {
    "layer": (lambda m: None, 1.0, "`model` returns|`model.norm` returns .* that hold"),
    "param": (set_nan, 1.0, r"Param `model.layers\[0\].kernel` holds .*1 of 4"),
    "argument": (lambda m: None, np.inf, "argument 0 holds inf or nan .2 of 2"),
}


@pytest.mark.parametrize("case", FIRST)
def test_the_first_place_is_named(case):
    change, value, match = FIRST[case]
    found = find_nonfinite(broken(change), jnp.full((1, 2), value))
    assert found is not None
    assert re.search(match, found)


def test_where_all_is_finite_nothing_is_found():
    assert find_nonfinite(nnx.Linear(2, 2, rngs=nnx.Rngs(0)), jnp.ones((1, 2))) is None
