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
DOCS_VENV := .venv-docs
DOCS_READY := $(DOCS_VENV)/.ready
FUZZ_VENV := .venv-fuzz
FUZZ_READY := $(FUZZ_VENV)/.ready
BROWSER_VENV := .venv-browser
BROWSER_READY := $(BROWSER_VENV)/.ready
GUIDE := dist/guide/index.html
RAY_VENV := .venv-ray
RAY_READY := $(RAY_VENV)/.ready
RAY_EXTRAS := cpu,ray
PINS := pyproject.toml constraints.txt
LOCK := .venv-lock/bin/uv pip compile --quiet --no-config --universal --python-version 3.11 \
  --generate-hashes --no-annotate --custom-compile-command "make lock" --constraints constraints.txt

# Of pip's output, the direct dependencies, the downloads of 10 MB and more, and the last stage. The
# shell has the status of pip.
SHELL := bash
.SHELLFLAGS := -o pipefail -c
PROGRESS := sed -u -n -E \
  -e 's/^(Collecting [^ ]+) \(from ood-guard.*/  \1/p' \
  -e 's/^ *((Downloading|Using cached) [^ ]+ \([0-9]{2,}\.[0-9] [MG]B\)).*/  \1/p' \
  -e 's/^Installing collected packages: .*/  Installing the packages, which takes minutes on a busy machine .../p'
PIP := -m pip install --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-ray test-browser screenshots test-deploy test-images fuzz check format hooks constraints \
  lock boards docs references bench-serving clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## create .venv with all development dependencies

demo: $(DEMO_READY) ## serve two shipped bundles and show two verdicts (PORT=8000; no torch)
	@exec $(DEMO_VENV)/bin/python examples/demo.py --port $(PORT) $(DEMO)

test: $(READY) ## run the fast tests
	$(VENV)/bin/python -m pytest -n auto --dist loadfile -m "not slow"

test-slow: $(READY) ## run the tests marked slow, except those that need a Docker engine
	$(VENV)/bin/python -m pytest -m "slow and not deploy"

test-ray: $(RAY_READY) ## run the tests with Ray, in an environment of their own (900 MB)
	$(RAY_VENV)/bin/python -m pytest tests/ray

test-browser: $(BROWSER_READY) $(GUIDE) ## run the tests in a browser (needs Chromium: apt-get install chromium)
	$(BROWSER_VENV)/bin/python -m pytest tests/browser

screenshots: $(BROWSER_READY) ## make the screenshots in docs/images (needs Chromium)
	SCREENSHOTS=docs/images $(BROWSER_VENV)/bin/python -m pytest tests/browser/test_screenshots.py

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
	.venv-pins/bin/pip install --quiet -e '.[dev,ray,browser]'
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
	echo zensical==0.0.73 | $(LOCK) - --output-file docker/guide.lock
	rm -rf .venv-lock

boards: $(READY) ## generate the Grafana boards from their code
	$(VENV)/bin/python -m docker.grafana.boards

docs: $(DOCS_READY) ## build the documentation site in dist/guide, and check it
	$(DOCS_VENV)/bin/python -m guide

references: $(READY) ## generate the tables of settings, metrics, problems and recipe keys in docs/
	$(VENV)/bin/python -m guide.references

bench-serving: $(READY) ## compare serving with ONNX Runtime and other servers (about 30 minutes)
	$(VENV)/bin/python -m benchmarks.serving

clean: ## remove the environments and all caches
	rm -rf $(VENV) .venv-* dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# torchattacks, a reference of the tests, pins a version of `requests` of 2021; newer ones work.
$(READY): $(PINS)
	$(call environment,$(VENV),dev)
	@$(VENV)/bin/python $(PIP) --quiet -c constraints.txt --no-deps torchattacks
	@touch $@

$(DEMO_READY): $(PINS)
	$(call environment,$(DEMO_VENV),cpu)
	@touch $@

$(DOCS_READY): docker/guide.lock
	@echo "Setting up $(DOCS_VENV) ..."
	@$(PYTHON) -m venv $(DOCS_VENV)
	@$(DOCS_VENV)/bin/python $(PIP) --quiet --require-hashes -r docker/guide.lock
	@touch $@

$(GUIDE): | $(DOCS_READY)
	$(DOCS_VENV)/bin/python -m guide

$(BROWSER_READY): $(PINS)
	$(call environment,$(BROWSER_VENV),browser)
	@touch $@

$(FUZZ_READY): $(PINS)
	$(call environment,$(FUZZ_VENV),fuzz)
	@touch $@

$(RAY_READY): $(PINS)
	$(call environment,$(RAY_VENV),$(RAY_EXTRAS))
	@$(RAY_VENV)/bin/python $(PIP) --quiet -c constraints.txt \
	  httpx2 hypothesis onnx psutil pytest
	@touch $@

# An editable install of one extra at the pinned versions. The target writes the stamp last, so that
# an interrupted set-up is repeated.
define environment
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is older than 3.11, expected 3.11 or newer: make PYTHON=python3.11" >&2; exit 1; }
	@echo "Setting up $(1) with the [$(2)] extra ..."
	@$(PYTHON) -m venv $(1)
	@$(1)/bin/python $(PIP) --progress-bar off -c constraints.txt -e '.[$(2)]' | $(PROGRESS)
endef
