# Thin: all of it is in dev.py, which says what each command does (`python3 dev.py --help`).
# `make test ARGS="-k gate"` passes words on. `make demo CUSTOMERS=my.csv` takes your customers, and
# `make demo CLOUD=loopback` plays with a bucket and Vertex AI, for which servers on this machine stand.

PYTHON ?= python3
ARGS ?=
CUSTOMERS ?=
CLOUD ?=

.PHONY: setup demo test lint check bench fresh docs lock

setup:
	@$(PYTHON) dev.py setup

demo:
	@$(PYTHON) dev.py demo -- $(if $(CUSTOMERS),--customers "$(CUSTOMERS)") $(if $(CLOUD),--cloud "$(CLOUD)") $(ARGS)

test:
	@$(PYTHON) dev.py test -- $(ARGS)

lint:
	@$(PYTHON) dev.py lint

check:
	@$(PYTHON) dev.py check -- $(ARGS)

bench:
	@$(PYTHON) dev.py bench -- $(ARGS)

fresh:
	@$(PYTHON) dev.py fresh -- $(ARGS)

docs:
	@$(PYTHON) dev.py docs

lock:
	@$(PYTHON) dev.py lock -- $(ARGS)
