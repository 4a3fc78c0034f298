"""Hard-coded rules: the static pipeline that practice uses today.

Fixed roles and no learning: code goes to one worker, everything else to another; a cheap checker
looks at the answer; a rejected answer is revised once by the solver. All documents are read. Roles
are read off the pool's list order and names as a practitioner would hard-code them for the `paper`
pool; on other pools the first worker solves and the last one checks.
"""

import numpy as np

from conductor_gym.agents.base import Actions, Observations, Setting, actions
from conductor_gym.agents.reading import (
    askable,
    document_level,
    domain,
    last,
    last_subtask,
    steps_taken,
)
from conductor_gym.types import Subtask

CODE_SOLVER = "gpt-5"
OTHER_SOLVER = "gemini-2.5-pro"
CHECKER = "qwen3-32b"
READ_OUTPUT = 3
"""Context level (4,096 tokens) at which checker and reviser see the output, at least."""


class HardRules:
    """Route by domain, check cheaply, revise once."""

    def __init__(self, setting: Setting) -> None:
        def slot(name: str, otherwise: int) -> int:
            return setting.workers.index(name) if name in setting.workers else otherwise

        code = np.array(["code" in name.lower() for name in setting.domains])
        self.solver = np.where(code, slot(CODE_SOLVER, 0), slot(OTHER_SOLVER, 0))
        self.checker = slot(CHECKER, len(setting.workers) - 1)

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        solver = self.solver[domain(observation)]
        newest = last_subtask(observation)
        table = actions(len(newest), Subtask.SUBMIT)
        table[:, 0] = solver
        first = steps_taken(observation) == 0
        table[first, 1] = Subtask.SOLVE
        read = document_level(observation)
        table[:, 2] = read
        # An answer that failed to parse leaves nothing to check: submit, as a pipeline would.
        check = (newest == Subtask.SOLVE) & (last(observation, "status") == 0)
        table[check, :2] = (self.checker, Subtask.VERIFY)
        revise = (newest == Subtask.VERIFY) & (last(observation, "verdict") == 0)
        table[revise, 1] = Subtask.REVISE
        table[check | revise, 2] = np.maximum(read, READ_OUTPUT)[check | revise]
        table[~askable(observation, table[:, 0]), 1] = Subtask.SUBMIT
        return table
