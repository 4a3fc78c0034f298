"""Clairvoyant single call: knows what every worker's first solve would give and takes the best.

Privileged: it reads the engine, not the observation. The upper reference of single calls; agents
that make several calls may exceed it.
"""

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Actions, Observations, Setting, actions
from conductor_gym.agents.reading import steps_taken
from conductor_gym.engine import Engine, FirstSolves
from conductor_gym.reward import utility
from conductor_gym.types import Subtask


class ClairvoyantSingleCall:
    """The single call with the highest realized utility, or nothing where none is above 0."""

    def __init__(self, setting: Setting) -> None:
        self._cost_weight = setting.cost_weight
        self._latency_weight = setting.train.latency_weight
        self._engine: Engine | None = None

    def bind(self, engine: Engine) -> None:
        """See `Privileged.bind`."""
        self._engine = engine

    def look(self, engine: Engine, slots: npt.NDArray[np.int64]) -> FirstSolves:
        """What it knows about each worker's first solve."""
        return engine.first_solves(slots)

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        table = actions(len(observation["budget"]), Subtask.SUBMIT)
        first = np.flatnonzero(steps_taken(observation) == 0)
        if self._engine is None or not len(first):
            return table
        seen = self.look(self._engine, first)
        gain = utility(
            seen.quality, seen.cost_usd, seen.latency_s, self._cost_weight, self._latency_weight
        )
        best = gain.argmax(axis=1)
        ask = gain[np.arange(len(first)), best] > 0
        table[first[ask], 0] = best[ask]
        table[first[ask], 1] = Subtask.SOLVE
        return table
