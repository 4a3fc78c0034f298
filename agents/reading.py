"""Reading observations: the columns that rule-based agents look at."""

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Observations
from conductor_gym.dynamics.observation import PARTS_SCALE, TOKEN_SCALE
from conductor_gym.spaces import (
    BUDGET_COLUMNS,
    EMBEDDING_WIDTH,
    HISTORY_COLUMNS,
    N_DOMAINS,
    SURFACE_COLUMNS,
    WORKER_COLUMNS,
)
from conductor_gym.tasks.suite import DOCUMENT_SCALE
from conductor_gym.types import CONTEXT_LEVELS, N_LEVELS, N_SUBTASKS, Status, Subtask

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


def last_status(observation: Observations) -> npt.NDArray[np.int64]:
    """`Status` of the newest step, int64 [n]; -1 before the first step and after no call."""
    return np.rint(last(observation, "status") * (len(Status) - 1)).clip(-1).astype(np.int64)


def last_worker(observation: Observations) -> npt.NDArray[np.int64]:
    """Slot that the newest step asked, int64 [n]; -1 before the first step."""
    workers = observation["workers"].shape[1]
    return np.rint(last(observation, "worker") * workers).clip(0).astype(np.int64) - 1


def last_output_tokens(observation: Observations) -> npt.NDArray[np.float64]:
    """Tokens that the newest call wrote, float64 [n]; 0 before the first step."""
    return _tokens(last(observation, "tokens"))


def last_subtask(observation: Observations) -> npt.NDArray[np.int64]:
    """Subtask of the newest step, int64 [n]; -1 before the first step."""
    return np.rint(last(observation, "subtask") * N_SUBTASKS).astype(np.int64) - 1


def count(observation: Observations, subtask: Subtask) -> npt.NDArray[np.int64]:
    """How many steps of a subtask there were, int64 [n]."""
    column = observation["history"][:, :, HISTORY_COLUMNS.index("subtask")]
    return (np.rint(column * N_SUBTASKS) == subtask + 1).sum(axis=1)


def answer_groups(
    observation: Observations,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Sizes of the two largest groups of equal answers to the whole, int64 [n] each; 0 without.

    The observed agreement of an answer is the share of earlier answers to the same part that equal
    it, so it tells the size its group has grown to, and every group has been of each size once.
    Votes are no answers of their own.
    """
    history = observation["history"]
    kind = np.rint(history[:, :, HISTORY_COLUMNS.index("subtask")] * N_SUBTASKS).astype(int) - 1
    answered = np.isin(kind, (Subtask.SOLVE, Subtask.REVISE, Subtask.AGGREGATE))
    answered &= history[:, :, HISTORY_COLUMNS.index("status")] == 0
    answered &= history[:, :, HISTORY_COLUMNS.index("part")] < 0
    earlier = np.maximum(answered.cumsum(axis=1) - 1, 0)
    agreement = np.maximum(history[:, :, HISTORY_COLUMNS.index("agreement")], 0.0)
    grown: npt.NDArray[np.int64] = np.rint(agreement * earlier).astype(np.int64) + 1
    grown[~answered] = 0
    # Groups that reached each size.
    reached = [(grown == size).sum(axis=1) for size in range(1, history.shape[1] + 1)]
    groups: npt.NDArray[np.int64] = np.stack(reached, axis=1)
    return np.count_nonzero(groups >= 1, axis=1), np.count_nonzero(groups >= 2, axis=1)


def has_answer(observation: Observations) -> npt.NDArray[np.bool_]:
    """Whether there is a current answer, bool [n]."""
    return observation["budget"][:, BUDGET_COLUMNS.index("has_answer")] > 0


def may(observation: Observations, subtask: Subtask) -> npt.NDArray[np.bool_]:
    """Whether a subtask is valid now, bool [n]."""
    return observation["action_mask"][:, observation["workers"].shape[1] + subtask] == 1


def askable(observation: Observations, worker: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Whether a worker is present and some call to it affordable, bool [n].

    Args:
        observation: Batched observations.
        worker: Its slot, one or int64 [n].
    """
    mask = observation["action_mask"]
    return mask[np.arange(len(mask)), np.broadcast_to(worker, len(mask))] == 1


def parts_open(observation: Observations) -> npt.NDArray[np.int64]:
    """Open parts without an answer, int64 [n]; 0 before a plan opens any."""
    column = observation["budget"][:, BUDGET_COLUMNS.index("parts_open")]
    return np.rint(column * PARTS_SCALE).astype(np.int64)


def parts_done(observation: Observations) -> npt.NDArray[np.int64]:
    """Parts that have an answer, int64 [n]."""
    column = observation["budget"][:, BUDGET_COLUMNS.index("parts_done")]
    return np.rint(column * PARTS_SCALE).astype(np.int64)


def document_tokens(observation: Observations) -> npt.NDArray[np.float64]:
    """Tokens of the documents, float64 [n], to about a tenth of a percent; 0 without."""
    at = EMBEDDING_WIDTH + N_DOMAINS + SURFACE_COLUMNS.index("document_tokens")
    share = np.clip(observation["query"][:, at].astype(np.float64), 0.0, 1.0 - 1e-6)
    return np.rint(DOCUMENT_SCALE * share / (1.0 - share))


def level_of(tokens: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Lowest context level that holds so many tokens, int64 [n]; the highest where none does."""
    held = np.array(CONTEXT_LEVELS)[None, :] >= tokens[:, None]
    return np.where(held.any(axis=1), held.argmax(axis=1), N_LEVELS - 1)


def document_level(observation: Observations) -> npt.NDArray[np.int64]:
    """Lowest context level that shows all documents of a first call, int64 [n]; 0 without any."""
    return level_of(1.001 * document_tokens(observation))


def output_tokens(observation: Observations) -> npt.NDArray[np.float64]:
    """Tokens that all calls so far wrote, float64 [n]: what a further call could be shown."""
    return _tokens(observation["history"][:, :, HISTORY_COLUMNS.index("tokens")]).sum(axis=1)


def _tokens(column: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Tokens that the observed values stand for."""
    share = np.clip(column.astype(np.float64), 0.0, 1.0 - 1e-7)
    return np.rint(TOKEN_SCALE * share / (1.0 - share))


def window(observation: Observations, worker: int) -> npt.NDArray[np.float64]:
    """Tokens of a worker's context window, float64 [n]; at most 2 million are told apart."""
    column = observation["workers"][:, worker, WORKER_COLUMNS.index("window")]
    return np.exp2(column.astype(np.float64) * 11 + 10)


def widest_level(observation: Observations, worker: int) -> npt.NDArray[np.int64]:
    """Widest context level at which a call still fits the worker's window, int64 [n].

    What a level shows is at most its own width and at most what was written and attached so far;
    `PROMPT_RESERVE` tokens are kept for the query and the instructions.

    Args:
        observation: Batched observations.
        worker: Slot.
    """
    room = window(observation, worker) - PROMPT_RESERVE
    there = output_tokens(observation) + document_tokens(observation)
    shown = np.minimum(np.array(CONTEXT_LEVELS), there[:, None])
    return np.where(shown <= room[:, None], np.arange(N_LEVELS), 0).max(axis=1)


def wide_enough(
    observation: Observations, worker: int, read: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """The widest level; with documents one that shows what was written and reads so far, int64 [n].

    Args:
        observation: Batched observations.
        worker: Slot, whose window is kept to.
        read: int64 [n], level at which documents are read.
    """
    widest = widest_level(observation, worker)
    asked = np.maximum(read, level_of(1.001 * output_tokens(observation)))
    return np.where(document_tokens(observation) > 0, np.minimum(asked, widest), widest)
