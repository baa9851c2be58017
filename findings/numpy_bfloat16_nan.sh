#!/usr/bin/env bash
# numpy 2.4.6 with ml_dtypes 0.6.0: NumPy does not count bfloat16 (and float8) among the inexact
# dtypes, so that its functions about nan take such an array for one that cannot hold any:
# `nan_to_num` gives it back as it is, `nansum` and `nanmean` are nan, and `sort` stops at a nan
# with the rest unsorted. `isnan`, `nanmax` and `argsort` of values without nan work, so a guard
# of gradients that was tried there looks right. Seen:
#   float32: nan_to_num [0.0, 1.0], nansum 1.0, nanmean 1.0, sort [1.0, 2.0, 3.0, nan]
#   bfloat16: nan_to_num [nan, 1.0], nansum nan, nanmean nan, sort [3.0, nan, 1.0, 2.0]
#
# Runs the pinned packages alone, in a temporary folder; fails if what it says has changed.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 ml_dtypes==0.6.0
venv/bin/python - <<'PYTHON'
import warnings

import ml_dtypes
import numpy as np

warnings.simplefilter("ignore")


def numbers(array):
    return np.asarray(array).astype(np.float64).tolist()


def answers(dtype):
    pair = np.array([np.nan, 1], dtype)
    assert numbers(np.isnan(pair)) == [1, 0] and np.nanmax(pair) == 1
    return {
        "nan_to_num": numbers(np.nan_to_num(pair)),
        "nansum": numbers(np.nansum(pair)),
        "nanmean": numbers(np.nanmean(pair)),
        "sort": numbers(np.sort(np.array([3, np.nan, 1, 2], dtype))),
    }


expected = {
    "float32": "[0.0, 1.0] 1.0 1.0 [1.0, 2.0, 3.0, nan]",
    "bfloat16": "[nan, 1.0] nan nan [3.0, nan, 1.0, 2.0]",
}
for dtype in (np.float32, ml_dtypes.bfloat16):
    name, found = np.dtype(dtype).name, answers(dtype)
    print(f"{name}:", ", ".join(f"{key} {value}" for key, value in found.items()))
    assert " ".join(map(str, found.values())) == expected[name]
assert not np.issubdtype(ml_dtypes.bfloat16, np.inexact)
print("numpy", np.__version__, "ml_dtypes", ml_dtypes.__version__)
PYTHON
