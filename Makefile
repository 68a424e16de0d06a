# make demo   a made-up city -> train with MindSpore -> evaluate -> masks on a contact sheet
# make test   the suite, both frameworks required
# make test-all   the same with its slow tests whole: many kills, every direction
# make parity-report   the ladder, measured: parity_report/index.html and report.json; with DOCUMENT=docs/parity.md its tables too
# make peers  other implementations of SegFormer for the report, in .venv-peers; transformers 4 among them
# make bench-check   three small contests against transformers; fails below a stated ratio
# make check  ruff and mypy
# make docs   docs/ as a site, in site/index.html; a broken link is an error
# make VENV=.venv-lowest CONSTRAINTS=constraints-lowest.txt test   with the lowest versions that are supported
# make check-ascend   tries all on an Ascend and writes check_device.json and .html; uses the Python on PATH; ARGS=--dry_run tries the CPU
# make clean  everything that these made

PYTHON ?= python3
VENV   ?= .venv
CONSTRAINTS ?= constraints.txt
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS)
RECIPE := configs/segformer.b0.sample.yaml
RUN    := runs/sample_b0
PARALLEL := -n auto --maxprocesses 4 --dist loadfile

.PHONY: help demo test test-all parity-report peers bench-check check docs check-ascend clean
help:
	@sed -n 's/^# make/make/p' Makefile

demo: $(VENV)/mindspore.stamp
	$(BIN)/python tools/make_sample_data.py data/sample
	$(BIN)/python tools/convert_dataset.py data/sample
	$(BIN)/python -m backend_mindspore.train --config_path $(RECIPE)
	$(BIN)/python -m backend_mindspore.evaluate --config_path $(RECIPE) --eval_ckpt_path $(RUN)/segformer_mit_b0_best.safetensors
	$(BIN)/python -m backend_mindspore.infer --config_path $(RECIPE) --infer_ckpt_path $(RUN)/segformer_mit_b0_best.safetensors
	$(BIN)/python tools/make_contact_sheet.py --data_path data/sample --infer_output_path $(RUN)/masks --output $(RUN)/contact_sheet.png

test: $(VENV)/dev.stamp
	SEGFORMER_BACKENDS=torch,mindspore $(BIN)/python -m pytest parity_tests $(PARALLEL)

test-all: $(VENV)/dev.stamp
	SEGFORMER_TESTS=full SEGFORMER_BACKENDS=torch,mindspore $(BIN)/python -m pytest parity_tests --timeout 3000 $(PARALLEL)

parity-report: $(VENV)/dev.stamp
	SEGFORMER_BACKENDS=torch,mindspore $(BIN)/python -m parity_tests.report $(if $(DOCUMENT),--document $(DOCUMENT))

peers:
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -e '.[torch]' 'transformers>=4.57,<5' segmentation-models-pytorch timm

bench-check: $(VENV)/dev.stamp
	$(BIN)/python -m parity_tests.speed_check

check: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/docs.stamp
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --fresh-env --quiet -d build/doctrees docs site

check-ascend: # no environment of its own: MindSpore has to be the wheel that fits the host's CANN
	$(PYTHON) tools/check_device.py --device_target Ascend --checks all $(ARGS)

clean:
	rm -rf $(VENV) .venv-peers build site parity_report check_device.json check_device.html *.egg-info data/sample $(RUN) eval_result
	rm -rf .pytest_cache .mypy_cache .ruff_cache rank_0 kernel_meta
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' || \
		{ echo "error: $(PYTHON) is $$($(PYTHON) --version 2>&1); Python 3.10 to 3.12 is needed: make PYTHON=python3.11 …" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/mindspore.stamp: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	@echo "installing into $(VENV): some minutes"
	$(PIP) -e '.[mindspore]'
	touch $@

$(VENV)/dev.stamp: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	@echo "installing into $(VENV): some minutes"
	$(PIP) -e '.[mindspore,torch,dev]'
	touch $@

$(VENV)/docs.stamp: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	@echo "installing into $(VENV): some minutes"
	$(PIP) -e '.[docs]'
	touch $@
