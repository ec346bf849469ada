# What the README's commands do, and what CI calls. Everything is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test test-others test-faults test-ledger test-browser test-fronts lint types check fuzz soak bench durability crowd waits clean

help: ## Show this help
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(VENV)/run.stamp: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/test.stamp: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
# Where the browser's driver cannot be had, the tests that need it are skipped by name.
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[browser]'
# The same for the proxies that are put in front of the gateway.
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[fronts]'
# The same for the judges of what is shipped for deployments.
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[deploy]'
	@touch $@

demo: $(VENV)/run.stamp ## Run a gateway in front of a sample site, on an embedded ledger
	$(BIN)/gateway demo

# Most tests wait more than they work: for servers to start, to fail and to come back. So parts run
# beside each other, four at a time; what is named nowhere belongs to the first.
FAULTS := tests/faults tests/integration/topologies tests/integration/cli tests/integration/server
LEDGER := tests/integration/ledger tests/properties
BROWSER := tests/browser
FRONTS := tests/integration/fronts tests/integration/doctor tests/integration/client tests/integration/admin \
	tests/integration/deploy tests/integration/examples tests/integration/docs

test: $(VENV)/test.stamp ## Run every test that this machine has the tools for
	@$(MAKE) --no-print-directory --jobs=4 --output-sync=target test-faults test-browser test-others test-fronts test-ledger

test-faults: $(VENV)/test.stamp
	$(BIN)/python -m pytest -p no:cacheprovider $(FAULTS)

test-ledger: $(VENV)/test.stamp
	$(BIN)/python -m pytest -p no:cacheprovider $(LEDGER)

test-browser: $(VENV)/test.stamp
	$(BIN)/python -m pytest -p no:cacheprovider $(BROWSER)

test-fronts: $(VENV)/test.stamp
	$(BIN)/python -m pytest -p no:cacheprovider $(FRONTS)

test-others: $(VENV)/test.stamp
	$(BIN)/python -m pytest $(foreach folder,$(FAULTS) $(LEDGER) $(BROWSER) $(FRONTS),--ignore=$(folder))

lint: $(VENV)/test.stamp ## Check format, style and the rules of dependence
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

types: $(VENV)/test.stamp ## Check types, twice
	$(BIN)/mypy
	$(BIN)/pyright

# Some ten minutes. More of both: make fuzz FUZZ_EXAMPLES=100000 FUZZ_SECONDS=300
FUZZ_EXAMPLES ?= 12000
FUZZ_SECONDS ?= 20
fuzz: $(VENV)/test.stamp ## Try new hostile inputs for some minutes; says how many each target saw
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[fuzz]'
	GATEWAY_FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/python -m pytest tests/fuzz --timeout 0
	$(BIN)/python tests/fuzz/guided.py --seconds $(FUZZ_SECONDS)

SOAK_MINUTES ?= 20
soak: $(VENV)/test.stamp ## Crowds with faults at random, then visitors who come and go, judged
	$(BIN)/python -m tests.faults.soak --minutes $(SOAK_MINUTES)
	$(BIN)/python -m loadtests.waiting_soak

bench: $(VENV)/run.stamp ## Measure the gateway beside a bare app on the same server
	$(BIN)/python loadtests/bench.py

durability: $(VENV)/test.stamp ## Measure joins at each level of durability
	$(BIN)/python -m loadtests.durability

CLIENTS ?= 100000
crowd: $(VENV)/test.stamp ## Hold a waiting crowd, and measure how soon all of it has a new pointer
	$(BIN)/python -m loadtests.waiting_crowd --clients $(CLIENTS)

waits: $(VENV)/test.stamp ## Judge the waiting times that are told, by simulation
	$(BIN)/python -m loadtests.waiting_time

check: lint types test ## Everything that CI runs

clean: ## Remove what these commands made
	rm -rf $(VENV) demo-data .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist
