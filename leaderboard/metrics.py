"""Means with paired bootstrap intervals over queries, and over training seeds where there are any.

All rows of a track are resampled with the same draws, so differences between rows are paired.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

RESAMPLES = 2000
_SEED = 20_260_101


class Estimate(BaseModel):
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float


@lru_cache(maxsize=4)
def resample_weights(episodes: int, resamples: int = RESAMPLES) -> npt.NDArray[np.float32]:
    """Bootstrap weights, float32 [resamples, episodes]; each row sums to 1.

    A function of its arguments alone: the same for every agent of a track.
    """
    generator = np.random.Generator(np.random.Philox(key=[_SEED, episodes]))
    weights = np.empty((resamples, episodes), np.float32)
    for row in weights:
        drawn = generator.integers(0, episodes, episodes)
        row[:] = np.bincount(drawn, minlength=episodes) / episodes
    return weights


def deviations(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How far the mean of each resample is from the mean.

    Args:
        values: float64 [episodes] or [episodes, agents].

    Returns:
        float64 [resamples] or [resamples, agents]. Columns share their draws: the difference of
        two is that of the paired difference.
    """
    # Centred before the product in float32: large means do not cost precision.
    centred = (values - values.mean(axis=0)).astype(np.float32)
    return (resample_weights(len(values)) @ centred).astype(np.float64)


def interval(mean: float, spread: npt.NDArray[np.float64]) -> Estimate:
    """A mean with its percentile bootstrap interval.

    Args:
        mean: Over all episodes.
        spread: float64 [resamples], from `deviations`.
    """
    low, high = np.quantile(spread, [0.025, 0.975])
    return Estimate(mean=mean, low=mean + float(low), high=mean + float(high))


def seed_deviations(
    seed_means: Sequence[float], resamples: int = RESAMPLES
) -> npt.NDArray[np.float64]:
    """How far the mean over resampled training seeds is from the mean, float64 [resamples].

    Args:
        seed_means: One value a training seed; with fewer than two there is nothing to resample.
        resamples: How often.
    """
    if len(seed_means) < 2:
        return np.zeros(resamples)
    values = np.asarray(seed_means, np.float64)
    generator = np.random.Generator(np.random.Philox(key=[_SEED, len(values)]))
    drawn = generator.integers(0, len(values), (resamples, len(values)))
    return (values - values.mean())[drawn].mean(axis=1)


def estimate(values: npt.NDArray[np.float64], seed_means: Sequence[float] = ()) -> Estimate:
    """Mean of one value per episode, with a percentile bootstrap interval.

    Args:
        values: float64 [episodes]; means over training seeds where there are several.
        seed_means: Mean over the episodes by training seed: both queries and training seeds are
            then resampled, as if their effects added up.
    """
    return interval(float(values.mean()), deviations(values) + seed_deviations(seed_means))
