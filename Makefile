# Everything runs in .venv, which is made on first use. Needs python3.11, pip and git.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# A folder of recorded tables beside the checkout is used where there is one.
RECORDED := $(or $(CONDUCTOR_GYM_RECORDED),$(wildcard ../shared/recorded))
export CONDUCTOR_GYM_RECORDED := $(RECORDED)
STEPS ?= 2200000
ONE_CORE := $(if $(shell command -v taskset),taskset -c 0)
TRACKS ?= standard paper
RECORDED_TRACK ?= mmlu-pro

.DEFAULT_GOAL := help
.PHONY: help install leaderboard fidelity bench test check clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# torch is installed first by its exact pin: the CPU wheel where one is at hand.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q "$$(grep '^torch==' constraints.txt)"
	$(BIN)/pip install -q -c constraints.txt -e ".[rl,routers,report,dev]"
	touch $@

install: $(VENV)/installed ## Make .venv with everything that tests and leaderboard need

leaderboard: $(VENV)/installed ## Train quick PPO policies, score every agent, print the board
	for track in $(TRACKS); do \
	  $(BIN)/conductor-gym train ppo --track $$track --timesteps $(STEPS) && \
	  $(BIN)/conductor-gym train maskable-ppo --track $$track --timesteps $(STEPS) && \
	  $(BIN)/conductor-gym run --agent all --track $$track || exit 1; \
	done
	@if [ -n "$(RECORDED)" ]; then \
	  $(BIN)/conductor-gym run --agent all --track $(RECORDED_TRACK); \
	else \
	  echo "no recorded tables (CONDUCTOR_GYM_RECORDED is not set): simulated track only"; \
	fi
	$(BIN)/conductor-gym report

fidelity: $(VENV)/installed ## Hold fitted pools and predictions against reality, write docs/fidelity.md
	$(BIN)/conductor-gym fidelity --random-pools 20 --page docs/fidelity.md

# The peers are optional: where one cannot be installed, its rows say "not run".
bench: $(VENV)/installed ## Time the environment beside its peers on one core, write docs/speed.md
	-$(BIN)/pip install -q -c constraints.txt -e ".[bench]"
	mkdir -p results
	OMP_NUM_THREADS=1 $(ONE_CORE) $(BIN)/python -m pytest tests/benchmarks -o python_files='bench_*.py' \
	  -W ignore -p no:xdist --benchmark-json=results/speed.json
	$(BIN)/python tests/benchmarks/speed_page.py results/speed.json docs/speed.md

test: $(VENV)/installed ## Run the tests
	$(BIN)/pytest -n 2

check: $(VENV)/installed ## Lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

clean: ## Remove .venv and caches; keep results and models
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
