"""Which episode of a stream plays which query first."""

import numpy as np

from conductor_gym.engine import Engine


def first_pass(engine: Engine) -> list[int]:
    """Index in stream 0 at which each query of the split comes first, by row of the split.

    Args:
        engine: Its episodes are started anew.
    """
    observation = engine.new_observation()
    queries = len(engine.world.data.uids)
    found = [0] * queries
    for first in range(0, queries, engine.n):
        slots = np.arange(min(engine.n, queries - first), dtype=np.int64)
        engine.start(slots, np.zeros_like(slots), first + slots, observation)
        for slot, query in enumerate(engine.episodes["query"][: len(slots)].tolist()):
            found[query] = first + slot
    return found
