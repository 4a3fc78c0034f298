"""Public normals of tasks with text: what reading a task tells of its difficulty.

They stand where a statistical suite draws its own: entry 0 tells of the difficulty, the others of
each worker's own trouble. Which words are hard is not known, so random but fixed directions over
the features stand in for it (`assumed`); how much they tell, the pool says. Entries have mean 0,
variance 1 and no correlation over the train rows of a domain. Other rows are measured by the same
numbers and change nothing.

Sums are exact (`math.fsum`) and the rest is elementwise, so neither the order of the rows nor the
machine matters.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from conductor_gym.dynamics.keyed import uid_word
from conductor_gym.dynamics.state import N_NORMALS

LEVEL_SHARE = 0.5
"""Share of entry 0's variance that a task's level tells, the rest its text: `assumed`."""
TRAIN_ROWS_PER_ENTRY = 8
"""Train rows of a domain for each entry that its text fills; entries beyond are 0."""
LIMIT = 4.0
"""Largest size of an entry and of a standardized feature."""

_DRAWN_IN = 3.0  # outliers are, before the last standardizing: the final clip then seldom acts
_LEAST_SPREAD = 1e-6  # features are float32 in [-1, 1]: below this it is rounding
_LEAST_NEW = 0.1  # of an entry's standard deviation that earlier entries do not explain

Floats = npt.NDArray[np.float64]


class _Scale(NamedTuple):
    """Mean and spread of a column over its train rows; spread 0 for a column without variance."""

    mean: float
    spread: float

    def of(self, column: Floats) -> Floats:
        """The column in units of the spread, 0 where there is none."""
        if self.spread == 0.0:
            return np.zeros_like(column)
        return (column - self.mean) / self.spread


def _mean(column: Floats) -> float:
    return math.fsum(column.tolist()) / len(column)


def _scale(column: Floats, least: float = _LEAST_SPREAD) -> _Scale:
    mean = _mean(column)
    spread = math.sqrt(_mean((column - mean) ** 2))
    return _Scale(mean, spread if spread > least else 0.0)


def text_direction(entry: int, features: int) -> list[float]:
    """Weights in [-1, 1] of the features for one entry: public, of its number alone."""
    return [
        uid_word(f"text direction {entry} of feature {k}") / 2**63 - 1.0 for k in range(features)
    ]


def public_normals(
    features: Floats,
    level: npt.NDArray[np.int64],
    domain: npt.NDArray[np.int64],
    train: npt.NDArray[np.bool_],
) -> Floats:
    """Public normals of every task, domain by domain.

    Where levels or texts of a domain do not vary, entry 0 rests on the other alone. Entries that
    train rows or features are too few for are 0, and workers' own trouble is then told a little
    less than the pool says. A domain without train rows is told nothing about.

    Args:
        features: float64 [tasks, features] in [-1, 1], of the text.
        level: int64 [tasks].
        domain: int64 [tasks].
        train: bool [tasks], rows that means, spreads and correlations are taken from.

    Returns:
        float64 [tasks, 16] in [-4, 4], rounded to 6 decimals.
    """
    normals = np.zeros((len(features), N_NORMALS))
    for d in np.unique(domain).tolist():
        rows = np.flatnonzero(domain == d)
        learn = train[rows]
        if learn.any():
            normals[rows] = _of_domain(features[rows], level[rows].astype(np.float64), learn)
    return np.round(np.clip(normals, -LIMIT, LIMIT), 6) + 0.0  # no negative zeros


def _of_domain(features: Floats, level: Floats, train: npt.NDArray[np.bool_]) -> Floats:
    shown = [np.clip(_scale(column[train]).of(column), -LIMIT, LIMIT) for column in features.T]
    by_level = _scale(level[train]).of(level)
    fillable = min(N_NORMALS, int(train.sum()) // TRAIN_ROWS_PER_ENTRY)

    normals = np.zeros((len(level), N_NORMALS))
    entries: list[Floats] = []
    for j in range(fillable):
        mixed = np.zeros(len(level))
        for weight, column in zip(text_direction(j, len(shown)), shown, strict=True):
            mixed += weight * column
        mixed = _scale(mixed[train]).of(mixed)
        told = entries if j else [by_level]
        fresh = _fresh(mixed, told, train)
        fresh = _fresh(np.clip(fresh, -_DRAWN_IN, _DRAWN_IN), told, train)
        if j == 0:
            fresh = _with_level(by_level, fresh)
        if fresh.any():
            entries.append(fresh)
        normals[:, j] = fresh
    if not fillable:
        normals[:, 0] = by_level
    return normals


def _fresh(mixed: Floats, told: list[Floats], train: npt.NDArray[np.bool_]) -> Floats:
    """What a column adds to others of variance 1, standardized; 0 where it adds next to nothing."""
    for earlier in told:
        mixed = mixed - _mean(mixed[train] * earlier[train]) * earlier
    return _scale(mixed[train], _LEAST_NEW).of(mixed)


def _with_level(by_level: Floats, by_text: Floats) -> Floats:
    """Entry 0: both in their shares, or the one that varies alone."""
    if not by_level.any() or not by_text.any():
        return by_level + by_text
    return math.sqrt(LEVEL_SHARE) * by_level + math.sqrt(1.0 - LEVEL_SHARE) * by_text
