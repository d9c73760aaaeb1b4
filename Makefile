# Every target installs what it needs; see CONTRIBUTING.md.
SHELL := /bin/bash
VENV := .venv
PYTHON ?= $(firstword $(wildcard /usr/bin/python3) python3)
BIN := $(VENV)/bin

.PHONY: help packages venv lint lock

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 16

packages: ## Debian packages: Open vSwitch, OVN, Docker and what the lab needs
	@packaging/packages

venv: $(VENV)/.installed ## locked virtual environment

$(VENV)/.installed: requirements.lock pyproject.toml
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

lock: ## resolve the dependencies anew into requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
	  --custom-compile-command 'make lock' --extra dev -o requirements.lock pyproject.toml packaging/build.in

lint: venv ## format, lint, types, layers
	@$(BIN)/ruff format --check src tests
	@$(BIN)/ruff check src tests
	@$(BIN)/mypy
	@$(BIN)/lint-imports
