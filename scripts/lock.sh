#!/bin/sh
# Pin the requirements: requirements/run.txt for `make demo`, requirements/docs.txt for
# `make docs`, requirements/dev.txt for the rest. The pins hold for every Python from 3.11 on and for every platform. What
# is pinned already stays; delete a line, or the file, to move to newer versions.
set -eu
cd "$(dirname "$0")/.."

pin() {
  uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
    --no-emit-index-url --no-annotate --no-header \
    pyproject.toml requirements/build.in "$@"
}

pin --extra train --output-file requirements/run.txt
pin --extra dev --constraint requirements/run.txt --output-file requirements/dev.txt
pin --extra docs --constraint requirements/dev.txt --output-file requirements/docs.txt
