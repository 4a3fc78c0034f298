"""A simulated pool from a log in which few queries were put to more than one worker.

Accuracies, tokens and latencies come from the calls that were made. What workers share needs pairs
of answers to one query, and so does what text tells beyond the domain: both are assumed and say so.
"""

import numpy as np

from conductor_gym.errors import DataFileError
from conductor_gym.workers.factors import Shared
from conductor_gym.workers.fitted_pool import fitted_pool
from conductor_gym.workers.fitting import FEWEST_QUERIES, Fitted, Table
from conductor_gym.workers.measures_fit import fit_latency, fit_tokens
from conductor_gym.workers.pool import FittedOn, Pool
from conductor_gym.workers.skew import Skew
from conductor_gym.workers.tetrachoric import Array
from conductor_gym.workers.text_fit import NOTHING

RHO = {"low": 0.9, "mid": 0.8, "high": 0.7}
"""Shared variance: about the range of the paper's benchmarks (assumed)."""
UNTOLD = ("r2_delta", "r2_eta", "difficulty_skew")
"""Set to 0: text tells nothing beyond the domain, and difficulty is normal (assumed)."""


def fit_sparse(table: Table) -> Fitted:
    """Fit what single calls tell without any pair of them.

    Args:
        table: Scores may be NaN, where a worker was not asked.

    Raises:
        DataFileError: A worker with too few calls.
    """
    first = table.scores[:, :, 0]
    workers, domains = len(table.workers), len(table.domains)
    calls = np.isfinite(first).sum(axis=0)
    for name, made in zip(table.workers, calls.tolist(), strict=True):
        if made < FEWEST_QUERIES:
            raise DataFileError(
                f"{table.source}: {made} calls of worker {name!r} to fit, at least "
                f"{FEWEST_QUERIES} are needed. Leave it out (--workers names the ones to keep)."
            )
    accuracy, error = _accuracies(table)
    loadings = np.full((domains, workers, 1), np.sqrt(RHO["mid"]))
    graded = [
        name
        for d, name in enumerate(table.domains)
        if not np.isin(_known(first[table.domain == d]), (0.0, 1.0)).all()
    ]
    return Fitted(
        accuracy,
        error,
        np.zeros((workers, domains)),
        Shared(loadings, 0.0, 0.0, 0.0),
        np.full(domains, RHO["mid"]),
        np.zeros(domains),
        np.zeros(workers),
        tuple(graded),
        Skew(0.0, 0.0, loadings),
        NOTHING,
        None if table.tokens_out is None else fit_tokens(table.tokens_out, table.domain, domains),
        None if table.seconds is None else fit_latency(table.seconds, table.tokens_out),
        None,
        None,
        np.zeros(domains, np.int64),
    )


def sparse_pool(
    name: str, recorded: Pool, domains: tuple[str, ...], fitted: Fitted, fitted_on: FittedOn
) -> Pool:
    """Put such a fit into a pool file's form; arguments as for `fitted_pool`."""
    values = fitted_pool(name, recorded, domains, fitted, fitted_on).model_dump(exclude_none=True)
    note = "the log has no pairs of answers that would tell"
    for card in values["domains"].values():
        card["rho"] = {**RHO, "source": "assumed", "note": note}
    values["loadings"] |= {"source": "assumed", "note": note, "standard_errors": {}}
    values["accuracy"]["note"] += "; only the queries that were put to the worker"
    for parameter in UNTOLD:
        nothing = {"low": 0.0, "mid": 0.0, "high": 0.0}
        values["model"][parameter] = {**nothing, "source": "assumed", "note": note}
    return Pool.model_validate(values)


def _known(values: Array) -> Array:
    return values[np.isfinite(values)]


def _accuracies(table: Table) -> tuple[Array, Array]:
    """Accuracy and its standard error [workers, domains]; a worker's mean where it has no call."""
    first = table.scores[:, :, 0]
    shape = (len(table.workers), len(table.domains))
    accuracy, error = np.empty(shape), np.full(shape, 0.5)
    for w, d in np.ndindex(shape):
        every = _known(first[:, w])
        here = _known(first[table.domain == d, w])
        n = max(len(here), 1)
        mean = float((here if len(here) else every).mean())
        accuracy[w, d] = np.clip(mean, 0.5 / n, 1.0 - 0.5 / n) if len(here) else mean
        if len(here):
            error[w, d] = np.sqrt(max(float(here.var()), 0.5 / n**2) / n)
    return np.clip(accuracy, 1e-4, 1.0 - 1e-4), error
