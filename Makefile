# Each target is one line; what takes more is a script in tests/. Nothing is needed beforehand: tests/setup installs it.
SCRIPTS = $$(grep -rlI --exclude='*.py' --exclude='*.md' --exclude-dir=__pycache__ --max-count=1 -E '^\#!/bin/(ba)?sh' .ci tests)

# More workers than cores: tests on machines wait more than they compute. Groups of tests are those of tests/conftest.py.
PYTEST = .venv/bin/pytest --numprocesses=3 --dist=loadgroup --no-loadscope-reorder

.PHONY: up test setup environment lint unit lab vm bench clean

up: ## rootless K3s here, or a demonstration where that cannot be
	tests/try

test: lint ## everything: linters, then all tests with no layer left out
	REQUIRE_LAYERS=1 $(PYTEST)

setup: ## packages and .venv; quick when there is nothing to do
	tests/setup

environment: ## .venv alone, without packages and root
	tests/setup environment

lint: setup ## ruff, mypy, shellcheck
	.venv/bin/ruff check && .venv/bin/ruff format --check && .venv/bin/mypy && shellcheck $(SCRIPTS)

unit: environment ## the tests that need no machine; what lacks root or a program is skipped
	$(PYTEST) -m "not lab and not vm and not install"

lab: setup ## a shell in a real systemd in private namespaces (needs root)
	.venv/bin/python -m tests.lab shell

vm: setup ## a shell in a virtual machine with pure cgroup v2
	.venv/bin/python -m tests.vm shell

bench: setup ## what the commands cost, against floors taken in the same run
	.venv/bin/python -m benchmarks

clean: ## everything that can be made again
	rm -rf .venv .cache dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
