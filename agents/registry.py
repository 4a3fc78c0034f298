"""Every agent by name: where it is, and one line on what it does."""

import importlib
from dataclasses import dataclass
from pathlib import Path

from conductor_gym.agents.base import Agent, Setting
from conductor_gym.errors import ConfigError, unknown_name
from conductor_gym.types import Subtask


@dataclass(frozen=True)
class AgentCard:
    """One line of `conductor-gym list agents`.

    Attributes:
        entry: ``"module:Class"``, imported when the agent is made.
        summary: What it does.
        privileged: A reference that sees what no agent may see.
        trained: Made by `conductor-gym train` and loaded from a folder.
        takes_worker: Named as ``NAME:WORKER``.
        may_take_worker: Likewise, or as ``NAME``, which stands for the best single worker.
        needs: Subtasks without which it makes no sense; where one is missing it shows n/a.
        needs_confidence: Likewise for stated confidence.
        needs_simulation: Likewise for expected outcomes, which recorded tables do not hold.
    """

    entry: str
    summary: str
    privileged: bool = False
    trained: bool = False
    takes_worker: bool = False
    may_take_worker: bool = False
    needs: frozenset[Subtask] = frozenset()
    needs_confidence: bool = False
    needs_simulation: bool = False

    def shown_as(self, name: str) -> str:
        """The name with what may follow it, for lists."""
        return name + (":WORKER" if self.takes_worker else "[:WORKER]" * self.may_take_worker)


_HERE = "conductor_gym.agents."
AGENTS: dict[str, AgentCard] = {
    "submit-nothing": AgentCard(
        _HERE + "submit_nothing:SubmitNothing", "ends at once: utility 0, a reference"
    ),
    "random": AgentCard(_HERE + "random_valid:RandomValid", "any valid action"),
    "single": AgentCard(
        _HERE + "single:SingleWorker", "asks one worker once (single:WORKER)", takes_worker=True
    ),
    "best-single": AgentCard(_HERE + "single:BestSingle", "the worker that was best on train"),
    "best-by-domain": AgentCard(
        _HERE + "single:BestByDomain", "the worker that was best on train, per domain"
    ),
    "best-by-size": AgentCard(
        _HERE + "single:BestBySize", "likewise, per domain and size of the documents"
    ),
    "knn": AgentCard(
        _HERE + "knn:NearestNeighbours", "router: what was best on the nearest training queries"
    ),
    "clusters": AgentCard(
        _HERE + "clusters:Clusters", "router: what was best in the query's cluster (Avengers)"
    ),
    "cost-accuracy": AgentCard(
        _HERE + "carrot:CostAndAccuracy", "router: regressed quality and cost, weighed (CARROT)"
    ),
    "strong-weak": AgentCard(
        _HERE + "strong_weak:StrongOrWeak",
        "router: the dear worker where the cheap one is likely to lose (RouteLLM)",
    ),
    "learned-router": AgentCard(
        _HERE + "learned_router:LearnedRouter", "router: a small network on the query's features"
    ),
    "divide": AgentCard(
        _HERE + "divide:Divide",
        "plans multi-part tasks, solves each part by the worker for its domain, joins",
        needs=frozenset({Subtask.PLAN, Subtask.AGGREGATE}),
    ),
    "condense": AgentCard(
        _HERE + "condense:Condense",
        "the cheapest reader condenses long documents, the worker for the domain answers",
        needs=frozenset({Subtask.CONDENSE}),
    ),
    "rules": AgentCard(
        _HERE + "rules:HardRules",
        "hard-coded roles: solve, cheap check, revise once",
        needs=frozenset({Subtask.VERIFY, Subtask.REVISE}),
    ),
    "cascade": AgentCard(
        _HERE + "cascade:Cascade",
        "escalates while stated confidence is low, tuned on train",
        needs_confidence=True,
    ),
    "self-consistency": AgentCard(
        _HERE + "voting:SelfConsistency",
        "five samples of one worker (the best single), then a vote",
        may_take_worker=True,
        needs=frozenset({Subtask.VOTE}),
    ),
    "plurality": AgentCard(
        _HERE + "voting:Plurality",
        "every worker once, then a vote",
        needs=frozenset({Subtask.VOTE}),
    ),
    "moa": AgentCard(
        _HERE + "moa:MixtureOfAgents",
        "mixture of agents: every worker once, the best single one merges",
        needs=frozenset({Subtask.AGGREGATE}),
    ),
    "self-reflection": AgentCard(
        _HERE + "reflection:SelfReflection",
        "one worker (the best single) answers, then revises its answer four times",
        may_take_worker=True,
        needs=frozenset({Subtask.REVISE}),
    ),
    "growing-context": AgentCard(
        _HERE + "growing_context:GrowingContext",
        "five attempts of one worker (the best single) that see the earlier ones; it picks",
        may_take_worker=True,
        needs=frozenset({Subtask.AGGREGATE}),
    ),
    "verify-revise": AgentCard(
        _HERE + "verify_revise:VerifyRevise",
        "another worker verifies, what it rejects is revised",
        needs=frozenset({Subtask.VERIFY, Subtask.REVISE}),
    ),
    "ppo": AgentCard(
        _HERE + "ppo:PPOAgent", "SB3 PPO conditioned on the cost weight", trained=True
    ),
    "maskable-ppo": AgentCard(
        _HERE + "ppo:MaskablePPOAgent", "sb3-contrib MaskablePPO, likewise", trained=True
    ),
    "informed": AgentCard(
        _HERE + "informed:InformedSingleCall",
        "best expected single call, the query's luck known: privileged reference",
        privileged=True,
        needs_simulation=True,
    ),
    "clairvoyant": AgentCard(
        _HERE + "clairvoyant:ClairvoyantSingleCall",
        "best realized single call: privileged reference",
        privileged=True,
    ),
}


def agent_card(name: str) -> AgentCard:
    """The card of an agent; `single:WORKER` has the card of `single`.

    Raises:
        UnknownNameError: No such agent.
    """
    base = name.partition(":")[0]
    if base not in AGENTS:
        raise unknown_name("agent", name, AGENTS, "See `conductor-gym list agents`.")
    return AGENTS[base]


def what_is_missing(name: str, setting: Setting) -> str | None:
    """Why an agent makes no sense in a setting, or None where it does.

    Raises:
        UnknownNameError: No such agent.
    """
    card = agent_card(name)
    missing = sorted(subtask.name.lower() for subtask in card.needs - setting.subtasks)
    if missing:
        return f"needs {', '.join(missing)}, which this pool or suite does not have"
    if card.needs_confidence and not setting.confidence:
        return "needs stated confidence, which is not recorded"
    if card.needs_simulation and not setting.simulated:
        return "needs expected outcomes, which a table of single outcomes does not hold"
    return None


def make_agent(name: str, setting: Setting, model: Path | None = None) -> Agent:
    """Build an agent, fitting it on the train split where it learns from that.

    Args:
        name: As in `conductor-gym list agents`.
        setting: What it is built for.
        model: Folder that `conductor-gym train` wrote, for trained agents.

    Raises:
        UnknownNameError: Unknown agent or worker.
        ConfigError: A worker or model that is missing or not wanted.
    """
    card = agent_card(name)
    base, _, worker = name.partition(":")
    if card.takes_worker and not worker:
        raise ConfigError(f"name a worker: {base}:WORKER, one of {', '.join(setting.workers)}.")
    if worker and not (card.takes_worker or card.may_take_worker):
        raise ConfigError(f"agent {base!r} takes no worker, got {name!r}.")
    if model is not None and not card.trained:
        raise ConfigError(f"agent {name!r} is not a trained one and takes no model.")
    module, _, attribute = card.entry.partition(":")
    make = getattr(importlib.import_module(module), attribute)
    if card.trained:
        if model is None:
            raise ConfigError(
                f"agent {name!r} is trained: run `conductor-gym train {name} --track TRACK` "
                "first, or name its folder with --model."
            )
        return make(setting, model)
    return make(setting, worker) if worker else make(setting)
