# Everything a developer types. Needs make and a Python of 3.11 or newer, and fetches the rest.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
LINKS := .mypy-links/isthmus
FOLDERS := node agents tables codecs config systems simulators
SOURCES := $(FOLDERS) tests

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint types imports docs check clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Everything that is needed, in .venv; a second time does nothing

demo: $(READY) ## A day played on this machine; ARGS="--once --json"
	@$(BIN)/isthmus demo $(ARGS)

test: $(READY) ## The tests; ARGS="tests/node -k kafka"
	@$(BIN)/python -m pytest $(ARGS)

lint: $(READY) ## Style and likely mistakes
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)

types: $(READY) $(LINKS) ## Types, strictly
	@$(BIN)/mypy -p isthmus

imports: $(READY) $(LINKS) ## Imports point down
	@PYTHONPATH=.mypy-links $(BIN)/lint-imports

docs: $(READY) ## The generated pages of docs/reference anew
	@$(BIN)/isthmus docs

check: lint types imports ## All that is quick: lint, types, imports

clean: ## Forget everything that was made here
	rm -rf .venv .data .mypy-links .*_cache .hypothesis build dist *.egg-info

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12 ...") \
		if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

# The folders stand at the root but are imported as isthmus.<folder>: mypy and import-linter have to see them so.
$(LINKS): Makefile
	@mkdir -p $@
	@for folder in $(FOLDERS); do ln -sfn ../../$$folder $@/$$folder; done
	@touch $@
