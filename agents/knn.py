"""Nearest neighbours: what each call gave on the training queries most like this one.

The plainest learned router, and hard to beat with any other (Li 2025, "Rethinking predictive
modeling for LLM routing: when simple kNN beats complex learned routers").
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.experience import SingleCalls
from conductor_gym.agents.router import Floats, Router, scikit_learn


class NearestNeighbours(Router):
    """Mean utility of each call among the k nearest training queries; k is chosen on dev."""

    candidates = (5, 10, 20, 40, 80, 160, 320)

    def fit(self, calls: SingleCalls, candidate: Any) -> None:
        """See `Router.fit`."""
        self._gains = self.gains(calls)
        self._k = min(int(candidate), len(calls.features))
        neighbors = scikit_learn("neighbors").NearestNeighbors(n_neighbors=self._k)
        self._index = neighbors.fit(calls.features)

    def predict(self, features: npt.NDArray[np.float32]) -> Floats:
        """See `Router.predict`."""
        found = np.zeros((len(features), *self._gains.shape[1:]))
        near = self._index.kneighbors(features, return_distance=False)
        for rank in range(self._k):
            found += self._gains[near[:, rank]]
        return found / self._k
