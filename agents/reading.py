"""Reading observations: the columns that rule-based agents look at."""

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Observations
from conductor_gym.dynamics.observation import TOKEN_SCALE
from conductor_gym.spaces import (
    BUDGET_COLUMNS,
    EMBEDDING_WIDTH,
    HISTORY_COLUMNS,
    N_DOMAINS,
    WORKER_COLUMNS,
)
from conductor_gym.types import CONTEXT_LEVELS, N_LEVELS, N_SUBTASKS, Subtask

PROMPT_RESERVE = 4096
"""Tokens of a worker's window that are not filled with context."""


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


def output_tokens(observation: Observations) -> npt.NDArray[np.float64]:
    """Tokens that all calls so far wrote, float64 [n]: what a further call could be shown."""
    column = observation["history"][:, :, HISTORY_COLUMNS.index("tokens")].astype(np.float64)
    share = np.clip(column, 0.0, 1.0 - 1e-7)
    return np.rint(TOKEN_SCALE * share / (1.0 - share)).sum(axis=1)


def widest_level(observation: Observations, worker: int) -> npt.NDArray[np.int64]:
    """Widest context level at which a call still fits the worker's window, int64 [n].

    What a level shows is at most its own width and at most what was written so far;
    `PROMPT_RESERVE` tokens are kept for the query and the instructions.

    Args:
        observation: Batched observations.
        worker: Slot.
    """
    column = observation["workers"][:, worker, WORKER_COLUMNS.index("window")]
    room = np.exp2(column.astype(np.float64) * 11 + 10) - PROMPT_RESERVE
    shown = np.minimum(np.array(CONTEXT_LEVELS), output_tokens(observation)[:, None])
    return np.where(shown <= room[:, None], np.arange(N_LEVELS), 0).max(axis=1)
