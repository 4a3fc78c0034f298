"""What an agent may learn from: one isolated call of every worker on every training query."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import actions
from conductor_gym.config import EnvConfig
from conductor_gym.engine import Engine
from conductor_gym.spaces import HISTORY_COLUMNS
from conductor_gym.types import NANO_USD, Subtask
from conductor_gym.world import World, make_world

_SLOTS = 2048


class SingleCalls(NamedTuple):
    """Outcomes of a first `solve` without context, made through the environment and paid for.

    Attributes:
        quality: float64 [queries, workers].
        cost_usd: float64 [queries, workers].
        confidence: float64 [queries, workers], -1 where none was stated.
        domain: int64 [queries].
    """

    quality: npt.NDArray[np.float64]
    cost_usd: npt.NDArray[np.float64]
    confidence: npt.NDArray[np.float64]
    domain: npt.NDArray[np.int64]


def collect_single_calls(config: EnvConfig) -> SingleCalls:
    """Play one pass of stream 0 once for every worker: solve, submit.

    Args:
        config: The training environment.
    """
    return _collect(make_world(config))


@lru_cache(maxsize=8)
def _collect(world: World) -> SingleCalls:
    engine = Engine(world.config, _SLOTS)
    queries, workers = len(engine.world.data.uids), len(engine.world.pool.workers)
    table = np.empty((3, queries, workers))
    observation = engine.new_observation()
    for first in range(0, queries, _SLOTS):
        k = min(_SLOTS, queries - first)
        slots = np.arange(k, dtype=np.int64)
        for worker in range(workers):
            engine.start(slots, np.zeros(k, np.int64), first + slots, observation)
            rows = engine.episodes["query"][:k]
            engine.step(actions(_SLOTS, Subtask.SOLVE, worker), observation)
            confidence = observation.history[:k, 0, HISTORY_COLUMNS.index("confidence")]
            engine.step(actions(_SLOTS, Subtask.SUBMIT), observation)
            table[0, rows, worker] = engine.episodes["quality"][:k]
            table[1, rows, worker] = engine.episodes["cost"][:k] / NANO_USD
            table[2, rows, worker] = confidence
    domain = engine.world.data.queries["domain"].astype(np.int64)
    return SingleCalls(table[0], table[1], table[2], domain)
