"""Mixture of agents, after Wang et al. 2024 (arXiv 2406.04692), one layer, as a static pipeline.

Every worker answers in isolation; then one aggregator sees all outputs and merges them. On the
paper's seven workers these are the 8 calls of the row "MoA" in arXiv 2512.04388, as we read it:
which worker aggregates there we do not know; here it is the best single one on the train split.

It answers last among the seven, so that its own answer stands where its merge cannot be read. Our
`aggregate` picks among the candidates that were seen; it never writes an answer nobody gave.
"""

import numpy as np

from conductor_gym.agents.base import Actions, Observations, Setting, actions
from conductor_gym.agents.reading import askable, domain, has_answer, steps_taken, wide_enough
from conductor_gym.agents.single import best_levels, best_single
from conductor_gym.types import Subtask


class MixtureOfAgents:
    """Every worker once, as far as the steps reach, then one merge."""

    def __init__(self, setting: Setting) -> None:
        self.aggregator = best_single(setting)
        self.levels = best_levels(setting)
        others = [w for w in range(len(setting.workers)) if w != self.aggregator]
        self.proposers = np.array([*others, self.aggregator], np.int64)

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        taken = steps_taken(observation)
        proposers = self.proposers[-(observation["history"].shape[1] - 2) :]
        number = len(proposers)
        table = actions(len(taken), Subtask.SUBMIT, self.aggregator)
        asking = taken < number
        table[asking, 0] = proposers[taken[asking]]
        table[asking, 1] = Subtask.SOLVE
        read = self.levels[table[:, 0], domain(observation)]
        table[:, 2] = read
        merging = taken == number
        # Where no output could be read there is nothing to merge: the last call answers.
        merge = np.where(has_answer(observation), int(Subtask.AGGREGATE), int(Subtask.SOLVE))
        table[merging, 1] = merge[merging]
        table[merging, 2] = wide_enough(observation, self.aggregator, read)[merging]
        table[~askable(observation, table[:, 0]), 1] = Subtask.SUBMIT
        return table
