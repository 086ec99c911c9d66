# A target is a few commands; longer ones are scripts in tests/. tests/setup installs everything that is needed.
SCRIPTS = $$(grep -rlI --exclude='*.py' --exclude='*.md' --exclude-dir=__pycache__ --max-count=1 -E '^\#!/bin/(ba)?sh' .ci tests)

# More workers than cores, because tests on machines wait more than they compute. tests/conftest.py defines the groups of tests.
PYTEST = .venv/bin/pytest --numprocesses=3 --dist=loadgroup --no-loadscope-reorder

.PHONY: up test setup environment lint checks coverage unit bus lab vm bench clean

up: ## start rootless K3s here, or a demonstration if that is not possible
	tests/try

test: lint ## run the linters, then all tests; no layer is skipped
	REQUIRE_LAYERS=1 $(PYTEST)

setup: ## install packages and .venv; fast if nothing is missing
	tests/setup

environment: ## create .venv only, without packages and root
	tests/setup environment

lint: setup checks ## install what is missing, then run all linters

checks: ## run the linters: ruff, mypy, shellcheck, and those of the workflows
	.venv/bin/ruff check && .venv/bin/ruff format --check && .venv/bin/mypy && shellcheck $(SCRIPTS)
	.venv/bin/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	.venv/bin/check-jsonschema --quiet --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/bug-report.yml .github/ISSUE_TEMPLATE/feature-request.yml
	.venv/bin/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	.venv/bin/zizmor --offline --quiet .github

unit: environment ## run the quick tests, in a minute, without root; `make test` runs all
	$(PYTEST) --numprocesses=4 --hypothesis-profile="few examples" --ignore=tests/e2e -m "not thorough and not bus and not lab and not vm and not install"

bus: environment ## run the tests against a private D-Bus daemon
	$(PYTEST) -m bus

coverage: environment ## measure which lines and branches run in the tests without machines
	$(PYTEST) --cov --cov-report=term:skip-covered -m "not lab and not vm and not install"

lab: setup ## open a shell in a real systemd in private namespaces (needs root)
	.venv/bin/python -m tests.lab shell

vm: setup ## open a shell in a virtual machine with pure cgroup v2
	.venv/bin/python -m tests.vm shell

bench: setup ## measure the cost of commands, compared with floors of the same run
	.venv/bin/python -m benchmarks

clean: ## remove everything that can be built again
	rm -rf .venv .cache dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage
