"""Thompson sampling with linear models (Agrawal and Goyal 2013).

Each worker's quality on the query is drawn from what is believed about it, and the best draw is
asked: what might be best is tried as often as it is believed to be. One draw a worker and query
stands for a draw of its whole model, since nothing else of that model is looked at. See
`linear_bandit` for the models, how they forget, and what keeps the spending in check.
"""

from typing import ClassVar

import numpy as np

from conductor_gym.agents.linear_bandit import Floats, LinearBandit


class Thompson(LinearBandit):
    """Asks where a drawn utility is highest."""

    width_of_belief: ClassVar[float] = 0.1

    def judge(self, quality: Floats, spread: Floats, words: tuple[int, ...]) -> Floats:
        """See `LinearBandit.judge`."""
        # The levels of a worker share one draw: they share one model.
        drawn = np.random.default_rng(words).standard_normal((len(quality), 1))
        return quality + self.width_of_belief * drawn * spread
