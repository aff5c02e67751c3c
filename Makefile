# One command file. `make report` and `make test` need nothing but Python 3.11+ and (for tests) Terraform.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Users with a GPU: make TORCH=torch report
TORCH ?= torch==2.13.0
PROFILE ?= quick
PYTEST_WORKERS ?= 2
export PROFILE

.DEFAULT_GOAL := help
.PHONY: help env report test dev check bench mlflow tensorboard clean

help: ## what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 13

env: $(READY) ## the virtual environment, pinned by constraints.txt

$(READY): pyproject.toml constraints.txt requirements-terraform-double.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet "$(TORCH)" "uv==$$(sed -n 's/^uv==//p' constraints.txt)"
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet -c constraints.txt -e '.[dev]'
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --no-deps -r requirements-terraform-double.txt
	touch $(READY)

report: $(READY) ## the whole lineage: trace → training → evaluation report → Terraform (PROFILE, TRACE_SOURCE, TRACE_PATH)
	$(BIN)/dagster asset materialize --select '*'
	@$(BIN)/python -m assets.where

test: $(READY) ## every test
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist loadgroup

check: $(READY) ## style, types, layers and the fast tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist loadgroup -m 'not slow and not terraform'

dev: $(READY) ## the Dagster UI with the nightly schedule running, on http://127.0.0.1:3000
	$(BIN)/dagster dev -w workspace.yaml -h 127.0.0.1 -p 3000

mlflow: $(READY) ## the training runs in MLflow's UI, on http://127.0.0.1:5000
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow ui --workers 1 --backend-store-uri "sqlite:///$${STRATOFORM_DATA:-$(CURDIR)/data}/mlflow/mlflow.db"

tensorboard: $(READY) ## the training runs in TensorBoard, on http://127.0.0.1:6006
	$(BIN)/tensorboard --logdir "$${STRATOFORM_DATA:-$(CURDIR)/data}/tensorboard" --host 127.0.0.1 --port 6006

bench: $(READY) ## speed, as ratios against peers in the same run
	$(BIN)/python -m tests.benchmarks

clean: ## forget results (data/), keep the environment
	rm -rf data
