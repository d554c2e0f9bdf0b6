# `make train` and `make test` set everything up themselves; `make check` is what CI runs beside the tests.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: install train test test-system test-servers check bench torture torture-quick readme site clean

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	@echo "installing kws and its packages into $(VENV): a few minutes"
	@(while sleep 1; do printf .; done) & dots=$$!; trap 'kill $$dots; echo' EXIT; \
	$(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	@touch $@

# The table that came with the registry is there at once; the training's own, on other data, follows below it.
train: $(VENV)/installed
	$(BIN)/kws compare
	$(BIN)/kws train --arch cnn --opt adam --epochs 50
	$(BIN)/kws compare

test: $(VENV)/installed
	$(BIN)/python -m pytest

# Four minutes: kws as a program, in terminals, pipes and a browser, with signals, on the real clips; and all that it says.
test-system: $(VENV)/installed
	$(BIN)/python -m pytest tests/system

# Some six minutes: the registry's tests on PostgreSQL, whose programs must be there (apt-get install postgresql), Ray, and
# sweeps that are killed. The former wait for the server and for heartbeats half of their time, so there are three at once.
ON_SERVERS := ahead plans state_files weight_files registry sqlite ids sessions claims selection queries doctor polling logits evaluate coverage
POOLED := test_registry test_claims test_sessions servers/test_server servers/test_refusals servers/test_relay servers/test_relay_checkpoints
PROGRAMS_ON_SERVERS := rerun transfer maintenance untested
test-servers: $(VENV)/installed
	$(BIN)/python -c "import psycopg, ray" 2>/dev/null || $(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev,servers]"
	$(BIN)/python -m pytest -n 3 --registry postgresql --ignore tests/servers/test_sweep.py $(ON_SERVERS:%=tests/test_%.py) $(PROGRAMS_ON_SERVERS:%=tests/system/test_%.py) tests/servers
	$(BIN)/python -m pytest -n 3 --registry pgbouncer $(POOLED:%=tests/%.py)
	$(BIN)/python -m pytest tests/servers/test_sweep.py

check: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Some twenty minutes on a quiet machine; the peers come with an extra of their own.
bench: $(VENV)/installed
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev,bench]"
	$(BIN)/python -m benchmarks

# Two minutes: small numbers, to try what `make torture` does, but for nodes.
torture-quick: $(VENV)/installed
	$(BIN)/python -m tests.stress --quick

# Some fifty minutes: kills, registries that are replaced, many writers at once, full disks, ten thousand generated cases.
torture: $(VENV)/installed
	$(BIN)/python -m tests.stress

# The report's networks without a softmax before cross-entropy; and these beside the presets, without earlier choices.
TWO := arch in ('fc', 'cnn') and not softmax_before_loss
CHOSEN := not softmax_before_loss and (arch <> 'tc_resnet' or front = 8 or kernel = 5 or until = 0.97)
readme: $(VENV)/installed
	$(BIN)/python -c "from kws.registry.tables import schema; print(schema(), end='')" > kws/registry/schema.sql
	$(BIN)/python -c "from kws.registry.tables import schema; print(schema('postgresql'), end='')" > kws/registry/schema_postgresql.sql
	$(BIN)/python -c "from kws.cli import app; app(['--help'], prog_name='kws')" > kws/cli/help.txt
	-$(BIN)/python -m benchmarks.marks
	KWS_DB=experiments.db $(BIN)/kws plot --kind optimizers --where "$(TWO)" --out docs/optimizers.png
	KWS_DB=experiments.db $(BIN)/kws plot --kind size --where "$(CHOSEN)" --out docs/size.png
	KWS_DB=experiments.db $(BIN)/kws plot --kind time --where "$(CHOSEN) and arch <> 'gru' and threads = 1" --target 0.97 --out docs/time.png
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cog -r README.md $(wildcard docs/*.md)

# The documentation as pages that open from the folder site/; a link that leads nowhere is an error.
site: $(VENV)/installed
	[ -x $(BIN)/zensical ] || $(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev,site]"
	$(BIN)/zensical build --strict

clean:
	rm -rf site .venv .venv-* .pytest_cache .mypy_cache .ruff_cache
