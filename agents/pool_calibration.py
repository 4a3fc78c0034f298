"""A calibration table: what each worker of a pool is worth, by domain and size of the documents.

One first call of every worker to every query of the train split, at every context level where there
are documents to read. Any user of a new pool can make it cheaply, and it is all that tells an agent
which of two unknown workers is good at what.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import actions
from conductor_gym.agents.reading import document_level
from conductor_gym.engine import Engine
from conductor_gym.spaces import N_DOMAINS
from conductor_gym.types import N_LEVELS, NANO_USD, Subtask
from conductor_gym.world import World

Floats = npt.NDArray[np.float32]

_SLOTS = 2048
_PRIOR = 8.0
"""Queries of the whole domain that a cell's mean is shrunk towards."""


class Calibration(NamedTuple):
    """Means of single calls, by the domain and document level of the query.

    The shapes end in [domains, sizes, slots, levels]: 16 domains, 7 document levels, `max_workers`
    worker slots, 7 context levels of the call. Slots without a worker hold 0.

    Attributes:
        quality: float32, mean quality in [0, 1].
        cents: float32, mean cost in US cents.
    """

    quality: Floats
    cents: Floats


def calibrate(world: World) -> Calibration:
    """Play stream 0 once for every worker and context level, and average.

    Args:
        world: Pool and split to learn from: the train split under the public key.
    """
    calls, domain, size = _first_calls(world)
    workers = len(world.pool.workers)
    shape = (N_DOMAINS, N_LEVELS, world.config.max_workers, N_LEVELS)
    table = np.zeros((2, *shape))
    table[:, :, :, :workers] = calls.mean(axis=1)[:, None, None]
    for d in np.unique(domain):
        these = domain == d
        mean = calls[:, these].mean(axis=1)
        table[:, d, :, :workers] = mean[:, None]
        for s in np.unique(size[these]):
            cell = calls[:, these & (size == s)]
            blended = cell.sum(axis=1) + _PRIOR * mean
            table[:, d, s, :workers] = blended / (cell.shape[1] + _PRIOR)
    return Calibration(*table.astype(np.float32))


def stack(tables: list[Calibration]) -> Calibration:
    """Tables of several pools as one, with a leading dimension."""
    return Calibration(np.stack([t.quality for t in tables]), np.stack([t.cents for t in tables]))


def _first_calls(
    world: World,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Quality and cents [2, queries, workers, levels]; domain and document level [queries].

    Without documents all context levels of a first call are the same call, made once.
    """
    queries, workers = len(world.data.uids), len(world.pool.workers)
    levels = int(world.tables.rules[0]["levels"])
    engine = Engine(world.config, min(_SLOTS, queries), world)
    calls = np.zeros((2, queries, workers, N_LEVELS))
    size = np.zeros(queries, np.int64)

    def play(indices: npt.NDArray[np.int64], worker: int, level: int) -> None:
        observation = engine.new_observation()
        for first in range(0, len(indices), engine.n):
            batch = indices[first : first + engine.n]
            slots = np.arange(len(batch), dtype=np.int64)
            engine.start(slots, np.zeros_like(slots), batch, observation)
            rows = engine.episodes["query"][: len(batch)].copy()
            size[rows] = document_level({"query": observation.query[: len(batch)]})
            index_of[rows] = batch
            engine.step(actions(engine.n, Subtask.SOLVE, worker, level), observation)
            engine.step(actions(engine.n, Subtask.SUBMIT), observation)
            ended = engine.episodes[: len(batch)]
            calls[0, rows, worker, level] = ended["quality"]
            calls[1, rows, worker, level] = ended["cost"] / (NANO_USD / 100)

    index_of = np.zeros(queries, np.int64)
    for worker in range(workers):
        play(np.arange(queries, dtype=np.int64), worker, 0)
        calls[:, :, worker, 1:] = calls[:, :, worker, :1]
        reading = index_of[size > 0]
        for level in range(1, levels if len(reading) else 1):
            play(reading, worker, level)
    return calls, world.data.domain, size
