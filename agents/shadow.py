"""What the trained agents did on the dev split, for baselines that imitate their spending or calls.

A trained agent may win because it decides well, or because it spends more, or because it calls good
workers often. `equal-compute` has its spending without its decisions, `same-mix` its calls without
its reasons; what a trained agent gains over them is owed to what it looked at.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Agent, Observations, Setting
from conductor_gym.agents.registry import agents, make_agent, what_is_missing
from conductor_gym.agents.training import CARD, TrainingRun
from conductor_gym.engine import Engine
from conductor_gym.errors import ConfigError
from conductor_gym.reward import COST_WEIGHTS, utility
from conductor_gym.types import N_LEVELS, N_SUBTASKS, NANO_USD

Integers = npt.NDArray[np.int64]


class Played(NamedTuple):
    """One pass of an agent over the dev split at one cost weight.

    Attributes:
        agent: Its name.
        quality: Mean, in [0, 1].
        cost_usd: Mean of an episode.
        utility: Mean.
        actions: int64 [max_steps, subtasks, workers, levels], how often each was chosen at each
            step.
    """

    agent: str
    quality: float
    cost_usd: float
    utility: float
    actions: Integers

    @property
    def steps(self) -> int:
        """Steps of all episodes."""
        return int(self.actions.sum())


def play_dev(name: str, agent: Agent, setting: Setting) -> Played:
    """Play every query of the dev split once, at the setting's cost weight.

    Args:
        name: Of the agent.
        agent: It, built for the setting.
        setting: Where it plays.
    """
    config = replace(setting.train, split="dev", cost_weight=setting.cost_weight)
    engine = Engine(config)
    engine = Engine(config, len(engine.world.data.uids), engine.world)
    running = np.arange(engine.n, dtype=np.int64)
    observation = engine.new_observation()
    engine.start(running, np.zeros_like(running), running, observation)
    counts = np.zeros((config.max_steps, N_SUBTASKS, config.max_workers, N_LEVELS), np.int64)
    for step in range(config.max_steps):
        seen = {key: array[running] for key, array in observation._asdict().items()}
        table = np.zeros((engine.n, 3), np.int64)
        table[running] = agent.act(seen)
        worker, subtask, level = table[running].T
        np.add.at(counts[step], (subtask, worker, level), 1)
        results = engine.step(table, observation)
        running = np.flatnonzero(~results["over"])
        if not len(running):
            break
    quality = engine.episodes["quality"].astype(np.float64)
    cost = engine.episodes["cost"] / NANO_USD
    reached = utility(quality, cost, 0.0, setting.cost_weight)
    return Played(name, float(quality.mean()), float(cost.mean()), float(reached.mean()), counts)


def best_trained(run: TrainingRun) -> list[Played]:
    """At each weight of the grid, the trained agent with the highest utility on dev.

    All agents of family "learned" that are found, seed 0, are looked at.

    Raises:
        ConfigError: None is found.
    """
    found = [
        (name, folder)
        for name, card in agents().items()
        if card.family == "learned" and card.trained and not card.online
        for folder in [run.models / name / "seed-0"]
        if (folder / CARD).is_file() and what_is_missing(name, run.setting) is None
    ]
    if not found:
        raise ConfigError(
            f"{run.agent} imitates a trained agent, and there is none in {run.models}: run "
            f"`conductor-gym train maskable-ppo --track {run.models.name} --models "
            f"{run.models.parent}` first."
        )
    best: list[Played] = []
    steps = 0
    for weight in COST_WEIGHTS:
        setting = replace(run.setting, cost_weight=weight)
        tried = [
            play_dev(name, make_agent(name, setting, folder), setting) for name, folder in found
        ]
        best.append(max(tried, key=lambda played: played.utility))
        steps += sum(played.steps for played in tried)
        run.report(steps, best[-1].utility)
    return best


def nearest_weight(setting: Setting) -> int:
    """Position in the grid of the weight nearest to that of a setting."""
    return int(np.abs(np.array(COST_WEIGHTS) - setting.cost_weight).argmin())


def hashed(observation: Observations, columns: Iterable[str], seed: int) -> npt.NDArray[np.float64]:
    """A number in [0, 1) for each row that depends on what it holds and on the seed alone.

    Args:
        observation: Batched observations.
        columns: Which of its arrays count.
        seed: Of the agent.

    Returns:
        float64 [n], multiples of 2^-53.
    """
    salt = seed.to_bytes(8, "big")
    rows = zip(*(observation[column] for column in columns), strict=True)
    words = b"".join(
        hashlib.blake2b(b"".join(part.tobytes() for part in row), digest_size=8, salt=salt).digest()
        for row in rows
    )
    return (np.frombuffer(words, ">u8") >> np.uint64(11)).astype(np.float64) * 2.0**-53
