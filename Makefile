# Everything a user or a developer does here; `make help` lists it.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORES ?= all
CONFIG ?= config/config.yaml
RESULTS ?= results/demo
EXECUTORS := slurm kubernetes aws-batch google-batch
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONPATH := $(CURDIR)/scripts
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-slides run view test test-s3 test-slurm test-envs test-fuzz lint format docs lock clean \
  benchmark benchmark-mesh benchmark-skeleton benchmark-scale benchmark-slides

help: ## list the targets
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

setup: $(VENV)/.done ## make the locked environment in .venv

$(VENV)/.done: requirements/lock.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/lock.txt
	echo "$(CURDIR)/scripts" > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/ophiolite.pth"
	touch $@

setup-slurm: $(VENV)-slurm/.done ## as setup, with the plugin for SLURM, in .venv-slurm
setup-kubernetes: $(VENV)-kubernetes/.done ## as setup, with the plugin for Kubernetes, in .venv-kubernetes
setup-aws-batch: $(VENV)-aws-batch/.done ## as setup, with the plugin for AWS Batch, in .venv-aws-batch
setup-google-batch: $(VENV)-google-batch/.done ## as setup, with the plugin for Google Batch, in .venv-google-batch

$(foreach e,$(EXECUTORS),$(VENV)-$(e)/.done): $(VENV)-%/.done: requirements/executor-%.txt $(VENV)/.done
	requirements/setup_executor.sh $* $(BIN)/python $(VENV)-$*
	touch $@

data/sample.h5: $(VENV)/.done scripts/ophiolite/sample/*.py
	mkdir -p data
	python -m ophiolite make_sample $@

demo: data/sample.h5 ## set-up, then the whole workflow on a built-in sample
	snakemake --workflow-profile profiles/local --cores $(CORES)
	@echo
	@echo "report:  file://$(CURDIR)/$(RESULTS)/report.html"
	@echo "viewer:  make view"

data/slides/slides.tsv: $(VENV)/.done scripts/ophiolite/sample/*.py
	python -m ophiolite make_slides data/slides

demo-slides: data/slides/slides.tsv ## whole-slide images: layers, patches, dataset page and scores of built-in phantoms
	snakemake slides score_slides --workflow-profile profiles/local --cores $(CORES) --configfile config/slides.yaml
	@echo
	@echo "dataset page:  file://$(CURDIR)/results/demo_slides/slides.html"
	@echo "viewer:        make view RESULTS=results/demo_slides"

run: setup ## the workflow on your data: make run CONFIG=config/mydata.yaml
	snakemake --workflow-profile profiles/local --cores $(CORES) --configfile $(CONFIG)

view: setup ## serve the results and open Neuroglancer, offline: make view RESULTS=results/mydata
	python -m ophiolite view --results $(RESULTS)

test: setup ## the whole test suite; at its end stands what each part took
	$(BIN)/python -m pytest -n 2 --dist loadscope $(ARGS)

test-s3: setup ## the object store alone: a real S3 server (Ceph, installed where this is root on Debian), and its faults
	tests/s3/install.sh
	$(BIN)/python -m pytest tests/s3 $(ARGS)

test-slurm: setup ## the tests on a real SLURM of their own (root on Debian; installs it)
	tests/slurm/install.sh
	$(BIN)/python -m pytest tests/slurm $(ARGS)

test-envs: setup ## each rule in an environment of what its envs/ file lists, made by a stand-in for conda
	$(BIN)/python -m pytest tests/workflow/test_environments.py $(ARGS)

test-fuzz: setup ## damaged files of every kind, for five minutes
	OPHIOLITE_FUZZ_SECONDS=300 $(BIN)/python -m pytest tests/fuzz $(ARGS)

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

$(VENV)-simplifiers/.done: requirements/simplifiers.txt
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes --target $(VENV)-simplifiers -r requirements/simplifiers.txt
	touch $@

benchmark-mesh: setup $(VENV)-igneous/.done $(VENV)-simplifiers/.done ## meshes alone at mip 0, cost and quality: benchmarks/results/mesh.csv
	PYTHONPATH=$(PYTHONPATH):$(abspath $(VENV)-simplifiers) python -m benchmarks.mesh $(ARGS)

benchmark-scale: setup ## plan and dry run of volumes up to a petavoxel, without data: benchmarks/results/scale.csv
	python -m benchmarks.scale $(ARGS)

benchmark-skeleton: setup $(VENV)-igneous/.done ## skeletons alone, cost and quality: ARGS="--dataset fib25" for one
	python -m benchmarks.skeleton $(ARGS)

benchmark-slides: setup $(VENV)-igneous/.done ## slides: tiles copied or encoded again, next to Igneous: benchmarks/results/slides.csv
	python -m benchmarks.slides $(ARGS)

COMPILE := uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url

lock: ## renew requirements/ from pyproject.toml and the lists of plugins (needs uv)
	$(COMPILE) pyproject.toml --extra test --extra lint --output-file requirements/lock.txt
	@# Google's plugin needs older clients of Google than the rest; they lie in its own environment.
	sed '/^\(google\|grpc\|proto\)/,/[^\\]$$/d' requirements/lock.txt > requirements/constraints.tmp
	for e in $(EXECUTORS); do \
	  $(COMPILE) requirements/executor-$$e.in -c requirements/constraints.tmp --output-file requirements/executor-$$e.txt || exit; \
	done
	rm requirements/constraints.tmp
	$(COMPILE) --no-deps requirements/simplifiers.in --output-file requirements/simplifiers.txt

clean: ## remove the environment and caches, keep results
	rm -rf $(VENV) $(EXECUTORS:%=$(VENV)-%) .pytest_cache .mypy_cache .ruff_cache .hypothesis
