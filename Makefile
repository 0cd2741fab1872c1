# Every command here can be interrupted and run again. Slow artefacts are kept in $LORA_CACHE (default ~/.cache/lora-operator).
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON := .venv/bin/python
ENVIRONMENT := .venv/.complete
# The quick tiers first: what fails there need not be waited for.
TESTS ?= tests/unit tests/contract tests/alerts tests/sources tests/apiserver tests/engine tests/cluster tests/e2e

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

# -- the two commands --------------------------------------------------------------------------------------------------

.PHONY: demo
demo: $(ENVIRONMENT) ## Set everything up and show the main job on a local single-node cluster
	@$(PYTHON) -m lora_demo run

.PHONY: test
test: $(ENVIRONMENT) ## All tests: lint, unit, contract, real sources, API server, real vLLM, real cluster
	@$(MAKE) lint
	@$(PYTHON) -m local_cluster binaries
	@$(PYTHON) -m pytest $(TESTS)

.PHONY: test-fast
test-fast: $(ENVIRONMENT) lint ## Lint, types, import rules, unit and contract tests; no cluster, a minute and a half
	@$(PYTHON) -m pytest -q -n auto --dist worksteal tests/unit tests/contract -m "not slow"

.PHONY: test-xlora
test-xlora: $(ENVIRONMENT) ## X-LoRA against PEFT in every architecture and mode, an engine for each; ten minutes
	@$(PYTHON) -m pytest tests/xlora

# -- the demo's cluster ------------------------------------------------------------------------------------------------

.PHONY: demo-env
demo-env: $(ENVIRONMENT) ## Print the shell variables to use the demo: eval "$(make -s demo-env)"
	@$(PYTHON) -m lora_demo env

.PHONY: demo-down
demo-down: $(ENVIRONMENT) ## End the demo's cluster and leave nothing behind
	@$(PYTHON) -m lora_demo down

.PHONY: corpus
corpus: $(ENVIRONMENT) ## Write every hostile adapter of the tests into the folder TO, to look at or to try on another server
	@test -n "$(TO)" || { echo 'say where: make corpus TO=<folder>' >&2; exit 2; }
	@cd tests && ../$(PYTHON) -m corpus "$(abspath $(TO))"

# -- benchmarks: each writes docs/benchmarks/<name>.json and .md in ten minutes or more; ARGS="--quick" for a look ---------

.PHONY: bench-swap
bench-swap: $(ENVIRONMENT) ## Swap revisions of adapters in use under load; check every response
	@cd tests && ../$(PYTHON) -m bench.swap $(ARGS)

.PHONY: bench-overhead
bench-overhead: $(ENVIRONMENT) ## The runtime against bare vLLM with static adapters, paired
	@cd tests && ../$(PYTHON) -m bench.overhead $(ARGS)

.PHONY: bench-tiers
bench-tiers: $(ENVIRONMENT) ## Thousands of registered adapters on one engine
	@cd tests && ../$(PYTHON) -m bench.tiers $(ARGS)

.PHONY: bench-batch
bench-batch: $(ENVIRONMENT) ## One call with prompts for several adapters, against one call for each
	@cd tests && ../$(PYTHON) -m bench.batch $(ARGS)

.PHONY: bench-xlora
bench-xlora: $(ENVIRONMENT) ## X-LoRA on vLLM against PEFT's, and against the plain base model
	@cd tests && ../$(PYTHON) -m bench.xlora $(ARGS)

.PHONY: bench-control
bench-control: $(ENVIRONMENT) ## From a changed custom resource to every pod, on a real node with two pods
	@cd tests && ../$(PYTHON) -m bench.control $(ARGS)

.PHONY: chaos
chaos: $(ENVIRONMENT) ## Kill, cut, pause and edit at random; hold every status against what pods serve
	@cd tests && ../$(PYTHON) -m chaos $(ARGS)

.PHONY: bench-scale
bench-scale: $(ENVIRONMENT) ## Thousands of adapters, one operator: start, bursts, cost of a change, memory; no vLLM
	@cd tests && ../$(PYTHON) -m bench.scale $(ARGS)

.PHONY: bench-two-hundred
bench-two-hundred: $(ENVIRONMENT) ## 200 adapters on two pods, as others were measured: in two minutes; no vLLM
	@cd tests && ../$(PYTHON) -m bench.two_hundred $(ARGS)

# -- the house ---------------------------------------------------------------------------------------------------------

$(ENVIRONMENT): requirements/dev.txt pyproject.toml tools/environment.sh
	@tools/environment.sh

.PHONY: env
env: $(ENVIRONMENT) ## The Python environment, in .venv

.PHONY: lint
lint: $(ENVIRONMENT) ## Formatting, lint, spelling, types, import rules, generated files, links of the documentation
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/ruff check --quiet .
	@.venv/bin/codespell
	@.venv/bin/yamllint --strict .
	@$(PYTHON) -m mypy
	@.venv/bin/lint-imports
	@$(PYTHON) -m lora_api.crdgen --check
	@$(PYTHON) -m grafana_dashboard --check
	@$(PYTHON) -m lora_cli.reference --check
	@$(PYTHON) -m http_reference --check
	@$(MAKE) docs

.PHONY: docs
docs: $(ENVIRONMENT) ## Build the documentation's site in build/docs; a link that leads nowhere is an error
	@$(PYTHON) -m sphinx --quiet --fresh-env --nitpicky --fail-on-warning --keep-going -d build/doctrees docs build/docs

.PHONY: format
format: $(ENVIRONMENT) ## Format and fix what can be fixed
	@.venv/bin/ruff check --fix --quiet . || true
	@.venv/bin/ruff format --quiet .

.PHONY: requirements
requirements: $(ENVIRONMENT) ## Compile the pinned requirements after editing requirements/*.in
	@.venv/bin/uv pip compile --quiet --no-emit-index-url --no-header --python-version 3.11 --override requirements/overrides.txt requirements/dev.in -o requirements/dev.txt
	@.venv/bin/uv pip compile --quiet --no-emit-index-url --no-header --python-version 3.11 --override requirements/overrides.txt requirements/runtime-cpu.in -o requirements/runtime-cpu.txt
	@.venv/bin/uv pip compile --quiet --no-emit-index-url --no-header --python-version 3.11 requirements/operator.in -o requirements/operator.txt

.PHONY: gen
gen: $(ENVIRONMENT) ## Generate the CRDs, their copy in the chart, the references, the dashboard, and the no-helm install
	@$(PYTHON) -m lora_api.crdgen
	@$(PYTHON) -m lora_cli.reference
	@$(PYTHON) -m http_reference
	@$(PYTHON) -m grafana_dashboard
	@$(PYTHON) -m plain_install

.PHONY: krew
krew: $(ENVIRONMENT) ## The archive and the manifest of `kubectl lora` for krew, in dist/; URI says where the archive will lie
	@$(PYTHON) -m krew_package dist "$(URI)"

.PHONY: pictures
pictures: $(ENVIRONMENT) ## Take the pictures of `kubectl lora ui` for the docs, from the demo (make demo) in Chromium
	@$(PYTHON) -m page_pictures

.PHONY: images
images: $(ENVIRONMENT) ## Build the images of operator and CPU runtime, without Docker
	@$(PYTHON) -m local_images operator
	@$(PYTHON) -m local_images runtime-thin

.PHONY: image-runtime-cpu
image-runtime-cpu: $(ENVIRONMENT) ## Build the full CPU runtime image (about 6 GB) and serve with it
	@$(PYTHON) -m lora_demo full-image
