"""LinUCB: optimism about what is not known yet (Li, Chu, Langford and Schapire 2010).

Each call is taken to be as good as it might well be: its expected quality plus a multiple of how
little is known about such calls of this worker. See `linear_bandit` for the models, how they
forget, and what keeps the spending in check.
"""

from typing import ClassVar

from conductor_gym.agents.linear_bandit import Floats, LinearBandit


class LinUCB(LinearBandit):
    """Asks where the upper confidence bound of the utility is highest."""

    optimism: ClassVar[float] = 0.1

    def judge(self, quality: Floats, spread: Floats, words: tuple[int, ...]) -> Floats:
        """See `LinearBandit.judge`."""
        del words
        return quality + self.optimism * spread
