# One entry per thing a newcomer wants. `demo` and `test` install first if needed.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install demo test lint bench clean

install: .venv/.installed

# uv resolves and unpacks everything (torch with its CUDA libraries included) in well under a minute.
.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
	  { echo "Python 3.11, 3.12 or 3.13 is needed; choose one with: make PYTHON=python3.12 install"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev,bench]'
	@touch $@

demo: install
	$(BIN)/python jobs/demo.py

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --ignore tests/engine --ignore tests/jobs
	$(BIN)/python -m pytest tests/engine tests/jobs  # each starts a Ray of its own, which wants the machine

bench: install
	for file in bench/*.py; do $(BIN)/python $$file; done

clean:
	rm -rf .venv demo-out
