# `make` alone prints what there is. Each target sets up what it needs by itself; none asks for more rights than it was given.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
MANIFESTS ?= manifests/victim.yaml
STATE ?= .pitcrew/state
FAULT ?= flag
SERVICE ?= victim
MODEL ?=
PYTEST_ARGS ?=
# Most tests wait for a real engine or a real process most of the time; tests of one file stay together.
TEST_WORKERS ?= 3
# Small models play every so many-th of the labelled incidents.
SAMPLE ?= 4

BIN := .venv/bin
READY := .venv/.ready
LLM_READY := .venv-llm/.ready
REQUIREMENTS := requirements.lock $(wildcard victim-app/requirements.txt)
# What is Python of our own; a folder counts once something is in it.
TYPED := operator/pitcrew $(wildcard victim-app/app.py) $(wildcard tools/*.py) $(patsubst %/,%,$(sort $(dir $(wildcard chaos/*.py tests/*.py))))

.PHONY: help demo stack-up stack-demo stack-down overhead test campaigns eval test-crash check run victim images base-image
.PHONY: llm-venv llm-local record-demo
.PHONY: chaos-list chaos-break chaos-fix clean

help:
	@awk 'BEGIN {FS = ":.*## "} \
		/^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

##@ See it work
demo: $(READY) $(if $(MODEL),$(LLM_READY)) ## break a real service and watch PitCrew heal it (MODEL=local: with a small model)
	@$(BIN)/python -m tools.demo $(if $(MODEL),--model "$(MODEL)")

run: $(READY) ## keep what MANIFESTS declares healthy (MANIFESTS=manifests/victim.yaml STATE=.pitcrew/state)
	@mkdir -p "$(STATE)"
	@$(BIN)/pitcrew run --manifests "$(MANIFESTS)" --state "$(STATE)"

victim: ## start the container that manifests/victim.yaml is about, at 127.0.0.1:8080
	@tools/images.sh victim
	@docker run --detach --name victim --restart unless-stopped --publish 127.0.0.1:8080:8080 pitcrew/victim:latest

llm-local: $(READY) $(LLM_READY) ## serve a small model here for PitCrew to ask (MODEL=gemma3-270m or smollm2)
	@$(BIN)/python -m tools.llm_local $(if $(MODEL),--model "$(MODEL)")

stack-up: $(READY) ## start the three roles as containers, or as processes where compose is missing
	@$(BIN)/python -m tools.stack up

stack-demo: $(READY) ## break a service and watch three processes heal it, and see who can reach what
	@$(BIN)/python -m tools.stack demo

overhead: $(READY) ## measure what three processes cost against one (docs/reference/overhead.md; needs Docker)
	@$(BIN)/python -m tools.overhead --write

stack-down: $(READY) ## end the three roles and forget what they kept
	@$(BIN)/python -m tools.stack down

##@ Break it on purpose
chaos-list: $(READY) ## list the faults
	@$(BIN)/python chaos/chaos.py list

chaos-break: $(READY) ## break a service from outside (FAULT=flag SERVICE=victim)
	@$(BIN)/python chaos/chaos.py break "$(FAULT)" "$(SERVICE)"

chaos-fix: $(READY) ## take back what chaos did (SERVICE=victim)
	@$(BIN)/python chaos/chaos.py fix "$(SERVICE)"

##@ Develop
test: $(READY) ## run the tests, and a share of each campaign; what needs a part this machine lacks says so (PYTEST_ARGS=...)
	@$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile $(PYTEST_ARGS)

eval: $(READY) $(LLM_READY) ## score the labelled incidents, by rules alone and beside small models (SAMPLE=4; hours with 1)
	@$(BIN)/python -m tools.evaluate --sample "$(SAMPLE)" --write

campaigns: $(READY) ## play every campaign to its end: kills, lies, small models (half an hour; PYTEST_ARGS=...)
	@PITCREW_CAMPAIGN=100 $(BIN)/python -m pytest tests -m campaign $(PYTEST_ARGS)

test-crash: $(READY) ## of the campaigns: kill the operator at every write and effect, every one on Docker as well
	@PITCREW_CAMPAIGN=100 $(BIN)/python -m pytest tests/crash $(PYTEST_ARGS)

check: $(READY) ## lint, format, types, layers, generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(TYPED)
	$(BIN)/lint-imports --no-logo
ifneq ($(wildcard tools/generate.py),)
	$(BIN)/python tools/generate.py --check
endif

images: ## build pitcrew/victim:latest and pitcrew/pitcrew:latest (BASE_IMAGE=... names the base)
	@tools/images.sh

base-image: ## make a base image from Debian's packages, where no image registry is reached (FORCE=1 anew)
	@tools/base_image.sh

llm-venv: $(LLM_READY) ## make .venv-llm, which serves small models here (once, about five minutes)

record-demo: $(READY) $(LLM_READY) ## renew the model's answers that the demo plays where no model is (needs Docker)
	@$(BIN)/python -m tools.record_model

clean: ## remove what make made here; refused while something runs from it
	@tools/clean.sh

$(READY): $(REQUIREMENTS) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "PitCrew needs Python 3.11 or later; '$(PYTHON)' is not that: name one with PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "$(PYTHON) cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "setting up .venv from the lock file (once, about a minute)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install -q --disable-pip-version-check $(addprefix -r ,$(REQUIREMENTS))
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(LLM_READY): requirements-llm.lock tools/llm_venv.sh
	@PYTHON="$(PYTHON)" tools/llm_venv.sh
