# Everything a developer or a newcomer runs. Needs git, make and Python 3.11 or newer; the rest is installed into .venv.
SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS   += --no-print-directory

VENV := .venv
BIN  := $(VENV)/bin
UV   := $(shell command -v uv 2>/dev/null)
# The first interpreter that is new enough; set PYTHON=... to choose another.
PYTHON ?= $(firstword $(foreach p,python3 python3.14 python3.13 python3.12 python3.11,$(shell \
	$(p) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(p))))
ARGS ?=
# Matrices are small here: more than one thread for each is slower, many times over where cores are busy.
export OPENBLAS_NUM_THREADS ?= 1
PYTEST_ARGS ?=
WORKERS ?= auto

# uv is used where it is present (seconds instead of half a minute); pip does the same and is the fallback.
define install
$(if $(UV),uv pip install -q --python $(BIN)/python --compile-bytecode $(1) 2>/dev/null ||) \
	$(BIN)/python -m pip install -q --disable-pip-version-check $(1)
endef

.PHONY: help run test lint format type docs bench calibrate e2e e2e-tools image all venv test-deps lock clean

help:  ## show the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

run: $(VENV)/.project  ## serve on 127.0.0.1:8080 (more options: make run ARGS="--prometheus http://127.0.0.1:9090")
	@$(BIN)/weighbridge serve $(ARGS)

test: venv test-deps  ## all tests, with coverage, a process for each core (WORKERS=0: all in one)
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --cov --cov-report=term $(PYTEST_ARGS)

lint: venv  ## format check, ruff, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports

format: venv  ## write the format, fix what can be fixed
	@$(BIN)/ruff check --fix-only -q .
	@$(BIN)/ruff format .

type: venv  ## mypy --strict
	@$(BIN)/mypy analysis webhook tests $(if $(wildcard bench/*.py),bench) $(if $(wildcard e2e/*.py),e2e)

docs: venv  ## run the examples of docs/ and of the docstrings
	@$(BIN)/python -m pytest -q $(wildcard tests/test_docs*.py) tests/test_doctests.py

bench: venv  ## computing time, start-up, memory
	@$(BIN)/python -m bench $(ARGS)

calibrate: venv  ## the long calibration tables, with a progress bar; writes them into docs/calibration.md
	@$(BIN)/python -m tests.calibration --report docs/calibration.md $(ARGS)

e2e: venv e2e-tools  ## the real Argo Rollouts and Flagger, on a real API server (needs Go once)
	@tools/debian-packages etcd=etcd-server prometheus=prometheus unshare=util-linux ip=iproute2
	@$(BIN)/python -m e2e.harness.namespace $(BIN)/python -m pytest e2e -p no:cacheprovider $(PYTEST_ARGS)

e2e-tools:  ## build what e2e runs from its Go modules into .e2e/bin
	@tools/e2e-tools $(ARGS)

image:  ## build the image with buildah, as root; its tests then run with the others
	@CI= tools/debian-packages buildah=buildah mmdebstrap=mmdebstrap
	@tools/image $(ARGS)

all: lint type test docs  ## everything that is checked

venv: $(VENV)/.dev $(VENV)/.project  ## create .venv and install everything into it

clean:  ## remove caches and reports, keep .venv
	@rm -rf .coverage .coverage.* htmlcov .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
	@find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

# ------------------------------------------------------------------------------------------ installation
# One stamp per step, so that a second call has nothing to do.

$(VENV)/.created:
	@[ -n "$(PYTHON)" ] || { echo "weighbridge needs Python 3.11 or newer; none found (set PYTHON=...)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "python -m venv failed; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@touch $@

$(VENV)/.runtime: requirements/build.txt requirements/runtime.txt | $(VENV)/.created
	@echo "installing what the service needs"
	@$(call install,--require-hashes -r requirements/build.txt -r requirements/runtime.txt)
	@touch $@

$(VENV)/.dev: requirements/dev.txt | $(VENV)/.runtime
	@echo "installing what the checks need"
	@$(call install,--require-hashes -r requirements/dev.txt)
	@touch $@

$(VENV)/.project: pyproject.toml | $(VENV)/.runtime
	@export PYTHONWARNINGS=ignore; $(call install,--no-build-isolation --no-deps -e .)
	@$(BIN)/python -m compileall -q analysis webhook
	@touch $@

test-deps:
	@tools/debian-packages prometheus=prometheus promtool=prometheus redis-server=redis-server curl=curl openssl=openssl
	@tools/e2e-tools helm || [ $$? = 3 ] # without Go the tests of the chart are skipped, and it says so

# The pins: newest versions that satisfy pyproject.toml on every Python we support. Needs uv.
LOCK := $(or $(UV),$(wildcard $(BIN)/uv),uv) pip compile -q --upgrade --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --no-strip-extras --no-emit-index-url --no-emit-find-links --no-header --no-annotate

lock:  ## renew the pinned requirements (needs uv)
	@$(LOCK) pyproject.toml -o requirements/runtime.txt
	@$(LOCK) pyproject.toml --extra dev -c requirements/runtime.txt -o requirements/dev.txt
	@echo 'setuptools>=77' | $(LOCK) - -o requirements/build.txt
