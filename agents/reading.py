"""Reading observations: the columns that rule-based agents look at."""

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Observations
from conductor_gym.spaces import (
    BUDGET_COLUMNS,
    EMBEDDING_WIDTH,
    HISTORY_COLUMNS,
    N_DOMAINS,
)
from conductor_gym.types import N_SUBTASKS, Subtask


def steps_taken(observation: Observations) -> npt.NDArray[np.int64]:
    """Steps so far, int64 [n]."""
    max_steps = observation["history"].shape[1]
    left = observation["budget"][:, BUDGET_COLUMNS.index("steps_left")] * max_steps
    return max_steps - np.rint(left).astype(np.int64)


def domain(observation: Observations) -> npt.NDArray[np.int64]:
    """Domain of each query, int64 [n]."""
    one_hot = observation["query"][:, EMBEDDING_WIDTH : EMBEDDING_WIDTH + N_DOMAINS]
    return one_hot.argmax(axis=1)


def last(observation: Observations, column: str) -> npt.NDArray[np.float32]:
    """A history column of the newest step, float32 [n]; -1 before the first step."""
    steps = steps_taken(observation)
    rows = np.arange(len(steps))
    values = observation["history"][rows, np.maximum(steps - 1, 0), HISTORY_COLUMNS.index(column)]
    return np.where(steps > 0, values, np.float32(-1))


def last_subtask(observation: Observations) -> npt.NDArray[np.int64]:
    """Subtask of the newest step, int64 [n]; -1 before the first step."""
    return np.rint(last(observation, "subtask") * N_SUBTASKS).astype(np.int64) - 1


def count(observation: Observations, subtask: Subtask) -> npt.NDArray[np.int64]:
    """How many steps of a subtask there were, int64 [n]."""
    column = observation["history"][:, :, HISTORY_COLUMNS.index("subtask")]
    return (np.rint(column * N_SUBTASKS) == subtask + 1).sum(axis=1)


def has_answer(observation: Observations) -> npt.NDArray[np.bool_]:
    """Whether there is a current answer, bool [n]."""
    return observation["budget"][:, BUDGET_COLUMNS.index("has_answer")] > 0
