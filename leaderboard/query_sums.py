"""Numbers that are functions of sums over queries, so that resampling queries is one product."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from conductor_gym.leaderboard.metrics import resample_weights
from conductor_gym.workers.tetrachoric import both_below

Array = npt.NDArray[np.float64]
Sums = Callable[[Array], Array]
"""From sums float64 [..., columns] to values float64 [..., who]."""

RESAMPLES = 400
LEAST = 10.0
"""Observations below which a number is not given."""
LARGEST = 0.98
"""Correlations are looked for in [-0.98, 0.98]."""
_STEPS = 8
_PULL = 0.1
"""Weight that draws a worker's loading to the mean one: a few queries tell three apart badly."""


@dataclass(frozen=True)
class Measure:
    """One number for each of several workers, pairs of workers or domains.

    Attributes:
        topic: Heading it belongs under.
        name: What it is, in words.
        parameters: Assumed parameters that it depends on, names of the pool's file.
        who: Of whom or what.
        sums: float64 [queries, columns].
        of: From sums over queries to one number for each of `who`, NaN where too little is known.
    """

    topic: str
    name: str
    parameters: tuple[str, ...]
    who: tuple[str, ...]
    sums: Array
    of: Sums

    def values(self) -> Array:
        """The numbers over all queries, float64 [who]."""
        return self.of(self.sums.sum(axis=0)[None])[0]

    def mean_over_blocks(self, queries: int) -> Array:
        """The numbers of blocks of so many queries, averaged, float64 [who].

        What an estimator is off by at that number of queries is then in them too.
        """
        blocks = self.sums.reshape(-1, queries, self.sums.shape[1]).sum(axis=1)
        return known_mean(self.of(blocks))

    def resampled(self) -> Array:
        """The numbers over queries drawn with replacement, float64 [resamples, who]."""
        queries = len(self.sums)
        weights = resample_weights(queries, RESAMPLES).astype(np.float64) * queries
        return self.of(weights @ self.sums)

    def rare(self) -> Array:
        """Least half widths of intervals, float64 [who]: 3 in n of a share, 0 of other numbers.

        What was never seen in n cases may still happen in 3 / n of them; resampling cannot tell.
        """
        if not isinstance(self.of, Shares):
            return np.zeros(len(self.who))
        return 3.0 / np.maximum(self.of.sizes(self.sums.sum(axis=0)), 1.0)


def around(value: float, resampled: Array, rare: float) -> tuple[float, float]:
    """The 95 % interval of a number from what resampling made of it.

    Resampled queries repeat, which moves some of these numbers (correlations above all); the
    interval is moved back by the distance of the resampled median.

    Args:
        value: The number.
        resampled: float64 [resamples].
        rare: Least half width, see `Measure.rare`.
    """
    known = resampled[np.isfinite(resampled)]
    if not np.isfinite(value) or len(known) < RESAMPLES // 2:
        return float("nan"), float("nan")
    low, middle, high = np.quantile(known, [0.025, 0.5, 0.975])
    below, above = min(float(low - middle), -rare), max(float(high - middle), rare)
    return value + below, value + above


def known_mean(values: Array) -> Array:
    """Mean along the first axis of what is not NaN; NaN where nothing is."""
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=0)
    count = known.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


@dataclass(frozen=True)
class Shares:
    """Of `width` pairs of columns (part, size): part / size.

    Attributes:
        width: Number of pairs.
    """

    width: int

    def __call__(self, sums: Array) -> Array:
        """The shares, float64 [..., width]."""
        pairs = sums.reshape(*sums.shape[:-1], self.width, 2)
        return over(pairs[..., 0], pairs[..., 1])

    def sizes(self, sums: Array) -> Array:
        """What they are shares of, float64 [..., width]."""
        return sums.reshape(*sums.shape[:-1], self.width, 2)[..., 1]


def over(part: Array, size: Array) -> Array:
    """Part / size, NaN where the size is below `LEAST`."""
    enough = size >= LEAST
    return np.where(enough, part / np.where(enough, size, 1.0), np.nan)


def acceptance(sums: Array) -> tuple[Array, Array]:
    """Probits of the rates at which right and wrong answers are accepted.

    Half an answer is added to each count, so that rates of 0 and 1 have a probit.

    Args:
        sums: float64 [..., 4]: right answers, those accepted, wrong answers, those accepted.
    """
    right, hits, wrong, alarms = (sums[..., k] for k in range(4))
    known = (right >= LEAST) & (wrong >= LEAST)
    one = _probit((hits + 0.5) / (right + 1.0))
    other = _probit((alarms + 0.5) / (wrong + 1.0))
    return np.where(known, one, np.nan), np.where(known, other, np.nan)


def _probit(share: Array) -> Array:
    return np.asarray(ndtri(share), np.float64)


def common_correlation(sums: Array) -> Array:
    """The correlation of two normals behind right-or-wrong outcomes that is the same in all strata.

    Each stratum has thresholds of its own. The correlation is the one at which as many pairs are
    both right as were seen, all strata together, corrected for thresholds being estimated from the
    same queries.

    Args:
        sums: float64 [..., strata, 5] over queries: their number, the share of right first
            outcomes, of right second ones, of pairs that are both right, and the product of the
            two shares.

    Returns:
        Correlations [...] in [-0.98, 0.98]; NaN where strata with both outcomes hold too few.
    """
    size = sums[..., 0]
    n = np.maximum(size, 1.0)
    p, q = sums[..., 1] / n, sums[..., 2] / n
    used = (size > 1.5) & (p > 0.0) & (p < 1.0) & (q > 0.0) & (q < 1.0)
    together = (sums[..., 4] / n - p * q) / np.maximum(n - 1.0, 1.0)
    excess = np.where(used, n * (sums[..., 3] / n - p * q + together), 0.0).sum(axis=-1)
    h, k = (_probit(np.clip(share, 0.5 / n, 1.0 - 0.5 / n)) for share in (p, q))
    at_zero = both_below(h, k, np.zeros_like(h))
    low, high = np.full(excess.shape, -LARGEST), np.full(excess.shape, LARGEST)
    found = np.zeros(excess.shape)
    for _ in range(_STEPS):  # Newton's, halving where it would leave what is known
        made = both_below(h, k, np.broadcast_to(found[..., None], h.shape)) - at_zero
        off = np.where(used, n * made, 0.0).sum(axis=-1) - excess
        low, high = np.where(off < 0, found, low), np.where(off < 0, high, found)
        slope = np.where(used, n * _density(h, k, found[..., None]), 0.0).sum(axis=-1)
        step = found - off / np.maximum(slope, 1e-9)
        found = np.where((step >= low) & (step <= high), step, 0.5 * (low + high))
    enough = np.where(used, size, 0.0).sum(axis=-1) >= LEAST
    return np.where(enough, found, np.nan)


def _density(h: Array, k: Array, correlation: Array) -> Array:
    """Of two standard normals of this correlation."""
    rest = 1.0 - correlation**2
    height = np.exp(-(h * h - 2.0 * correlation * h * k + k * k) / (2.0 * rest))
    return np.asarray(height / (2.0 * np.pi * np.sqrt(rest)), np.float64)


def shared_variance(correlations: Array) -> Array:
    """What each worker shares with the others, from their pair correlations: one factor.

    Loadings are drawn a little to their mean.

    Args:
        correlations: float64 [..., workers, workers]; the diagonal is not read.

    Returns:
        Shares of variance [..., workers] in [0, 0.98].
    """
    workers = correlations.shape[-1]
    if workers == 2:  # nothing tells two loadings apart
        both = np.clip(correlations[..., 0, 1], 0.0, LARGEST)
        return np.stack([both, both], axis=-1)
    between = np.where(np.eye(workers, dtype=bool), 0.0, correlations)
    loadings = np.full(correlations.shape[:-1], 0.8)
    for _ in range(100):  # alternating least squares, one worker after the other
        for w in range(workers):
            others = np.delete(loadings, w, axis=-1)
            row = np.delete(between[..., w, :], w, axis=-1)
            pull = _PULL * loadings.mean(axis=-1)
            fitted = ((row * others).sum(axis=-1) + pull) / ((others**2).sum(axis=-1) + _PULL)
            loadings[..., w] = np.clip(fitted, 0.0, np.sqrt(LARGEST))
    return loadings**2
