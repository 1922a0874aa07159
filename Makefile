# Two commands matter: `make demo` shows docmill at work, `make test` proves it.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: install demo test lint up bench lock clean

install: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $(STAMP)

demo: install
	$(BIN)/docmill demo

up: install
	$(BIN)/docmill up

test: install
	$(BIN)/python -m pytest

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install
	@for script in bench/[a-z]*.py; do $(BIN)/python $$script || exit 1; done

# Versions and hashes only: where packages come from is the business of the machine that installs them.
lock:
	uv pip compile pyproject.toml --extra app --extra test --generate-hashes --no-header \
	  --python-version 3.11 --upgrade --output-file requirements.lock

clean:
	rm -rf $(VENV)
