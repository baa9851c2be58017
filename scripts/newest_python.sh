#!/bin/sh
# Print the path of the newest Python that `make test-newest` can use, or nothing.
# A name on PATH may be a shim of pyenv that fails when it is run, so each candidate
# has to make good: start, and be able to make a virtual environment.
set -u

for version in 3.13 3.12; do
  on_path="$(command -v "python$version" || true)"
  for candidate in $on_path \
    "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/"python$version"; do
    if "$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then
      echo "$candidate"
      exit 0
    fi
  done
done
