"""Teachers: agents that learn no policy, each playing the domains in which it was best on dev.

For every cost weight of the grid the teachers are built anew, play the dev split, and each domain
is given to the one with the highest mean utility there. What the chosen ones then play on a split
are the traces that `bc` clones.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Actions, Agent, Observations, Setting
from conductor_gym.agents.reading import domain
from conductor_gym.agents.registry import agent_card, make_agent, what_is_missing
from conductor_gym.config import EnvConfig
from conductor_gym.engine import Engine
from conductor_gym.reward import COST_WEIGHTS
from conductor_gym.world import make_world

TEACHERS = (
    "best-by-domain",
    "best-by-size",
    "cost-accuracy",
    "divide",
    "condense",
    "rules",
    "cascade",
    "verify-revise",
    "self-consistency",
)
STREAM = 0


class Steps(NamedTuple):
    """n steps of whole episodes.

    Attributes:
        observations: What was observed before each step, [n, ...] each.
        actions: int64 [n, 3].
        returns: float64 [n], sum of the rewards from this step to the end of its episode.
    """

    observations: Observations
    actions: Actions
    returns: npt.NDArray[np.float64]


class Lessons(NamedTuple):
    """What there is to clone.

    Attributes:
        train: Steps of the train split.
        dev: Steps of the dev split, to stop by.
        teachers: Name of the teacher by cost weight and domain.
    """

    train: Steps
    dev: Steps
    teachers: dict[float, dict[str, str]]


def lessons(setting: Setting, teachers: Sequence[str] = TEACHERS) -> Lessons:
    """Choose a teacher for each cost weight and domain on dev, and have it play train and dev.

    Args:
        setting: What the learner is built for; its own cost weight does not matter.
        teachers: Names of agents; those that make no sense in this setting are left out, those that
            may take a worker are tried with each of the pool too.
    """
    chosen: dict[float, dict[str, str]] = {}
    played: dict[str, list[Steps]] = {"train": [], "dev": []}
    for weight in COST_WEIGHTS:
        known, agents, best = choose_teachers(setting, weight, teachers)
        chosen[weight] = {setting.domains[d]: known[k] for d, k in enumerate(best) if k >= 0}
        for split, parts in played.items():
            config = _config(setting, split, weight)
            # A domain that dev lacks is played by the first teacher.
            teacher = np.maximum(best, 0)[_domains(config)]
            for k in sorted({int(k) for k in teacher}):
                parts.append(record(agents[k], config, np.flatnonzero(teacher == k)))
    return Lessons(join(played["train"]), join(played["dev"]), chosen)


def choose_teachers(
    setting: Setting, weight: float, teachers: Sequence[str] = TEACHERS
) -> tuple[list[str], list[Agent], npt.NDArray[np.int64]]:
    """Build teachers for one cost weight, and choose one for each domain on dev.

    Args:
        setting: What the learner is built for; its own cost weight does not matter.
        weight: Quality points per US cent.
        teachers: As for `lessons`.

    Returns:
        Names, agents, and which of them is best in each domain, int64 [domains]; -1 where dev has
        none of the domain.
    """
    known = [name for name in teachers if what_is_missing(name, setting) is None]
    for name in [name for name in known if agent_card(name).may_take_worker]:
        known += [f"{name}:{worker}" for worker in setting.workers]
    agents: list[Agent] = [make_agent(name, replace(setting, cost_weight=weight)) for name in known]
    best = _best_by_domain(agents, _config(setting, "dev", weight), len(setting.domains))
    return known, agents, best


def record(agent: Agent, config: EnvConfig, indices: npt.NDArray[np.int64]) -> Steps:
    """Play episodes of stream 0 to their ends and keep every step, in the order of time.

    Args:
        agent: Who plays.
        config: The environment.
        indices: int64 [k], episode indices.
    """
    n = len(indices)
    engine = Engine(config, n)
    observation, slots = engine.new_observation(), np.arange(n, dtype=np.int64)
    engine.start(slots, np.full(n, STREAM), indices, observation)
    seen: list[Observations] = []
    done: list[Actions] = []
    rewards: list[npt.NDArray[np.float64]] = []
    running: list[npt.NDArray[np.int64]] = []
    while len(live := np.flatnonzero(engine.episodes["over"] == 0)):
        table = np.zeros((n, 3), np.int64)
        seen.append({name: array[live] for name, array in observation._asdict().items()})
        table[live] = agent.act(seen[-1])
        done.append(table[live])
        rewards.append(engine.step(table, observation)["reward"][live])
        running.append(live)
    to_come, returns = np.zeros(n), list(rewards)
    for t in reversed(range(len(rewards))):
        to_come[running[t]] += rewards[t]
        returns[t] = to_come[running[t]]
    return Steps(
        {name: np.concatenate([rows[name] for rows in seen]) for name in seen[0]},
        np.concatenate(done),
        np.concatenate(returns),
    )


def join(parts: Sequence[Steps]) -> Steps:
    """Steps of several recordings as one."""
    names = parts[0].observations
    return Steps(
        {name: np.concatenate([part.observations[name] for part in parts]) for name in names},
        np.concatenate([part.actions for part in parts]),
        np.concatenate([part.returns for part in parts]),
    )


def _best_by_domain(agents: list[Agent], config: EnvConfig, domains: int) -> npt.NDArray[np.int64]:
    """Which agent has the highest mean utility in each domain, int64 [domains]; -1 without any."""
    domain_of = _domains(config)
    every = np.arange(len(domain_of), dtype=np.int64)
    # The first n steps that `record` keeps are the first steps of the n episodes.
    gains = np.stack([record(agent, config, every).returns[: len(every)] for agent in agents])
    best = np.full(domains, -1, np.int64)
    for d in np.unique(domain_of):
        # Rounded, so that equal play is equal; the simpler agent comes first and wins ties.
        means: npt.NDArray[np.float64] = gains[:, domain_of == d].mean(axis=1)
        best[d] = np.argmax(np.round(means, 9))
    return best


def _domains(config: EnvConfig) -> npt.NDArray[np.int64]:
    """Observed domain of every episode of one pass of stream 0, int64 [queries]."""
    n = len(make_world(config).data.uids)
    engine, slots = Engine(config, n), np.arange(n, dtype=np.int64)
    observation = engine.new_observation()
    engine.start(slots, np.full(n, STREAM), slots, observation)
    return domain(observation._asdict())


def _config(setting: Setting, split: str, weight: float) -> EnvConfig:
    return replace(setting.train, split=split, cost_weight=weight)
