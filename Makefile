# `make demo` builds the embedded release and trains on it; `make test` runs every check, `make test-fast` those that
# take seconds; `make docs` builds the site. Each installs what it needs into .venv, `make demo` no more than a user
# of both packages has. `make PYTHON=python3.12 ...` chooses the interpreter.

PYTHON ?= python3
BIN := .venv/bin

# Tests and the demo read and write local files only.
export HF_HUB_OFFLINE := 1
export HF_DATASETS_OFFLINE := 1
export MPLBACKEND := Agg

# One thread a worker: the tensors of the tests are small, and workers share the cores. A file stays with one
# worker, so that what its tests share is made once.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile

.PHONY: demo test test-fast coverage messages lint docs clean
.DEFAULT_GOAL := test

demo: .venv/.user
	$(BIN)/mpclean build --version demo --out releases/demo --force
	rm -rf runs/demo
	$(BIN)/ecn fit releases/demo --preset fast --out runs/demo
	$(BIN)/ecn evaluate runs/demo

test: lint
	$(PYTEST)

# What runs on every push: the checks of style, and the tests that are not marked `slow`.
test-fast: lint
	$(PYTEST) -m "not slow"

# Lines of both packages that the tests run, worker processes of builds included.
coverage: .venv/.developer
	$(PYTEST) --cov --cov-report=term:skip-covered --cov-report=xml

# Messages of both packages as a reviewer sees them change; a test compares the file.
messages: .venv/.developer
	$(BIN)/python tests/messages.py

lint: .venv/.developer
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell
	$(BIN)/mypy

# The site: docs/site/index.html. A warning is an error.
docs: .venv/.developer
	$(BIN)/sphinx-build -q -W --keep-going docs docs/site

# torch goes first and by itself, so that a local build of that version (CPU, other CUDA) is taken where there is one.
.venv/.user: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and "mpclean needs Python 3.11 or newer and $(PYTHON) is %d.%d: try make PYTHON=python3.11" % v[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install torch==2.13.0
	$(BIN)/pip install -c constraints.txt -e ".[ecn]"
	@touch $@

.venv/.developer: .venv/.user
	$(BIN)/pip install -c constraints.txt -e ".[ecn,ase,dask,hub,materials-project,report,docs,dev]"
	@touch $@

# Removes what the targets above wrote, but neither .venv nor releases and runs of your own.
clean:
	rm -rf releases/demo runs/demo docs/site docs/generated build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage coverage.xml
