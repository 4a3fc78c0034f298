"""Verify and revise: solve, have another worker verify, revise what it rejects, at most twice.

The solver is the best single worker on the train split, the verifier the most accurate other one.
"""

import numpy as np

from conductor_gym.agents.base import Actions, Observations, Setting, actions
from conductor_gym.agents.experience import collect_single_calls
from conductor_gym.agents.reading import askable, count, domain, has_answer, last, last_subtask
from conductor_gym.agents.single import best_levels, best_single
from conductor_gym.types import Subtask

ROUNDS = 2
READ_OUTPUT = 3
"""Context level (4,096 tokens) at which verifier and reviser see the output, at least."""


class VerifyRevise:
    """Submits what a verifier accepts."""

    def __init__(self, setting: Setting) -> None:
        self.solver = best_single(setting)
        self.levels = best_levels(setting)
        accuracy = collect_single_calls(setting.train).quality.mean(axis=0).max(axis=1)
        if len(accuracy) > 1:
            accuracy[self.solver] = -1.0
        self.verifier = int(np.argmax(accuracy))

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        newest = last_subtask(observation)
        ok = last(observation, "status") == 0
        revised = count(observation, Subtask.REVISE)
        table = actions(len(newest), Subtask.SUBMIT, self.solver)
        table[newest < 0, 1] = Subtask.SOLVE
        # One more try where the first answer could not be read.
        retry = (newest == Subtask.SOLVE) & ~ok & (count(observation, Subtask.SOLVE) < 2)
        table[retry, 1] = Subtask.SOLVE
        answered = ((newest == Subtask.SOLVE) | (newest == Subtask.REVISE)) & ok
        check = answered & (revised < ROUNDS) & has_answer(observation)
        table[check, 0] = self.verifier
        table[check, 1] = Subtask.VERIFY
        rejected = (newest == Subtask.VERIFY) & (last(observation, "verdict") == 0)
        table[rejected & (revised < ROUNDS), 1] = Subtask.REVISE
        read = self.levels[table[:, 0], domain(observation)]
        judging = np.isin(table[:, 1], (Subtask.VERIFY, Subtask.REVISE))
        table[:, 2] = np.where(judging, np.maximum(read, READ_OUTPUT), read)
        table[~askable(observation, table[:, 0]), 1] = Subtask.SUBMIT
        return table
