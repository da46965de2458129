# The course's commands. Everything lives in .venv; nothing outside this folder is changed.
PYTHON ?= python3
ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif
PY := $(BIN)/python
READY := .venv/.ready
ifdef CUDA
TORCH := torch==$(shell sed -n 's/^torch==//p' requirements/torch-cpu.txt)
else
TORCH := --no-deps --retries 1 -r requirements/torch-cpu.txt
endif

.DEFAULT_GOAL := help
.PHONY: help setup book serve test lint course doctor formgrader generate results bench lock clean

help:  ## list the targets
	@echo "make TARGET, where TARGET is one of:"
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml requirements/lock.txt requirements/torch-cpu.txt
	@test -x $(PY) || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	test -x $(PY) || $(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet $(TORCH)
	$(PY) -m pip install --quiet -c requirements/lock.txt -e ".[book,grade,scale,dev]"
	@touch $@

setup: $(READY)  ## install everything into .venv (CUDA=1 for the GPU build of PyTorch)

book: $(READY)  ## build the HTML book with every notebook executed (SOLUTIONS=1 shows the solutions too)
	BOOK_SOLUTIONS=$(SOLUTIONS) $(PY) -m chapters._book build

serve: book  ## build the book and open it in a browser
	$(PY) -m chapters._book serve

test: book lint  ## run all tests and linters
	$(PY) -m pytest -n logical --dist loadfile

lint: $(READY)  ## run the linters only
	$(PY) -m ruff check .
	$(PY) -m ruff check --config 'lint.per-file-ignores = {}' $(wildcard gptlib/*/)
	$(PY) -c 'from autograder.strip import build_reference; build_reference()'
	$(PY) -m mypy

generate: $(READY)  ## regenerate what is derived: gptlib/, fingerprints, notebooks
	$(PY) -m autograder strip
	$(PY) -m autograder fingerprints
	$(PY) -m chapters._book notebooks

results: book  ## keep the numbers and timings that the last build measured, for the notebooks
	$(PY) -m chapters._book results
	$(PY) -m chapters._book notebooks

course: $(READY)  ## write the nbgrader course to build/course
	$(PY) -m autograder course

doctor: $(READY)  ## say what this machine can do for grading in a sandbox, and how to get more
	$(PY) -m autograder doctor

formgrader: course  ## start JupyterLab with nbgrader's formgrader on that course
	$(PY) -m autograder formgrader

bench: $(READY)  ## run the benchmarks (slow; results in bench/results)
	$(PY) -m bench

lock: $(READY)  ## write requirements/lock.txt from what is installed
	$(PY) -m pip freeze --exclude-editable | sed 's/+cpu$$//' > requirements/lock.txt

clean:  ## remove everything that was built (.venv, downloads and build/course with its gradebook stay)
	rm -rf _build chapters/_generated $(filter-out build/course,$(wildcard build/*))
