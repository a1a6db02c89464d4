# Everything a developer or a machine does with Muxer. `make help` lists it.
SHELL := /bin/sh
VENV := .venv
PY := $(VENV)/bin/python
PYTHON ?= python3
ARGS ?=
SERVE = $(VENV)/bin/muxer serve --examples $(if $(MUXER_OPS__LISTEN),,--ops-listen 127.0.0.1:9464) $(ARGS)
.DEFAULT_GOAL := help
.PHONY: help run test faults endure phoenix soak check eval train stubs contract-check contract-release bench format lock settings-doc clean

help: ## Shows this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.run ## Sets up what is missing and serves on 127.0.0.1:50051 (ARGS="--workers 2" passes options on)
	@# On a terminal the service gets a process group of its own, so that Ctrl-C drains it and does not strike make.
	@if [ -t 0 ] && [ -t 1 ]; then set -m; $(SERVE); else exec $(SERVE); fi

test: $(VENV)/.dev ## Sets up what is missing and runs all tests (ARGS="-k name" passes options on)
	@.make/services
	$(PY) -m pytest -n 2 --dist loadgroup --max-worker-restart 1 $(ARGS)

faults: $(VENV)/.dev ## Plays every fault of providers at full timings and prints the scorecard (ARGS="--runs 3")
	$(PY) -m tests.faults $(ARGS)

endure: $(VENV)/.dev ## Kills, cuts and starves the service for longer than the tests do
	@.make/services
	TEST_LONG=1 $(PY) -m pytest -n 2 --dist loadgroup -m slow -o faulthandler_timeout=4000 tests/process $(ARGS)

soak: $(VENV)/.dev ## An hour of mixed faults and kills of providers at steady load (ARGS="--minutes 5 --database postgresql")
	@.make/services
	$(PY) -m tests.soak $(ARGS)

check: $(VENV)/.dev ## Format, lint, types, contract lint and breaking check, stubs and settings table fresh
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	@$(MAKE) --no-print-directory contract-check
	$(VENV)/bin/muxer settings-doc --check README.md

contract-check: $(VENV)/.dev ## Lints the contract, compares it with the released and the committed one, and the stubs with it
	$(VENV)/bin/buf lint protos
	$(VENV)/bin/buf breaking protos --against protos/released.binpb
	@if git rev-parse -q --verify HEAD:protos >/dev/null 2>&1; then \
		echo '$(VENV)/bin/buf breaking protos --against committed contract'; \
		$(VENV)/bin/buf breaking protos --against '.git#subdir=protos,ref=HEAD'; fi
	@PYTHON=$(PY) .make/stubs --check

contract-release: $(VENV)/.dev ## Takes the present contract as the released one, which later ones must not break
	$(VENV)/bin/buf breaking protos --against protos/released.binpb
	$(VENV)/bin/buf build protos --as-file-descriptor-set --exclude-source-info -o protos/released.binpb

stubs: $(VENV)/.dev ## Generates the stubs in clients/stubs from protos
	@PYTHON=$(PY) .make/stubs

eval: $(VENV)/.eval ## Scores the classifier on the regression set and, with EVAL_DATA=folder, on development data
	$(PY) -m muxer_grpc.training.evaluate $(if $(EVAL_DATA),--data $(EVAL_DATA))

train: $(VENV)/.train ## Trains the classifier that ships from TRAIN_DATA=folder
	$(PY) -m muxer_grpc.training.fit --data $(TRAIN_DATA)

phoenix: $(VENV)/.dev .phoenix/bin/phoenix ## Sends a trace to a real Arize Phoenix, and asks it for model, tokens and cost
	$(PY) -m tests.phoenix

.phoenix/bin/phoenix:
	$(PYTHON) -m venv .phoenix
	$(VENV)/bin/uv pip install -q --python .phoenix/bin/python arize-phoenix==20.26.1

bench: $(VENV)/.dev ## Measures the hot paths against bare ceilings in the same run
	$(PY) -m tests.bench $(ARGS)

format: $(VENV)/.dev ## Formats the code and mends what the linter can
	$(VENV)/bin/ruff check --fix-only -q .
	$(VENV)/bin/ruff format .

settings-doc: $(VENV)/.dev ## Writes the settings table into the README
	$(VENV)/bin/muxer settings-doc --write README.md

lock: $(VENV)/.dev ## Resolves all dependencies anew into .lock
	@.make/lock

$(VENV)/.run: pyproject.toml .lock/run.txt .make/setup clients/stubs/pyproject.toml clients/python/pyproject.toml
	@PYTHON=$(PYTHON) .make/setup run

$(VENV)/.eval: $(VENV)/.dev .lock/eval.txt
	@PYTHON=$(PYTHON) .make/setup eval

$(VENV)/.train: $(VENV)/.dev .lock/train.txt
	@PYTHON=$(PYTHON) .make/setup train

$(VENV)/.dev: pyproject.toml .lock/dev.txt .make/setup clients/stubs/pyproject.toml clients/python/pyproject.toml
	@PYTHON=$(PYTHON) .make/setup dev

clean: ## Removes everything that can be made again
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis bench-result.json faults-result.json soak-result.json
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
