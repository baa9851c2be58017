#!/usr/bin/env bash
# safetensors 0.8.0, `safetensors.numpy.save_file`: it does not write into the file of the
# name that it is given, but puts a new one in its place, with permissions 0600 whatever the
# umask and the older file had; a symbolic link is replaced by a file, and another hard link
# keeps the old content. So a group that could read a checkpoint cannot after the next save.
# Seen (umask 022): new file 0o600; older file of 0o664 then 0o600; link still a link: False
#
# Runs the pinned packages alone, in a temporary folder; fails if what it says has changed.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.3.4 safetensors==0.8.0
JAX_PLATFORMS=cpu venv/bin/python - <<'PYTHON'
import os
import stat

import numpy as np
import safetensors
from safetensors.numpy import save_file


def mode(path):
    return oct(stat.S_IMODE(os.stat(path).st_mode))


os.umask(0o022)
tensors = {"x": np.ones(3, np.float32)}
save_file(tensors, "new")
print("new file", mode("new"))
assert mode("new") == "0o600"

open("older", "w").close()
os.chmod("older", 0o664)
os.link("older", "hard")
save_file(tensors, "older")
print("older file of 0o664 then", mode("older"))
assert mode("older") == "0o600"
assert os.path.getsize("hard") == 0

os.symlink("new", "soft")
save_file(tensors, "soft")
print("link still a link:", os.path.islink("soft"), "safetensors", safetensors.__version__)
assert not os.path.islink("soft")
PYTHON
