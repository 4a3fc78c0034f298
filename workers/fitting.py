"""Fitting a simulated pool to recorded single calls.

Ability comes from each worker's accuracy by domain. What workers share comes from *pairs*: the
tetrachoric correlation of two workers' outcomes on one domain estimates a_i·a_j·rho_d, and loadings
a and shares rho are the weighted least-squares solution over all pairs and domains. The oracle
(any worker right) is never used, so it stays a check.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq, least_squares
from scipy.special import expit, ndtr, ndtri

from conductor_gym.errors import DataFileError

MIN_QUERIES = 20
"""Fewest queries of a domain that a correlation is estimated from."""
RESAMPLES = 30
LARGEST = 0.98
_NODES, _RAW_WEIGHTS = np.polynomial.hermite_e.hermegauss(61)
_WEIGHTS = _RAW_WEIGHTS / _RAW_WEIGHTS.sum()

Scores = npt.NDArray[np.float64]


class Fitted(NamedTuple):
    """What a table of single calls tells.

    Attributes:
        accuracy: float64 [workers, domains], kept half a query away from 0 and 1.
        accuracy_error: Standard errors of it.
        loadings: float64 [workers], in (0, 1].
        rho: float64 [domains].
        rho_low: 2.5 % quantile over bootstrap resamples of the queries.
        rho_high: 97.5 % quantile.
        residual: Root mean square of pair correlations minus a_i·a_j·rho_d.
    """

    accuracy: Scores
    accuracy_error: Scores
    loadings: Scores
    rho: Scores
    rho_low: Scores
    rho_high: Scores
    residual: float


def tetrachoric(first: Scores, second: Scores) -> float:
    """Correlation of the two normals behind two binary columns.

    Solved from the share of queries that both get right; integrals by Gauss-Hermite quadrature
    over the part that the two have in common.

    Args:
        first: 0 or 1, float64 [queries], not constant.
        second: Likewise.

    Returns:
        A correlation in [-0.98, 0.98].
    """
    z1, z2 = ndtri(float(first.mean())), ndtri(float(second.mean()))
    together = float((first * second).mean())

    def gap(correlation: float) -> float:
        shared = np.sqrt(abs(correlation))
        rest = np.sqrt(1.0 - abs(correlation))
        one = np.asarray(ndtr((z1 - shared * _NODES) / rest), np.float64)
        two = np.asarray(ndtr((z2 - np.sign(correlation) * shared * _NODES) / rest), np.float64)
        return float(_WEIGHTS @ (one * two)) - together

    if gap(-LARGEST) > 0:
        return -LARGEST
    if gap(LARGEST) < 0:
        return LARGEST
    return float(brentq(gap, -LARGEST, LARGEST, xtol=1e-4))


def _pairs(scores: Scores, domain: npt.NDArray[np.int64], domains: int) -> Scores:
    """Rows (domain, i, j, correlation, queries) of every pair that can be estimated."""
    rows: list[tuple[float, ...]] = []
    for d in range(domains):
        here = scores[domain == d]
        varies = (here.mean(axis=0) > 0) & (here.mean(axis=0) < 1)
        rows += [
            (d, i, j, tetrachoric(here[:, i], here[:, j]), len(here))
            for i in range(scores.shape[1])
            for j in range(i)
            if varies[i] and varies[j]
        ]
    return np.array(rows).reshape(-1, 5)


def _solve(pairs: Scores, workers: int, domains: int) -> tuple[Scores, Scores, float]:
    d, i, j = pairs[:, :3].astype(np.int64).T
    weight = np.sqrt(pairs[:, 4] / pairs[:, 4].mean())

    def unpack(free: Scores) -> tuple[Scores, Scores]:
        return expit(free[:workers]), 0.9999 * expit(free[workers:])

    def residuals(free: Scores) -> Scores:
        loadings, rho = unpack(free)
        # A weak pull keeps the scale that loadings and rho share from drifting.
        pull = 0.02 * (1.0 - loadings)
        return np.concatenate([weight * (loadings[i] * loadings[j] * rho[d] - pairs[:, 3]), pull])

    start = np.concatenate([np.full(workers, 3.0), np.full(domains, 1.0)])
    found: Any = least_squares(residuals, start)
    loadings, rho = unpack(np.asarray(found.x, np.float64))
    # Only products a_i·a_j·rho_d are told: the scale is set by a largest loading of 1.
    largest = float(loadings.max())
    loadings, rho = loadings / largest, rho * largest**2
    off = loadings[i] * loadings[j] * rho[d] - pairs[:, 3]
    return loadings, rho, float(np.sqrt(np.mean(off**2)))


def fit_scores(
    scores: Scores, domain: npt.NDArray[np.int64], names: tuple[str, ...], seed: int = 0
) -> Fitted:
    """Fit ability, loadings and shared difficulty.

    Args:
        scores: 0 or 1, float64 [queries, workers].
        domain: int64 [queries].
        names: Names of the domains.
        seed: Of the bootstrap that gives rho its interval.

    Raises:
        DataFileError: Fewer than two workers, scores that are not 0 or 1, a domain with too few
            queries, or columns that never vary.
    """
    workers, domains = scores.shape[1], len(names)
    if workers < 2:
        raise DataFileError("a fit needs at least two workers: what they share comes from pairs.")
    if not np.isin(scores, (0.0, 1.0)).all():
        raise DataFileError("a fit needs scores that are 0 or 1; grade the outcomes first.")
    sizes = np.bincount(domain, minlength=domains)
    for name, size in zip(names, sizes.tolist(), strict=True):
        if size < MIN_QUERIES:
            raise DataFileError(
                f"domain {name!r} has {size} queries, at least {MIN_QUERIES} are needed. "
                "Merge it with another one."
            )
    means = np.stack([scores[domain == d].mean(axis=0) for d in range(domains)], axis=1)
    pairs = _pairs(scores, domain, domains)
    if len(np.unique(pairs[:, 0])) < domains:
        lacking = [name for d, name in enumerate(names) if d not in pairs[:, 0]]
        raise DataFileError(
            f"on {', '.join(lacking)} fewer than two workers are ever both right and wrong: "
            "nothing tells what they share."
        )
    loadings, rho, residual = _solve(pairs, workers, domains)

    generator = np.random.Generator(np.random.Philox(key=[seed, len(scores)]))
    again: list[Scores] = []
    for _ in range(RESAMPLES):
        rows = generator.integers(0, len(scores), len(scores))
        resampled = _pairs(scores[rows], domain[rows], domains)
        if len(np.unique(resampled[:, 0])) == domains:
            again.append(_solve(resampled, workers, domains)[1])
    low, high = np.quantile(np.stack(again or [rho]), [0.025, 0.975], axis=0)
    accuracy = np.clip(means, 0.5 / sizes, 1.0 - 0.5 / sizes)
    return Fitted(
        accuracy,
        np.sqrt(accuracy * (1.0 - accuracy) / sizes),
        loadings,
        rho,
        np.asarray(low),
        np.asarray(high),
        residual,
    )
