"""Voting: several isolated answers, then their plurality.

`self-consistency` (Wang et al. 2023) asks the best single worker five times; `plurality` asks
every worker of the pool once, as far as the steps reach.
"""

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Actions, Observations, Setting, actions
from conductor_gym.agents.reading import has_answer, last_subtask, steps_taken
from conductor_gym.agents.single import best_single
from conductor_gym.types import Subtask

SAMPLES = 5


class SelfConsistency:
    """Five samples of the best single worker, then a vote."""

    def __init__(self, setting: Setting) -> None:
        self.ballots: npt.NDArray[np.int64] = np.full(SAMPLES, best_single(setting), np.int64)

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        taken = steps_taken(observation)
        ballots = self.ballots[: observation["history"].shape[1] - 2]
        table = actions(len(taken), Subtask.SOLVE)
        table[:, 0] = ballots[np.minimum(taken, len(ballots) - 1)]
        counted = (last_subtask(observation) == Subtask.VOTE) | ~has_answer(observation)
        table[taken >= len(ballots), 1] = Subtask.VOTE
        table[(taken >= len(ballots)) & counted, 1] = Subtask.SUBMIT
        return table


class Plurality(SelfConsistency):
    """Every worker once, then a vote."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.ballots = np.arange(len(setting.workers), dtype=np.int64)
