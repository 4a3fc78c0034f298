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


class Cascade:
    """Escalates through a fixed chain of workers."""

    def __init__(self, setting: Setting) -> None:
        calls = collect_single_calls(setting.train)
        self.levels = best_levels(setting)
        read = self.levels[:, calls.domain].T[:, :, None]

        def at_level(table: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            return np.take_along_axis(table, read, axis=2)[:, :, 0]

        self._gain = at_level(train_utility(setting))
        self._confidence = at_level(calls.confidence)
        # What a call that is not kept still costs.
        self._waste = -setting.cost_weight * at_level(calls.cost_usd) / COST_UNIT_USD
        _, chain, thresholds = self._best_chain(len(setting.workers))
        self.chain = np.array(chain, np.int64)
        self.thresholds = np.array([*thresholds, -1.0], np.float32)

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        taken = np.minimum(steps_taken(observation), len(self.chain))
        sure = last(observation, "confidence") >= self.thresholds[np.maximum(taken - 1, 0)]
        answered = last(observation, "status") == 0
        done = (taken == len(self.chain)) | ((taken > 0) & answered & sure)
        table = actions(len(taken), Subtask.SOLVE)
        table[:, 0] = self.chain[np.minimum(taken, len(self.chain) - 1)]
        table[:, 2] = self.levels[table[:, 0], domain(observation)]
        table[done, 1] = Subtask.SUBMIT
        return table

    def _best_chain(self, workers: int) -> tuple[float, tuple[int, ...], tuple[float, ...]]:
        best: tuple[float, tuple[int, ...], tuple[float, ...]] = max(
            (float(self._gain[:, w].mean()), (w,), ()) for w in range(workers)
        )
        # Built from the end: the best continuation of each shorter chain is found once.
        for length in range(2, min(MAX_CHAIN, workers) + 1):
            for chain in permutations(range(workers), length):
                value, thresholds = self._tune(chain)
                if value > best[0]:
                    best = (value, chain, thresholds)
        return best

    def _tune(self, chain: tuple[int, ...]) -> tuple[float, tuple[float, ...]]:
        """Thresholds by one coordinate sweep from the end of the chain."""
        after: npt.NDArray[np.float64] = self._gain[:, chain[-1]]
        thresholds: list[float] = []
        for worker in reversed(chain[:-1]):
            confidence = self._confidence[:, worker]
            stated = np.unique(np.quantile(confidence, np.linspace(0, 1, GRID)))
            # Keep where sure, else pay for this call and get what comes after.
            keep, go_on = self._gain[:, worker], self._waste[:, worker] + after
            order = np.argsort(confidence, kind="stable")
            ranked = (keep - go_on)[order]
            kept_from = np.concatenate([np.cumsum(ranked[::-1])[::-1], [0.0]])
            at = np.searchsorted(confidence[order], stated)
            threshold = float(stated[int(kept_from[at].argmax())])
            after = np.where((confidence >= threshold) & (confidence >= 0), keep, go_on)
            thresholds.insert(0, threshold)
        return float(after.mean()), tuple(thresholds)
