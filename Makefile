# The verbs of the house. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
# A second start is quick because the first one has kept its compiled modules.
unexport PYTHONDONTWRITEBYTECODE
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# make test T=path K=expression FULL=1 COVER=1
T ?= tests
K ?=
FULL ?=
COVER ?=
JOBS ?= 2
TARGET ?= all
SOLVER := packages/darp/pyproject.toml packages/darp/CMakeLists.txt $(wildcard packages/darp/kernel/*)

.PHONY: help setup run test check audit bench docs image sdk new revision lock clean

help: ## list the verbs
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.dev ## create .venv with everything that developing needs

run: $(VENV)/.run ## start the product with living demo data (ARGS="--port 8001")
	@$(BIN)/ossature up --demo $(ARGS)

test: $(VENV)/.dev ## run the tests (T=path K=expression FULL=1 COVER=1)
	@$(BIN)/python -m tests.run --path "$(T)" --keyword "$(K)" --jobs $(JOBS) $(if $(FULL),--full) $(if $(COVER),--cover)

check: $(VENV)/.dev ## format, lint, types, contracts, laws, licences, spelling, drift
	@$(BIN)/python -m tests.check

audit: $(VENV)/.dev ## write what the security gates say into build/security (JSON, SARIF); `make check` judges
	@mkdir -p build/security
	@$(BIN)/bandit -q --exit-zero -c pyproject.toml -r src -f json -o build/security/bandit.json
	@$(BIN)/ast-grep scan --config tests/house/patterns/sgconfig.yml --format sarif src > build/security/patterns.sarif || true
	@echo "build/security/bandit.json build/security/patterns.sarif"

bench: $(VENV)/.dev ## measure (ARGS="kernel-edge --quick"); without ARGS, list the benches
	@$(BIN)/python -m bench $(ARGS)

docs: $(VENV)/.dev ## build the documentation into build/site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --site-dir build/site
	@echo build/site/index.html

image: ## build a container image (TARGET=api, worker or all)
	docker build --file deploy/docker/Dockerfile --target $(TARGET) --tag ossature:$(TARGET) .

sdk: ## client libraries from the OpenAPI document
	@echo "not yet: the OpenAPI document is in docs/reference/openapi.json"

new: $(VENV)/.run ## write a skeleton: service=NAME, or service=NAME provider=[CATEGORY/]NAME
	@$(BIN)/ossature new $(if $(provider),provider $(service) $(provider),service $(service))

revision: $(VENV)/.dev ## write a migration from the tables as they are now (m="what changes")
	@$(BIN)/ossature migrate revision "$(m)"

lock: $(BIN)/uv ## pin what pyproject.toml asks for, by hash, without addresses (ARGS="--upgrade-package NAME")
	@$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes --no-header --quiet \
		$(ARGS) --output-file requirements.lock

clean: ## remove what was built; var/ stays
	rm -rf build dist site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

# What is installed follows requirements.lock, by hash. pip fetches uv (pinned there too), uv does the rest.
$(BIN)/uv: requirements.lock
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@awk '/^uv==/{p=1} p&&/^[a-z]/&&!/^uv==/{exit} p' requirements.lock | grep -v '# via' > $(VENV)/uv.lock.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.lock.txt
	@touch $(BIN)/uv

$(VENV)/.run: $(BIN)/uv pyproject.toml $(SOLVER)
	@echo "Installing what ossature needs ..."
	@$(BIN)/uv pip install --python $(BIN)/python --constraint requirements.lock --build-constraints requirements.lock \
		--editable ".[all]"
	@$(BIN)/python -c 'import darp; darp.KERNEL == "cpp" or print("No C++ compiler: plans are made by Python, about 20 times slower.")'
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@echo "Installing what developing needs ..."
	@$(BIN)/uv pip install --python $(BIN)/python --require-hashes --requirement requirements.lock
	@touch $@
