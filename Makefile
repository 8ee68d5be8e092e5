# The commands of a developer. Each target does its own set-up, once.

PYTHON ?= python3
PORT ?= 8000
# `make demo DEMO=--once` checks the two verdicts and stops instead of serving.
DEMO ?=

VENV := .venv
DEMO_VENV := .venv-demo
READY := $(VENV)/.ready
DEMO_READY := $(DEMO_VENV)/.ready
FUZZ_SECONDS ?= 60
FUZZ_VENV := .venv-fuzz
FUZZ_READY := $(FUZZ_VENV)/.ready
PINS := pyproject.toml constraints.txt
LOCK := .venv-lock/bin/uv pip compile --quiet --no-config --universal --python-version 3.11 \
  --generate-hashes --no-annotate --custom-compile-command "make lock" --constraints constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-deploy test-images fuzz check format hooks constraints lock \
  boards bench-serving clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## create .venv with all development dependencies

demo: $(DEMO_READY) ## serve the shipped bundle and show two verdicts (PORT=8000; no torch)
	@exec $(DEMO_VENV)/bin/python examples/demo.py --port $(PORT) $(DEMO)

test: $(READY) ## run the fast tests
	$(VENV)/bin/python -m pytest -n auto --dist loadfile -m "not slow"

test-slow: $(READY) ## run the tests marked slow, except those that need a Docker engine
	$(VENV)/bin/python -m pytest -m "slow and not deploy"

test-deploy: $(READY) ## build and start the compose project and test it (needs a Docker engine)
	tests/deploy/compose/run

test-images: $(READY) ## build and test the training and the GPU image (needs a Docker engine, 20 GB of disk)
	tests/deploy/compose/run tests/deploy/images

fuzz: $(FUZZ_READY) ## fuzz the decode and parse paths (FUZZ_SECONDS=60 for each of seven targets)
	$(FUZZ_VENV)/bin/python -m tests.abuse.fuzz --seconds $(FUZZ_SECONDS)

check: $(READY) ## check format, lint, types, import layers and vocabulary
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/ruff check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/python -m tests.vocabulary

format: $(READY) ## format the code and apply the safe lint fixes
	$(VENV)/bin/ruff format
	$(VENV)/bin/ruff check --fix

hooks: $(READY) ## check every commit with the tools in .venv
	$(VENV)/bin/pre-commit install

constraints: ## resolve the newest versions and pin them in constraints.txt
	$(PYTHON) -m venv --clear .venv-pins
	.venv-pins/bin/pip install --quiet -e '.[dev]'
	@{ echo "# The development environment, pinned by \`make constraints\`."; \
	  .venv-pins/bin/pip freeze --exclude-editable | sed 's/+[a-z0-9.]*$$//'; } > .venv-pins/constraints.txt
	mv .venv-pins/constraints.txt constraints.txt
	rm -rf .venv-pins

# With the hashes of all platforms and without registry URLs; torch from PyPI, with its CUDA libraries.
lock: ## resolve the packages of the images, at the pinned versions, into docker/*.lock
	$(PYTHON) -m venv --clear .venv-lock
	.venv-lock/bin/pip install --quiet uv==0.13.9
	$(LOCK) pyproject.toml --extra cpu --extra otel --extra s3 --output-file docker/cpu.lock
	$(LOCK) pyproject.toml --extra gpu --extra otel --extra s3 --output-file docker/gpu.lock
	$(LOCK) pyproject.toml --extra training --output-file docker/training.lock
	echo hatchling | $(LOCK) - --output-file docker/build.lock
	rm -rf .venv-lock

boards: $(READY) ## generate the Grafana boards from their code
	$(VENV)/bin/python -m docker.grafana.boards

bench-serving: $(READY) ## compare serving with ONNX Runtime and other servers (about 30 minutes)
	$(VENV)/bin/python -m benchmarks.serving

clean: ## remove the environments and all caches
	rm -rf $(VENV) .venv-* dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# torchattacks, a reference of the tests, pins a version of `requests` of 2021; newer ones work.
$(READY): $(PINS)
	$(call environment,$(VENV),dev)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps torchattacks
	@touch $@

$(DEMO_READY): $(PINS)
	$(call environment,$(DEMO_VENV),cpu)
	@touch $@

$(FUZZ_READY): $(PINS)
	$(call environment,$(FUZZ_VENV),fuzz)
	@touch $@

# An editable install of one extra at the pinned versions. The target writes the stamp last, so that
# an interrupted set-up is repeated.
define environment
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is older than 3.11, expected 3.11 or newer: make PYTHON=python3.11" >&2; exit 1; }
	@echo "Setting up $(1) with the [$(2)] extra ..."
	@$(PYTHON) -m venv $(1)
	@$(1)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(2)]'
endef
