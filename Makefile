# Every target sets up what it needs in .venv, again when pyproject.toml or constraints.txt has changed.
PYTHON ?= python3
# For `make test-oldest`: the oldest Python that pyproject.toml allows, or the oldest at hand.
OLDEST_PYTHON ?= $(firstword $(foreach version,3.11 3.12 3.13,$(shell python$(version) -c 'print("python$(version)")' 2>/dev/null)) $(PYTHON))
VENV := .venv
DEMO := $(VENV)/.demo
READY := $(VENV)/.dev
DATA ?=
# A run on real data has a folder of its own.
OUTPUT ?= demo$(if $(DATA),-ptbxl)

.PHONY: demo demo-train checkpoints merit-ptbxl-report fine-tuned test test-fast test-oldest lint dist docs clean

# .venv/.demo and .venv/.dev: the package with the extra of that name.
$(VENV)/.%: pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[$*]'
	touch $@

# The checkpoint that ships, on simulated recordings, or with DATA=folder on the real PTB-XL.
demo: $(DEMO)
	$(VENV)/bin/merit demo --output $(OUTPUT) $(if $(DATA),--data $(DATA))

# From the beginning: pretrain on them.
demo-train: $(DEMO)
	$(VENV)/bin/merit demo --train --output $(OUTPUT)-train $(if $(DATA),--data $(DATA))

# The checkpoints that ship, trained and measured anew on PTB-XL in DATA: ten hours on two cores, resumed if stopped.
checkpoints: merit-ptbxl-small merit-ptbxl-tiny merit-ptbxl-report merit-ptbxl-small-super merit-ptbxl-small-all \
		fine-tuned

# $(call ship,EXPORT,NAME) copies an exported folder to hub_cards/NAME. The code and the glossary there are linked to the package.
define ship
	mkdir -p hub_cards/$(2)
	rm -rf hub_cards/$(2)/results
	tar -C $(1) --exclude='*_merit.*' -cf - . | tar -C hub_cards/$(2) -xf -
	cd $(1) && for file in *_merit.*; do (cd $(CURDIR)/hub_cards/$(2) && ln -sf ../../*/$$file $$file); done
endef

merit-ptbxl-%: $(READY)
	$(VENV)/bin/merit pretrain --data $(DATA) --recipe ptbxl-$* --output runs/$@ --resume
	$(VENV)/bin/merit learn-labels runs/$@/model --data $(DATA) --output runs/$@/with-labels
	$(VENV)/bin/merit calibrate runs/$@/with-labels --data $(DATA) --output runs/$@/calibrated
	$(VENV)/bin/merit export runs/$@/calibrated runs/$@/$@ --dtype float16
	$(VENV)/bin/merit evaluate runs/$@/$@ --data $(DATA) --cache runs/cache --output runs/$@/evaluation.json
	$(VENV)/bin/merit evaluate runs/$@/$@ --data $(DATA) --cache runs/cache --output runs/$@/random-initialisation.json \
		--random-initialisation --only zero-shot linear-probe
	$(VENV)/bin/merit export runs/$@/$@ runs/$@/checkpoint \
		--results runs/$@/evaluation.json runs/$@/random-initialisation.json
	$(call ship,runs/$@/checkpoint,$@)
	$(VENV)/bin/merit compare hub_cards/$@/results/evaluation.json \
		hub_cards/$@/results/random-initialisation.json --plots runs/$@/comparison.png > runs/$@/comparison.md

# On the tiny encoder, as it stands in hub_cards.
merit-ptbxl-report: $(READY)
	$(VENV)/bin/merit train-reports hub_cards/merit-ptbxl-tiny --data $(DATA) --output runs/$@ --resume
	$(VENV)/bin/merit export runs/$@/model runs/$@/$@ --dtype float16
	$(VENV)/bin/merit evaluate runs/$@/$@ --data $(DATA) --output runs/$@/evaluation.json
	$(VENV)/bin/merit export runs/$@/$@ runs/$@/checkpoint --results runs/$@/evaluation.json
	$(call ship,runs/$@/checkpoint,$@)

# A classifier, from the small encoder as it stands in hub_cards.
merit-ptbxl-small-%: $(READY)
	$(VENV)/bin/merit finetune hub_cards/merit-ptbxl-small --data $(DATA) --task $* --output runs/$@/tuned
	$(VENV)/bin/merit export runs/$@/tuned runs/$@/$@ --dtype float16
	$(VENV)/bin/merit evaluate runs/$@/$@ --data $(DATA) --output runs/$@/evaluation.json
	$(VENV)/bin/merit export runs/$@/$@ runs/$@/checkpoint --results runs/$@/evaluation.json
	$(call ship,runs/$@/checkpoint,$@)

# What fine-tuning makes of it with few labels, and with all of them where no classifier ships.
fine-tuned: $(patsubst %,runs/fine-tuned/fine-tuned-few-%.json,all diagnostic sub super form rhythm) \
		$(patsubst %,runs/fine-tuned/fine-tuned-%.json,diagnostic sub form rhythm)
	$(VENV)/bin/merit export hub_cards/merit-ptbxl-small runs/fine-tuned/checkpoint --results $^
	$(call ship,runs/fine-tuned/checkpoint,merit-ptbxl-small)

runs/fine-tuned/fine-tuned-few-%.json: $(READY)
	$(VENV)/bin/merit evaluate hub_cards/merit-ptbxl-small --data $(DATA) --only fine-tuned --tasks $* \
		--fractions 0.01 0.1 --output $@

runs/fine-tuned/fine-tuned-%.json: $(READY)
	$(VENV)/bin/merit evaluate hub_cards/merit-ptbxl-small --data $(DATA) --only fine-tuned --tasks $* \
		--fractions 1 --output $@

# All tests. Two processes for two cores; the tests of a file share its fixtures.
test: $(READY)
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile

# Without the slow tests, of which most train, start other processes or load checkpoints: two minutes.
test-fast: $(READY)
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile -m "not slow"

# The fast tests with the lower ends of all version ranges, in an environment of its own.
test-oldest: .venv-oldest/.dev
	.venv-oldest/bin/python -m pytest -n 2 --dist loadfile -m "not slow"

.venv-oldest/.dev: pyproject.toml constraints-oldest.txt
	test -d .venv-oldest || $(OLDEST_PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --constraint constraints-oldest.txt --editable '.[dev]'
	touch $@

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pyright

# The sdist, and the wheel built from it, in dist/; both are checked as PyPI would.
dist: $(READY)
	rm -rf dist
	$(VENV)/bin/python -m build --no-isolation
	$(VENV)/bin/python -m twine check --strict dist/*

# The documentation, in site/.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict

clean:
	rm -rf $(VENV) .venv-oldest build dist site demo demo-train demo-ptbxl demo-ptbxl-train
