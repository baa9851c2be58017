#!/usr/bin/env bash
# orbax-checkpoint 0.12.8, `CheckpointManager`: with `preservation_policy=BestN(...)` the best
# steps are kept by the metrics that `save(metrics=)` is given, but these are written only
# where `best_fn` is given too. After a restart no step has metrics, so that the policy goes on
# without those it kept. Seen, metrics of steps 1 and 2 after a restart:
#   best_fn: [0.5, 0.1]
#   BestN: [None, None]
#
# Runs the pinned packages alone, in a temporary folder; fails if what it says has changed.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check jax==0.10.2 orbax-checkpoint==0.12.8
JAX_PLATFORMS=cpu venv/bin/python - <<'PYTHON'
import logging
from pathlib import Path

import jax.numpy as jnp
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import BestN

logging.disable(logging.CRITICAL)


def negated(metrics):
    return -metrics["loss"]


def after_restart(name, **options):
    options = ocp.CheckpointManagerOptions(**options)
    folder = Path.cwd() / name
    with ocp.CheckpointManager(folder, options=options) as manager:
        for step, loss in ((1, 0.5), (2, 0.1), (3, 0.9)):
            tree = ocp.args.StandardSave({"w": jnp.ones(2)})
            manager.save(step, args=tree, metrics={"loss": loss})
            manager.wait_until_finished()
        assert manager.all_steps() == [1, 2]
    with ocp.CheckpointManager(folder, options=options) as manager:
        found = [manager.metrics(step) for step in manager.all_steps()]
    losses = [metrics and metrics["loss"] for metrics in found]
    print(f"{name}: {losses}")
    return losses


assert after_restart("best_fn", best_fn=negated, max_to_keep=2) == [0.5, 0.1]
policy = BestN(get_metric_fn=negated, n=2)
assert after_restart("BestN", preservation_policy=policy) == [None, None]
print("orbax", ocp.__version__)
PYTHON
