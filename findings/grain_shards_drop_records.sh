#!/usr/bin/env bash
# grain 0.2.18, `DataLoader` with `ShardOptions(drop_remainder=False)`: the first shards own one
# record more, but each reads only as many as the smallest has, so that their last records are
# never seen, in no epoch. With fewer records than shards none is read, and nothing is said.
# Slices of a `MapDataset` keep every record. Seen, for 10 records:
#   IndexSampler: [0, 1, 2], [4, 5, 6], [7, 8, 9]; SequentialSampler: [0, 3, 6], [1, 4, 7],
#   [2, 5, 8]; MapDataset: [0, 3, 6, 9], [1, 4, 7], [2, 5, 8]
#   2 records over 3 shards: [], [], []
#
# Runs the pinned packages alone, in a temporary folder; fails if what it says has changed.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check jax==0.10.2 grain==0.2.18
JAX_PLATFORMS=cpu venv/bin/python - <<'PYTHON'
import logging

import grain
import grain.python as pygrain

logging.disable(logging.CRITICAL)


def ordered(records, options):
    return pygrain.IndexSampler(records, options, shuffle=False, num_epochs=1, seed=0)


def read(sampler, records, shards=3):
    parts = []
    for shard in range(shards):
        options = pygrain.ShardOptions(shard, shards, drop_remainder=False)
        loader = pygrain.DataLoader(
            data_source=pygrain.RangeDataSource(0, records, 1),
            sampler=sampler(records, options),
            worker_count=0,
        )
        parts.append([int(record) for record in loader])
    return parts


parts = read(ordered, 10)
print("IndexSampler:", parts)
assert parts == [[0, 1, 2], [4, 5, 6], [7, 8, 9]]
parts = read(pygrain.SequentialSampler, 10)
print("SequentialSampler:", parts)
assert parts == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]
parts = [list(grain.MapDataset.range(10)[shard::3]) for shard in range(3)]
print("MapDataset:", parts)
assert sorted(sum(parts, [])) == list(range(10))
parts = read(ordered, 2)
print("2 records over 3 shards:", parts, "- grain", grain.__version__)
assert parts == [[], [], []]
PYTHON
