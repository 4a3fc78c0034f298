"""Adaptive consistency (Aggarwal et al. 2023, "Let's sample step by step").

Self-consistency that stops early: one worker is sampled until the most frequent answer is safe from
the second, then the plurality is submitted. With v1 and v2 answers in the two largest groups, that
is where a Beta(v1 + 1, v2 + 1) belief about the share of the first puts enough weight above one
half. The paper stops at 0.95, which takes at least four equal answers; where calls are dear, less
is enough, so threshold and most samples are those with the highest utility on dev among a few.
"""

from itertools import product

import numpy as np
import numpy.typing as npt
from scipy.special import betainc

from conductor_gym.agents.base import Actions, Observations, Setting, actions
from conductor_gym.agents.reading import (
    answer_groups,
    askable,
    count,
    domain,
    has_answer,
    last_subtask,
)
from conductor_gym.agents.rehearse import rehearse
from conductor_gym.agents.single import best_levels, slot_of
from conductor_gym.types import Subtask

THRESHOLDS, SAMPLES = (0.95, 0.9, 0.85), (3, 5, 8)
"""Tried on dev: 0.95, 0.9 and 0.85 take at least four, three and two equal answers."""


class AdaptiveConsistency:
    """Samples one worker until the leading answer is safe, then votes.

    Args:
        setting: What the agent is built for.
        worker: Its name; the best single worker on the train split where None.

    Attributes:
        threshold: Belief at which the leading answer is safe.
        maximum: Samples at most.
    """

    def __init__(self, setting: Setting, worker: str | None = None) -> None:
        self.worker = slot_of(setting, worker)
        self.levels = best_levels(setting)[self.worker]
        reached: dict[tuple[float, int], float] = {}
        for candidate in product(THRESHOLDS, SAMPLES):
            self.threshold, self.maximum = candidate
            reached[candidate] = float(rehearse(self, setting).mean())
        self.threshold, self.maximum = max(reached, key=reached.__getitem__)

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        table = actions(len(observation["budget"]), Subtask.SOLVE, self.worker)
        table[:, 2] = self.levels[domain(observation)]
        first, second = answer_groups(observation)
        enough = (safety(first, second) >= self.threshold) & (first > 0)
        # A vote and the submission take the last two steps.
        most = min(self.maximum, observation["history"].shape[1] - 2)
        enough |= count(observation, Subtask.SOLVE) >= most
        enough |= ~askable(observation, self.worker)
        disputed = has_answer(observation) & (second > 0)
        counted = ~disputed | (last_subtask(observation) == Subtask.VOTE)
        table[enough, 1] = np.where(counted, int(Subtask.SUBMIT), int(Subtask.VOTE))[enough]
        return table


def safety(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Belief that the leading answer is the more frequent of the two, float64 [n].

    Args:
        first: int64 [n], answers in the largest group.
        second: int64 [n], answers in the second largest.
    """
    return np.asarray(betainc(second + 1.0, first + 1.0, 0.5), np.float64)
