# Everything one does with Footfall. Needs Python 3.11 or newer and nothing else: each target makes the virtual
# environment that it needs, from lock files with hashes, and makes it again when those change.

PYTHON ?= python3
ARGS ?=
# A process for each core, each with its chDB store; a file's tests share systems and stay together. ARGS=-n0: in one.
PARALLEL := -n logical --maxprocesses=4 --dist loadfile --no-loadscope-reorder

RUN := .venv
DEV := .venv-dev
LOCK := .venv-lock
BUILT_FROM := pyproject.toml setup.py sdk/python/pyproject.toml $(wildcard query_api/scan/*.c query_api/scan/*.h)

.DEFAULT_GOAL := help
.PHONY: help demo up test lint faults fuzz-doors bench kafka hostile lock clean
.DELETE_ON_ERROR:

help: ## Shows this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: $(RUN)/ready ## Sends a simulated bank's events, shows the answers, serves until Ctrl-C (ARGS=--exit: ends)
	@$(RUN)/bin/footfall demo $(ARGS)

up: $(RUN)/ready ## Serves: the collector on 8106, the query API on 8107
	@$(RUN)/bin/footfall up $(ARGS)

test: $(DEV)/ready ## Runs the test suite and shows its coverage (ARGS=tests/test_x.py: a part of it)
	@$(DEV)/bin/python -m pytest $(PARALLEL) --cov --cov-report=term:skip-covered $(ARGS)

lint: $(DEV)/ready ## ruff, its format, mypy --strict
	@$(DEV)/bin/ruff check .
	@$(DEV)/bin/ruff format --check .
	@$(DEV)/bin/mypy

faults: $(DEV)/ready ## Kills processes and power under load, 100 rounds
	@FAULT_ROUNDS=100 $(DEV)/bin/python -m pytest -m faults --timeout=3600 $(ARGS)

fuzz-doors: $(DEV)/ready ## Searches for what breaks the doors, over an hour (FUZZ_MINUTES=5: shorter; ARGS=native: a part)
	@[ -n "$(ARGS)" ] || FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-50} nice $(DEV)/bin/python -m pytest --timeout=3600 tests/test_fuzz_openapi.py
	@nice $(DEV)/bin/python -m tests.fuzzing $(ARGS)

bench: $(DEV)/ready ## Measures ratios to limits of the same run, appends them to bench/RESULTS.md
	@$(DEV)/bin/python -m bench $(ARGS)

kafka: $(DEV)/ready ## Runs an Apache Kafka from its jars until Ctrl-C (needs Java 17 and Maven), as tests do
	@$(DEV)/bin/python -m tests.kafka_broker $(ARGS)

hostile: $(DEV)/ready ## 50,000 hostile requests beside good traffic: errors, memory, p99 (ARGS=--quick: a few)
	@$(DEV)/bin/python -m bench --only hostile $(ARGS)

lock: $(LOCK)/ready ## Renews the lock files in requirements/
	@$(LOCK)/bin/uv $(COMPILE) requirements/build.in pyproject.toml sdk/python/pyproject.toml -o requirements/run.txt
	@$(LOCK)/bin/uv $(COMPILE) requirements/build.in pyproject.toml sdk/python/pyproject.toml \
	  --all-extras --group pyproject.toml:test --group pyproject.toml:lint --group pyproject.toml:bench \
	  -c requirements/run.txt -o requirements/dev.txt
	@$(LOCK)/bin/uv $(COMPILE) requirements/build.in pyproject.toml --all-extras -c requirements/run.txt \
	  -c requirements/dev.txt -o requirements/services.txt

clean: ## Removes virtual environments, caches and build results; no data
	@rm -rf $(RUN) $(DEV) $(LOCK) .sensors-sdks .fuzz build dist *.egg-info sdk/python/build sdk/python/*.egg-info query_api/scan/*.so footfall/privacy/*.so \
	  .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

COMPILE := pip compile --universal --python-version 3.11 --generate-hashes --upgrade --quiet \
  --no-header --no-annotate --no-emit-index-url --no-emit-find-links

$(RUN)/ready: requirements/run.txt $(BUILT_FROM)
	$(call set_up,$(RUN),requirements/run.txt)

$(DEV)/ready: requirements/dev.txt $(BUILT_FROM)
	$(call set_up,$(DEV),requirements/dev.txt)

$(LOCK)/ready:
	@$(PYTHON) -m venv $(LOCK)
	@$(LOCK)/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'
	@touch $@

# Nothing is compiled but our own scanner, by the compiler that comes as a wheel.
define set_up
	@$(PYTHON) -c 'import sys; sys.exit("Footfall needs Python 3.11 or newer; name one: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@echo '==> $(1): a virtual environment'
	@$(PYTHON) -m venv $(1)
	@echo '==> $(1): the packages of $(2) (some 400 MB the first time)'
	@$(1)/bin/python -m pip install --disable-pip-version-check --require-hashes --only-binary :all: -r $(2)
	@echo '==> $(1): Footfall itself, with its scanner compiled'
	@$(1)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . -e sdk/python
	@touch $@
endef
