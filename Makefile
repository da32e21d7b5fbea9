# Two commands matter: `make run` and `make test`. `make help` lists the rest.

PYTHON := .venv/bin/python
CLOUD := $(PYTHON) -m tools.localcloud

STAGE ?= local
ORDERS ?= 200
ONCE ?=
SLACK ?= 60
SEEDS ?= 200
SKEW ?= 3600
EXAMPLES ?= 300

export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/node_modules/.bin:$(PATH)
export CDK_DISABLE_VERSION_CHECK := 1
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION := 1
export JSII_SILENCE_WARNING_DEPRECATED_NODE_VERSION := 1
export JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION := 1

.DEFAULT_GOAL := help
.PHONY: help setup run test check unit sim e2e iam nag drill reconcile chaos flash fuzz supply audit cost bench record up down deploy destroy rotate format lock clean

help: ## what there is
	@grep -E '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: ## environments from hashed locks, the pinned CDK command line
	@sh tools/bootstrap.sh

run: setup ## everything up, real orders played, figures; ONCE=1 ends after them, ORDERS=n (200)
	@$(PYTHON) -m tools.run --orders $(ORDERS) $(if $(filter-out 0 no false,$(ONCE)),--once)

test: check unit sim e2e drill ## every check and every test
	@$(PYTHON) -m tools.chaos --orders 12

check: setup ## what needs no local cloud: style, types, import rules, templates with cdk-nag
	@ruff check .
	@ruff format --check .
	@mypy
	@lint-imports
	@$(PYTHON) -m tools.supply secrets sbom licences
	@pytest tests/infra

unit: setup ## unit, contract and integration tests
	@pytest --ignore=tests/infra --ignore=tests/e2e --ignore=tests/recovery -n auto

sim: setup ## the platform under faults, simulated, and every crash point: SEEDS=200; 20000 by hand
	@$(PYTHON) -m tools.sim run --seeds $(SEEDS)

e2e: setup ## end to end on a local cloud of its own that enforces IAM, which is stopped afterwards
	@$(CLOUD) during --home .localcloud/e2e --stage test --enforced -- pytest tests/e2e

iam: setup ## the same, and then each role loses a right, which must be noticed
	@IAM_PLANT=1 $(CLOUD) during --home .localcloud/e2e --stage test --enforced -- pytest tests/e2e

nag: setup ## what NIST 800-53 and PCI DSS find in the production stacks: build/nag
	@$(PYTHON) -m tools.nag

drill: setup ## back up, damage, restore, switch over, reconcile: on a local cloud of its own; BACK=1 and the way back
	@$(if $(BACK),DRILL_BACK=1 )$(CLOUD) during --home .localcloud/drill --stage drill -- pytest tests/recovery -s

reconcile: setup ## after a restore: SINCE=2026-11-25T03:00:00Z, DRY=1 does nothing, SKEW seconds before (3600); STAGE=prod AWS=1
	@$(if $(AWS),,eval "$$($(CLOUD) env)" &&) $(PYTHON) -m tools.reconcile --stage $(STAGE) --since $(SINCE) --skew $(SKEW) $(if $(DRY),--dry-run)

chaos: setup ## real orders on the local cloud under faults: ORDERS=n (200), DOWN=mail, carrier or payments
	@$(PYTHON) -m tools.chaos --orders $(ORDERS) $(if $(DOWN),--down $(DOWN))

flash: setup ## a flash sale: 10,000 buyers for 1,000 units simulated, 1,000 for 100 on a local cloud; build/flash.json
	@$(PYTHON) -m tools.flash simulated --buyers 10000 --units 1000
	@$(CLOUD) during --home .localcloud/flash --stage local -- $(PYTHON) -m tools.flash deployed --buyers 1000 --units 100

fuzz: setup ## hostile input: EXAMPLES=n (300) drawn anew for each route, event and callback, here and on the local cloud
	@FUZZ_EXAMPLES=$(EXAMPLES) pytest tests/fuzz -n auto
	@FUZZ_EXAMPLES=$(EXAMPLES) $(CLOUD) during --home .localcloud/fuzz --stage test -- pytest tests/e2e/test_reference.py

supply: setup ## secrets, bill of materials (build/sbom.json), licences, known vulnerabilities
	@$(PYTHON) -m tools.supply

audit: setup ## what does not balance in the tables: of the local cloud, of DUMP=folder, or of STAGE=prod AWS=1
	@$(if $(DUMP)$(AWS),,eval "$$($(CLOUD) env)" &&) $(PYTHON) -m tools.audit --stage $(STAGE) $(if $(DUMP),--dump $(DUMP)) --slack $(SLACK)

cost: setup ## what orders cost at AWS's list prices, against the budget: RECORD=1 makes it the budget, TABLES=1 only renews tables
	@$(PYTHON) -m tools.cost $(if $(RECORD),--record) $(if $(TABLES),--tables)

bench: setup ## start and CPU of every function beside a bare client's, compared with the record; RECORD=1 renews it
	@$(PYTHON) -m tools.bench
	@$(PYTHON) -m tools.bench_functions $(if $(RECORD),--record)

record: setup ## what a release leaves in flight, for the tests of the next: TAG=v0.1.0
	@$(CLOUD) during --home .localcloud/record --stage test -- $(PYTHON) -m tools.record $(TAG)

up: setup ## start the local cloud and deploy to it
	@$(CLOUD) up --stage $(STAGE)

down: ## stop the local cloud
	@if [ -x $(PYTHON) ]; then $(CLOUD) down; fi

deploy: setup ## deploy to AWS with the credentials of this shell: STAGE=dev
	@$(PYTHON) -m tools.release deploy $(STAGE)

destroy: setup ## take a stage away from AWS: STAGE=dev
	@$(PYTHON) -m tools.release destroy $(STAGE)

rotate: setup ## a new value of the secret header between CloudFront and the API: STAGE=prod
	@$(PYTHON) -m tools.release rotate $(STAGE)

format: setup ## put the source into its form
	@ruff check --fix .
	@ruff format .

lock: ## renew the hashed locks (needs uv)
	@sh tools/lock.sh

clean: down ## take away everything that was made
	@rm -rf .venv .venv-cloud node_modules build cdk.out .localcloud .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
