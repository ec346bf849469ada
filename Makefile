# What the README's commands do, and what CI calls. Everything is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test lint types check bench clean

help: ## Show this help
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(VENV)/run.stamp: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/test.stamp: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@

demo: $(VENV)/run.stamp ## Run a gateway in front of a sample site, on an embedded ledger
	$(BIN)/gateway demo

test: $(VENV)/test.stamp ## Run every test that this machine has the tools for
	$(BIN)/python -m pytest

lint: $(VENV)/test.stamp ## Check format, style and the rules of dependence
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

types: $(VENV)/test.stamp ## Check types, twice
	$(BIN)/mypy
	$(BIN)/pyright

bench: $(VENV)/run.stamp ## Measure the gateway beside a bare app on the same server
	$(BIN)/python loadtests/bench.py

check: lint types test ## Everything that CI runs

clean: ## Remove what these commands made
	rm -rf $(VENV) demo-data .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist
