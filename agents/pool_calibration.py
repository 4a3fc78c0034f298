"""A calibration table: what each worker of a pool is worth, by domain and size of the documents.

One first call of every worker to every query of the train split, at every context level where there
are documents to read. Any user of a new pool can make it cheaply, and it is all that tells an agent
which of two unknown workers is good at what.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.experience import single_calls_of
from conductor_gym.spaces import N_DOMAINS
from conductor_gym.types import N_LEVELS
from conductor_gym.world import World

Floats = npt.NDArray[np.float32]

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
    found = single_calls_of(world)
    domain, size = found.domain, found.documents
    # Without documents all levels are the same call, and it stands once.
    calls = np.stack([found.quality, 100.0 * found.cost_usd])
    calls = np.broadcast_to(calls, (*calls.shape[:3], N_LEVELS))
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
