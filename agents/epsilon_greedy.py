"""Epsilon-greedy: means by domain, and a random worker now and then. The floor of online learners.

Its models see no more of a query than its domain, and what is shown of its documents. A share of
all queries goes to any worker at any level. See `linear_bandit` for how models forget.
"""

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.linear_bandit import Floats, LinearBandit
from conductor_gym.spaces import EMBEDDING_WIDTH, N_DOMAINS


class EpsilonGreedy(LinearBandit):
    """Asks what was best in the domain so far, or anybody."""

    width: ClassVar[int] = N_DOMAINS + 3
    epsilon: ClassVar[float] = 0.03

    def features(self, query: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """See `LinearBandit.features`."""
        return query[EMBEDDING_WIDTH : EMBEDDING_WIDTH + N_DOMAINS]

    def judge(self, quality: Floats, spread: Floats, words: tuple[int, ...]) -> Floats:
        """See `LinearBandit.judge`."""
        draws = np.random.default_rng(words)
        if draws.random() >= self.epsilon:
            return quality
        # Far above any cost, so that the order is random.
        return 1000.0 * (1.0 + draws.random(quality.shape))
