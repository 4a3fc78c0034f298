"""FrugalGPT: a cascade that goes by a learned score of each answer (Chen, Zaharia and Zou 2023).

Like `cascade`, but what is held against the thresholds is the probability that the answer is right,
as a logistic regression for each worker tells it from the query, the stated confidence where there
is one, and how much the worker wrote. So it works where no confidence is stated.

The scorers are fitted on the train split. Chain and thresholds are those with the highest utility
at the cost weight on train and dev together; train queries are scored by scorers that were fitted
without them.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Observations, Setting
from conductor_gym.agents.cascade import Cascade, Floats, at_level, best_chain
from conductor_gym.agents.experience import SingleCalls, collect_single_calls
from conductor_gym.agents.reading import (
    last,
    last_output_tokens,
    last_status,
    last_worker,
    steps_taken,
)
from conductor_gym.agents.router import scikit_learn
from conductor_gym.agents.single import best_levels
from conductor_gym.reward import COST_UNIT_USD, utility

FOLDS = 5
TOKEN_DOUBLINGS = 14.0
"""Doublings of output tokens that count as 1."""


class Frugal(Cascade):
    """Escalates while the newest answer is scored too low.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """

    def __init__(self, setting: Setting) -> None:
        self.levels = best_levels(setting)
        train = collect_single_calls(setting.train)
        dev = collect_single_calls(replace(setting.train, split="dev"))
        signs, right = self._signs(train), at_level(train.quality, self._read(train)) > 0.5
        fold = np.arange(len(right)) % FOLDS
        scored = np.empty(right.shape)
        for k in range(FOLDS):
            self._fit(signs[fold != k], right[fold != k])
            scored[fold == k] = self._score_all(signs[fold == k])
        self._fit(signs, right)
        score = np.concatenate([scored, self._score_all(self._signs(dev))])
        gains: list[Floats] = []
        paid: list[Floats] = []
        for calls in (train, dev):
            read = self._read(calls)
            quality, cost = at_level(calls.quality, read), at_level(calls.cost_usd, read)
            gains.append(utility(quality, cost, 0.0, setting.cost_weight))
            paid.append(-setting.cost_weight * cost / COST_UNIT_USD)
        chain, thresholds = best_chain(np.concatenate(gains), np.concatenate(paid), score)
        self.chain = np.array(chain, np.int64)
        self.thresholds = np.array([*thresholds, -1.0])

    def sureness(self, observation: Observations) -> Floats:
        """Probability that the newest answer is right, float64 [n]; -1 before there is one."""
        signs = _signs(
            observation["query"],
            last(observation, "confidence").astype(np.float64),
            last_output_tokens(observation),
        )
        sure = np.full(len(signs), -1.0)
        asked = np.where(steps_taken(observation) > 0, last_worker(observation), -1)
        asked[last_status(observation) != 0] = -1
        for worker in np.unique(asked[asked >= 0]):
            sure[asked == worker] = self._score(worker, signs[asked == worker])
        return sure

    def _read(self, calls: SingleCalls) -> npt.NDArray[np.int64]:
        """Level at which each worker reads each query, int64 [queries, workers]."""
        return self.levels[:, calls.domain].T

    def _signs(self, calls: SingleCalls) -> Floats:
        """What the scorers see, float64 [queries, workers, signs]; NaN without an answer."""
        read = self._read(calls)
        failed = calls.status.astype(np.float64)
        told = [at_level(table, read) for table in (calls.confidence, calls.output_tokens, failed)]
        rows: list[Floats] = []
        for confidence, tokens, status in zip(*(table.T for table in told), strict=True):
            signs = _signs(calls.features, confidence, tokens)
            signs[status != 0.0] = np.nan
            rows.append(signs)
        return np.stack(rows, axis=1)

    def _fit(self, signs: Floats, right: npt.NDArray[np.bool_]) -> None:
        regression = scikit_learn("linear_model").LogisticRegression
        self._scorers: list[Any] = []
        for worker in range(right.shape[1]):
            there = ~np.isnan(signs[:, worker, 0])
            seen, told = signs[there, worker], right[there, worker]
            # Always right or always wrong: a rate, there is nothing to regress.
            rate = float(told.mean()) if len(told) else 0.0
            constant = rate in (0.0, 1.0)
            self._scorers.append(rate if constant else regression(max_iter=500).fit(seen, told))

    def _score(self, worker: int, signs: Floats) -> Floats:
        scorer = self._scorers[worker]
        if isinstance(scorer, float):
            return np.full(len(signs), scorer)
        # Rounded: the last bits depend on how many queries are scored at once.
        return np.asarray(np.round(scorer.predict_proba(signs)[:, 1], 9), np.float64)

    def _score_all(self, signs: Floats) -> Floats:
        """Scores, float64 [queries, workers]; -1 without an answer."""
        scores = np.full(signs.shape[:2], -1.0)
        for worker in range(signs.shape[1]):
            there = ~np.isnan(signs[:, worker, 0])
            scores[there, worker] = self._score(worker, signs[there, worker])
        return scores


def _signs(features: npt.NDArray[np.float32], confidence: Floats, tokens: Floats) -> Floats:
    """Float64 [n, 60]: query, whether confidence was stated, it and its square, tokens."""
    stated = np.maximum(confidence, 0.0)
    written = np.log2(1.0 + tokens) / TOKEN_DOUBLINGS
    return np.column_stack([features, confidence >= 0.0, stated, stated**2, written]).astype(
        np.float64
    )
