# Two commands do everything: `make chat` and `make test`. Each is enough alone on a fresh clone.
PYTHON ?= python3
# On Linux, plain pip takes a build of torch with gigabytes of GPU libraries. README.md says what to set here instead.
TORCH_INDEX ?=
BIN := .venv/bin
READY := .venv/installed
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
EXTRA := $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

.PHONY: help chat test check endurance browser clean
help: ## print this
	@grep -hE '^[a-z]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 10

chat: $(READY) ## fetch what is missing, then open the chat page
	$(BIN)/fieldguide chat

test: $(READY) browser ## fetch what is missing, then run every check and test
	$(BIN)/fieldguide models pull default embedder tiny
	$(MAKE) check
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: $(READY) ## style and types only
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

endurance: $(READY) ## damage files, kill every writer 200 times, 3,000 questions, fifty users (hours)
	set -e; for part in endurance endurance_faults endurance_reading soak load; do $(BIN)/python tests/$$part.py; done

browser:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || tests/install_browser.sh

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	@echo "Installing packages; llama.cpp is compiled, which takes some minutes ..."
	$(PIP) $(EXTRA) torch
	$(PIP) -e '.[dev]'
	@touch $@

clean: ## remove the environment and the index; weights stay
	rm -rf .venv .fieldguide .pytest_cache .mypy_cache .ruff_cache
