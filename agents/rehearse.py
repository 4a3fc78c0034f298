"""Rehearsal: an agent plays a split it may learn from, so that its own settings can be chosen."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Agent, Setting
from conductor_gym.engine import Engine
from conductor_gym.reward import utility
from conductor_gym.types import MICROSECONDS, NANO_USD
from conductor_gym.world import make_world

_SLOTS = 2048


def rehearse(agent: Agent, setting: Setting, split: str = "dev") -> npt.NDArray[np.float64]:
    """Utility of each episode of one pass over a split, at the cost weight that will be scored.

    Candidates of one setting play the same luck, so their differences are paired.

    Args:
        agent: Plays in batches; it is not told what came of its actions.
        setting: What it was built for.
        split: ``"train"`` or ``"dev"``.

    Returns:
        float64 [queries], in the order of the suite.
    """
    config = replace(setting.train, split=split, cost_weight=setting.cost_weight)
    world = make_world(config)
    queries = len(world.data.uids)
    engine = Engine(config, min(_SLOTS, queries), world)
    utilities = np.zeros(queries)
    for first in range(0, queries, _SLOTS):
        # The last round starts early enough to fill all slots: no row is without an episode.
        indices = np.arange(engine.n, dtype=np.int64) + min(first, queries - engine.n)
        observation = engine.new_observation()
        engine.start(np.arange(engine.n), np.zeros_like(indices), indices, observation)
        while not engine.episodes["over"].all():
            engine.step(agent.act(observation._asdict()), observation)
        done = engine.episodes
        paid, seconds = done["cost"] / NANO_USD, done["latency"] / MICROSECONDS
        utilities[done["query"]] = utility(
            done["quality"], paid, seconds, setting.cost_weight, config.latency_weight
        )
    return utilities
