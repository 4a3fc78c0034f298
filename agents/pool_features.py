"""What a pool-agnostic policy sees: one row for each worker slot and one row for all of them.

Nothing in it depends on which slot a worker sits in: the slot numbers of the history are turned
into columns of the slot they name. Nothing depends on what the suite's texts look like either: the
query enters through its documents' size and, by its domain, through the calibration table.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Observations
from conductor_gym.agents.pool_calibration import Calibration
from conductor_gym.agents.reading import (
    document_level,
    domain,
    has_answer,
    level_of,
    may,
    output_tokens,
    parts_done,
    parts_open,
    steps_taken,
)
from conductor_gym.spaces import (
    BUDGET_COLUMNS,
    EMBEDDING_WIDTH,
    HISTORY_COLUMNS,
    N_DOMAINS,
    SURFACE_COLUMNS,
    WORKER_COLUMNS,
)
from conductor_gym.types import N_LEVELS, N_SUBTASKS, Status, Subtask

Floats = npt.NDArray[np.float32]

WORTH = slice(len(WORKER_COLUMNS), len(WORKER_COLUMNS) + N_LEVELS)
"""Columns of a slot that hold the calibrated utility of a single call, by context level."""
SLOT_WIDTH = WORTH.stop + 5 + N_SUBTASKS + 8
PIPELINE = slice(0, N_SUBTASKS)
"""Columns of what all slots share that hold the next subtask of a static pipeline, one-hot."""
SHOWN = slice(N_SUBTASKS, N_SUBTASKS + N_LEVELS)
"""Columns of it that hold the lowest context level that shows all that was written, one-hot."""
COMMON_WIDTH = N_SUBTASKS + N_LEVELS + 8 + 1 + N_LEVELS + 3 * N_SUBTASKS + 6 + 7
PLANS = 2
"""Plans that the static pipeline tries."""

_CALLS = WORKER_COLUMNS.index("calls")
_WROTE = WORKER_COLUMNS.index("wrote_current_answer")
_ANSWERS = (Subtask.SOLVE, Subtask.REVISE, Subtask.AGGREGATE, Subtask.VOTE)


class Features(NamedTuple):
    """Inputs of the policy.

    Attributes:
        slots: float32 [n, max_workers, SLOT_WIDTH].
        common: float32 [n, COMMON_WIDTH].
        present: bool [n, max_workers], slots that hold a worker.
        mask: bool [n, max_workers + 8 + 7], the action mask.
    """

    slots: Floats
    common: Floats
    present: npt.NDArray[np.bool_]
    mask: npt.NDArray[np.bool_]


def features(
    observation: Observations, calibration: Calibration, pool: npt.NDArray[np.int64]
) -> Features:
    """Turn observations into inputs.

    Args:
        observation: Batched observations.
        calibration: Tables of one or more pools, stacked.
        pool: int64 [n], which of them each row plays on.
    """
    workers, history, budget = (observation[name] for name in ("workers", "history", "budget"))
    mask = observation["action_mask"] == 1
    slots = workers.shape[1]
    present = workers[:, :, _CALLS] >= 0
    size = document_level(observation)

    at = pool, domain(observation), size
    quality, cents = calibration.quality[at], calibration.cents[at]
    weight = budget[:, BUDGET_COLUMNS.index("cost_weight")] ** 2
    worth = np.clip(quality - weight[:, None, None] * cents, -1.0, 1.0)
    best = worth.argmax(axis=2)[:, :, None]
    top = np.take_along_axis(worth, best, 2)[:, :, 0]
    good = np.take_along_axis(quality, best, 2)[:, :, 0]
    paid = np.take_along_axis(cents, best, 2)[:, :, 0]
    ranked = np.sort(np.where(present, top, np.float32(-1)), axis=1)
    leader = ranked[:, -1:]

    past = _Past(history, slots)
    answered = (workers[:, :, _WROTE] > 0) & present
    by_slot = [
        workers,
        worth,
        np.stack([top, top - leader, good, paid / (paid + 1), quality.max(axis=2)], axis=2),
        past.by_slot(),
    ]
    documents = EMBEDDING_WIDTH + N_DOMAINS + SURFACE_COLUMNS.index("document_tokens")
    of_answer = [
        (answered * good).sum(axis=1),
        ranked[:, -1],
        ranked[:, -2] if slots > 1 else ranked[:, -1],
        np.where(present, good, 0).max(axis=1),
        present.mean(axis=1),
        *past.verdicts.T,
    ]
    common = [
        np.eye(N_SUBTASKS, dtype=np.float32)[_pipeline(observation)],
        np.eye(N_LEVELS, dtype=np.float32)[level_of(1.001 * output_tokens(observation))],
        budget,
        observation["query"][:, documents : documents + 1],
        np.eye(N_LEVELS, dtype=np.float32)[size],
        mask[:, slots : slots + N_SUBTASKS],
        past.last_subtask,
        past.counts / history.shape[1],
        past.last_row,
        np.stack(of_answer, axis=1),
    ]
    return Features(
        np.concatenate(by_slot, axis=2, dtype=np.float32),
        np.concatenate(common, axis=1, dtype=np.float32),
        present,
        mask,
    )


def _pipeline(observation: Observations) -> npt.NDArray[np.int64]:
    """What a static pipeline would do next, int64 [n]: divide where there are parts."""
    opened = (parts_open(observation) > 0) | (parts_done(observation) > 0)
    untouched = ~opened & (steps_taken(observation) < PLANS)
    subtask = np.full(len(opened), Subtask.SOLVE, np.int64)
    subtask[may(observation, Subtask.PLAN) & untouched] = Subtask.PLAN
    subtask[opened & (parts_open(observation) == 0)] = Subtask.AGGREGATE
    subtask[has_answer(observation)] = Subtask.SUBMIT
    return subtask


class _Past:
    """The steps so far, per slot and in all.

    Args:
        history: float32 [n, steps, 11].
        slots: Worker slots.
    """

    def __init__(self, history: Floats, slots: int) -> None:
        column = {name: history[:, :, i] for i, name in enumerate(HISTORY_COLUMNS)}
        n, steps = history.shape[:2]
        rows = np.arange(n, dtype=np.int64)
        subtask = np.rint(column["subtask"] * N_SUBTASKS).astype(np.int64) - 1
        taken = subtask >= 0
        latest = np.maximum(taken.sum(axis=1) - 1, 0)
        kinds = (subtask[:, :, None] == np.arange(N_SUBTASKS)).astype(np.float32)
        self.counts = kinds.sum(axis=1)
        self.last_subtask = kinds[rows, latest]
        ok = taken & (column["status"] == Status.OK)
        names = ("status", "confidence", "agreement", "verdict", "cost", "part")
        self.last_row = np.stack([column[name][rows, latest] for name in names], axis=1)

        worker = np.rint(column["worker"] * slots).astype(np.int64) - 1
        self._whose = (worker[:, :, None] == np.arange(slots)).astype(np.float32)
        self._kinds, self._column, self._ok = kinds, column, ok
        # Verdicts count as long as the answer that they are about stands.
        wrote = ok & np.isin(subtask, _ANSWERS)
        since = (wrote * np.arange(1, steps + 1, dtype=np.int64)).max(axis=1)
        fresh = np.arange(steps, dtype=np.int64) >= since[:, None]
        self._accepts = fresh & (column["verdict"] == 1)
        self._rejects = fresh & (column["verdict"] == 0)
        self.verdicts = np.stack([self._accepts.sum(axis=1), self._rejects.sum(axis=1)], axis=1) / 4

    def by_slot(self) -> Floats:
        """Columns of each slot, float32 [n, slots, 8 + 8]."""
        n, steps, _ = self._whose.shape
        rank = (self._whose * np.arange(1, steps + 1, dtype=np.float32)[:, None]).max(axis=1)
        index = np.maximum(rank.astype(np.int64) - 1, 0)
        asked = rank > 0
        rows = np.arange(n, dtype=np.int64)[:, None]
        newest = [
            np.where(asked, self._column[name][rows, index], np.float32(-1))
            for name in ("status", "confidence", "agreement", "verdict")
        ]
        whose = self._whose.transpose(0, 2, 1)
        told = np.stack([self._accepts, self._rejects, self._ok], axis=2).astype(np.float32)
        counted = whose @ np.concatenate([self._kinds, told], axis=2)
        was_last = (rank == rank.max(axis=1, keepdims=True)) & asked
        return np.concatenate(
            [counted / 4, np.stack([*newest, was_last], axis=2)], axis=2, dtype=np.float32
        )
