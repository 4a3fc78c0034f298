"""Divide: plan, solve each part by the worker for its domain, join the parts.

The static form of division of labour. On a multi-part task the best single worker plans, each part
goes to the worker that was best on train for the part's domain, a part that could not be read is
asked again, and the best single worker joins the answers. Where two plans fail, and on every other
task, it is `best-by-size`: one call, then submit.
"""

from conductor_gym.agents.base import Actions, Observations
from conductor_gym.agents.reading import (
    count,
    has_answer,
    level_of,
    may,
    output_tokens,
    parts_done,
    parts_open,
)
from conductor_gym.agents.single import BestBySize
from conductor_gym.types import MAX_PARTS, Subtask

PLANS, JOINS = 2, 2
"""Calls at most."""
SOLVES = MAX_PARTS + 2
"""Calls for parts at most."""


class Divide(BestBySize):
    """Plans and divides where a task has parts, else one call."""

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        table = super().act(observation)  # one call by the worker for the query or the open part
        plans, solves = count(observation, Subtask.PLAN), count(observation, Subtask.SOLVE)
        opened = (parts_open(observation) > 0) | (parts_done(observation) > 0)
        closed = may(observation, Subtask.PLAN) & ~opened & (solves == 0)
        solving = opened & (parts_open(observation) > 0) & (solves < SOLVES)
        table[closed | solving, 1] = Subtask.SOLVE
        table[closed & (plans < PLANS)] = (self.worker, Subtask.PLAN, 0)
        joins = count(observation, Subtask.AGGREGATE)
        joining = opened & ~solving & (parts_done(observation) > 0)
        joining &= ~has_answer(observation) & (joins < JOINS)
        table[joining, 0] = self.worker
        table[joining, 1] = Subtask.AGGREGATE
        table[joining, 2] = level_of(1.001 * output_tokens(observation))[joining]
        return table
