"""Everything that is computed from the rows of one board, once."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from conductor_gym.leaderboard.behaviour import Behaviour, behaviours
from conductor_gym.leaderboard.by_domain import Breakdown, breakdowns
from conductor_gym.leaderboard.by_weight import GainAt, gains_by_weight
from conductor_gym.leaderboard.savings import Savings, savings
from conductor_gym.leaderboard.table import Board
from conductor_gym.leaderboard.ties import Ties, ties


@dataclass(frozen=True)
class Findings:
    """What the rows of a board come to beside their means.

    Attributes:
        ties: Which agents cannot be told apart.
        gains: By agent, the gain over the best single worker at each cost weight.
        savings: Cost at the quality of the best single worker.
        behaviours: By agent, whom it calls.
        breakdowns: Utility by domain and by level.
    """

    ties: Ties
    gains: dict[str, list[GainAt]]
    savings: Savings | None
    behaviours: dict[str, Behaviour]
    breakdowns: list[Breakdown]

    def as_dict(self) -> dict[str, Any]:
        """As plain values, without the breakdowns."""
        return {
            "ties": self.ties.as_dict(),
            "vs_best_single_by_cost_weight": {
                agent: [gain.as_dict() for gain in gains] for agent, gains in self.gains.items()
            },
            "savings": self.savings.as_dict() if self.savings else None,
            "behaviour": {agent: found.as_dict() for agent, found in self.behaviours.items()},
        }


@lru_cache(maxsize=8)
def findings(board: Board) -> Findings:
    """Compute them, or give those that were computed for this board before."""
    return Findings(
        ties(board),
        gains_by_weight(board),
        savings(board),
        behaviours(board),
        breakdowns(board),
    )
