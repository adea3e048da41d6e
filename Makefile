# Set-up is part of every target: .venv is made when it is missing or older than what defines it.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
DATA ?=
# A run on real data has a folder of its own.
OUTPUT ?= demo$(if $(DATA),-ptbxl)

.PHONY: demo demo-train test lint clean

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# The checkpoint that ships, on simulated recordings, or with DATA=folder on the real PTB-XL.
demo: $(READY)
	$(VENV)/bin/merit demo --output $(OUTPUT) $(if $(DATA),--data $(DATA))

# From the beginning: pretrain on them.
demo-train: $(READY)
	$(VENV)/bin/merit demo --train --output $(OUTPUT)-train $(if $(DATA),--data $(DATA))

# Two processes for two cores; a file's tests share its fixtures.
test: $(READY)
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pyright

clean:
	rm -rf $(VENV) demo demo-train demo-ptbxl demo-ptbxl-train
