"""Tie groups: which agents of a board cannot be told apart.

Every pair of agents is tested for a difference in mean utility, paired over queries, and the
p-values are adjusted for the number of pairs (Holm 1979). The best agent leads group 1, with
everyone who does not differ from it; the best of the rest leads group 2, and so on.

Being told apart is not transitive: an agent whose luck goes with the leader's can differ from it,
while a worse one with a wider difference does not. So groups need not be blocks of the ranking.

The luck that counts is that of queries and calls and, for agents that were trained with several
seeds, that of the training: the variance of the mean over seeds is added.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betainc

from conductor_gym.leaderboard.results import utilities
from conductor_gym.leaderboard.table import Board

ALPHA = 0.05
"""Chance of any false difference among all pairs of a board."""
ROUNDING = 1e-9
"""Smaller differences in utility come from the order of summation: none."""


@dataclass(frozen=True)
class Ties:
    """Tie groups of one board.

    Attributes:
        groups: Agents of each group, its leader first.
        pairs: Number of tests that were corrected for.
        p_to_leader: By agent, adjusted p-value of the difference to its group's leader.
    """

    groups: list[list[str]]
    pairs: int
    p_to_leader: dict[str, float]

    def group_of(self, agent: str) -> int | None:
        """1 for the best group, None for an agent without a place (references, n/a)."""
        found = (g for g, members in enumerate(self.groups, 1) if agent in members)
        return next(found, None)

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {"alpha": ALPHA, "pairs": self.pairs, "groups": self.groups} | {
            "p_to_leader": self.p_to_leader
        }


def ties(board: Board) -> Ties:
    """Tie groups at the headline cost weight, among agents that are no references.

    Args:
        board: The board of a track; its rows were played on the same queries and luck.
    """
    competing = [row for row in board.rows if row.at is not None and not row.result.privileged]
    values = {row.result.agent: utilities(row.at) for row in competing if row.at is not None}
    of_seeds = {
        row.result.agent: variance_of_mean(row.at.seed_utilities)
        for row in competing
        if row.at is not None
    }
    return tie_groups(values, of_seeds)


def variance_of_mean(seed_means: Sequence[float]) -> float:
    """Variance of the mean over training seeds; 0 where there are fewer than two."""
    return float(np.var(seed_means, ddof=1)) / len(seed_means) if len(seed_means) > 1 else 0.0


def tie_groups(
    values: dict[str, npt.NDArray[np.float64]], of_seeds: dict[str, float] | None = None
) -> Ties:
    """Tie groups of agents.

    Args:
        values: Utility of each episode by agent, float64 [episodes], over the same episodes.
        of_seeds: By agent, variance of its mean that comes from training; 0 unless given.
    """
    training = of_seeds or {}
    names = sorted(values, key=lambda name: -float(values[name].mean()))
    pairs = list(combinations(names, 2))
    found = [
        paired_p_value(values[a] - values[b], training.get(a, 0.0) + training.get(b, 0.0))
        for a, b in pairs
    ]
    adjusted = holm(np.array(found))
    p_value = {frozenset(pair): float(p) for pair, p in zip(pairs, adjusted, strict=True)}
    groups: list[list[str]] = []
    to_leader: dict[str, float] = {}
    while names:
        leader = names[0]
        p_of = {name: p_value.get(frozenset((leader, name)), 1.0) for name in names}
        members = [name for name, p in p_of.items() if p > ALPHA]
        to_leader |= {name: p_of[name] for name in members}
        groups.append(members)
        names = [name for name in names if name not in members]
    return Ties(groups, len(pairs), to_leader)


def paired_p_value(differences: npt.NDArray[np.float64], training: float = 0.0) -> float:
    """Two-sided p-value of a mean difference, by the paired t test.

    Args:
        differences: float64 [episodes].
        training: Variance of the mean that comes from training seeds.

    Returns:
        1 where nothing differs or one episode alone was played, 0 for a constant difference.
    """
    n = len(differences)
    mean, spread = float(differences.mean()), float(np.ptp(differences))
    if n < 2 or float(np.abs(differences).max()) < ROUNDING:
        return 1.0
    if spread < ROUNDING and training == 0.0:
        return 0.0
    t = mean / (float(differences.var(ddof=1)) / n + training) ** 0.5
    # Both tails of Student's t with n - 1 degrees of freedom.
    rest = (n - 1) / (n - 1 + t * t)
    return float(betainc((n - 1) / 2, 0.5, rest))  # pyright: ignore[reportUnknownArgumentType]


def holm(p_values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """P-values adjusted for their number: the step-down procedure of Holm (1979).

    Args:
        p_values: float64 [tests].

    Returns:
        float64 [tests], in the given order; a test is significant where this is at most alpha.
    """
    order = np.argsort(p_values, kind="stable")
    left = len(p_values) - np.arange(len(p_values))
    stepped = np.maximum.accumulate(np.minimum(p_values[order] * left, 1.0))
    adjusted = np.empty_like(p_values)
    adjusted[order] = stepped
    return adjusted
