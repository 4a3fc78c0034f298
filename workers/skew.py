"""The skewness of difficulty: more hopeless queries than easy ones, or the other way round.

Pairs of workers fix how strongly errors are shared, not whether workers fail together more than
they succeed together. That is told by the third moment of how many workers are right. The oracle
(any worker right) is not used, so it stays a check.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

from conductor_gym.workers.calibration import MOST_SKEW, skewed, skewed_probit
from conductor_gym.workers.factors import MOST_SHARED
from conductor_gym.workers.tetrachoric import Array

DRAWS = 60_000
ROUNDS = 3
"""Skewness and loadings are matched in turn; three rounds settle both."""
LEAST_SCALE, MOST_SCALE = 0.8, 1.15
RESAMPLES = 100
SPREAD = 0.05
"""How much tables differ in skewness (assumed; four recorded ones gave -0.04 to 0.06)."""


class Skew(NamedTuple):
    """Skewness of difficulty, and the loadings that go with it.

    Attributes:
        value: gamma of `calibration.skewed`, shrunk towards 0 by its standard error.
        error: Standard error by a bootstrap over queries.
        loadings: float64 [domains, workers, factors], rescaled so that pairs agree as before.
    """

    value: float
    error: float
    loadings: Array


def _moments(scores: Array, domain: npt.NDArray[np.int64], domains: int) -> tuple[float, float]:
    """Second and third central moment of how many workers are right, within domains."""
    right = scores.sum(axis=1)
    sizes = np.maximum(np.bincount(domain, minlength=domains), 1)
    off = right - (np.bincount(domain, right, domains) / sizes)[domain]
    return float((off**2).mean()), float((off**3).mean())


def _standardized(moments: tuple[float, float]) -> float:
    return moments[1] / max(moments[0], 1e-12) ** 1.5


class _Maker:
    """Simulates how many workers are right, always from the same draws."""

    def __init__(
        self, inner: Array, failures: Array, loadings: Array, domain: Array, seed: int
    ) -> None:
        generator = np.random.Generator(np.random.Philox(key=[seed, len(domain)]))
        self.domain = np.sort(generator.choice(domain, DRAWS)).astype(np.int64)
        workers, factors = loadings.shape[1:]
        self._factors = generator.standard_normal((DRAWS, factors))
        self._own = generator.standard_normal((DRAWS, workers))
        self._formed = generator.random((DRAWS, workers)) >= failures.T[self.domain]
        self._inner = inner
        self._loadings = loadings

    def scaled(self, scale: float) -> Array:
        """The loadings times a factor, no worker above the largest shared variance."""
        loadings = self._loadings * scale
        shared = (loadings**2).sum(axis=2, keepdims=True)
        return loadings * np.sqrt(np.minimum(1.0, MOST_SHARED / np.maximum(shared, 1e-9)))

    def moments(self, skew: float, scale: float) -> tuple[float, float]:
        """Second and third moment at a skewness and a scale of the loadings."""
        loadings = self.scaled(scale)
        scores = np.empty_like(self._own)
        for d in np.unique(self.domain).tolist():
            rows = self.domain == d
            factors = self._factors[rows]
            factors[:, 0] = skewed(factors[:, 0], skew)
            rest = np.sqrt(1.0 - (loadings[d] ** 2).sum(axis=1))
            lack = factors @ loadings[d].T + self._own[rows] * rest
            scores[rows] = lack < skewed_probit(self._inner[:, d], loadings[d][:, 0], skew)
        return _moments(scores * self._formed, self.domain, len(loadings))

    def third_beyond(self, wanted: float, scale: float, skew: float) -> float:
        """Third moment minus the wanted one."""
        return self.moments(skew, scale)[1] - wanted

    def second_beyond(self, wanted: float, skew: float, scale: float) -> float:
        """Second moment minus the wanted one."""
        return self.moments(skew, scale)[0] - wanted


def _root(function: Callable[[float], float], low: float, high: float, tolerance: float) -> float:
    """Where a function crosses 0, or the end at which it comes closest."""
    at_low, at_high = function(low), function(high)
    if at_low * at_high > 0:
        return low if abs(at_low) < abs(at_high) else high
    return float(brentq(function, low, high, xtol=tolerance))


def fit_skew(
    scores: Array,
    domain: npt.NDArray[np.int64],
    inner: Array,
    failures: Array,
    loadings: Array,
    seed: int = 0,
) -> Skew:
    """Match the third moment by the skewness of difficulty, the second by the loadings.

    Args:
        scores: 0 or 1, float64 [queries, workers].
        domain: int64 [queries].
        inner: float64 [workers, domains], accuracy given that the format holds.
        failures: float64 [workers, domains], visible format failures.
        loadings: float64 [domains, workers, factors], fitted to pairs.
        seed: Of draws and bootstrap.
    """
    domains = len(loadings)
    second, third = _moments(scores, domain, domains)
    if second < 1e-6:
        return Skew(0.0, 0.0, loadings)
    maker = _Maker(inner, failures, loadings, domain.astype(np.float64), seed)
    skew, scale = 0.0, 1.0
    for _ in range(ROUNDS):
        skew = _root(partial(maker.third_beyond, third, scale), -MOST_SKEW, MOST_SKEW, 0.004)
        scale = _root(partial(maker.second_beyond, second, skew), LEAST_SCALE, MOST_SCALE, 0.002)
    step = 0.05
    slope = (
        _standardized(maker.moments(skew + step, scale))
        - _standardized(maker.moments(skew - step, scale))
    ) / (2.0 * step)
    generator = np.random.Generator(np.random.Philox(key=[seed, len(scores)]))
    picks = (generator.integers(0, len(scores), len(scores)) for _ in range(RESAMPLES))
    again = [_standardized(_moments(scores[rows], domain[rows], domains)) for rows in picks]
    error = float(np.std(again) / max(abs(slope), 1e-6))
    kept = SPREAD**2 / (SPREAD**2 + error**2)
    made = loadings + kept * (maker.scaled(scale) - loadings)
    return Skew(kept * skew, error, made)
