"""Tetrachoric correlations: what two workers share on a domain, from how often both are right."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

Array = npt.NDArray[np.float64]

LARGEST = 0.98
"""Correlations are looked for in [-0.98, 0.98]."""
_HALVINGS = 24
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)


class Pairs(NamedTuple):
    """One entry for every domain and pair of workers, all arrays [pairs].

    Attributes:
        domain: int64.
        first: int64, worker.
        second: int64, worker below `first`.
        correlation: float64.
        error: float64, standard error by the delta method.
    """

    domain: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    correlation: Array
    error: Array


def both_below(one: Array, other: Array, correlation: Array) -> Array:
    """P(X < one and Y < other) for two standard normals of this correlation.

    Integrates Plackett's identity dP/dr = density(one, other; r) along r = sin(t) with 32
    Gauss-Legendre nodes (Drezner and Wesolowsky 1990).
    """
    end = np.arcsin(correlation)[..., None]
    t = 0.5 * (_NODES + 1.0) * end
    sine, square = np.sin(t), np.cos(t) ** 2
    h, k = one[..., None], other[..., None]
    heights = np.exp(-(h * h - 2.0 * h * k * sine + k * k) / (2.0 * square))
    area = (heights @ _WEIGHTS) * end[..., 0] / 2.0
    return np.asarray(ndtr(one) * ndtr(other) + area / (2.0 * np.pi), np.float64)


def tetrachoric(one: Array, other: Array, together: Array) -> Array:
    """Correlation of the two normals behind pairs of right-or-wrong outcomes.

    Args:
        one: Probits of the first workers' accuracies.
        other: Probits of the second workers' accuracies.
        together: Shares of queries that both get right.

    Returns:
        Correlations in [-0.98, 0.98], within 1e-7.
    """
    low = np.full(together.shape, -LARGEST)
    high = np.full(together.shape, LARGEST)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        less = both_below(one, other, middle) < together
        low, high = np.where(less, middle, low), np.where(less, high, middle)
    return 0.5 * (low + high)


def _errors(
    h: Array, k: Array, correlation: Array, p: Array, q: Array, together: Array, queries: Array
) -> Array:
    """Standard errors by the delta method, thresholds estimated from the same queries.

    One query moves the estimate by (s1·s2 - a·s1 - b·s2) / density, with a and b the
    derivatives of P(both) by either accuracy.
    """
    r = np.clip(correlation, -0.95, 0.95)
    rest = np.sqrt(1.0 - r * r)
    density = np.exp(-(h * h - 2.0 * r * h * k + k * k) / (2.0 * rest**2)) / (2.0 * np.pi * rest)
    a = np.asarray(ndtr((k - r * h) / rest), np.float64)
    b = np.asarray(ndtr((h - r * k) / rest), np.float64)
    # Half a query in each cell: an empty cell is not known to be impossible.
    size = queries + 2.0
    both = (together * queries + 0.5) / size
    only_one = ((p - together) * queries + 0.5) / size
    only_other = ((q - together) * queries + 0.5) / size
    mean = both * (1.0 - a - b) - only_one * a - only_other * b
    spread = both * (1.0 - a - b) ** 2 + only_one * a**2 + only_other * b**2 - mean**2
    return np.sqrt(np.maximum(spread, 1e-12) / queries) / np.maximum(density, 1e-6)


def pair_correlations(
    scores: Array,
    domain: npt.NDArray[np.int64],
    domains: int,
    malformed: npt.NDArray[np.bool_] | None = None,
) -> Pairs:
    """Correlations of all pairs of workers on all domains.

    A pair is looked at on the queries that both answered in good form. Scores between 0 and 1
    count by their products: as if they were probabilities of being right.

    Args:
        scores: float64 [queries, workers] in [0, 1].
        domain: int64 [queries].
        domains: Number of domains.
        malformed: bool [queries, workers], visible format failures; None where there are none.
    """
    rows: list[Pairs] = []
    first, second = np.tril_indices(scores.shape[1], -1)
    for d in range(domains):
        here = scores[domain == d]
        formed = np.ones_like(here) if malformed is None else 1.0 - malformed[domain == d]
        here = here * formed
        queries = (formed.T @ formed)[first, second]
        size = np.maximum(queries, 1.0)
        right = here.T @ formed  # [worker, other]: right where the other is in good form
        p, q = right[first, second] / size, right[second, first] / size
        use = (p > 0.0) & (p < 1.0) & (q > 0.0) & (q < 1.0)
        i, j, p, q, size = first[use], second[use], p[use], q[use], size[use]
        p, q = (np.clip(share, 0.5 / size, 1.0 - 0.5 / size) for share in (p, q))
        h, k = np.asarray(ndtri(p), np.float64), np.asarray(ndtri(q), np.float64)
        together = np.clip((here.T @ here)[i, j] / size, 0.0, np.minimum(p, q))
        found = tetrachoric(h, k, together)
        error = _errors(h, k, found, p, q, together, size)
        which = np.full(len(i), d, np.int64)
        rows.append(Pairs(which, i.astype(np.int64), j.astype(np.int64), found, error))
    return Pairs(
        np.concatenate([row.domain for row in rows]),
        np.concatenate([row.first for row in rows]),
        np.concatenate([row.second for row in rows]),
        np.concatenate([row.correlation for row in rows]),
        np.concatenate([row.error for row in rows]),
    )
