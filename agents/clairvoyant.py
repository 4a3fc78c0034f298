"""Clairvoyant single call: knows what every worker's first solve would give and takes the best.

Where documents are attached, it also takes the best context level.

Privileged: it reads the engine, not the observation. The upper reference of single calls; agents
that make several calls may exceed it.
"""

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Actions, Observations, Setting, actions
from conductor_gym.agents.reading import steps_taken
from conductor_gym.engine import Engine, FirstSolves
from conductor_gym.reward import utility
from conductor_gym.types import N_LEVELS, Subtask


class ClairvoyantSingleCall:
    """The single call with the highest realized utility, or nothing where none is above 0."""

    def __init__(self, setting: Setting) -> None:
        self._cost_weight = setting.cost_weight
        self._latency_weight = setting.train.latency_weight
        self._engine: Engine | None = None

    def bind(self, engine: Engine) -> None:
        """See `Privileged.bind`."""
        self._engine = engine

    def look(self, engine: Engine, slots: npt.NDArray[np.int64], level: int) -> FirstSolves:
        """What it knows about each worker's first solve at a context level."""
        return engine.first_solves(slots, level)

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        table = actions(len(observation["budget"]), Subtask.SUBMIT)
        first = np.flatnonzero(steps_taken(observation) == 0)
        if self._engine is None or not len(first):
            return table
        most = np.zeros(len(first))
        documents = self._engine.world.tables.queries["documents"].any()
        for level in range(N_LEVELS if documents else 1):
            seen = self.look(self._engine, first, level)
            gain = utility(
                seen.quality, seen.cost_usd, seen.latency_s, self._cost_weight, self._latency_weight
            )
            gain[~seen.affordable] = 0.0
            best = gain.argmax(axis=1)
            value = gain[np.arange(len(first)), best]
            more = value > most
            most[more] = value[more]
            table[first[more]] = actions(len(best), Subtask.SOLVE, best, level)[more]
        return table
