"""Self-reflection in five turns: a baseline of arXiv 2512.04388, as we read it.

After Reflexion (Shinn et al. 2023) and Self-Refine (Madaan et al. 2023), with no outside signal.
Turn 1 is a `solve`; turns 2 to 5 are each a `revise` of its own current answer by the same worker,
which sees all its earlier turns. No verifier and no early stop: a revision may leave the answer,
mend it or break it, and the last one that can be read is submitted. A turn that finds no readable
answer solves again.
"""

from conductor_gym.agents.base import Actions, Observations, Setting, actions
from conductor_gym.agents.reading import askable, domain, has_answer, steps_taken, wide_enough
from conductor_gym.agents.single import best_levels, slot_of
from conductor_gym.types import Subtask

TURNS = 5


class SelfReflection:
    """One worker, five turns.

    Args:
        setting: What the agent is built for.
        worker: Its name; the best single worker on the train split where None.
    """

    def __init__(self, setting: Setting, worker: str | None = None) -> None:
        self.worker = slot_of(setting, worker)
        self.levels = best_levels(setting)[self.worker]

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        taken = steps_taken(observation)
        turns = min(TURNS, observation["history"].shape[1] - 1)
        table = actions(len(taken), Subtask.SOLVE, self.worker)
        table[:, 2] = wide_enough(observation, self.worker, self.levels[domain(observation)])
        table[has_answer(observation), 1] = Subtask.REVISE
        done = (taken >= turns) | ~askable(observation, self.worker)
        table[done, 1] = Subtask.SUBMIT
        return table
