"""Condense: the cheapest reader condenses long documents, the worker for the domain answers.

The static form of a context budget. Where documents exceed 4,096 tokens, the worker with the lowest
price of input whose window holds them reads all and condenses; the worker that was best on train at
short documents of the domain answers from that. Every other task is `best-by-size`: one call, then
submit.
"""

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Actions, Observations, Setting, actions
from conductor_gym.agents.reading import (
    PROMPT_RESERVE,
    count,
    document_level,
    document_tokens,
    domain,
    last,
    last_subtask,
    may,
    window,
)
from conductor_gym.agents.single import BestBySize
from conductor_gym.spaces import WORKER_COLUMNS
from conductor_gym.types import Subtask

SHORT = 3
"""Context level (4,096 tokens) up to which documents are read as they are."""
TRIES = 2
"""Calls that condense, at most."""


class Condense(BestBySize):
    """Condenses documents above 4,096 tokens before it asks, else one call."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.solvers = self.by_size[:, SHORT, 0]

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        table = super().act(observation)
        size = document_level(observation)
        long = may(observation, Subtask.CONDENSE) & (size > SHORT)
        condensed = count(observation, Subtask.CONDENSE)
        solved = count(observation, Subtask.SOLVE)
        failed = (last_subtask(observation) == Subtask.CONDENSE) & (last(observation, "status") > 0)
        read = long & ((condensed == 0) | (failed & (condensed < TRIES)))
        table[read] = actions(len(long), Subtask.CONDENSE, _reader(observation), size)[read]
        answer = long & ~read & (solved == 0)
        table[answer] = actions(len(long), Subtask.SOLVE, self.solvers[domain(observation)], SHORT)[
            answer
        ]
        return table


def _reader(observation: Observations) -> npt.NDArray[np.int64]:
    """Slot of the cheapest worker whose window holds the documents, int64 [n]."""
    price = observation["workers"][:, :, WORKER_COLUMNS.index("price_in")]
    there = document_tokens(observation)[:, None] + PROMPT_RESERVE
    slots = observation["workers"].shape[1]
    fits = np.stack([window(observation, w) for w in range(slots)], axis=1) >= there
    return np.where(fits & (price >= 0), price, 2.0).argmin(axis=1)
