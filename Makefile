# Everything a developer types. Needs make and a Python of 3.11 or newer, and fetches the rest.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
LINKS := .mypy-links/isthmus
FOLDERS := node agents tables codecs config systems simulators
SOURCES := $(FOLDERS) tests bench chaos docs/example setup.py
# What users run: the wheel, unpacked. Before it, PYTHONPATH hides the checkout.
COMPILED := .compiled/.ready
AS_USERS := PYTHONPATH=$(CURDIR)/.compiled

.DEFAULT_GOAL := help
.PHONY: help setup demo compiled test test-compiled test-again strangers lint types imports docs stubs bench \
	bench-latency bench-growth chaos check clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Everything that is needed, in .venv; a second time does nothing

demo: $(READY) ## A day played on this machine; ARGS="--once --json"
	@$(BIN)/isthmus demo $(ARGS)

# Most of a Kafka test is waiting: two processes, each with a Kafka of its own, take half the time of one.
test: $(READY) ## The tests; ARGS="tests/node -k kafka"
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

compiled: $(COMPILED) ## The wheel that users get, its hot modules compiled, in .compiled

# What is compiled is tested twice: here in the form that users run.
EDGES = tests/codecs tests/node/test_working.py tests/node/test_parcel.py tests/node/test_cargo.py tests/node/test_lane.py
test-compiled: $(COMPILED) ## The tests of what is compiled, compiled; ARGS="tests/tables -k fold"
	@$(AS_USERS) EXPECT_COMPILED=1 $(BIN)/python -m pytest -n 2 --dist loadfile tests/node/test_form.py \
		$(or $(ARGS),tests/tables tests/agents $(EDGES)) $(MORE)

test-again: $(READY) ## Those that failed last, one after another: what fails here too does not fail for the load of others
	@$(BIN)/python -m pytest --last-failed --last-failed-no-failures none -rA --tb=short

strangers: $(READY) ## The simulated platforms through clients that others wrote; fetches those in Node
	@npm install --silent --prefix tests/strangers --no-audit --no-fund --no-package-lock || \
		echo "npm cannot fetch the clients in Node: they are skipped where they are not there"
	@$(BIN)/python -m pytest tests/strangers -rs $(ARGS)

lint: $(READY) ## Style and likely mistakes
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)

types: $(READY) $(LINKS) ## Types, strictly
	@$(BIN)/mypy -p isthmus -p chaos -p shelf
	@$(BIN)/mypy bench/*.py setup.py

imports: $(READY) $(LINKS) ## Imports point down
	@PYTHONPATH=.mypy-links $(BIN)/lint-imports

docs: $(READY) ## The generated pages of docs/reference anew
	@$(BIN)/isthmus docs

stubs: $(READY) ## The messages of codecs/pubsub anew, from the published proto
	@cd codecs/pubsub && ../../$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. pubsub_api.proto

bench: $(COMPILED) ## Isthmus beside its peers; docs/performance.md anew; ARGS="--rounds 1"
	@cd bench && $(AS_USERS) ../$(BIN)/python run.py $(ARGS)

bench-latency: $(COMPILED) ## From a change to its committed event: p50, p99; ARGS="--rate 100"
	@cd bench && $(AS_USERS) ../$(BIN)/python latency.py $(ARGS)

bench-growth: $(COMPILED) ## More state, partitions, workers; docs/growth.md anew; ARGS="--keys 10000,1000000"
	@cd bench && $(AS_USERS) ../$(BIN)/python growth.py $(ARGS)

chaos: $(READY) ## A node under kill -9, pauses, outages; ARGS="--kills 40 --changes 100000"
	@$(BIN)/python -m chaos $(ARGS)

check: lint types imports ## All that is quick: lint, types, imports

clean: ## Forget everything that was made here
	rm -rf .venv .data .compiled .mypy-links .*_cache .hypothesis build dist *.egg-info

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12 ...") \
		if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

# build/ goes first: setuptools would take modules from it that are gone.
$(COMPILED): $(READY) setup.py $(shell find $(FOLDERS) -type f -not -path '*/__pycache__/*')
	@rm -rf .compiled build && mkdir -p .compiled
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir .compiled/wheel .
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target .compiled .compiled/wheel/*.whl
	@touch $@

# The folders stand at the root but are imported as isthmus.<folder>: mypy and import-linter have to see them so.
$(LINKS): Makefile
	@mkdir -p $@
	@for folder in $(FOLDERS); do ln -sfn ../../$$folder $@/$$folder; done
	@touch $@
