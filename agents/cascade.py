"""Confidence cascade, after FrugalGPT (Chen, Zaharia and Zou 2023).

Asks a cheap worker, goes on to the next one while the stated confidence is below a threshold, and
submits the last answer. Each reads documents at the context level that was best for it by domain.

Chain and thresholds are those with the highest utility on the train split at the cost weight.
"""

from itertools import permutations

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Actions, Observations, Setting, actions
from conductor_gym.agents.experience import collect_single_calls
from conductor_gym.agents.reading import domain, last, steps_taken
from conductor_gym.agents.single import best_levels, train_utility
from conductor_gym.reward import COST_UNIT_USD
from conductor_gym.types import Subtask

MAX_CHAIN = 3
GRID = 12
"""Thresholds tried for each worker: quantiles of its confidence."""

Floats = npt.NDArray[np.float64]


class Cascade:
    """Escalates through a fixed chain of workers."""

    def __init__(self, setting: Setting) -> None:
        calls = collect_single_calls(setting.train)
        self.levels = best_levels(setting)
        read = self.levels[:, calls.domain].T
        gain = at_level(train_utility(setting), read)
        paid = -setting.cost_weight * at_level(calls.cost_usd, read) / COST_UNIT_USD
        chain, thresholds = best_chain(gain, paid, at_level(calls.confidence, read))
        self.chain = np.array(chain, np.int64)
        self.thresholds = np.array([*thresholds, -1.0])

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        taken = np.minimum(steps_taken(observation), len(self.chain))
        sure = self.sureness(observation) >= self.thresholds[np.maximum(taken - 1, 0)]
        answered = last(observation, "status") == 0
        done = (taken == len(self.chain)) | ((taken > 0) & answered & sure)
        table = actions(len(taken), Subtask.SOLVE)
        table[:, 0] = self.chain[np.minimum(taken, len(self.chain) - 1)]
        table[:, 2] = self.levels[table[:, 0], domain(observation)]
        table[done, 1] = Subtask.SUBMIT
        return table

    def sureness(self, observation: Observations) -> Floats:
        """What the thresholds are held against: stated confidence of the newest call, [n]."""
        return last(observation, "confidence").astype(np.float64)


def at_level(table: Floats, read: npt.NDArray[np.int64]) -> Floats:
    """Each worker's entry at the level it reads at, float64 [queries, workers].

    Args:
        table: float64 [queries, workers, levels].
        read: int64 [queries, workers].
    """
    return np.take_along_axis(table, read[:, :, None], axis=2)[:, :, 0]


def best_chain(
    gain: Floats, paid: Floats, sureness: Floats
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """The chain of up to `MAX_CHAIN` workers with the highest mean utility, and its thresholds.

    An answer is kept where its sureness reaches the worker's threshold; the last one always is.

    Args:
        gain: float64 [queries, workers], utility where this worker's answer is submitted.
        paid: float64 [queries, workers], utility that its call takes where it is not.
        sureness: float64 [queries, workers], below 0 where there is no answer to keep.
    """
    workers = gain.shape[1]
    best = max((float(gain[:, w].mean()), (w,), ()) for w in range(workers))
    found: tuple[float, tuple[int, ...], tuple[float, ...]] = best
    for length in range(2, min(MAX_CHAIN, workers) + 1):
        for chain in permutations(range(workers), length):
            value, thresholds = _tune(chain, gain, paid, sureness)
            if value > found[0]:
                found = (value, chain, thresholds)
    return found[1:]


def _tune(
    chain: tuple[int, ...], gain: Floats, paid: Floats, sureness: Floats
) -> tuple[float, tuple[float, ...]]:
    """Thresholds by one coordinate sweep from the end of the chain."""
    after: Floats = gain[:, chain[-1]]
    thresholds: list[float] = []
    for worker in reversed(chain[:-1]):
        sure = sureness[:, worker]
        tried = np.unique(np.quantile(sure, np.linspace(0, 1, GRID)))
        # Keep where sure, else pay for this call and get what comes after.
        keep, go_on = gain[:, worker], paid[:, worker] + after
        order = np.argsort(sure, kind="stable")
        ranked = (keep - go_on)[order]
        kept_from = np.concatenate([np.cumsum(ranked[::-1])[::-1], [0.0]])
        at = np.searchsorted(sure[order], tried)
        threshold = float(tried[int(kept_from[at].argmax())])
        after = np.where((sure >= threshold) & (sure >= 0), keep, go_on)
        thresholds.insert(0, threshold)
    return float(after.mean()), tuple(thresholds)
