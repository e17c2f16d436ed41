# Everything a fresh machine needs is Python 3.11 or later, and make.
#
#   make demo        trains a digit classifier, leaves runs/demo/report.html
#   make test        runs the tests (make test-slow: the long ones)
#   make lint        ruff, check and format
#   make lock        renews requirements.lock (needs uv)
#
# Another Python: make test PYTHON=python3.12

PYTHON ?= python3
VENV := .venv$(if $(filter-out python3,$(PYTHON)),-$(notdir $(PYTHON)))
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
# The tests use virtual devices and their own cache, see tests/conftest.py.
PYTEST := $(BIN)/python -m pytest -n auto

.PHONY: demo test test-slow lint lock

demo: $(INSTALLED)
	@rm -rf runs/demo
	@$(BIN)/jaxvision data prepare digits
	@$(BIN)/jaxvision train --config configs/digits.py --workdir runs/demo

test: $(INSTALLED)
	$(PYTEST)

test-slow: $(INSTALLED)
	$(PYTEST) -m slow

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

$(INSTALLED): requirements.lock setup.py
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit( \
	  "jaxvision needs Python 3.11 or later, but $(PYTHON) is %d.%d; " \
	  "try make PYTHON=python3.12" % v[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --no-deps --no-build-isolation --editable .
	@touch $@

# One lock for every Python: the newest jax that each of them can have.
lock:
	uv pip compile --universal --python-version 3.11 --extra test --upgrade \
	  --no-header --no-annotate --output-file requirements.lock setup.py
