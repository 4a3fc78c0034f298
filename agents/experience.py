"""What an agent may learn from: a first call of every worker to every training query."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import actions
from conductor_gym.agents.reading import document_level, last, last_status, output_tokens
from conductor_gym.config import EnvConfig
from conductor_gym.engine import Engine
from conductor_gym.spaces import QUERY_WIDTH
from conductor_gym.types import N_LEVELS, NANO_USD, Subtask
from conductor_gym.world import World, make_world

_SLOTS = 2048


class SingleCalls(NamedTuple):
    """Outcomes of a first `solve` of the whole, made through the environment and paid for.

    Without documents all context levels of a first call are the same call, and level 0 stands for
    them.

    Attributes:
        quality: float64 [queries, workers, levels].
        cost_usd: float64 [queries, workers, levels].
        confidence: float64 [queries, workers, levels], -1 where none was stated.
        domain: int64 [queries].
        documents: int64 [queries], the level that shows all documents, 0 without.
        features: float32 [queries, 56], the observed `query` of each.
        output_tokens: float64 [queries, workers, levels], tokens that the call wrote.
        status: int64 [queries, workers, levels], a `Status`.
    """

    quality: npt.NDArray[np.float64]
    cost_usd: npt.NDArray[np.float64]
    confidence: npt.NDArray[np.float64]
    domain: npt.NDArray[np.int64]
    documents: npt.NDArray[np.int64]
    features: npt.NDArray[np.float32]
    output_tokens: npt.NDArray[np.float64]
    status: npt.NDArray[np.int64]


def collect_single_calls(config: EnvConfig) -> SingleCalls:
    """Play one pass of stream 0 once for every worker and context level: solve, submit.

    Args:
        config: The training environment.
    """
    return _collect(make_world(config))


@lru_cache(maxsize=8)
def _collect(world: World) -> SingleCalls:
    engine = Engine(world.config, _SLOTS)
    queries, workers = len(world.data.uids), len(world.pool.workers)
    levels = N_LEVELS if world.tables.queries["documents"].any() else 1
    table = np.empty((5, queries, workers, levels))
    documents = np.zeros(queries, np.int64)
    features = np.zeros((queries, QUERY_WIDTH), np.float32)
    observation = engine.new_observation()
    for first in range(0, queries, _SLOTS):
        k = min(_SLOTS, queries - first)
        slots = np.arange(k, dtype=np.int64)
        for worker, level in np.ndindex(workers, levels):
            engine.start(slots, np.zeros(k, np.int64), first + slots, observation)
            rows = engine.episodes["query"][:k]
            seen = {name: array[:k] for name, array in observation._asdict().items()}
            documents[rows] = document_level(seen)
            features[rows] = observation.query[:k]
            engine.step(actions(_SLOTS, Subtask.SOLVE, worker, level), observation)
            # `seen` looks at the same arrays, which now hold the call.
            told = last(seen, "confidence"), output_tokens(seen), last_status(seen)
            engine.step(actions(_SLOTS, Subtask.SUBMIT), observation)
            table[0, rows, worker, level] = engine.episodes["quality"][:k]
            table[1, rows, worker, level] = engine.episodes["cost"][:k] / NANO_USD
            table[2:, rows, worker, level] = told
    quality, cost, confidence, tokens, status = table
    domain = world.data.domain
    status = status.astype(np.int64)
    return SingleCalls(quality, cost, confidence, domain, documents, features, tokens, status)
