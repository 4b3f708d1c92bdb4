# Everything starts here. A fresh machine needs make and Python 3.11 to 3.13, nothing else.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# Half of the time tests wait, for a lease or a browser: three of them keep two cores busy. Each
# file stays in one process, and begins in the order in which it was collected.
PARALLEL := -n 3 --dist loadfile --no-loadscope-reorder
# Each candidate is run, not only looked for: a version manager's shim may be there and refuse.
IS_RIGHT_VERSION := -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python $(IS_RIGHT_VERSION) && echo $$python && break; done)
APT_INSTALL := DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends
IS_DEBIAN_ROOT := [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null

# $(call install,WHAT): uv where it is found and works, else pip; constraints.txt has every version.
# No build isolation, so that the build backend is the pinned one too.
define install
@if command -v uv >/dev/null; then \
	uv pip install --quiet --python $(BIN)/python -c constraints.txt $(1) && exit; \
	echo "uv could not install $(1); pip takes over."; \
fi; \
$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt $(1)
endef

# $(call install_missing,MODULE): the Debian packages it asks for with --missing, where we may.
define install_missing
@missing=$$($(BIN)/python -m $(1) --missing); \
if [ -n "$$missing" ] && $(IS_DEBIAN_ROOT); then \
	echo "Installing" $$missing; \
	apt-get update -qq && $(APT_INSTALL) $$missing || echo "apt-get could not; going on"; \
fi
endef

# $(call run_each,FOLDER): each module of the folder is a program.
define run_each
@for name in $(basename $(notdir $(wildcard $(1)/[!_]*.py))); do \
	echo "== $(1)/$$name.py"; $(BIN)/python -m $(1).$$name $(ARGS) || exit; done
endef

.PHONY: help setup demo beacon console check lint format test bench docs lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.dev ## Install PinSphere and the tools for working on it into .venv

demo: $(VENV)/.runtime ## A synthetic shop, its events, the real pipelines, and what to look at
	@$(BIN)/pinsphere demo $(ARGS)

beacon: $(VENV)/.runtime ## Run the collector
	@$(BIN)/pinsphere beacon $(ARGS)

console: $(VENV)/.runtime ## Look at the answers; ARGS="--home pinsphere-demo" for the demo's
	@$(BIN)/pinsphere console $(ARGS)

check: lint ## Before each commit: lint and the unit tests, in seconds
	@$(BIN)/python -m pytest $(PARALLEL) -m "not flow and not integration and not browser and not bench" $(ARGS)

lint: $(VENV)/.dev ## Style, types, import contracts, dependencies
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/deptry .

format: $(VENV)/.dev ## Let ruff mend and format the code
	@$(BIN)/ruff check --fix-only
	@$(BIN)/ruff format

test: $(VENV)/.dev ## Install what tests need and run all of them; ARGS="-k credit" for some
	$(call install_missing,tests.services)
	@$(BIN)/python -m tests.services
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

bench: $(VENV)/.dev ## Run the benchmarks
	$(call install_missing,benchmarks._servers)
	$(call run_each,benchmarks)

docs: $(VENV)/.dev ## Write the generated files anew: pages of docs/, the snippet as served
	@$(BIN)/python -m schemas.dictionary > docs/data-dictionary.md
	@$(BIN)/python -m schemas.catalogs dbt < docs/queries.md > docs/dbt/sources.yml
	@$(BIN)/python -m schemas.catalogs datasette < docs/queries.md > docs/datasette/metadata.yml
	@$(BIN)/python -m schemas.openapi > docs/openapi.json
	@$(BIN)/python -m schemas.avro > docs/events.avsc
	@$(BIN)/python -m beacon.minify > beacon/snippet/pin.min.js

lock: $(VENV)/.dev ## Refresh constraints.txt with the newest versions that fit
	@$(BIN)/python -m pip install -qq --disable-pip-version-check uv
	@sed -n '/^#/p' constraints.txt > $(VENV)/constraints.txt
	@$(BIN)/uv pip compile --quiet pyproject.toml --group dev --universal --python-version 3.11 \
		--fork-strategy fewest --no-header --no-annotate >> $(VENV)/constraints.txt
	@cp $(VENV)/constraints.txt constraints.txt

clean: ## Remove what make and the tools have made; never your data
	@rm -rf $(VENV) build dist *.egg-info pinsphere-demo
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/pyvenv.cfg:
	@[ -n "$(PYTHON)" ] && $(PYTHON) $(IS_RIGHT_VERSION) || { \
		echo "PinSphere needs Python 3.11, 3.12 or 3.13: $(if $(PYTHON),$(PYTHON) is none of them,none is on PATH)." >&2; \
		echo "Install one (Debian, Ubuntu: apt-get install python3 python3-venv)," >&2; \
		echo "or name yours: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; }
	@if ! $(PYTHON) -c 'import ensurepip' 2>/dev/null && ! command -v uv >/dev/null; then \
		if $(IS_DEBIAN_ROOT); then \
			echo "Installing python3-venv"; apt-get update -qq && $(APT_INSTALL) python3-venv; \
		else \
			echo "$(PYTHON) cannot make a virtual environment: its ensurepip is missing." >&2; \
			echo "Ask for the package python3-venv, or install uv." >&2; exit 1; \
		fi; \
	fi
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then $(PYTHON) -m venv --clear $(VENV); \
		else uv venv --quiet --clear --python $(PYTHON) $(VENV); fi

$(VENV)/.runtime: $(VENV)/pyvenv.cfg pyproject.toml constraints.txt setup.py
	@echo "Installing PinSphere (a minute or so the first time)"
	$(call install,pip setuptools)
	$(call install,--no-build-isolation -e .)
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	@echo "Installing the tools for tests and checks"
	$(call install,--no-build-isolation -e . --group dev)
	@touch $@
