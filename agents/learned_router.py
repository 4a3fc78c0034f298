"""A small network that reads the query's features and predicts every call's utility.

The observed features are an encoding of the text already (docs/encoders.md); the network learns
what of it matters here. One hidden layer, stopped early by a tenth of the train split.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.experience import SingleCalls
from conductor_gym.agents.router import Floats, Router, scikit_learn


class LearnedRouter(Router):
    """A perceptron on the observed features; its width is chosen on dev."""

    candidates = (16, 64, 256)

    def fit(self, calls: SingleCalls, candidate: Any) -> None:
        """See `Router.fit`."""
        gains = self.gains(calls)
        self._shape = gains.shape[1:]
        flat = gains.reshape(len(gains), -1)
        self._mean, self._scale = flat.mean(axis=0), flat.std(axis=0) + 1e-9
        network = scikit_learn("neural_network").MLPRegressor(
            hidden_layer_sizes=(candidate,),
            early_stopping=True,
            max_iter=2000,
            random_state=self.setting.seed,
        )
        self._network = network.fit(calls.features, (flat - self._mean) / self._scale)

    def predict(self, features: npt.NDArray[np.float32]) -> Floats:
        """See `Router.predict`."""
        found = self._network.predict(features.astype(np.float64)).reshape(len(features), -1)
        return (found * self._scale + self._mean).reshape(len(features), *self._shape)
