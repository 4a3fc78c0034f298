"""Informed oracle: knows what belongs to a query, not the luck of an attempt.

Given the query's difficulty and each worker's own trouble with it, it asks the worker whose one
whole solve has the highest expected utility, or nobody where none is above 0: the best that any
single call could do by reading the query alone. Attempt luck, format failure, output length and
latency are averaged over. Where documents are attached, it chooses the context level too.

Privileged: it reads the engine, not the observation. Expected outcomes exist for simulated workers
only. Best single <= informed <= clairvoyant, in mean utility.
"""

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.clairvoyant import ClairvoyantSingleCall
from conductor_gym.engine import Engine, FirstSolves


class InformedSingleCall(ClairvoyantSingleCall):
    """The single call with the highest expected utility, or nothing where none is above 0."""

    def look(self, engine: Engine, slots: npt.NDArray[np.int64], level: int) -> FirstSolves:
        """What it knows about each worker's first solve: the mean over the attempt's luck."""
        return engine.expected_solves(slots, level)
