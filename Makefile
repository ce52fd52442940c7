# `make demo` and `make test` are each enough on a fresh machine with Python 3.11 to 3.13.
# PYTHON=... chooses which.
export PYTHON

VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: demo test lint format clean

demo: $(READY)
	$(BIN)/faim demo --out outputs/demo

# OpenVINO reports every import to its makers, except where CI is set.
test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	CI=true OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 $(PYTEST_ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Made again only when what is installed changes.
$(READY): pyproject.toml constraints.txt tools/setup_env.sh
	sh tools/setup_env.sh $(VENV)
	touch $@

clean:
	rm -rf $(VENV) outputs .pytest_cache .mypy_cache .ruff_cache .hypothesis
