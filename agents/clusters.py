"""Clusters: the best call of the cluster that a query falls into.

After the Avengers (Zhang et al. 2025, "The Avengers: a simple recipe for uniting smaller language
models"): k-means over embedded queries, a score of every model by cluster, the best one asked.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.experience import SingleCalls
from conductor_gym.agents.router import Floats, Router, scikit_learn


class Clusters(Router):
    """Mean utility of each call by k-means cluster of training queries; k is chosen on dev."""

    candidates = (4, 8, 16, 32, 64, 128)

    def fit(self, calls: SingleCalls, candidate: Any) -> None:
        """See `Router.fit`."""
        k = min(int(candidate), len(calls.features))
        kmeans = scikit_learn("cluster").KMeans(k, n_init=1, random_state=self.setting.seed)
        means = kmeans.fit(calls.features)
        gains, labels = self.gains(calls), means.labels_
        self._means = means
        self._by_cluster = np.array([gains[labels == c].mean(axis=0) for c in range(k)])

    def predict(self, features: npt.NDArray[np.float32]) -> Floats:
        """See `Router.predict`."""
        return self._by_cluster[self._means.predict(features)]
