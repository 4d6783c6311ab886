# Development commands of nbtune. They need Python 3.11+ and network access; `make test` and `make check` also need Node.js 20+.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FLOOR := .venv-floor
EXTRAS := .venv-extras
# Everything but what takes long and does not depend on these versions: browsers, wheels, storages, and large clusters.
FLOOR_TESTS := tests/unit tests/kernel $(addprefix tests/ray/test_,checkpoints_and_storage.py control.py forkserver.py \
	groups.py metrics.py resume.py sweep.py train.py train_steered.py)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# An installed Chromium. If there is none, `make test` installs one: the system's package, or that of Playwright.
CHROMIUM = $(firstword $(foreach name,chromium chromium-browser google-chrome,$(shell command -v $(name))))

.PHONY: demo test test-floor test-extras test-all check lab bench notebooks preview browser clean

demo: $(VENV)/.demo  ## run the quickstart headless; prints its table of trials
	$(BIN)/python -m tests.run_notebook notebooks/01_quickstart.ipynb

test: $(VENV)/.dev widgets/node_modules/.installed browser  ## install and run every test
	npm test --silent --prefix widgets
	$(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder --durations 30

test-floor: $(FLOOR)/.test  ## test with the oldest versions that pyproject.toml allows
	$(FLOOR)/bin/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder $(FLOOR_TESTS)

test-extras: $(EXTRAS)/.test  ## the tests that need the libraries of all search algorithms and frameworks
	$(EXTRAS)/bin/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder --durations 10 -m "not every_pair" tests/extras

test-all: test test-floor $(EXTRAS)/.test  ## every test, also those that `make test-extras` leaves out
	$(EXTRAS)/bin/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder --durations 10 tests/extras

check: $(VENV)/.dev widgets/node_modules/.installed  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	npm run check --silent --prefix widgets

lab: $(VENV)/.demo  ## JupyterLab with the tutorials
	$(BIN)/jupyter lab --notebook-dir notebooks

preview: $(VENV)/.demo  ## the widgets on recorded events, without Jupyter and Ray
	$(BIN)/python -m tests.browser.serve

bench: $(VENV)/.dev  ## measure, print a table and write JSON
	$(BIN)/python -m tests.bench

notebooks: $(VENV)/.demo $(EXTRAS)/.test  ## run the tutorials and store their outputs
	$(BIN)/python -m tests.run_notebook --environment default --keep
	$(EXTRAS)/bin/python -m tests.run_notebook --environment extras --keep

clean:
	rm -rf $(VENV) $(FLOOR) $(EXTRAS) widgets/node_modules dist build .pytest_cache .mypy_cache .ruff_cache

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"

# PyTorch is installed first, at the version of constraints.txt: an unpinned `torch` downloads gigabytes of CUDA libraries.
$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group notebooks
	touch $@

$(VENV)/.dev: $(VENV)/.demo
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev
	touch $@

# constraints.txt with the versions of constraints-floor.txt in place of its own.
$(FLOOR)/.test: pyproject.toml constraints.txt constraints-floor.txt
	test -x $(FLOOR)/bin/python || $(PYTHON) -m venv $(FLOOR)
	awk -F== 'NR == FNR { floor[$$1] = 1; print; next } !($$1 in floor)' constraints-floor.txt constraints.txt \
		> $(FLOOR)/constraints.txt
	$(FLOOR)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(FLOOR)/bin/python -m pip install --quiet --constraint $(FLOOR)/constraints.txt torch
	$(FLOOR)/bin/python -m pip install --quiet --constraint $(FLOOR)/constraints.txt --editable . --group test
	touch $@

# HEBO asks for a NumPy that is too old for Ray, so it is installed without its dependencies, which the extra lists.
# hpbandster needs a C compiler and Python's headers.
$(EXTRAS)/.test: pyproject.toml constraints.txt constraints-extras.txt
	test -x $(EXTRAS)/bin/python || $(PYTHON) -m venv $(EXTRAS)
	cat constraints.txt constraints-extras.txt > $(EXTRAS)/constraints.txt
	$(EXTRAS)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(EXTRAS)/bin/python -m pip install --quiet --constraint $(EXTRAS)/constraints.txt torch
	$(EXTRAS)/bin/python -m pip install --quiet --constraint $(EXTRAS)/constraints.txt --editable ".[search]" --group extras
	$(EXTRAS)/bin/python -m pip install --quiet --constraint $(EXTRAS)/constraints.txt --no-deps HEBO
	$(EXTRAS)/bin/python -m pip install --quiet --constraint $(EXTRAS)/constraints.txt --group frameworks
	touch $@

widgets/node_modules/.installed: widgets/package.json widgets/package-lock.json
	@node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null && command -v npm >/dev/null || \
		{ echo "Node.js 20+ is needed for the front-end checks: https://nodejs.org/en/download"; exit 1; }
	npm ci --silent --prefix widgets
	touch $@

browser: $(VENV)/.dev
	@test -n "$(CHROMIUM)" || \
		{ test "$$(id -u)" = 0 && { apt-get update && apt-get install --yes chromium; } >/dev/null 2>&1; } || \
		$(BIN)/playwright install chromium
