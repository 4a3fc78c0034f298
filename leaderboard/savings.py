"""Cost at best-single quality: how much cheaper an agent is than the best worker, as good as it.

The reference is the single worker with the highest quality on train (`best-single` at cost weight
0), with its quality Q and its cost C on the scored split. An agent's settings, one a cost weight,
are points (cost, quality); playing one of two settings at random by query gives every point on the
line between them. The smallest cost on those lines at which quality is at least Q is held
against C. Which settings are mixed is read off the scored queries themselves.
"""

from dataclasses import asdict, dataclass
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt

from conductor_gym.leaderboard.metrics import deviations
from conductor_gym.leaderboard.results import AtCostWeight, Result, entry
from conductor_gym.leaderboard.table import ZERO, Board
from conductor_gym.reward import COST_WEIGHTS
from conductor_gym.types import NANO_USD

Array = npt.NDArray[np.float64]

ROUNDING = 1e-9
"""Quality that is missing by less is rounding."""


@dataclass(frozen=True)
class Saving:
    """What one agent saves at the quality of the best single worker.

    Attributes:
        agent: Its name.
        privileged: A reference that sees what no agent may see.
        saving: 1 - cost / C, None where no setting reaches Q.
        low: 2.5 % quantile over resampled queries, where not reaching Q is the worst outcome;
            None where that quantile does not reach it.
        high: 97.5 % quantile, likewise.
        reached: Share of resamples in which Q is reached.
        missing_quality: Q minus the highest quality of a setting, 0 where Q is reached.
    """

    agent: str
    privileged: bool
    saving: float | None
    low: float | None
    high: float | None
    reached: float
    missing_quality: float


@dataclass(frozen=True)
class Savings:
    """Savings on one board.

    Attributes:
        quality: Q, in [0, 1].
        cost_usd: C, mean USD of an episode.
        rows: One an agent, in the order of the board.
    """

    quality: float
    cost_usd: float
    rows: list[Saving]

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def savings(board: Board) -> Savings | None:
    """Savings of every agent with intervals, the whole curve recomputed on each resample.

    None where the board has no best single worker at cost weight 0, or one that is free.

    Args:
        board: The board of a track.
    """
    zero = next((row.result for row in board.rows if row.result.agent == ZERO), None)
    reference = None if zero is None else entry(zero, 0.0)
    if reference is None or reference.cost_usd.mean <= 0.0:
        return None
    rows = [_saving(row.result, reference) for row in board.rows if row.result.at]
    return Savings(reference.quality.mean, reference.cost_usd.mean, rows)


def _saving(result: Result, reference: AtCostWeight) -> Saving:
    ats = [at for at in (entry(result, weight) for weight in COST_WEIGHTS) if at is not None]
    # Differences to the reference: where an agent acts as it does, they are exactly 0.
    needed, usd = np.array(reference.qualities), np.array(reference.costs) / NANO_USD
    quality = np.stack([at.qualities - needed for at in ats], axis=1)
    cost = np.stack([np.array(at.costs) / NANO_USD - usd for at in ats], axis=1)
    mean_quality, mean_cost = quality.mean(axis=0), cost.mean(axis=0)
    saved = float(0.0 - cheapest(mean_quality, mean_cost) / usd.mean())  # never -0
    curves = cheapest(mean_quality + deviations(quality), mean_cost + deviations(cost))
    resampled = 0.0 - curves / (usd.mean() + deviations(usd))
    # Quantiles that are values of a resample: none lies between a saving and not reaching.
    low = float(np.quantile(resampled, 0.025, method="lower"))
    high = float(np.quantile(resampled, 0.975, method="higher"))
    return Saving(
        result.agent,
        result.privileged,
        *(value if np.isfinite(value) else None for value in (saved, low, high)),
        reached=float(np.isfinite(resampled).mean()),
        missing_quality=0.0 if np.isfinite(saved) else float(-mean_quality.max()),
    )


def cheapest(quality: Array, cost: Array) -> Array:
    """Smallest cost of a mixture of two settings whose quality is at least 0.

    The cheapest mixture of any number of settings lies on the upper concave hull of the points,
    and so on the line between some two of them.

    Args:
        quality: float64 [..., settings], above what is asked for.
        cost: float64 [..., settings].

    Returns:
        float64 [...], infinite where no setting is good enough.
    """
    enough = quality >= -ROUNDING
    best = np.where(enough, cost, np.inf).min(axis=-1)
    for worse, better in permutations(range(quality.shape[-1]), 2):
        mixes = ~enough[..., worse] & enough[..., better]
        gap = np.where(mixes, quality[..., better] - quality[..., worse], 1.0)
        share = np.clip(-quality[..., worse] / gap, 0.0, 1.0)
        mixed = cost[..., worse] + share * (cost[..., better] - cost[..., worse])
        best = np.minimum(best, np.where(mixes, mixed, np.inf))
    return best
