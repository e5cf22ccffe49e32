# Everything runs in .venv, which the first target that needs it makes. Another interpreter: make demo PYTHON=python3.12
# Packages have the versions of constraints.txt; CONSTRAINTS= takes the newest that requirements.txt allows.
PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
RUN = $(VENV)/bin/python
INSTALL = $(RUN) -m pip install --disable-pip-version-check -q $(if $(CONSTRAINTS),-c $(CONSTRAINTS))

# The demo's sentences come from no data set.
DEMO_LABELS = person, organization, location, disease, medication, software, book, award
DEMO_TEXTS = \
	"Tim Cook introduced the new MacBook at the Apple campus in Cupertino." \
	"Patients with type 2 diabetes were given metformin at Charité in Berlin." \
	"Linus Torvalds wrote Git in 2005 to manage the Linux kernel." \
	"Toni Morrison received the Nobel Prize in Literature six years after publishing Beloved." \
	"It rained all afternoon, so we stayed at home."

.DEFAULT_GOAL := help
.PHONY: help demo space data train train-smoke eval unique speed paper evidence test lint types constraints drift

help:  ## list the targets
	@grep -hE '^[a-z][a-z-]*:.*  ## ' $(MAKEFILE_LIST) | sed 's/:.*  ## /\t/' | expand -t 16

demo: $(VENV)/.use  ## install, then extract entities from a few sentences with the embedded model
	@HF_HUB_OFFLINE=1 $(RUN) -m modeling extract --labels "$(DEMO_LABELS)" $(DEMO_TEXTS)

space: $(VENV)/.space  ## serve the demo page on http://127.0.0.1:7860
	$(RUN) space_app/app.py

# The phases of the project. MODEL: a Hub id or folder. DATA: folder of the benchmarks, otherwise they are downloaded.
# LIMIT=5 tries everything on five sentences of each set, and keeps the outcome among the runs.
MODEL ?= mini
CONFIG ?= modeling/configs/train_dream_sft.yaml
MEASURE = --model $(MODEL) $(if $(DATA),--data $(DATA)) $(if $(LIMIT),--limit $(LIMIT)) $(if $(DEVICE),--device $(DEVICE)) \
	$(if $(BATCH),--batch-size $(BATCH))

data: $(VENV)/.use  ## phase 1: format Pile-NER for training (SOURCE=FILE TOKENIZER=DIR; otherwise downloads)
	$(RUN) -m modeling data $(if $(SOURCE),--source $(SOURCE)) $(if $(TOKENIZER),--tokenizer $(TOKENIZER)) \
		--output runs/pile_ner

train: $(VENV)/.use  ## phase 2: train (CONFIG=FILE.yaml, FLAGS="--max_steps 100")
	$(RUN) train_sft.py --config $(CONFIG) $(FLAGS)

train-smoke: $(VENV)/.use  ## train a tiny network on the CPU in a minute, and check that it learnt and loads
	$(RUN) -m tests.modeling.smoke runs/smoke

eval: $(VENV)/.use  ## phase 3: F1 on the seven benchmarks, in every reading (MODEL, DATA, LIMIT, DEVICE)
	$(RUN) -m model_card experiment main $(MEASURE)

unique: $(VENV)/.use  ## phase 4: what only diffusion can do: self-correction, uncertainty, denoising, hallucination
	for name in self_correction uncertainty denoising hallucination; do \
		$(RUN) -m model_card experiment $$name $(MEASURE) || exit 1; done

speed: $(VENV)/.use  ## phase 5: speed (REPLAY=FILE, DEVICE=cuda or cpu)
	$(RUN) -m model_card speed --device $(or $(DEVICE),cpu) $(if $(REPLAY),--replay $(REPLAY)) $(FLAGS)

paper: $(VENV)/.evidence  ## phase 6: the card, its tables and pictures, from the results files
	$(RUN) -m model_card card --model $(MODEL)
	$(RUN) -m model_card render

evidence: $(VENV)/.evidence  ## all experiments and the card, from nothing; what is done is kept (MODEL, DATA, LIMIT, DEVICE)
	$(RUN) -m model_card evidence $(MEASURE)

test: $(VENV)/.dev  ## run the whole test suite
	$(RUN) -m pytest -n 2

lint: $(VENV)/.dev  ## check style and formatting
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

types: $(VENV)/.dev  ## check the type hints
	$(RUN) -m mypy

constraints:  ## pin in constraints.txt the newest versions that the requirements allow
	rm -rf .venv-newest
	$(MAKE) --no-print-directory VENV=.venv-newest CONSTRAINTS= .venv-newest/.dev
	.venv-newest/bin/python -m tests.versions > constraints.txt

drift:  ## run the suite on the newest versions that the requirements allow, in an environment of its own
	rm -rf .venv-newest
	$(MAKE) --no-print-directory VENV=.venv-newest CONSTRAINTS= .venv-newest/.dev
	.venv-newest/bin/python -m pytest -n 2
	.venv-newest/bin/python -m tests.versions --json model_card/results/drift.json

# Stamps: an environment is installed again only when its requirements change.
$(VENV)/bin/pip:
	@$(PYTHON) -m venv $(VENV) || { echo "cannot make $(VENV): install Python's venv module (Debian: python3-venv)" \
		"or name another interpreter, for example PYTHON=python3.12" >&2; exit 1; }

$(VENV)/.use: requirements.txt $(CONSTRAINTS) | $(VENV)/bin/pip
	$(INSTALL) -r requirements.txt
	@touch $@

$(VENV)/.space: requirements-space.txt requirements.txt $(CONSTRAINTS) | $(VENV)/bin/pip
	$(INSTALL) -r requirements-space.txt
	@touch $@ $(VENV)/.use

$(VENV)/.evidence: requirements-evidence.txt requirements.txt $(CONSTRAINTS) | $(VENV)/bin/pip
	$(INSTALL) -r requirements-evidence.txt
	@touch $@ $(VENV)/.use

$(VENV)/.dev: requirements-dev.txt requirements-evidence.txt requirements-ray.txt requirements-space.txt requirements.txt $(CONSTRAINTS) | $(VENV)/bin/pip
	$(INSTALL) -r requirements-dev.txt
	@touch $@ $(VENV)/.space $(VENV)/.evidence $(VENV)/.use
