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
    return single_calls_of(world)


def single_calls_of(world: World) -> SingleCalls:
    """The same of a pool and suite already joined; not kept for the next time.

    Args:
        world: A training environment's.
    """
    engine = Engine(world.config, _SLOTS, world)
    queries, workers = len(world.data.uids), len(world.pool.workers)
    levels = N_LEVELS if world.tables.queries["documents"].any() else 1
    table = np.zeros((5, queries, workers, levels))
    documents = np.zeros(queries, np.int64)
    features = np.zeros((queries, QUERY_WIDTH), np.float32)
    row_of = np.zeros(queries, np.int64)
    observation = engine.new_observation()

    def play(indices: npt.NDArray[np.int64], worker: int, level: int) -> None:
        for first in range(0, len(indices), _SLOTS):
            batch = indices[first : first + _SLOTS]
            k = len(batch)
            slots = np.arange(k, dtype=np.int64)
            engine.start(slots, np.zeros_like(batch), batch, observation)
            rows = engine.episodes["query"][:k].copy()
            seen = {name: array[:k] for name, array in observation._asdict().items()}
            documents[rows], features[rows], row_of[batch] = (
                document_level(seen),
                observation.query[:k],
                rows,
            )
            engine.step(actions(_SLOTS, Subtask.SOLVE, worker, level), observation)
            # `seen` looks at the same arrays, which now hold the call.
            told = last(seen, "confidence"), output_tokens(seen), last_status(seen)
            engine.step(actions(_SLOTS, Subtask.SUBMIT), observation)
            ended = engine.episodes[:k]
            table[0, rows, worker, level] = ended["quality"]
            table[1, rows, worker, level] = ended["cost"] / NANO_USD
            table[2:, rows, worker, level] = told

    every = np.arange(queries, dtype=np.int64)
    for worker in range(workers):
        play(every, worker, 0)
        table[:, :, worker, 1:] = table[:, :, worker, :1]
        with_documents = every[world.tables.queries["documents"][row_of] > 0]
        for level in range(1, levels):
            play(with_documents, worker, level)
    quality, cost, confidence, tokens, status = table
    domain = world.data.domain
    status = status.astype(np.int64)
    return SingleCalls(quality, cost, confidence, domain, documents, features, tokens, status)
