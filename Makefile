# Everything goes through .venv, which `make setup` fills from the hash-pinned lock file. Needs Python 3.11+, make and git.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.8
GROUPS := test lint build
# Byte code is compiled once at set-up; without it each process would compile Airflow and dbt anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-unit lint format lock bench up clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-10s %s\n", $$1, $$2}'

setup: $(VENV)/.ready ## Install everything that the project needs into .venv

$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] < (3, 15) else "personalake needs Python 3.11 to 3.14; choose one with make PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip install --python $(BIN)/python --compile-bytecode --require-hashes --quiet -r requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --no-build-isolation --quiet -e .
	@touch $@

demo: setup ## Run the whole pipeline on the logs of a demo shop
	$(BIN)/personalake demo

test: setup ## Run every test, two files at a time
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-unit: setup ## Run the quick tests
	$(BIN)/python -m pytest tests/unit

lint: setup ## ruff, mypy, sqlfluff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/sqlfluff lint dbt_project/models dbt_project/tests --disable-progress-bar

format: setup ## Format Python and SQL
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/sqlfluff fix dbt_project/models dbt_project/tests --disable-progress-bar

lock: ## Renew requirements.lock from pyproject.toml
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--quiet pyproject.toml $(foreach group,$(GROUPS),--group $(group)) -o requirements.lock

bench: setup ## Measure the speed of what should be quick
	@for bench in benchmarks/bench_*.py; do echo "== $$bench"; PYTHONPATH=. $(BIN)/python $$bench || exit 1; done

up: setup ## Start Airflow locally with its web page (http://127.0.0.1:8080)
	$(BIN)/personalake up

clean: ## Remove what runs have written (all below data/ but its README), and .airflow
	rm -rf .airflow
	find data -mindepth 1 -maxdepth 1 ! -name README.md -exec rm -rf {} +
