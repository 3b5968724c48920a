# Everything a user or a developer does here; `make help` lists it.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORES ?= all
CONFIG ?= config/config.yaml
RESULTS ?= results/demo
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONPATH := $(CURDIR)/scripts
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo run view test lint format docs lock benchmark benchmark-mesh clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.done ## make the locked environment in .venv

$(VENV)/.done: requirements/lock.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/lock.txt
	echo "$(CURDIR)/scripts" > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/ophiolite.pth"
	touch $@

data/sample.h5: $(VENV)/.done scripts/ophiolite/sample/*.py
	mkdir -p data
	python -m ophiolite make_sample $@

demo: data/sample.h5 ## set-up, then the whole workflow on a built-in sample
	snakemake --workflow-profile profiles/local --cores $(CORES)
	@echo
	@echo "report:  file://$(CURDIR)/$(RESULTS)/report.html"
	@echo "viewer:  make view"

run: setup ## the workflow on your data: make run CONFIG=config/mydata.yaml
	snakemake --workflow-profile profiles/local --cores $(CORES) --configfile $(CONFIG)

view: setup ## serve the results and open Neuroglancer, offline: make view RESULTS=results/mydata
	python -m ophiolite view --results $(RESULTS)

test: setup ## the whole test suite
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

lint: setup ## ruff, mypy, snakefmt, snakemake --lint, generated files
	ruff check .
	ruff format --check .
	mypy
	snakefmt --check workflow
	snakemake --lint
	python -m ophiolite generate_docs --check

format: setup ## format everything
	ruff format .
	ruff check --fix .
	snakefmt workflow

docs: setup ## write the files generated from the config model
	python -m ophiolite generate_docs

$(VENV)-igneous/.done: requirements/igneous.txt
	$(PYTHON) -m venv $(VENV)-igneous
	$(VENV)-igneous/bin/python -m pip install --quiet --require-hashes -r requirements/igneous.txt
	touch $@

benchmark: setup $(VENV)-igneous/.done ## the same work through Igneous and through us: benchmarks/results/
	python -m benchmarks.run $(ARGS)

benchmark-mesh: setup $(VENV)-igneous/.done ## meshes at mip 0 through both, with their quality: benchmarks/results/mesh.csv
	python -m benchmarks.mesh $(ARGS)

lock: ## renew requirements/lock.txt from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --extra test --extra lint --universal --python-version 3.11 --generate-hashes \
	  --no-annotate --no-header --no-emit-index-url --output-file requirements/lock.txt

clean: ## remove the environment and caches, keep results
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
