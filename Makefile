# Everything runs in .venv, which the first target that needs it makes. Another interpreter: make demo PYTHON=python3.12
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python

# The demo's sentences come from no data set.
DEMO_LABELS = person, organization, location, disease, medication, software, book, award
DEMO_TEXTS = \
	"Tim Cook introduced the new MacBook at the Apple campus in Cupertino." \
	"Patients with type 2 diabetes were given metformin at Charité in Berlin." \
	"Linus Torvalds wrote Git in 2005 to manage the Linux kernel." \
	"Toni Morrison received the Nobel Prize in Literature six years after publishing Beloved." \
	"It rained all afternoon, so we stayed at home."

.DEFAULT_GOAL := help
.PHONY: help demo test lint types

help:  ## list the targets
	@grep -hE '^[a-z][a-z-]*:.*  ## ' $(MAKEFILE_LIST) | sed 's/:.*  ## /\t/' | expand -t 16

demo: $(VENV)/.use  ## install, then extract entities from a few sentences with the embedded model
	@HF_HUB_OFFLINE=1 $(RUN) -m modeling.extract --labels "$(DEMO_LABELS)" $(DEMO_TEXTS)

test: $(VENV)/.dev  ## run the whole test suite
	$(RUN) -m pytest -n 2

lint: $(VENV)/.dev  ## check style and formatting
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

types: $(VENV)/.dev  ## check the type hints
	$(RUN) -m mypy

# Stamps: an environment is installed again only when its requirements change.
$(VENV)/bin/pip:
	@$(PYTHON) -m venv $(VENV) || { echo "cannot make $(VENV): install Python's venv module (Debian: python3-venv)" \
		"or name another interpreter, for example PYTHON=python3.12" >&2; exit 1; }

$(VENV)/.use: requirements.txt | $(VENV)/bin/pip
	$(RUN) -m pip install --disable-pip-version-check -q -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt requirements-space.txt requirements.txt | $(VENV)/bin/pip
	$(RUN) -m pip install --disable-pip-version-check -q -r requirements-dev.txt
	@touch $@ $(VENV)/.use
