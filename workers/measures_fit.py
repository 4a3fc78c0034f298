"""Fitting what else a recording tells: tokens, latency, attempts, coinciding wrong answers."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from conductor_gym.workers.tetrachoric import Array, pair_correlations

FEWEST_WRONG_PAIRS = 20
"""Pairs of wrong answers of a domain below which all domains count together."""


class Estimate(NamedTuple):
    """A number and the 95 % interval that it is known to."""

    value: float
    low: float
    high: float


class Tokens(NamedTuple):
    """Output tokens: means float64 [workers, domains], and the log-normal spread around them."""

    means: Array
    sigma: float


class Latency(NamedTuple):
    """Latency of each worker, float64 [workers]: tokens per second, median seconds to the first."""

    tokens_per_second: Array
    ttft_seconds: Array
    ttft_sigma: Array


def fit_tokens(tokens: Array, domain: npt.NDArray[np.int64], domains: int) -> Tokens:
    """Output tokens by worker and domain.

    Args:
        tokens: float64 [queries, workers], NaN where not recorded.
        domain: int64 [queries].
        domains: Number of domains.
    """
    logs = np.log(np.maximum(tokens, 1.0))
    overall, centre = np.nanmean(tokens, axis=0), np.nanmean(logs, axis=0)
    means = np.tile(np.nan_to_num(overall, nan=1.0)[:, None], (1, domains))
    centres = np.tile(np.nan_to_num(centre)[None], (domains, 1))
    for d in range(domains):
        here = domain == d
        known = np.isfinite(tokens[here]).any(axis=0)
        if known.any():
            means[known, d] = np.nanmean(tokens[here][:, known], axis=0)
            centres[d, known] = np.nanmean(logs[here][:, known], axis=0)
    spread = float(np.sqrt(np.nanmean((logs - centres[domain]) ** 2)))
    return Tokens(np.maximum(means, 1.0), min(spread, 3.0))


def fit_latency(seconds: Array, tokens: Array | None) -> Latency:
    """Time to the first token and speed, by non-negative least squares of seconds on tokens.

    Args:
        seconds: float64 [queries, workers], NaN where not recorded.
        tokens: float64 [queries, workers] output tokens, or None.
    """
    workers = seconds.shape[1]
    speed, first, sigma = np.full(workers, 1e6), np.full(workers, 0.01), np.zeros(workers)
    for w in range(workers):
        known = np.isfinite(seconds[:, w])
        if tokens is not None:
            known &= np.isfinite(tokens[:, w])
        if not known.any():
            continue
        taken = seconds[known, w]
        per_token = 0.0
        if tokens is not None:
            table = np.column_stack([np.ones(int(known.sum())), tokens[known, w]])
            (_, per_token), _ = nnls(table, taken)
            taken = taken - per_token * tokens[known, w]
        logs = np.log(np.maximum(taken, 1e-3))
        speed[w] = min(1e6, max(0.01, 1.0 / per_token if per_token > 0 else 1e6))
        first[w] = float(np.clip(np.exp(np.median(logs)), 1e-3, 3600.0))
        spread = np.quantile(logs, [0.16, 0.84])
        sigma[w] = float(np.clip((spread[1] - spread[0]) / 2.0, 0.0, 3.0))
    return Latency(speed, first, sigma)


def fit_kappa(
    scores: Array,
    domain: npt.NDArray[np.int64],
    shared: Array,
    malformed: npt.NDArray[np.bool_] | None = None,
) -> Estimate | None:
    """Share of a worker's own residual that persists between attempts.

    Two attempts of one worker correlate by c + (1 - c)·kappa, with c what it shares with others.

    Args:
        scores: float64 [queries, workers, attempts], NaN where not recorded.
        domain: int64 [queries].
        shared: float64 [domains, workers], c.
        malformed: bool [queries, workers, attempts], or None.

    Returns:
        The estimate, None without repeated attempts.
    """
    domains = len(shared)
    found: list[tuple[float, float]] = []
    for w in range(scores.shape[1]):
        for k in range(1, scores.shape[2]):
            two = scores[:, w, [0, k]]
            rows = np.isfinite(two).all(axis=1)
            if not rows.any():
                continue
            bad = None if malformed is None else malformed[rows][:, w, [0, k]]
            pairs = pair_correlations(two[rows], domain[rows], domains, bad)
            rest = 1.0 - shared[pairs.domain, w]
            value = (pairs.correlation - shared[pairs.domain, w]) / rest
            found += list(zip(value.tolist(), (pairs.error / rest).tolist(), strict=True))
    if not found:
        return None
    values, errors = np.array(found).T
    weights = 1.0 / np.maximum(errors, 0.02) ** 2
    value = float(np.clip(np.average(values, weights=weights), 0.0, 1.0))
    error = float(1.0 / np.sqrt(weights.sum()))
    return Estimate(value, max(0.0, value - 1.96 * error), min(1.0, value + 1.96 * error))


def fit_attractor(
    score: Array,
    answer: npt.NDArray[np.int64],
    domain: npt.NDArray[np.int64],
    domains: int,
    tails: npt.NDArray[np.int64],
) -> list[tuple[Estimate, int]] | None:
    """How often a wrong answer is the common one, from how often two wrong answers coincide.

    Two wrong answers coincide with probability A² + (1 - A)² / tail, without the last part where
    the tail has no end.

    Args:
        score: float64 [queries, workers].
        answer: int64 [queries, workers], -1 without one.
        domain: int64 [queries].
        domains: Number of domains.
        tails: int64 [domains], wrong answers besides the common one, 0 for no end.

    Returns:
        Per domain the estimate and the number of pairs it rests on; None without such pairs.
    """
    wrong = (score < 0.5) & (answer >= 0)
    first, second = np.tril_indices(score.shape[1], -1)
    both = wrong[:, first] & wrong[:, second]
    same = both & (answer[:, first] == answer[:, second])
    pairs = np.bincount(domain, both.sum(axis=1), domains)
    equal = np.bincount(domain, same.sum(axis=1), domains)
    if pairs.sum() < FEWEST_WRONG_PAIRS:
        return None
    found: list[tuple[Estimate, int]] = []
    for d in range(domains):
        enough = pairs[d] >= FEWEST_WRONG_PAIRS
        n, k = (pairs[d], equal[d]) if enough else (pairs.sum(), equal.sum())
        share = k / n
        # Pairs of one query are not independent: count queries, not pairs.
        queries = int((both.any(axis=1) & ((domain == d) | (not enough))).sum())
        error = 1.96 * np.sqrt(max(share * (1.0 - share), 1.0 / max(queries, 1)) / max(queries, 1))
        low, value, high = (
            _common_share(float(np.clip(s, 0.0, 1.0)), int(tails[d]))
            for s in (share - error, share, share + error)
        )
        found.append((Estimate(value, low, high), int(n)))
    return found


def _common_share(coincide: float, tail: int) -> float:
    """The attractor share A at which two wrong answers coincide so often."""
    if tail <= 0:
        return float(np.sqrt(coincide))
    a, b, c = 1.0 + 1.0 / tail, -2.0 / tail, 1.0 / tail - coincide
    inside = b * b - 4.0 * a * c
    return float(min(1.0, (-b + np.sqrt(max(inside, 0.0))) / (2.0 * a)))
