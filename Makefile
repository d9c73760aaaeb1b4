# Every target installs what it needs: Debian packages (as root) and the locked virtual environment.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
PYTHON ?= $(firstword $(wildcard /usr/bin/python3) python3)
BIN := $(VENV)/bin
SOCKETPLANE := $(BIN)/socketplane
PYTEST := $(BIN)/pytest -q --durations=10
# Most tests wait for programs, and share nothing: those with a lab or a machine share it within a file.
SIDE_BY_SIDE := -n 3
FILES_SIDE_BY_SIDE := -n 2 --dist loadfile

.PHONY: help packages venv lock up down join leave demo test test-unit test-databases test-lab test-versions test-kernel test-all bench bench-kernel lint format docs clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 18

packages:
	@packaging/packages

venv: $(VENV)/.installed

$(VENV)/.installed: requirements.lock pyproject.toml
	@echo "installing the locked virtual environment into $(VENV)"
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

lock: ## resolve the dependencies anew into requirements.lock (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
	  --custom-compile-command 'make lock' --extra dev -o requirements.lock pyproject.toml packaging/build.in

up: packages venv ## make this machine a SocketPlane host (the first of a cluster)
	@packaging/link
	@$(SOCKETPLANE) up $(ARGS)

join: packages venv ## make this machine part of a cluster: make join TOKEN=...
	@packaging/link
	@test -n "$$TOKEN" || { echo "join needs a token: make join TOKEN=... (on the first host: socketplane token create)" >&2; exit 2; }
	@SOCKETPLANE_TOKEN="$$TOKEN" $(SOCKETPLANE) join - $(ARGS) <<<"$$TOKEN"

down: ## stop and unwire everything of ours on this machine; data is kept
	@test -x $(SOCKETPLANE) || { echo "nothing to do: SocketPlane was never installed here"; exit 0; }; $(SOCKETPLANE) down $(ARGS)

leave: ## take this machine out of its cluster
	@$(SOCKETPLANE) leave $(ARGS)

demo: packages venv ## three hosts on this machine, an application over them, and a policy
	@$(BIN)/python -m socketplane.lab.demo $(ARGS)

test: packages venv test-unit test-databases test-lab ## everything that CI runs

test-unit: venv
	@$(PYTEST) $(SIDE_BY_SIDE) tests/unit tests/property tests/golden tests/fuzz tests/cli

test-databases: packages venv
	@$(PYTEST) $(SIDE_BY_SIDE) tests/ovsdb tests/northd tests/controller tests/agent

test-lab: packages venv
	@$(PYTEST) $(FILES_SIDE_BY_SIDE) tests/datapath tests/cluster tests/lab -m "not slow"

test-versions: venv ## tests on the Open vSwitch and OVN of each supported Debian release
	@packaging/packages debootstrap
	@$(BIN)/python -m releases test $(ARGS)

test-kernel: venv ## on the kernel's datapath and under systemd, in a virtual machine
	@packaging/packages qemu-system-x86 qemu-utils debootstrap e2fsprogs
	@$(BIN)/python -m vm test $(ARGS)

bench-kernel: venv ## traffic on the kernel's datapath beside its peers, in a virtual machine
	@packaging/packages qemu-system-x86 qemu-utils debootstrap e2fsprogs
	@$(BIN)/python -m vm bench
	@$(BIN)/python -m bench --load build/vm/bench.json $(ARGS)

test-all: packages venv lint test-versions test-kernel ## also what is slow
	@$(PYTEST) tests

bench: venv ## measure beside peers in the same run
	@packaging/packages debootstrap
	@$(BIN)/python -m bench $(ARGS)

lint: venv ## format, lint, types, layers
	@$(BIN)/ruff format --check src tests bench releases vm
	@$(BIN)/ruff check src tests bench releases vm
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: venv
	@$(BIN)/ruff format src tests bench releases vm
	@$(BIN)/ruff check --fix src tests bench releases vm

docs: venv ## the command line's and the API's reference, from the code
	@$(BIN)/python packaging/docs.py

clean:
	rm -rf $(VENV) build *.egg-info src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
