# Everything runs in .venv, made on first use from the pinned requirements.
# `make` lists the targets. Variables: PYTHON (the interpreter for .venv), TESTS and
# ARGS (make test TESTS=tests/graph ARGS="-k split -x"), JOBS (test processes).

PYTHON ?= python3
JOBS ?= 2
TESTS ?= tests oakum
ARGS ?=
# Neighbours stay in one process, which has their fixtures and compiled programs.
SPREAD := -n $(JOBS) --dist worksteal
CORE ?= $(addprefix tests/,objects statics graph state protocols rngs engine compiled transforms guard docs)

VENV := .venv
BIN := $(VENV)/bin
NEWEST := .venv-newest
# Bytecode is left to the first import: most of what is installed is never imported.
# It has to be written then, or every process compiles jax anew.
unexport PYTHONDONTWRITEBYTECODE
PIP := -m pip install --quiet --disable-pip-version-check --no-compile
EDITABLE := --no-deps --no-build-isolation --editable .

.PHONY: help demo test fuzz stress lint format docs docs-serve pictures bench test-newest lock clean

help:
	@echo "make demo         train a small network on the digits, in under a minute"
	@echo "make test         all tests and doctests"
	@echo "make lint         format, lint and types, as CI checks them"
	@echo "make format       rewrite the files in the project's format"
	@echo "make docs         build the site into site/, strictly; docs-serve shows it"
	@echo "make pictures     run the recipes, and keep their curves for the site"
	@echo "make fuzz         2,000 nested programs and 5,000 object graphs, at random"
	@echo "make stress       500 interrupts, faults at every equation, threads, 100 kills"
	@echo "make bench        run the benchmark and write its table into the README"
	@echo "make test-newest  the core tests on the newest jax and the newest Python here"
	@echo "make lock         pin the requirements anew (needs uv)"
	@echo "make clean        delete the virtual environments and caches"

demo: $(VENV)/.run
	@$(BIN)/oakum train digits $(ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest $(SPREAD) -q --doctest-modules $(TESTS) $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --clean $(ARGS)

docs-serve: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve --livereload $(ARGS)

pictures: $(VENV)/.run
	$(BIN)/python scripts/pictures.py $(ARGS)

fuzz: $(VENV)/.dev
	OAKUM_FUZZ=$(or $(PROGRAMS),2000) OAKUM_FUZZ_GRAPHS=$(or $(GRAPHS),5000) \
	  $(BIN)/python -m pytest -q tests/fuzz $(ARGS)

stress: $(VENV)/.dev
	OAKUM_INTERRUPTS=500 OAKUM_KILLS=100 $(BIN)/python -m pytest -q $(ARGS) \
	  tests/engine/test_atomic.py tests/engine/test_threads.py \
	  tests/train/checkpoint/test_kills.py

bench: $(VENV)/.dev
	$(BIN)/python bench/dispatch.py --readme $(ARGS)

# A deprecation in a jax of tomorrow is shown, not failed on.
test-newest:
	@python="$$(sh scripts/newest_python.sh)"; \
	if [ -z "$$python" ]; then \
	  echo "test-newest: no working python3.13 or python3.12 here, nothing to run"; \
	else \
	  $(MAKE) --no-print-directory $(NEWEST)/.core NEWEST_PYTHON="$$python" && \
	  $(NEWEST)/bin/python -c 'import jax, sys; \
	    print("jax", jax.__version__, "on Python", sys.version.split()[0])' && \
	  $(NEWEST)/bin/python -m pytest $(SPREAD) -q -m "not peer" \
	    -W default::DeprecationWarning $(CORE) $(ARGS); \
	fi

lock:
	scripts/lock.sh

clean:
	rm -rf $(VENV) $(NEWEST) build dist site *.egg-info
	rm -rf .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "oakum needs Python 3.11 or newer: make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements/run.txt pyproject.toml | $(BIN)/python
	@echo "installing the pinned requirements into $(VENV), about a minute"
	@$(BIN)/python $(PIP) -r requirements/run.txt
	@$(BIN)/python $(PIP) $(EDITABLE)
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	@echo "installing the pinned development requirements into $(VENV)"
	@$(BIN)/python $(PIP) -r requirements/dev.txt
	@touch $@

$(VENV)/.docs: requirements/docs.txt $(VENV)/.run
	@echo "installing the pinned requirements of the site into $(VENV)"
	@$(BIN)/python $(PIP) -r requirements/docs.txt
	@touch $@

$(NEWEST)/.core: pyproject.toml
	$(NEWEST_PYTHON) -m venv --clear $(NEWEST)
	@echo "installing the newest jax into $(NEWEST)"
	@$(NEWEST)/bin/python $(PIP) --upgrade \
	  jax optax safetensors pytest pytest-xdist hypothesis setuptools
	@$(NEWEST)/bin/python $(PIP) $(EDITABLE)
	@touch $@
