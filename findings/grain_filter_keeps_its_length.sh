#!/usr/bin/env bash
# `MapDataset.filter` of grain 0.2.18 drops nothing: the dataset keeps its length, and at the index
# of what was filtered out stands None, without an error. A loop over it skips these, so that a
# count of steps taken from `len` is never reached, and a sampler by index trains on None. `batch`
# behind it raises; behind `to_iter_dataset()` it is right. Seen, of the even numbers below ten:
#   len 10, by index [0, None, 2, None], a loop [0, 2, 4, 6, 8], batches of two [[0, 2], [4, 6], [8]]
#
# Runs the pinned packages alone, in a temporary folder; fails if what it says has changed.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check grain==0.2.18 jax==0.10.2
JAX_PLATFORMS=cpu venv/bin/python - <<'PYTHON'
import grain

even = grain.MapDataset.range(10).filter(lambda number: number % 2 == 0)
by_index, looped = [even[i] for i in range(4)], [int(number) for number in even]
print("len", len(even), "by index", by_index, "a loop", looped)
assert len(even) == 10
assert by_index == [0, None, 2, None]
assert looped == [0, 2, 4, 6, 8]
try:
    even.batch(2)
    raise SystemExit("batch of a filtered MapDataset ran")
except ValueError as error:
    print("batch raises", str(error)[:60])
batches = [batch.tolist() for batch in even.to_iter_dataset().batch(2)]
print("batches of two", batches)
assert batches == [[0, 2], [4, 6], [8]]
print("grain", grain.__version__)
PYTHON
