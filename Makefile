# `make help` lists everything. A newcomer needs two: `make quickstart` and `make test`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PYTHON := $(BIN)/python
# Where every result goes; STICKERS_RUNS or `make quickstart RUNS=/somewhere` changes it.
STICKERS_RUNS ?= $(CURDIR)/runs
RUNS ?= $(STICKERS_RUNS)
PORT ?= 8000
export PYTHONUNBUFFERED = 1

.PHONY: help setup quickstart quickstart-full mlflow serve annotate test test-long soak docs check house format lock lock-check

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

setup: ## create .venv and install the exact versions of the locks (nothing when up to date)
	@bash .ci/setup.sh $(VENV)

quickstart: setup ## from nothing to a distilled student and a report
	$(PYTHON) experiments/quickstart.py --project tiny --runs "$(RUNS)" $(ARGS)

quickstart-full: setup ## larger pictures, more of everything, for figures
	$(PYTHON) experiments/quickstart.py --project full --runs "$(RUNS)" $(ARGS)

mlflow: setup ## open the page that compares teachers and students (http://127.0.0.1:5000)
	@test -f "$(RUNS)/mlflow.db" || { echo "make mlflow: no $(RUNS)/mlflow.db yet; run 'make quickstart' first"; exit 1; }
	$(BIN)/mlflow ui --backend-store-uri "sqlite:///$(abspath $(RUNS))/mlflow.db" --host 127.0.0.1 --port 5000

serve: setup ## serve the registered student (http://127.0.0.1:8000)
	$(PYTHON) experiments/host.py --runs "$(RUNS)" --port $(PORT) $(ARGS)

annotate: setup ## open the page on which people choose (http://127.0.0.1:8100); prints links to sign in with
	$(PYTHON) experiments/annotate.py serve --runs "$(RUNS)" $(ARGS)

test: setup ## run the tests, but for those that take half a minute or more each
	$(PYTHON) -m pytest -m "not long" --numprocesses 2 --dist loadfile --no-loadscope-reorder $(ARGS)

test-long: setup ## run the tests that take half a minute or more each: whole chains, kills, clusters; an hour on two cores
	$(PYTHON) -m pytest -m long --numprocesses 2 --dist loadfile --no-loadscope-reorder $(ARGS)

soak: setup ## the long trials: a thousand bad videos, a hundred kills while candidates are made, a hundred while people choose
	$(PYTHON) experiments/trials/soak.py
	$(PYTHON) experiments/trials/kills.py
	$(PYTHON) experiments/trials/crowd.py kills

docs: setup ## build the documentation into build/site; a warning is an error
	$(PYTHON) -m sphinx -q -W --keep-going -b html -d build/site-trees docs build/site

check: setup ## format, lint, types, floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

house: setup ## measure the tree; each mirror test runs by itself, which takes as long as the suite the first time
	nice $(PYTHON) .ci/house.py --cover .house.json $(ARGS)

format: setup ## write the format and the lint fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: setup ## write the locks from pyproject.toml, at the versions that they have
	$(PYTHON) .ci/lock.py write $(ARGS)

lock-check: setup ## show that the locks can be installed: CPU and CUDA builds of torch, Python 3.11 to 3.13
	$(PYTHON) .ci/lock.py check
