# `make help` lists the targets. Every one installs what it needs, and all share `.venv`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUST_SOURCES := $(shell find rust -name '*.rs' -o -name Cargo.toml) Cargo.toml Cargo.lock
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help dev demo test test-rust test-python test-peers lint fmt stubs fuzz bench bench-logs bench-suggest bench-suggest-data bench-reference wheel docs gallery ci clean check-tools

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-18s %s\n", $$1, $$2}'

check-tools:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "lehr needs Python 3.11 or later: install it from https://www.python.org/downloads or set PYTHON=..."; exit 1; }
	@command -v cargo >/dev/null || \
	  { echo "lehr needs a Rust toolchain: install it with the command on https://rustup.rs"; exit 1; }

$(BIN)/python: | check-tools
	$(PYTHON) -m venv $(VENV)

# The packages of the extra, then the extension: rebuilt when Rust code changes.
$(VENV)/.installed-%: pyproject.toml $(RUST_SOURCES) | check-tools $(BIN)/python
	$(BIN)/python -m pip install --quiet 'maturin>=1.9,<2'
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable '.[$*]'
	@touch $@

dev: $(VENV)/.installed-dev ## Install lehr for development, with everything tests need

demo: $(VENV)/.installed-all ## Find a rate and train on real images; pictures go to lehr-demo/
	$(BIN)/lehr demo

test: test-rust test-python ## Run all tests, Rust and Python

test-rust: | check-tools
	cargo test --quiet --package lehr-core

test-python: $(VENV)/.installed-dev
	$(BIN)/pytest -q

# PEERS=path takes an environment with the trainers that is there already.
test-peers: $(VENV)/.installed-dev $(if $(PEERS),,.venv-peers/.installed) ## Run lehr inside other trainers, in an environment with them
	PYTHONPATH=$(CURDIR)/python $(or $(PEERS),.venv-peers)/bin/python -m pytest -q -c tests/peers/pytest.ini tests/peers tests/test_resume_matrix.py tests/test_torch_containers.py

.venv-peers/.installed: tests/peers/requirements.txt | check-tools
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --requirement tests/peers/requirements.txt
	@touch $@

lint: $(VENV)/.installed-dev stubs ## Check format, lints and types
	cargo fmt --all --check
	cargo clippy --quiet --workspace --all-targets -- -D warnings
	$(BIN)/ruff format --check python tests benches rust
	$(BIN)/ruff check python tests benches rust
	$(BIN)/mypy

stubs: $(VENV)/.installed-dev ## Check the stub against the compiled module
	$(BIN)/python -m mypy.stubtest lehr._core --mypy-config-file pyproject.toml

fmt: $(VENV)/.installed-dev ## Format all code
	cargo fmt --all
	$(BIN)/ruff format python tests benches rust
	$(BIN)/ruff check --fix python tests benches rust

# The same SEED makes the same trials again.
SECONDS ?= 60
fuzz: $(VENV)/.installed-dev ## Feed mutated files to every reader for SECONDS=60, with SEED=n or any
	$(BIN)/python tests/fuzz.py --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

# The second part stands beside other schedulers and finders, in the environment that has them.
bench: $(VENV)/.installed-dev $(if $(PEERS),,.venv-peers/.installed) ## Print the table of ratios
	$(BIN)/python benches/bench.py
	PYTHONPATH=$(CURDIR)/python $(or $(PEERS),.venv-peers)/bin/python benches/bench.py scheduler finders

bench-logs: $(VENV)/.installed-dev ## Print what suggestions for a lake of curves cost, over reading it
	$(BIN)/python benches/bench.py logs

bench-suggest: $(VENV)/.installed-dev ## Print what the suggestion rules are worth
	$(BIN)/python benches/suggest.py

bench-suggest-data: $(VENV)/.installed-dev ## Make benches/data/lr_bench_own.npz again (20 minutes on one core)
	$(BIN)/python benches/suggest_data.py

# REFERENCE=path takes an environment with fastai that is there already.
bench-reference: $(VENV)/.installed-dev $(if $(REFERENCE),,.venv-reference/.installed) ## Print our suggestion rules over fastai's, in an environment with both
	PYTHONPATH=$(CURDIR)/python $(or $(REFERENCE),.venv-reference)/bin/python -W ignore benches/reference.py

.venv-reference/.installed: | check-tools
	$(PYTHON) -m venv .venv-reference
	.venv-reference/bin/python -m pip install --quiet 'fastai==2.8.12'
	@touch $@

wheel: $(VENV)/.installed-dev ## Build the sdist and the wheel into dist/
	rm -rf dist
	$(BIN)/maturin build --release --sdist --out dist --quiet
	ls -l dist

docs: $(VENV)/.installed-dev ## Run every example of README, docs and docstrings
	$(BIN)/pytest -q tests/test_docs.py

gallery: $(VENV)/.installed-dev ## Draw docs/gallery.md and its pictures again
	$(BIN)/python benches/gallery.py

ci: test test-peers lint ## What CI runs: all tests, then all lints
	@echo "ci: tests and lints are green"

clean: ## Remove what was built, .venv included
	rm -rf $(VENV) .venv-reference .venv-peers target dist lehr-demo fuzz-failures .pytest_cache tests/peers/.pytest_cache .mypy_cache .ruff_cache .hypothesis
	find python -name '*.so' -delete
