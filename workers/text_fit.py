"""What a query's text tells: a ridge regression of difficulty and own trouble on its features.

Judged on queries that the regression did not see, and corrected for how little right and wrong
answers say of the difficulty: r² = (out-of-fold R² of the posterior mean) / (its reliability).
"""

from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import RidgeCV  # pyright: ignore[reportMissingTypeStubs]
from sklearn.model_selection import (  # pyright: ignore[reportMissingTypeStubs]
    KFold,
    cross_val_predict,  # pyright: ignore[reportUnknownVariableType]
)

from conductor_gym.workers.posterior import Posterior
from conductor_gym.workers.tetrachoric import Array

ALPHAS = np.logspace(-1, 5, 13)
FOLDS = 5
MOST = 0.95
FEWEST_QUERIES = 200
"""Below this, nothing is read from text."""


class TextFunction(NamedTuple):
    """A linear function of text features, of variance 1 over the fitted queries.

    Attributes:
        weights: float64 [features].
        offsets: float64 [domains]; with them the mean is 0 on every domain.
    """

    weights: Array
    offsets: Array


class TextFit(NamedTuple):
    """What text tells.

    Attributes:
        r2_delta: Share of the difficulty's variance.
        r2_delta_error: Standard error, by what folds differ.
        r2_own: Share of the variance of workers' own trouble, mean over workers.
        r2_own_error: Standard error, by what workers differ.
        delta: Direction of difficulty, None where text tells nothing.
        own: Direction of each worker's own trouble, None where text tells nothing.
    """

    r2_delta: float
    r2_delta_error: float
    r2_own: float
    r2_own_error: float
    delta: TextFunction | None
    own: tuple[TextFunction, ...] | None


NOTHING = TextFit(0.0, 0.0, 0.0, 0.0, None, None)


def _centred(table: Array, domain: npt.NDArray[np.int64], domains: int) -> tuple[Array, Array]:
    """A table [queries, columns] minus its mean by domain, and the means [domains, columns]."""
    sizes = np.maximum(np.bincount(domain, minlength=domains), 1)
    sums = np.stack([np.bincount(domain, column, domains) for column in table.T], axis=1)
    means = sums / sizes[:, None]
    return table - means[domain], means


def _explained(features: Array, target: Array, folds: Any) -> tuple[float, float]:
    """Out-of-fold R², not cut at 0, and its standard error over folds."""
    ridge = cast(Any, RidgeCV)(alphas=ALPHAS)
    predicted = cast(Any, cross_val_predict)(ridge, features, target, cv=folds)
    total = float((target**2).mean())
    if total <= 0.0:
        return 0.0, 0.0
    gains = target**2 - (target - np.asarray(predicted, np.float64)) ** 2
    by_fold = [float(gains[test].mean()) / total for _, test in folds.split(features)]
    error = float(np.std(by_fold, ddof=1)) / np.sqrt(len(by_fold))
    return float(gains.mean()) / total, float(error)


def _function(features: Array, means: Array, target: Array) -> TextFunction | None:
    model: Any = cast(Any, RidgeCV)(alphas=ALPHAS).fit(features, target)
    weights = np.asarray(model.coef_, np.float64)
    spread = float(np.std(features @ weights))
    if spread < 1e-12:
        return None
    weights = weights / spread
    return TextFunction(weights, -(means @ weights))


def fit_text(
    features: Array, domain: npt.NDArray[np.int64], domains: int, told: Posterior, seed: int = 0
) -> TextFit:
    """Fit what text tells beyond the domain.

    Args:
        features: float64 [queries, features].
        domain: int64 [queries].
        domains: Number of domains.
        told: Posterior means given the outcomes.
        seed: Of the folds.
    """
    if len(features) < FEWEST_QUERIES or not bool(np.ptp(features, axis=0).any()):
        return NOTHING
    centred, means = _centred(features, domain, domains)
    folds = cast(Any, KFold)(FOLDS, shuffle=True, random_state=seed)

    def share(target: Array) -> tuple[float, float]:
        reliability = float(np.var(target))
        if reliability < 1e-6:
            return 0.0, 0.0
        explained, error = _explained(centred, target, folds)
        return explained / reliability, error / reliability

    difficulty = _centred(told.difficulty[:, None], domain, domains)[0][:, 0]
    trouble = _centred(told.trouble, domain, domains)[0]
    r2_delta, delta_error = share(difficulty)
    shares = np.array([share(column)[0] for column in trouble.T])
    r2_own = float(shares.mean())
    own_error = float(shares.std(ddof=1) / np.sqrt(len(shares))) if len(shares) > 1 else 0.0
    delta = _function(centred, means, difficulty) if r2_delta > 0 else None
    functions = [_function(centred, means, column) for column in trouble.T] if r2_own > 0 else []
    own = tuple(f for f in functions if f is not None)
    return TextFit(
        float(np.clip(r2_delta, 0.0, MOST)) if delta is not None else 0.0,
        delta_error,
        float(np.clip(r2_own, 0.0, MOST)) if len(own) == len(shares) else 0.0,
        own_error,
        delta,
        own if len(own) == len(shares) else None,
    )
