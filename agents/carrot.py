"""Cost and accuracy, regressed apart and weighed afterwards.

After CARROT (Somerstep et al. 2025, "CARROT: a cost aware rate optimal router"): estimate from the
query what each call's quality and cost will be, then take the call with the best predicted utility.
The estimators here are ridge regressions on the observed features.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.experience import SingleCalls
from conductor_gym.agents.router import Floats, Router, scikit_learn
from conductor_gym.reward import utility


class CostAndAccuracy(Router):
    """Ridge regressions of quality and of cost; the penalty is chosen on dev."""

    candidates = (1.0, 10.0, 100.0, 1000.0)

    def fit(self, calls: SingleCalls, candidate: Any) -> None:
        """See `Router.fit`."""
        ridge = scikit_learn("linear_model").Ridge
        self._shape = calls.quality.shape[1:]
        n = len(calls.features)
        x = calls.features.astype(np.float64)
        self._quality = ridge(alpha=candidate).fit(x, calls.quality.reshape(n, -1))
        self._cost = ridge(alpha=candidate).fit(x, calls.cost_usd.reshape(n, -1))

    def predict(self, features: npt.NDArray[np.float32]) -> Floats:
        """See `Router.predict`."""
        x = features.astype(np.float64)
        quality = np.clip(self._quality.predict(x), 0.0, 1.0)
        cost = np.maximum(self._cost.predict(x), 0.0)
        gains = utility(quality, cost, 0.0, self.setting.cost_weight)
        return gains.reshape(len(features), *self._shape)
