# Two commands on a fresh machine: `make demo` answers questions about a video, `make test` runs the tests.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
OUT ?= demo

# Threads that wait without spinning: where other work shares the cores, spinning costs more than it saves.
demo test soak: export OMP_WAIT_POLICY ?= passive

.PHONY: demo test check soak bench clean

demo: $(VENV)/.ready
	$(BIN)/python examples/demo.py --out $(OUT)

test: $(VENV)/.ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not soak"

check: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

soak: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,soak]'
	$(BIN)/python -m pytest -m soak

bench: $(VENV)/.ready
	$(BIN)/python bench/bench_merge.py
	$(BIN)/python bench/bench_video.py
	$(BIN)/python bench/bench_questions.py
	$(BIN)/python bench/bench_eval.py

# torch in a command of its own: what follows then finds it and fetches no other build.
$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist demo src/*.egg-info
