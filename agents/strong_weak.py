"""Strong or weak: the dear worker only where the cheap one is likely to lose.

After RouteLLM (Ong et al. 2024): a classifier gives the chance that the strong worker wins, a
threshold on it decides. The strong worker is the one with the highest quality on train; the weak
one and the threshold are those with the highest utility on the dev split.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Setting
from conductor_gym.agents.experience import SingleCalls
from conductor_gym.agents.router import Floats, Router, scikit_learn
from conductor_gym.agents.single import best_choice

QUANTILES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
"""Shares of queries that go to the weak worker, of which one is chosen."""


class StrongOrWeak(Router):
    """Two workers and a threshold on the chance that the strong one wins."""

    def __init__(self, setting: Setting) -> None:
        workers = range(len(setting.workers))
        self.candidates = [(weak, share) for weak in workers for share in QUANTILES]
        self._fitted: dict[int, Any] = {}
        super().__init__(setting)

    def fit(self, calls: SingleCalls, candidate: Any) -> None:
        """See `Router.fit`."""
        weak: int = candidate[0]
        share: float = candidate[1]
        self._shape = calls.quality.shape[1:]
        gains = self.gains(calls)
        strong = int(calls.quality.mean(axis=0).max(axis=1).argmax())
        self._strong, self._weak = best_choice(gains, strong), best_choice(gains, weak)
        if weak not in self._fitted:
            better = calls.quality[:, *self._strong] > calls.quality[:, *self._weak]
            chance = None  # all the same: nothing to tell apart
            if 0 < better.sum() < len(better):
                logistic = scikit_learn("linear_model").LogisticRegression(max_iter=500)
                chance = logistic.fit(calls.features, better)
            self._fitted[weak] = chance
        self._chance = self._fitted[weak]
        self._threshold = float(np.quantile(self._wins(calls.features), share))

    def predict(self, features: npt.NDArray[np.float32]) -> Floats:
        """1 for the call to make, 0 for all others: the threshold has weighed the cost."""
        found = np.zeros((len(features), *self._shape))
        dear = self._wins(features) > self._threshold
        found[:, *self._weak] = ~dear
        found[dear, self._strong[0], self._strong[1]] = 1.0
        return found

    def _wins(self, features: npt.NDArray[np.float32]) -> Floats:
        if self._chance is None:
            return np.zeros(len(features))
        chances: Floats = self._chance.predict_proba(features)[:, 1]
        return np.round(chances, 9)
