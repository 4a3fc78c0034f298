"""Shared factors: which part of pair correlations is one difficulty, a family's, or noise.

Three steps, none of which looks at the oracle, so that it stays a check:

1. One factor for all domains: correlation = a_i·a_j·s_d, by weighted least squares.
2. What is left over, by pair and by (domain, pair), is shrunk towards 0 by as much as its standard
   errors explain (empirical Bayes, variances by the method of moments of DerSimonian and Laird).
3. Per domain, a few factors that reproduce the shrunken correlations (minimum residuals).
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from conductor_gym.dynamics.state import MAX_FACTORS
from conductor_gym.workers.tetrachoric import Array, Pairs

MOST_SHARED = 0.97
"""Largest share of a worker's variance that factors may explain."""
USABLE_ERROR = 0.5
"""Pairs with a larger standard error say nothing about how much domains differ."""
FLOOR_ERROR = 0.02
"""Added to standard errors, so that no single pair rules a fit."""
GOOD_FIT = 0.005
"""Root mean square residual, in correlations, below which no further factor is added."""

Indices = npt.NDArray[np.int64]


class Shared(NamedTuple):
    """What workers share.

    Attributes:
        loadings: float64 [domains, workers, factors], on standard normal factors; the sum of
            their squares is the share of a worker's variance that is shared.
        pair_spread: Standard deviation of pairs' own correlations, the same on all domains.
        domain_spread: Standard deviation of pairs' own correlations by domain.
        residual: Root mean square of observed minus reproduced correlations, weighted by what is
            known of each.
    """

    loadings: Array
    pair_spread: float
    domain_spread: float
    residual: float


def one_factor(pairs: Pairs, workers: int, domains: int) -> tuple[Array, Array]:
    """Loadings float64 [workers] and scales float64 [domains] of one difficulty."""
    d, i, j = pairs.domain, pairs.first, pairs.second
    weight = 1.0 / np.hypot(pairs.error, FLOOR_ERROR)
    rows = np.arange(len(d))

    def residuals(free: Array) -> Array:
        a, s = free[:workers], np.exp(free[workers:])
        # Weak pulls: domains with few queries stay near the others, and a·a·s has one scale.
        return np.concatenate(
            [weight * (a[i] * a[j] * s[d] - pairs.correlation), 0.3 * free[workers:]]
        )

    def jacobian(free: Array) -> Array:
        a, s = free[:workers], np.exp(free[workers:])
        table = np.zeros((len(d) + domains, len(free)))
        np.add.at(table, (rows, i), weight * a[j] * s[d])
        np.add.at(table, (rows, j), weight * a[i] * s[d])
        table[rows, workers + d] = weight * a[i] * a[j] * s[d]
        table[len(d) + np.arange(domains), workers + np.arange(domains)] = 0.3
        return table

    start = np.concatenate([np.full(workers, 0.85), np.zeros(domains)])
    found: Any = least_squares(residuals, start, jac=jacobian)  # pyright: ignore[reportArgumentType]
    return np.asarray(found.x[:workers]), np.exp(np.asarray(found.x[workers:]))


def _moment_variance(excess: Array, precision: Array, groups: Indices, size: int) -> float:
    """Variance between entries of a group beyond their errors, at least 0."""
    total = np.bincount(groups, precision, size)
    kept = total > 0
    mean = np.divide(
        np.bincount(groups, precision * excess, size), total, out=np.zeros(size), where=kept
    )
    seen = np.bincount(groups, (precision > 0).astype(float), size)
    freedom = float(seen.sum() - kept.sum())
    spread = float((precision * (excess - mean[groups]) ** 2).sum())
    squares = np.bincount(groups, precision**2, size)
    scale = float(total.sum() - (squares[kept] / total[kept]).sum())
    return max(0.0, (spread - freedom) / scale) if scale > 0 else 0.0


def shrink(pairs: Pairs, expected: Array, workers: int) -> tuple[Array, Array, float, float]:
    """Correlations pulled to the expected ones by as much as noise explains.

    Returns:
        Shrunken correlations [pairs]; the pairs' own excess float64 [workers, workers]; standard
        deviations of pairs' and of (domain, pair)s' own correlations.
    """
    excess = pairs.correlation - expected
    code = pairs.first * workers + pairs.second
    size = workers * workers
    usable = pairs.error < USABLE_ERROR
    precision = np.where(usable, 1.0 / pairs.error**2, 0.0)
    by_domain = _moment_variance(excess, precision, code, size)
    precision = np.where(usable, 1.0 / (pairs.error**2 + by_domain), 0.0)
    total = np.bincount(code, precision, size)
    kept = total > 0
    mean = np.divide(
        np.bincount(code, precision * excess, size), total, out=np.zeros(size), where=kept
    )
    spread = float((total[kept] * mean[kept] ** 2).sum() - kept.sum())
    by_pair = max(0.0, spread / float(total.sum())) if kept.any() else 0.0
    own = np.zeros(size)
    if by_pair > 0:
        own[kept] = mean[kept] * by_pair / (by_pair + 1.0 / total[kept])
    left = (excess - own[code]) * by_domain / (by_domain + pairs.error**2)
    shrunken = expected + own[code] + np.where(usable, left, 0.0)
    table = own.reshape(workers, workers)
    return (
        np.clip(shrunken, -MOST_SHARED, MOST_SHARED),
        table + table.T,
        float(np.sqrt(by_pair)),
        float(np.sqrt(by_domain)),
    )


def minimum_residuals(target: Array, error: Array, factors: int) -> tuple[Array, float]:
    """Loadings that reproduce the off-diagonal correlations of one domain.

    Args:
        target: float64 [workers, workers], a correlation matrix.
        error: float64 [workers, workers], how well each entry is known.
        factors: Number of factors.

    Returns:
        Loadings float64 [workers, factors], and the root mean square residual.
    """
    workers = len(target)
    i, j = np.tril_indices(workers, -1)
    weight = 1.0 / np.hypot(error[i, j], FLOOR_ERROR)
    weight /= weight.mean()
    reduced = target.copy()
    loadings = np.zeros((workers, factors))
    for _ in range(5):  # principal factors as a start
        values, vectors = np.linalg.eigh(reduced)
        top = np.sqrt(np.clip(values[::-1][:factors], 1e-6, None))
        loadings = vectors[:, ::-1][:, :factors] * top
        np.fill_diagonal(reduced, np.clip((loadings**2).sum(axis=1), 0.0, MOST_SHARED))
    rows, diagonal = np.arange(len(i)), np.arange(workers)

    def residuals(free: Array) -> Array:
        table = free.reshape(workers, factors)
        made = (table[i] * table[j]).sum(axis=1)
        over = np.maximum(0.0, (table**2).sum(axis=1) - MOST_SHARED)
        return np.concatenate([weight * (made - target[i, j]), 3.0 * over])

    def jacobian(free: Array) -> Array:
        table = free.reshape(workers, factors)
        over = (table**2).sum(axis=1) > MOST_SHARED
        slopes = np.zeros((len(i) + workers, workers * factors))
        for f in range(factors):
            slopes[rows, i * factors + f] = weight * table[j, f]
            slopes[rows, j * factors + f] = weight * table[i, f]
            slopes[len(i) + diagonal, diagonal * factors + f] = 6.0 * over * table[:, f]
        return slopes

    found: Any = least_squares(residuals, loadings.ravel(), jac=jacobian, max_nfev=100)  # pyright: ignore[reportArgumentType]
    loadings = np.asarray(found.x).reshape(workers, factors)
    shared = (loadings**2).sum(axis=1)
    loadings = loadings * np.sqrt(np.minimum(1.0, MOST_SHARED / np.maximum(shared, 1e-9)))[:, None]
    off = (loadings[i] * loadings[j]).sum(axis=1) - target[i, j]
    return loadings, float(np.sqrt(np.average(off**2, weights=weight**2)))


def _difficulty_first(loadings: Array, common: Array) -> Array:
    """Rotate factors so that the first is the one that all workers feel, larger being harder."""
    weights = loadings.T @ common
    length = float(np.linalg.norm(weights))
    if length < 1e-9:
        return loadings
    basis = np.column_stack([weights / length, np.eye(len(weights))[:, 1:]])
    rotation, _ = np.linalg.qr(basis)
    rotation[:, 0] = weights / length
    return loadings @ rotation


def _identified(workers: int) -> int:
    """Most factors that pair correlations determine (Ledermann 1937): (w - f)² >= w + f."""
    return max(f for f in range(workers) if (workers - f) ** 2 >= workers + f or f == 0)


def fit_shared(pairs: Pairs, workers: int, domains: int) -> Shared:
    """What workers share, from their pair correlations.

    Args:
        pairs: Of every domain, at least one.
        workers: Number of workers.
        domains: Number of domains.
    """
    common, scale = one_factor(pairs, workers, domains)
    expected = common[pairs.first] * common[pairs.second] * scale[pairs.domain]
    shrunken, own, pair_spread, domain_spread = shrink(pairs, expected, workers)
    known = 1.0 / (1.0 / pairs.error**2 + 1.0 / max(pair_spread**2 + domain_spread**2, 1e-4))
    targets = np.empty((domains, workers, workers))
    errors = np.full((domains, workers, workers), 0.3)
    for d in range(domains):
        targets[d] = np.clip(np.outer(common, common) * scale[d] + own, -MOST_SHARED, MOST_SHARED)
        np.fill_diagonal(targets[d], 1.0)
    for a, b in ((pairs.first, pairs.second), (pairs.second, pairs.first)):
        targets[pairs.domain, a, b] = shrunken
        errors[pairs.domain, a, b] = np.sqrt(known)
    most = max(1, min(MAX_FACTORS, _identified(workers)))
    loadings = np.zeros((domains, workers, 1))
    for factors in range(1, most + 1):
        found = [minimum_residuals(targets[d], errors[d], factors) for d in range(domains)]
        loadings = np.stack([_difficulty_first(table, common) for table, _ in found])
        if np.mean([residual**2 for _, residual in found]) < GOOD_FIT**2:
            break
    made = (loadings[pairs.domain, pairs.first] * loadings[pairs.domain, pairs.second]).sum(axis=1)
    off = (made - pairs.correlation) ** 2
    residual = np.sqrt(np.average(off, weights=1.0 / (pairs.error**2 + FLOOR_ERROR**2)))
    return Shared(loadings, pair_spread, domain_spread, float(residual))
