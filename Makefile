# The commands of nbtune. `make demo` and `make test` need nothing but Python 3.11+ and a network.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test check lab bench notebooks clean

demo: $(VENV)/.demo  ## run the quickstart headless; ends with its result table
	$(BIN)/python -m tests.run_notebook notebooks/01_quickstart.ipynb

test: $(VENV)/.dev  ## install and run every test
	$(BIN)/python -m pytest

check: $(VENV)/.dev  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lab: $(VENV)/.demo  ## JupyterLab on the tutorials
	$(BIN)/jupyter lab --notebook-dir notebooks

bench: $(VENV)/.dev  ## measure, print a table and write JSON
	$(BIN)/python -m tests.bench

notebooks: $(VENV)/.demo  ## run the tutorials and keep their outputs
	for notebook in notebooks/*.ipynb; do $(BIN)/python -m tests.run_notebook $$notebook --keep || exit 1; done

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"

# PyTorch goes first, alone, at the version of constraints.txt: a plain `torch` takes gigabytes of CUDA with it.
$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group notebooks
	touch $@

$(VENV)/.dev: $(VENV)/.demo
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev
	touch $@
