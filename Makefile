# Everything a newcomer needs: `make demo` and `make test`. Both set up their own environment in .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH ?= torch==2.13.0

.PHONY: help demo test coverage check docs benchmark clean

help:  ## what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.installed: pyproject.toml
	@echo "Installing PyTorch and the other packages into $(VENV): some minutes, once."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$(TORCH)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[test,check,docs,cpu,movies]"
	touch $@

demo: $(VENV)/.installed  ## simulate, train, denoise and compare, in about five minutes
	$(BIN)/restore demo --overwrite
	@echo "To type restore yourself in this terminal: source $(BIN)/activate"

test: $(VENV)/.installed  ## set up and run the tests
	$(BIN)/python -m pytest --numprocesses auto

coverage: $(VENV)/.installed  ## the tests again, with the share of src that they run, which must not fall
	$(BIN)/python -m pytest --numprocesses auto --cov --cov-report=term

check: $(VENV)/.installed  ## ruff and the type check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright

docs: $(VENV)/.installed  ## the documentation as a web site, in site/
	$(BIN)/python -m restore.cli.reference > docs/cli.md
	$(BIN)/mkdocs build --strict --quiet

benchmark: $(VENV)/.installed  ## seconds, memory and rates on this machine
	$(BIN)/python benchmarks/speed.py

clean:  ## remove the environment and the demo
	rm -rf $(VENV) demo site
