# One entry per thing a newcomer wants. `demo` and `test` install first if needed.
PYTHON ?= python3
BIN := .venv/bin
PYTEST = $(BIN)/python -m pytest --dist loadfile --durations=15
ON_RAY := tests/faults tests/fuzz tests/jobs tests/engine tests/commands

# Many processes start here. Without cached byte code, which some images turn off, each compiles torch and Ray again.
unexport PYTHONDONTWRITEBYTECODE
LOADED = attn.commands.precompute, attn.training.cnn_worker, attn.commands.search.search, attn.report.search_page

.PHONY: install demo test test-all lint bench fuzz faults clean

install: .venv/.installed

# uv resolves and unpacks everything (torch with its CUDA libraries included) in well under a minute.
.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
	  { echo "Python 3.11, 3.12 or 3.13 is needed; choose one with: make PYTHON=python3.12 install"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev,bench]'
	$(BIN)/python -c "import $(LOADED)"  # fills the cache of byte code
	@touch $@

demo: install
	$(BIN)/python jobs/demo.py

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

# Like lint and then the tests, but types are checked beside the tests on Ray, which mostly wait.
test: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(PYTEST) -n 2 -m 'not long' $(addprefix --ignore=,$(ON_RAY))
	@$(BIN)/pyright > .venv/types.txt & types=$$!; \
	  $(PYTEST) -n 2 --no-loadscope-reorder -m 'not long' $(ON_RAY); tests=$$?; \
	  wait $$types || { cat .venv/types.txt; exit 1; }; exit $$tests  # real Ray, one for each of two; long files first

# The kills, the clusters and the storms of errors too; about an hour.
test-all: test
	$(PYTEST) -n 2 -m long tests --ignore=tests/engine/cluster --ignore=tests/faults
	$(PYTEST) -m long tests/engine/cluster tests/faults  # clusters of many nodes, which want the whole machine

bench: install
	for file in bench/*.py; do $(BIN)/python $$file; done

# 2,000 hostile files through the decoder and the job; about a quarter of an hour.
fuzz: install
	$(BIN)/python tests/fuzz/campaign.py --out fuzz.json

# Hundreds of faults, the fuzzing and the price of the guard, written to docs/results/faults.md; an hour or two.
faults: fuzz
	$(BIN)/python -m tests.faults.campaign
	$(BIN)/python bench/decode.py > guard.txt
	$(BIN)/python -m tests.faults.report

clean:
	rm -rf .venv demo-out fuzz.json guard.txt
