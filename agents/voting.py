"""Voting: several isolated answers, then their plurality.

`self-consistency` (Wang et al. 2023; "consensus" of five in arXiv 2512.04388, as we read it) asks
one worker five times, the best single one unless another is named; `plurality` asks every worker of
the pool once, as far as the steps reach.
"""

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Actions, Observations, Setting, actions
from conductor_gym.agents.reading import askable, domain, has_answer, last_subtask, steps_taken
from conductor_gym.agents.single import best_levels, slot_of
from conductor_gym.types import Subtask

SAMPLES = 5


class SelfConsistency:
    """Five samples of one worker, then a vote.

    Args:
        setting: What the agent is built for.
        worker: Its name; the best single worker on the train split where None.
    """

    def __init__(self, setting: Setting, worker: str | None = None) -> None:
        slot = slot_of(setting, worker)
        self.levels = best_levels(setting)
        self.ballots: npt.NDArray[np.int64] = np.full(SAMPLES, slot, np.int64)

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        taken = steps_taken(observation)
        ballots = self.ballots[: observation["history"].shape[1] - 2]
        table = actions(len(taken), Subtask.SOLVE)
        table[:, 0] = ballots[np.minimum(taken, len(ballots) - 1)]
        table[:, 2] = self.levels[table[:, 0], domain(observation)]
        counted = (last_subtask(observation) == Subtask.VOTE) | ~has_answer(observation)
        done = (taken >= len(ballots)) | ~askable(observation, table[:, 0])
        table[done, 1] = Subtask.VOTE
        table[done & counted, 1] = Subtask.SUBMIT
        return table


class Plurality(SelfConsistency):
    """Every worker once, then a vote."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.ballots = np.arange(len(setting.workers), dtype=np.int64)
