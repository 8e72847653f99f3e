# Needs Python 3.11 or newer and make; everything else is installed into $(VENV).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints-dev.txt

.PHONY: help demo test check clean
.DELETE_ON_ERROR:

help:
	@echo "make demo    upscale a small made-up clip"
	@echo "make test    run the tests"
	@echo "make check   ruff, pyright and the import floors"
	@echo "make clean   remove the environment and everything that was made"

demo: $(VENV)/.installed
	$(BIN)/python scripts/sample_clip.py demo/sample.mp4
	$(BIN)/vidperc upscale demo/sample.mp4 -y
	@echo "The result and its source are in demo/:"
	@ls -l demo

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 --durations 25

check: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) demo build dist .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find vidperc tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps say that the environment matches these two files; an installation that failed leaves none.
$(VENV)/.installed: pyproject.toml constraints-dev.txt | $(VENV)/.created
	@echo "Installing vidperc into $(VENV); the first time this takes a few minutes."
	$(PIP_INSTALL) -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints-dev.txt | $(VENV)/.created
	@echo "Installing vidperc and its development tools into $(VENV); the first time this takes a few minutes."
	$(PIP_INSTALL) -e '.[dev]'
	@touch $(VENV)/.installed $@

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("vidperc needs Python 3.11 or newer, got " + sys.version.split()[0] + "; name one with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@
