# Each target sets up what is missing first; infra/environment says how. GNU make 3.81 or newer.

ENVIRONMENT := infra/environment run --announce
QUIETLY := infra/environment run
# A process of the tests takes up to 3 GiB. Files go to them in the order of tests/conftest.py.
IN_PARALLEL := -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
NAME ?=
export NAME
export THAW_SHELL_COMMAND = $(value CMD)

.DEFAULT_GOAL := help
.PHONY: help run test test-quick test-image check shell bench lock image clean clean-environment

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "On a machine that cannot run the stack itself, the same commands run in a container that"
	@echo "sees this checkout, your home, the current folder and /tmp. More folders:"
	@echo "  THAW_MOUNTS=/data:/models make run       (more: infra/environment help)"

run: ## run the embedded example, end to end
	@$(ENVIRONMENT) python -m examples.digits.make_images examples/digits/photographs
	@./thaw run examples/digits/config.yaml

test: ## run all tests; in the built image, where there is one of this code, those that can
	@$(ENVIRONMENT) --image python -m pytest tests $(IN_PARALLEL)

test-quick: ## run the tests that take seconds
	@$(ENVIRONMENT) python -m pytest tests -m "not slow"

test-image: ## build the image if it is not of this code, and run the pipeline in it, as on Kubeflow
	@infra/environment image --if-changed cpu
	@THAW_IMAGE_REQUIRED=1 $(ENVIRONMENT) --image python -m pytest tests/end_to_end -m image

check: ## formatting, lint, types, and which package may import which
	@$(ENVIRONMENT) ruff format --check .
	@$(QUIETLY) ruff check .
	@$(QUIETLY) mypy
	@$(QUIETLY) python -m pytest -q tests/contract/test_imports.py

shell: ## open a shell in the environment; make shell CMD='…' runs one command
	@if [ -n "$$THAW_SHELL_COMMAND" ]; then $(QUIETLY) bash -c "$$THAW_SHELL_COMMAND"; \
	else $(ENVIRONMENT) bash --rcfile infra/shell.rc -i; fi

bench: ## run all benchmarks; make bench NAME=ingest runs one
	@$(ENVIRONMENT) python -m "benchmarks$${NAME:+.$$NAME}"

lock: ## bring uv.lock up to date with pyproject.toml
	@infra/environment lock

image: ## build the image that is deployed
	@infra/environment image

clean: ## remove caches and build outputs, but not the environment
	@rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
	@find components pipeline trainer tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

clean-environment: ## remove .venv and the container image of this checkout
	@infra/environment remove
