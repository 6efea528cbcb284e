# SparkRelease. `make` alone lists what can be done; every target sets up what it needs by itself.

SHELL         := /bin/bash
.SHELLFLAGS   := -eu -o pipefail -c
MAKEFLAGS     += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := help

# Compiled modules are kept, whatever the shell says: hundreds of short programs are started here, and compiling takes
# most of their time.
unexport PYTHONDONTWRITEBYTECODE

VENV   := .venv
BIN    := $(VENV)/bin
# The environment is renewed when what goes into it changes, not when a file is touched.
WANTED := $(shell { cat requirements/dev.txt hack/venv.sh; sed -n '/^\[project.scripts\]/,/^$$/p' pyproject.toml; } \
            | cksum | cut -d' ' -f1)
READY  := $(VENV)/.ready-$(WANTED)

# Folders with Python in them; those that are typed strictly.
SOURCES := operator tests $(wildcard bench examples)
TYPED   := operator/sparkrelease $(wildcard tests/testbed bench examples/demo examples/trading)

# More arguments for the tool a target runs: make test ARGS="-k rollback -x"
ARGS ?=
# Where nearly all tests are that need no cluster; to import the scenarios as well takes two seconds.
QUICK := tests/unit tests/testbed_tests $(wildcard tests/test_*.py)
# So many local clusters share out the end-to-end tests; each takes about 1 GiB. Three keep two cores busy; with a fourth
# the scenarios that compute most miss deadlines.
CLUSTERS ?= 3

.PHONY: help
help:
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {print "\n" substr($$0, 5)} \
	  /^[a-z0-9-]+:.*## / {printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2}' Makefile

##@ Use it

.PHONY: demo
demo: $(READY) ## A good and a bad release through a real cluster on this machine (no Docker; builds its tools once)
	@PYTHONPATH=operator:tests:examples $(BIN)/python -m demo $(ARGS)

.PHONY: cluster-up
cluster-up: $(READY) ## Start the local cluster and leave it running
	@PYTHONPATH=operator:tests $(BIN)/python -m testbed up $(ARGS)

.PHONY: cluster-down
cluster-down: $(READY) ## Stop it
	@PYTHONPATH=operator:tests $(BIN)/python -m testbed down $(ARGS)

##@ Test it

.PHONY: test
test: $(READY) ## Everything: checks, unit tests and end-to-end tests on the local cluster
	@started=$$(date +%s); $(MAKE) lint generated \
	  && $(BIN)/pytest -q -m "not cluster" -n auto \
	  && SPARKRELEASE_TEST_STARTED=$$started hack/cluster-tests.sh $(BIN)/pytest --clusters $(CLUSTERS) $(ARGS)

.PHONY: check
check: lint generated ## What needs no cluster and no patience: style, types, floors, generated files, unit tests
	@$(BIN)/pytest -q -m "not cluster and not slow" --hypothesis-profile quick -n auto $(or $(ARGS),$(QUICK))

.PHONY: e2e-kind
e2e-kind: $(READY) ## The end-to-end tests on a kind cluster, the operator installed in it (needs Docker)
	@$(BIN)/pytest -v --lane kind -m cluster $(or $(ARGS),tests/e2e tests/conformance)

.PHONY: bench
bench: $(READY) ## Measure rollback, idle and start against a real API server; prints the rivals' figures beside
	@PYTHONPATH=operator:tests $(BIN)/python -m bench $(ARGS)

##@ Work on it

.PHONY: venv
venv: $(READY) ## Make the virtual environment (half a minute the first time)

$(READY):
	@bash hack/venv.sh $(VENV)
	@rm -f $(VENV)/.ready-* && touch $@

.PHONY: lint
lint: $(READY) ## Style, types, floors
	@echo "== style";  $(BIN)/ruff check $(SOURCES) && $(BIN)/ruff format --check $(SOURCES)
	@echo "== types";  $(BIN)/mypy $(TYPED)
	@echo "== floors"; out=$$($(BIN)/lint-imports --no-logo) || { echo "$$out"; exit 1; }; echo "$$out" | grep '^Contracts:'

.PHONY: generated
generated: $(READY)
	@echo "== generated files"; $(BIN)/python -m sparkrelease.api.generate --check

.PHONY: generate
generate: $(READY) ## Write what follows from the models: crds/ and docs/reference/
	@$(BIN)/python -m sparkrelease.api.generate

.PHONY: format
format: $(READY) ## Format the code and apply the safe fixes
	@$(BIN)/ruff check --fix $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

.PHONY: pictures
pictures: $(READY) ## Draw the pictures in docs/images anew from the real code (needs Chromium)
	@for one in docs/images/make_*.py; do echo "$$one"; PYTHONPATH=operator:tests:. $(BIN)/python "$$one"; done

.PHONY: lock
lock: $(READY) ## Resolve requirements/*.txt anew (newer versions: make lock ARGS=--upgrade)
	@bash hack/lock.sh $(VENV) $(ARGS)

.PHONY: clean
clean: ## Remove the virtual environment and what the tools left behind
	@rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	@find operator tests examples bench -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
