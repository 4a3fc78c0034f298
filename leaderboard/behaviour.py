"""Whom an agent calls: shares of workers, the entropy of its choice, steps by subtask."""

from collections import Counter
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from conductor_gym.errors import ConductorError
from conductor_gym.leaderboard.evaluate import unpack_action
from conductor_gym.leaderboard.table import Board
from conductor_gym.types import Subtask
from conductor_gym.workers.pool import load_pool

FREE = (Subtask.VOTE, Subtask.SUBMIT)
"""Subtasks that call no worker."""


@dataclass(frozen=True)
class Behaviour:
    """What one agent did in all episodes at the headline cost weight.

    Calls are counted as they were asked for: one that was refused as invalid or unaffordable is
    counted too.

    Attributes:
        agent: Its name.
        calls: Number of calls.
        entropy: Of the worker of a call, in bits: 0 for one worker alone, log2(workers) for equal
            shares of all. None without a call.
        shares: Share of the calls by worker, the largest first.
        steps: Mean number of steps of an episode by subtask, those that were taken at all.
    """

    agent: str
    calls: int
    entropy: float | None
    shares: dict[str, float]
    steps: dict[str, float]

    @property
    def top_worker(self) -> str | None:
        """The worker that is called most, None without a call."""
        return next(iter(self.shares), None)

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self) | {"top_worker": self.top_worker}


def entropy_bits(counts: npt.ArrayLike) -> float:
    """Entropy of a distribution given by counts, in bits.

    Args:
        counts: Not negative, not all 0.
    """
    weights = np.asarray(counts, np.float64)
    share = weights[weights > 0] / weights.sum()
    return float(abs(share @ np.log2(share)))


def behaviours(board: Board) -> dict[str, Behaviour]:
    """Behaviour by agent, in the order of the board; without those that kept no decisions.

    Args:
        board: The board of a track.
    """
    names = _worker_names(board)
    found: dict[str, Behaviour] = {}
    for row in board.rows:
        if row.at is not None and row.at.decisions:
            found[row.result.agent] = behaviour(row.result.agent, row.at.decisions, names)
    return found


def behaviour(agent: str, decisions: list[list[int]], workers: tuple[str, ...]) -> Behaviour:
    """What an agent did.

    Args:
        agent: Its name.
        decisions: Per episode, packed actions.
        workers: Names in slot order.
    """
    calls: Counter[str] = Counter()
    steps: Counter[Subtask] = Counter()
    for code, times in Counter(chain.from_iterable(decisions)).items():
        if code < 0:  # a text that held no action, or the next workflow begins
            continue
        slot, subtask, _ = unpack_action(code)
        steps[Subtask(subtask)] += times
        if subtask not in FREE:
            calls[workers[slot] if slot < len(workers) else f"slot {slot + 1}"] += times
    total = calls.total()
    return Behaviour(
        agent,
        total,
        entropy_bits(list(calls.values())) if total else None,
        {worker: times / total for worker, times in calls.most_common()},
        {
            subtask.name.lower(): steps[subtask] / len(decisions)
            for subtask in Subtask
            if steps[subtask]
        },
    )


def _worker_names(board: Board) -> tuple[str, ...]:
    try:
        return load_pool(board.card.pool).worker_names
    except ConductorError:
        return ()  # a pool that is not at hand: its slots have numbers
