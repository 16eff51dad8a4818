# `make` lists the targets. Everything runs in .venv, which is made on first use.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

# PYTHON=/path/to/python makes .venv with that interpreter; otherwise the first that is new enough is taken.
PYTHON ?=
# e.g. make test PYTEST_ARGS="tests/handler -k copy -n 0"
PYTEST_ARGS ?=
# e.g. make bench BENCH_ARGS="warm batch --json"
BENCH_ARGS ?=
# e.g. make fuzz FUZZ_RUNS=20
FUZZ_RUNS ?= 3
# e.g. make lock LOCK_ARGS=--upgrade
LOCK_ARGS ?=
UV ?= uv
LOCK = $(UV) pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
  --custom-compile-command "make lock" $(LOCK_ARGS)

VENV := .venv
STAMP := $(VENV)/.installed
RUN := $(VENV)/bin/python
# For checkov alone, whose pins conflict with those of everything else.
AUDIT := $(VENV)/audit
AUDIT_STAMP := $(AUDIT)/.installed
# The programs that `make bench` compares with.
BENCH := $(VENV)/bench
BENCH_STAMP := $(BENCH)/.installed

# Whatever virtual environment or search path the caller's shell has, .venv alone decides what is imported.
unexport VIRTUAL_ENV PYTHONHOME PYTHONPATH PYTHONSAFEPATH PIP_PREFIX PIP_TARGET PIP_USER

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: $(STAMP) ## Start a local AWS, deploy into it and back up real files
	@$(RUN) -m sandbox demo

.PHONY: sandbox
sandbox: $(STAMP) ## Start a local AWS, deploy into it and leave it running
	@$(RUN) -m sandbox up

.PHONY: test
test: lint $(AUDIT_STAMP) ## Run every gate: lint, types, import arrows, all tests (what CI runs)
	@echo "Tests"
	@$(RUN) -m pytest $(PYTEST_ARGS)

.PHONY: fuzz
fuzz: $(STAMP) ## Run the tests that make up their own cases with new ones, several times
	@for run in $$(seq $(FUZZ_RUNS)); do \
	  $(RUN) -m pytest -m hypothesis --hypothesis-profile=new $(PYTEST_ARGS) || exit 1; \
	done

.PHONY: lint
lint: $(STAMP) ## Check format, lint, types and import arrows
	@echo "Format and lint"
	@$(RUN) -m ruff format --quiet --check . || { echo "  -> make fmt"; exit 1; }
	@$(RUN) -m ruff check --quiet .
	@echo "Types"
	@$(RUN) -m pyright
	@echo "Import arrows"
	@$(RUN) -c 'from importlinter.cli import lint_imports_command as run; run()' --no-logo

.PHONY: fmt
fmt: $(STAMP) ## Format the code and fix what can be fixed
	@$(RUN) -m ruff check --quiet --fix-only .
	@$(RUN) -m ruff format .

.PHONY: bench
bench: $(BENCH_STAMP) ## Measure; prints a table of goals and what was reached
	@$(RUN) -m benchmarks $(BENCH_ARGS)

.PHONY: lock
lock: ## Resolve requirements*.in into requirements*.txt (needs uv)
	@command -v $(UV) >/dev/null || { echo "make lock: uv is missing; install it (pipx install uv) or set UV=/path/to/uv" >&2; exit 1; }
	@for name in components/requirements requirements requirements-dev requirements-audit requirements-bench; do \
	  $(LOCK) $$name.in --output-file $$name.txt || exit 1; \
	done
	@# What was tested is what is installed.
	@$(LOCK) requirements-cli.in --constraints requirements-dev.txt --output-file requirements-cli.txt

.PHONY: clean
clean: ## Remove .venv and every cache
	@rm -rf $(VENV) .hypothesis .import_linter_cache .pytest_cache .ruff_cache
	@find . -name .git -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +

# The stamp is written last, so an interrupted install is started afresh the next time.
$(STAMP): requirements-dev.txt
	@rm -f $@
	@for python in $(if $(PYTHON),"$(PYTHON)",python3 python3.13 python3.12 python3.11); do \
	  "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
	  echo "Making $(VENV) with $$("$$python" -V): once, about a minute, 800 MB"; \
	  "$$python" -m venv --clear $(VENV) || exit 1; \
	  $(RUN) -m pip install -qq --require-hashes -r requirements-dev.txt || exit 1; \
	  touch $@; \
	  exit 0; \
	done; \
	echo "make: need Python 3.11 or newer with the venv module; $(if $(PYTHON),PYTHON=$(PYTHON) is not that,none of python3 python3.13 python3.12 python3.11 is that). Install one or set PYTHON=/path/to/python." >&2; \
	exit 1

$(AUDIT_STAMP): requirements-audit.txt $(STAMP)
	@rm -f $@
	@echo "Making $(AUDIT) for checkov: once, about half a minute, 300 MB"
	@$(RUN) -m venv --clear $(AUDIT)
	@$(AUDIT)/bin/python -m pip install -qq --require-hashes -r requirements-audit.txt
	@touch $@

$(BENCH_STAMP): requirements-bench.txt $(STAMP)
	@rm -f $@
	@echo "Making $(BENCH) for what is compared with: once, some seconds, 150 MB"
	@$(RUN) -m venv --clear $(BENCH)
	@$(BENCH)/bin/python -m pip install -qq --require-hashes -r requirements-bench.txt
	@touch $@
