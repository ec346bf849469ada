# What the README's commands do, and what CI calls. Everything is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test test-browser test-others test-clients test-faults test-ledger test-commands test-fronts lint types check fuzz soak bench durability crowd waits clean

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
# beside each other, four at a time, the longest first; what is named nowhere belongs to the others.
AT_ONCE := 4
BROWSER := tests/browser
CLIENTS_AND_ADMIN := tests/integration/client tests/integration/admin tests/integration/deploy \
	tests/integration/examples tests/integration/docs
FAULTS := tests/faults tests/integration/topologies
LEDGER := tests/integration/ledger tests/properties
COMMANDS := tests/integration/cli tests/integration/server tests/integration/monitoring
FRONTS := tests/integration/fronts tests/integration/doctor
NAMED := $(BROWSER) $(CLIENTS_AND_ADMIN) $(FAULTS) $(LEDGER) $(COMMANDS) $(FRONTS)

PYTEST := $(BIN)/python -m pytest -p no:cacheprovider

# Hundreds of gateways are started: where Python may not keep what it compiled, each compiles itself anew.
unexport PYTHONDONTWRITEBYTECODE

test: $(VENV)/test.stamp ## Run every test that this machine has the tools for
	@$(MAKE) --no-print-directory --jobs=$(AT_ONCE) --output-sync=target \
		test-browser test-others test-clients test-faults test-ledger test-commands test-fronts

test-browser: $(VENV)/test.stamp
	$(PYTEST) $(BROWSER)

test-others: $(VENV)/test.stamp
	$(PYTEST) $(foreach folder,$(NAMED),--ignore=$(folder))

test-clients: $(VENV)/test.stamp
	$(PYTEST) $(CLIENTS_AND_ADMIN)

test-faults: $(VENV)/test.stamp
	$(PYTEST) $(FAULTS)

test-ledger: $(VENV)/test.stamp
	$(PYTEST) $(LEDGER)

test-commands: $(VENV)/test.stamp
	$(PYTEST) $(COMMANDS)

test-fronts: $(VENV)/test.stamp
	$(PYTEST) $(FRONTS)

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
	find gateway tests loadtests examples -name __pycache__ -prune -exec rm -rf {} +
	rm -rf $(VENV) demo-data .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist
