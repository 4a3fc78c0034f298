"""What a table of single calls looks like: the numbers that a simulation is held against."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class Calls(NamedTuple):
    """Single calls of every worker on some queries.

    Attributes:
        quality: float64 [queries, workers], 0 or 1.
        tokens: float64 [queries, workers], output tokens.
        cost: float64 [queries, workers], USD.
        domain: int64 [queries].
    """

    quality: Array
    tokens: Array
    cost: Array
    domain: npt.NDArray[np.int64]

    def take(self, rows: npt.NDArray[np.int64]) -> "Calls":
        """Some of the queries."""
        return Calls(self.quality[rows], self.tokens[rows], self.cost[rows], self.domain[rows])

    def with_more(self, others: Sequence["Calls"]) -> "Calls":
        """These calls and others after them."""
        every = (self, *others)
        return Calls(
            np.concatenate([calls.quality for calls in every]),
            np.concatenate([calls.tokens for calls in every]),
            np.concatenate([calls.cost for calls in every]),
            np.concatenate([calls.domain for calls in every]),
        )


class Statistics(NamedTuple):
    """What a table of single calls looks like.

    Attributes:
        accuracy: float64 [workers, domains], NaN where a domain has no query.
        overall: float64 [workers].
        best_by_domain: Accuracy of the best worker of each domain.
        oracle: Share of queries that any worker gets right.
        majority: Share that more than half of the workers get right.
        phi: float64 [pairs], correlation of errors; 0 for a column that never varies.
        how_many: float64 [workers + 1], share of queries by number of workers right.
        cascade: float64 [workers], share that one of the first k workers of a cascade gets right.
        cascade_cost: float64 [workers], mean USD of asking them in turn until one is right.
        tokens: float64 [workers], mean output tokens.
        cost: float64 [workers], mean USD.
    """

    accuracy: Array
    overall: Array
    best_by_domain: float
    oracle: float
    majority: float
    phi: Array
    how_many: Array
    cascade: Array
    cascade_cost: Array
    tokens: Array
    cost: Array


def cascade_order(calls: Calls) -> npt.NDArray[np.int64]:
    """Workers from the cheapest to the dearest by mean cost, equal ones from the worst."""
    return np.lexsort((calls.quality.mean(axis=0), calls.cost.mean(axis=0).round(9)))


def statistics(calls: Calls, domains: int, order: npt.NDArray[np.int64]) -> Statistics:
    """Compute them.

    Args:
        calls: Single calls.
        domains: Number of domains.
        order: int64 [workers], the order in which a cascade asks.
    """
    scores, domain = calls.quality, calls.domain
    workers = scores.shape[1]
    sizes = np.bincount(domain, minlength=domains)
    sums = np.stack([np.bincount(domain, column, domains) for column in scores.T])
    with np.errstate(invalid="ignore"):
        accuracy = sums / sizes
    right = scores.sum(axis=1)
    centred = scores - scores.mean(axis=0)
    spread = np.sqrt((centred**2).mean(axis=0))
    both = np.outer(spread, spread)
    covariance = centred.T @ centred / len(scores)
    phi = np.divide(covariance, both, out=np.zeros_like(both), where=both > 0)
    solved = np.maximum.accumulate(scores[:, order], axis=1)
    # A worker is asked where none before it was right.
    asked = np.concatenate([np.ones((len(scores), 1)), 1.0 - solved[:, :-1]], axis=1)
    return Statistics(
        accuracy,
        scores.mean(axis=0),
        float(sums.max(axis=0).sum() / len(scores)),
        float((right > 0).mean()),
        float((right > workers / 2).mean()),
        phi[np.triu_indices(workers, 1)],
        np.bincount(right.astype(np.int64), minlength=workers + 1) / len(scores),
        solved.mean(axis=0),
        (asked * calls.cost[:, order]).cumsum(axis=1).mean(axis=0),
        calls.tokens.mean(axis=0),
        calls.cost.mean(axis=0),
    )


def differences(one: Statistics, other: Statistics) -> dict[str, float]:
    """How far two tables are apart, by name of the measure.

    Errors of tokens and costs are relative to the other's mean; they are left out where that is 0.
    """
    found = {
        "accuracy_mae": float(np.nanmean(np.abs(one.accuracy - other.accuracy))),
        "best_single_error": abs(float(one.overall.max() - other.overall.max())),
        "best_by_domain_error": abs(one.best_by_domain - other.best_by_domain),
        "oracle_error": abs(one.oracle - other.oracle),
        "phi_mae": float(np.mean(np.abs(one.phi - other.phi))),
        "majority_error": abs(one.majority - other.majority),
        "how_many_distance": float(0.5 * np.abs(one.how_many - other.how_many).sum()),
        "cascade_mae": float(np.mean(np.abs(one.cascade - other.cascade))),
    }
    relative = {
        "tokens": (one.tokens, other.tokens),
        "cost": (one.cost, other.cost),
        "cascade_cost": (one.cascade_cost, other.cascade_cost),
    }
    for name, (mine, theirs) in relative.items():
        if theirs.mean() > 0.0:
            found[f"{name}_error"] = float(np.mean(np.abs(mine - theirs)) / theirs.mean())
    return found
