# `make demo` builds the embedded release and trains on it, `make test` runs every check, `make docs` builds the
# site. All install what they need into .venv; `make PYTHON=python3.12 ...` chooses the interpreter.

PYTHON ?= python3
BIN := .venv/bin

# Tests and the demo read and write local files only.
export HF_HUB_OFFLINE := 1
export HF_DATASETS_OFFLINE := 1
export MPLBACKEND := Agg

.PHONY: demo test lint docs clean
.DEFAULT_GOAL := test

demo: .venv/.installed
	$(BIN)/mpclean build --version demo --out releases/demo --force
	rm -rf runs/demo
	$(BIN)/ecn fit releases/demo --preset fast --out runs/demo
	$(BIN)/ecn evaluate runs/demo

# One thread a worker: the tensors of the tests are small, and workers share the cores. A file stays with one
# worker, so that what its tests share is made once.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile

lint: .venv/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# The site: docs/site/index.html. A warning is an error.
docs: .venv/.installed
	$(BIN)/sphinx-build -q -W --keep-going docs docs/site

# torch goes first and by itself, so that a local build of that version (CPU, other CUDA) is taken where there is one.
.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and "mpclean needs Python 3.11 or newer and $(PYTHON) is %d.%d: try make PYTHON=python3.11" % v[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install torch==2.13.0
	$(BIN)/pip install -c constraints.txt -e ".[ecn,ase,dask,hub,materials-project,docs,report,dev]"
	@touch $@

# Removes what the targets above wrote, but neither .venv nor releases and runs of your own.
clean:
	rm -rf releases/demo runs/demo docs/site docs/generated build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
