"""Solving what cannot be read off directly: rho from a published oracle, token means from a cap."""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import ndtr

from conductor_gym.dynamics.quantiles import interpolated_mean, lognormal_factors

MOST_SKEW = 0.3
"""Beyond this the skew difficulty is no longer monotone where queries lie."""
MAX_PROBIT_ACCURACY = 0.9995
"""Accuracy given that the format holds is cut here, so that its probit stays finite."""

Array = npt.NDArray[np.float64]

_NODES, _RAW_WEIGHTS = np.polynomial.hermite_e.hermegauss(201)
_WEIGHTS = _RAW_WEIGHTS / _RAW_WEIGHTS.sum()


def probit(accuracy: float, format_failure: float) -> float:
    """Z such that (1 - f)·Phi(z) is the accuracy, rounded to 9 decimals."""
    inner = min(MAX_PROBIT_ACCURACY, accuracy / (1.0 - format_failure))
    return round(NormalDist().inv_cdf(inner), 9)


def skewed(values: Array, skew: float) -> Array:
    """Standard normals made skew: (x + gamma·(x² - 1)) / sqrt(1 + 2·gamma²), of variance 1.

    Args:
        values: Standard normals.
        skew: gamma; above 0 there are more hopeless queries, below 0 more easy ones.
    """
    return (values + skew * (values**2 - 1.0)) / math.sqrt(1.0 + 2.0 * skew**2)


def skewed_probit(accuracy: Array, loading: Array, skew: float) -> Array:
    """Z such that P(loading·delta + sqrt(1 - loading²)·own < z) is the accuracy, delta skew.

    Args:
        accuracy: In (0, 1), given that the format holds.
        loading: On the difficulty.
        skew: gamma of `skewed`.

    Returns:
        Probits, rounded to 9 decimals.
    """
    inner = np.minimum(accuracy, MAX_PROBIT_ACCURACY)
    delta = skewed(_NODES, skew)
    rest = np.sqrt(1.0 - loading**2)[..., None]
    low, high = np.full(inner.shape, -15.0), np.full(inner.shape, 15.0)
    for _ in range(48):
        middle = 0.5 * (low + high)
        at = (middle[..., None] - loading[..., None] * delta) / rest
        less = np.asarray(ndtr(at), np.float64) @ _WEIGHTS < inner
        low, high = np.where(less, middle, low), np.where(less, high, middle)
    return np.round(0.5 * (low + high), 9)


def predicted_oracle(
    rho: float, accuracies: Sequence[float], format_failures: Sequence[float]
) -> float:
    """Probability that at least one worker is right in one attempt each, all loadings 1.

    One-dimensional Gauss-Hermite integral over the query's difficulty: given delta, workers are
    independent.

    Args:
        rho: Shared share of variance in [0, 1).
        accuracies: Of each worker.
        format_failures: Of each worker.
    """
    wrong = np.ones_like(_NODES)
    for accuracy, failure in zip(accuracies, format_failures, strict=True):
        z = probit(accuracy, failure)
        margins = (z - np.sqrt(rho) * _NODES) / np.sqrt(1.0 - rho)
        wrong *= 1.0 - (1.0 - failure) * np.asarray(ndtr(margins), np.float64)
    return float(1.0 - _WEIGHTS @ wrong)


def solve_rho(
    oracle: float, accuracies: Sequence[float], format_failures: Sequence[float]
) -> float:
    """Rho at which the predicted oracle equals the published one, rounded to 4 decimals.

    Raises:
        ValueError: The oracle is outside what rho in (0, 0.9999) can reach.
    """

    def gap(rho: float) -> float:
        return predicted_oracle(rho, accuracies, format_failures) - oracle

    return round(float(brentq(gap, 1e-6, 0.9999, xtol=1e-6)), 4)


def uncapped_mean(capped_mean: float, sigma: float, cap: float) -> float:
    """Mean of a log-normal length whose mean after cutting at `cap` is `capped_mean`.

    Args:
        capped_mean: Tokens, below the cap.
        sigma: Log-normal spread.
        cap: Tokens.

    Returns:
        Tokens, rounded to 3 decimals. A capped mean of nearly the cap is met within 1 %.
    """
    factors = lognormal_factors(sigma)

    def gap(mean: float) -> float:
        return interpolated_mean(np.minimum(mean * factors, cap)) - capped_mean

    if gap(capped_mean) >= -1e-9:
        return round(capped_mean, 3)
    top = 50.0 * cap
    if gap(top) < 0:
        return top
    return round(float(brentq(gap, capped_mean, top, xtol=1e-4)), 3)
