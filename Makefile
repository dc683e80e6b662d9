# The bootstrap: a virtual environment from the lock file, then Snakemake, pytest or MLflow in it.
PYTHON ?= python3
SCALE_DIR ?= .
BIN := .venv/bin
STUDIES := $(patsubst studies/%/study.py,%,$(wildcard studies/*/study.py))
READY := .venv/ready

.PHONY: help all smoke large pilot register replicate archive unpack crate test test-clusters check types style pytest verdicts readme site sizes clean clean-states clean-store clean-smoke ui FORCE $(STUDIES)
.DEFAULT_GOAL := help

help:
	@echo "make figures/wsd_loss.pdf   one figure, from nothing (any target of snakemake works: make figures/..., make results/...)"
	@echo "make wsd                    every figure and verdict of a study: $(STUDIES)"
	@echo "make all                    every figure and verdict"
	@echo "make large                  the same with the large rungs of the studies' ladders"
	@echo "make smoke                  the whole graph at the smoke scale, in scales/smoke"
	@echo "make test                   style, types, workflow and unit tests"
	@echo "make test-clusters          tests on a Slurm, a PostgreSQL and an MLflow server that they start here (root, Debian)"
	@echo "make pilot STUDY=wsd        train the pilot seeds of a study, in scales/pilot; its verdicts count nowhere"
	@echo "make register STUDY=wsd     write down what it claims and draw its seeds (UNDERPOWERED=\"W3 W4\" for what they will not decide)"
	@echo "make replicate STUDY=wsd    train its claims on the next block of unseen seeds and compare the verdicts"
	@echo "make archive STUDY=wsd      pack its results into archives/wsd.tar.gz (STATES=needed, none or all; SCALE_DIR=. or scales/smoke)"
	@echo "make unpack ARCHIVE=file    put the results of an archive here, so that nothing of it is trained"
	@echo "make crate STUDY=wsd        export the study as a Workflow Run RO-Crate, crates/wsd"
	@echo "make verdicts               keep the verdicts and pictures of a build in the repository, and fill in the READMEs"
	@echo "make readme                 fill in the READMEs from the verdicts that are kept"
	@echo "make site                   pages of all claims, studies and runs in site/, of a build or of what is kept (SCALE_DIR=. or scales/smoke)"
	@echo "make sizes                  what results take on disk, by study"
	@echo "make clean                  remove logs, caches and the smoke build; results, figures, MLflow and Snakemake's memory stay"
	@echo "make clean-states           remove the states of all runs; rows, figures and verdicts stay (SCALE_DIR=. or scales/smoke)"
	@echo "make clean-smoke            remove the smoke build; clean-store: the MLflow store, which \`snakemake mlflow\` fills again"
	@echo "make ui                     browse the runs in MLflow (PORT=5050, SCALE_DIR=. or scales/smoke)"

# The packages anew whenever what they are made from has changed, so that no old environment stays after a pull.
.venv/packages: envs/requirements.lock envs/torch.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; say: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r envs/requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement envs/torch.txt
	touch $@

$(READY): .venv/packages pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

.venv: $(READY)

FORCE:

figures/% results/%: $(READY) FORCE
	$(BIN)/snakemake $@

$(STUDIES): $(READY)
	$(BIN)/snakemake $@

.DEFAULT:
	@echo "make: no target $@; studies are $(STUDIES), \`make help\` has the others, and \`snakemake $@\` says what is near" >&2; exit 2

all: $(READY)
	$(BIN)/snakemake

large: $(READY)
	$(BIN)/snakemake --workflow-profile profiles/large

smoke: $(READY)
	$(BIN)/snakemake --workflow-profile profiles/smoke

check: style types

style: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile common/pipeline/rules
	$(BIN)/snakemake --lint
	$(BIN)/python -m common.pipeline.readme --check

types: $(READY)
	$(BIN)/mypy

pytest: style
	$(BIN)/pytest --numprocesses logical --dist loadfile --no-loadscope-reorder

# Types beside the tests: the one takes a core for most of a minute, the others begin by waiting for a build.
test: $(READY)
	$(MAKE) --no-print-directory --jobs 2 types pytest

.venv/clusters: $(READY) envs/clusters.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement envs/clusters.txt
	touch $@

# Packages of Debian that these tests want: slurmctld slurmd slurm-client munge postgresql. What is missing is told.
test-clusters: .venv/clusters
	$(BIN)/pytest --override-ini addopts="-q -rs" tests/clusters

pilot: $(READY)
	$(BIN)/snakemake --workflow-profile profiles/pilot -- results/$(STUDY)/claims.json

register: $(READY)
	$(BIN)/python -m common.pipeline.register $(STUDY) $(if $(UNDERPOWERED),--underpowered $(UNDERPOWERED))

replicate: $(READY)
	$(BIN)/python -m common.pipeline.replicate $(STUDY)

STATES ?= needed
archive: $(READY)
	cd $(SCALE_DIR) && $(CURDIR)/$(BIN)/python -m common.pipeline.archive $(STUDY) --states $(STATES)

unpack: $(READY)
	mkdir -p $(SCALE_DIR) && cd $(SCALE_DIR) && $(CURDIR)/$(BIN)/python -m common.pipeline.archive --unpack $(abspath $(ARCHIVE))

crate: $(READY)
	cd $(SCALE_DIR) && $(CURDIR)/$(BIN)/python -m common.pipeline.crate $(STUDY)

verdicts: $(READY)
	$(BIN)/python -m common.pipeline.readme --take results

readme: $(READY)
	$(BIN)/python -m common.pipeline.readme

REPOSITORY ?=
site: $(READY)
	cd $(SCALE_DIR) && $(CURDIR)/$(BIN)/python -m common.site --repository "$(REPOSITORY)"

sizes: $(READY)
	cd $(SCALE_DIR) && $(CURDIR)/$(BIN)/python -m common.pipeline.disk

clean: $(READY)
	$(BIN)/python -m common.pipeline.disk --clean

clean-states: $(READY)
	cd $(SCALE_DIR) && $(CURDIR)/$(BIN)/python -m common.pipeline.disk --remove

clean-store:
	rm -rf $(SCALE_DIR)/mlflow.db* $(SCALE_DIR)/mlartifacts

clean-smoke:
	rm -rf scales/smoke

PORT ?= 5050
ui: $(READY)
	$(BIN)/python -m common.tracking ui --port $(PORT) --directory $(SCALE_DIR)
