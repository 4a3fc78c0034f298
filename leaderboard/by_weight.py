"""Who beats the best single worker at which cost weight."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from conductor_gym.leaderboard.metrics import Estimate, estimate
from conductor_gym.leaderboard.results import entry, utilities
from conductor_gym.leaderboard.table import ZERO, Board
from conductor_gym.reward import COST_WEIGHTS


@dataclass(frozen=True)
class GainAt:
    """Utility minus that of the best single worker at one cost weight, paired over queries.

    Attributes:
        cost_weight: Quality points per US cent, the same for both.
        gain: Mean difference with its 95 % interval, not corrected for the number of cells.
        identical: Whether both did the same in every episode.
    """

    cost_weight: float
    gain: Estimate
    identical: bool

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self) | {"gain": self.gain.model_dump()}


def gains_by_weight(board: Board) -> dict[str, list[GainAt]]:
    """Gains over the best single worker by agent, in the order of the board.

    The best single worker is chosen on train for each cost weight anew, so it can be another one
    in each column. Empty where the board has no best single worker.

    Args:
        board: The board of a track.
    """
    zero = next((row.result for row in board.rows if row.result.agent == ZERO), None)
    if zero is None:
        return {}
    found: dict[str, list[GainAt]] = {}
    for row in board.rows:
        gains: list[GainAt] = []
        for weight in COST_WEIGHTS:
            mine, reference = entry(row.result, weight), entry(zero, weight)
            if mine is None or reference is None or row.result.agent == ZERO:
                continue
            difference = utilities(mine) - utilities(reference)
            gain = estimate(difference, mine.seed_utilities)
            gains.append(GainAt(weight, gain, not np.any(difference)))
        if gains:
            found[row.result.agent] = gains
    return found
