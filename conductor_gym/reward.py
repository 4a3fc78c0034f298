"""Utility and reward.

``U = q - cost_weight * cost / 0.01 USD - latency_weight * latency / 60 s``: quality points per US
cent and per minute. The constants are absolute, so pools compare. Inside an episode the charge is
an integer number of nano-utility, so that rewards sum to it exactly.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from conductor_gym.errors import ConfigError

COST_WEIGHTS: tuple[float, ...] = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Cost weights: one is drawn per training episode, each is evaluated by the leaderboard."""
HEADLINE_COST_WEIGHT = 0.05

COST_UNIT_USD = 0.01
LATENCY_UNIT_S = 60.0

WEIGHT_SCALE = 1_000_000
"""Weights are held as integers in millionths."""
MAX_WEIGHT = 10.0


def weight_to_int(weight: float, name: str) -> int:
    """Turn a weight into millionths.

    Args:
        weight: Quality points per cent or per minute, in [0, 10].
        name: The setting's name, for the error.

    Raises:
        ConfigError: Outside [0, 10], not finite, or finer than a millionth.
    """
    if not math.isfinite(weight) or not 0.0 <= weight <= MAX_WEIGHT:
        raise ConfigError(f"{name} must lie in [0, {MAX_WEIGHT:g}], got {weight!r}.")
    scaled = round(weight * WEIGHT_SCALE)
    if weight > 0.0 and scaled == 0:
        raise ConfigError(f"{name}={weight!r} is finer than a millionth. Use 0 or 1e-6 and more.")
    return scaled


def nano_charge(cost: int, latency: int, cost_weight: int, latency_weight: int) -> int:
    """Cumulative charge in nano-utility, rounded half up.

    Args:
        cost: nano-USD so far.
        latency: Microseconds so far.
        cost_weight: Millionths.
        latency_weight: Millionths.
    """
    # cost / 1e7 nano-USD * 1e9 / 1e6 = cost / 1e4; latency / 6e7 us * 1e9 / 1e6 = latency / 6e4
    return (6 * cost_weight * cost + latency_weight * latency + 30_000) // 60_000


def weighed(
    quality: Any, cost_usd: Any, latency_s: Any, cost_weight: Any, latency_weight: Any
) -> Any:
    """The formula of `utility`, for numbers and for arrays."""
    paid = cost_weight * cost_usd / COST_UNIT_USD
    return quality - paid - latency_weight * latency_s / LATENCY_UNIT_S


def paper_reward(readable: npt.ArrayLike, quality: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The reward of the paper's conductor, elementwise: right 1, wrong 0.5, unreadable 0.

    It knows no costs. As in Sakana's "RL Conductor" (arXiv 2512.04388).

    Args:
        readable: Whether all of an episode's replies held a workflow.
        quality: q in [0, 1] of the submitted answer; right is 1.
    """
    right = np.asarray(quality, np.float64) >= 1.0
    return np.where(np.asarray(readable, bool), np.where(right, 1.0, 0.5), 0.0)


def utility(
    quality: npt.ArrayLike,
    cost_usd: npt.ArrayLike,
    latency_s: npt.ArrayLike,
    cost_weight: float,
    latency_weight: float = 0.0,
) -> npt.NDArray[np.float64]:
    """Utility U of finished episodes, elementwise.

    Args:
        quality: q in [0, 1].
        cost_usd: USD.
        latency_s: Seconds.
        cost_weight: Quality points per US cent.
        latency_weight: Quality points per minute.
    """
    q, cost, latency = (np.asarray(a, np.float64) for a in (quality, cost_usd, latency_s))
    return weighed(q, cost, latency, cost_weight, latency_weight)
