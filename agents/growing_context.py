"""Best of five with growing context: a baseline of arXiv 2512.04388, as we read it.

One worker attempts the query five times, each attempt seeing all earlier outputs; then the same
worker sees the five and picks one (`aggregate`). Six calls. Where the outputs outgrow the worker's
window, the oldest drop out of sight.

In our world a `solve` does not learn from earlier outputs: a longer context only distracts. What an
attempt might gain from reading the earlier ones is not simulated.
"""

from conductor_gym.agents.base import Actions, Observations, Setting, actions
from conductor_gym.agents.reading import askable, domain, has_answer, steps_taken, wide_enough
from conductor_gym.agents.single import best_levels, slot_of
from conductor_gym.types import Subtask

ATTEMPTS = 5


class GrowingContext:
    """Five attempts of one worker, then its own pick.

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
        attempts = min(ATTEMPTS, observation["history"].shape[1] - 2)
        table = actions(len(taken), Subtask.SUBMIT, self.worker)
        table[:, 2] = wide_enough(observation, self.worker, self.levels[domain(observation)])
        table[taken < attempts, 1] = Subtask.SOLVE
        table[(taken == attempts) & has_answer(observation), 1] = Subtask.AGGREGATE
        table[~askable(observation, self.worker), 1] = Subtask.SUBMIT
        return table
