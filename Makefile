# Two commands on a fresh machine: `make demo` answers questions about a video, `make test` runs the tests.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
OUT ?= demo
# The oldest version of transformers that everything is tested with.
OLDEST ?= 5.17.0

export PIP_DISABLE_PIP_VERSION_CHECK ?= 1

# Idle threads spin for a moment only, as in every command of dyto: other work may want their cores.
demo test test-demo test-vision test-ray test-serve test-speech coverage soak: export GOMP_SPINCOUNT ?= 10000

.PHONY: demo test test-demo with-browser test-vision test-ray test-serve test-speech coverage check soak with-soak bench docs clean

demo: $(VENV)/.installed
	@echo "asking about two sample videos"
	@$(BIN)/python examples/demo.py --out $(OUT)

# A file of tests goes to one process, so that what its tests share is made once.
QUICK = -n 2 --dist loadfile -m "not soak and not browser"

test: $(VENV)/.ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(QUICK)

# Which lines `make test` reaches, in what the tests start, too; fails where less than FLOOR percent are. `make coverage
# ALL=1` counts the test in the browser and the soak as well, which takes hours.
FLOOR ?= 95

coverage: $(VENV)/.ready $(if $(ALL),with-browser with-soak)
	rm -f .coverage .coverage.*
	OMP_NUM_THREADS=1 $(BIN)/python -m coverage run -m pytest $(QUICK)
	$(if $(ALL),OMP_NUM_THREADS=1 $(BIN)/python -m coverage run -m pytest -m browser tests/demo)
	$(if $(ALL),$(BIN)/python -m coverage run -m pytest -m soak)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report --skip-covered --sort=cover --fail-under=$(FLOOR)

# The web demo in a real browser, which is installed if there is none (Debian: as root or with sudo).
test-demo: with-browser
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m browser tests/demo

with-browser: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,demo]' playwright
	command -v chromium chromium-browser google-chrome >/dev/null || \
	    { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; }

# Families whose image processors need torchvision, or whose towers need timm, in an environment of their own: torchvision
# fits only the torch that it was built for, which may be some gigabytes.
test-vision:
	$(PYTHON) -m venv $(VENV)-vision
	$(VENV)-vision/bin/python -m pip install --quiet torch torchvision timm
	$(VENV)-vision/bin/python -m pip install --quiet --editable '.[dev]' --editable ./tools/bench
	OMP_NUM_THREADS=1 $(VENV)-vision/bin/python -m pytest tests/models/adapters/test_generic.py tests/models/adapters/test_processors.py

# Clusters: two nodes on this machine, and (Linux, as root) two hosts in network namespaces. A part of `make soak`.
test-ray: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,ray]' 'ray[data]'
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m soak tests/scaling

# Transcripts by a real faster-whisper, with weights that the test makes. A part of `make soak`.
test-speech: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,speech]'
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m soak tests/subtitles/test_speech.py

# Random requests by the service's own description. A part of `make soak`.
test-serve: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]' 'schemathesis>=4'
	PATH="$(abspath $(BIN)):$$PATH" OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m soak tests/serving -k random_requests

check: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --config-file tests/mypy.ini

# What takes long, and everything with the newest and with the oldest transformers.
soak: test with-soak
	$(BIN)/python -m pytest -m soak
	$(PYTHON) -m venv $(VENV)-oldest
	$(VENV)-oldest/bin/python -m pip install --quiet --constraint constraints.txt torch
	$(VENV)-oldest/bin/python -m pip install --quiet --editable '.[dev]' --editable ./tools/bench 'transformers==$(OLDEST)'
	OMP_NUM_THREADS=1 $(VENV)-oldest/bin/python -m pytest $(QUICK)

with-soak: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,soak,quantized,speech]'
	$(BIN)/python -m pip install --quiet --no-deps lmms-eval==0.7.3
	test -d /usr/share/wordnet || { apt-get update -qq && apt-get install -y -qq --no-install-recommends wordnet-base; }

SCRIPTS = tools/bench/scripts

bench: $(VENV)/.ready
	$(BIN)/python $(SCRIPTS)/bench_merge.py
	$(BIN)/python $(SCRIPTS)/bench_video.py
	$(BIN)/python $(SCRIPTS)/bench_questions.py
	$(BIN)/python $(SCRIPTS)/bench_pipeline.py --runs 3
	$(BIN)/python $(SCRIPTS)/bench_savings.py clip --rounds 3
	$(BIN)/python $(SCRIPTS)/bench_guarded.py
	$(BIN)/python $(SCRIPTS)/bench_eval.py
	$(BIN)/python $(SCRIPTS)/bench_compare.py --limit 48
	$(BIN)/python $(SCRIPTS)/bench_workers.py
	$(BIN)/python $(SCRIPTS)/bench_strategies.py
	$(BIN)/python $(SCRIPTS)/bench_plus.py memory
	$(BIN)/python $(SCRIPTS)/bench_memory.py
	$(BIN)/python $(SCRIPTS)/bench_evidence.py

# The documentation as a site, in site/; it needs no network to be read.
docs: export NO_MKDOCS_2_WARNING ?= 1
docs: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	$(BIN)/mkdocs build --strict --quiet

# What the package itself needs, for `make demo`. torch in a command of its own: what follows then finds it and fetches no
# other build.
$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "making an environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@echo "installing torch (the largest part)"
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	@echo "installing dyto and what it needs"
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[see]'
	@touch $@

$(VENV)/.ready: $(VENV)/.installed tools/bench/pyproject.toml
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]' --editable ./tools/bench
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-oldest $(VENV)-vision build dist demo site src/*.egg-info tools/bench/build tools/bench/dist tools/bench/src/*.egg-info
