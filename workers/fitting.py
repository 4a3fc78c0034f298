"""Fitting a simulated pool to recorded single calls.

Ability comes from each worker's accuracy by domain; what workers share from *pairs* of them; what
text tells from a regression. The oracle (any worker right) is never used, so it stays a check.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from conductor_gym.errors import DataFileError
from conductor_gym.workers.calibration import skewed_probit
from conductor_gym.workers.factors import Shared, fit_shared, one_factor
from conductor_gym.workers.measures_fit import (
    Estimate,
    Latency,
    Tokens,
    fit_attractor,
    fit_kappa,
    fit_latency,
    fit_tokens,
)
from conductor_gym.workers.posterior import posterior
from conductor_gym.workers.skew import Skew, fit_skew
from conductor_gym.workers.tetrachoric import Array, pair_correlations
from conductor_gym.workers.text_fit import TextFit, fit_text

FEWEST_QUERIES = 100
RESAMPLES = 20
Z95 = 1.96


class Table(NamedTuple):
    """Recorded single calls, ready to be fitted.

    Attributes:
        workers: Names.
        domains: Names.
        domain: int64 [queries], index into `domains`.
        scores: float64 [queries, workers, attempts] in [0, 1]; first attempts are complete.
        features: float64 [queries, features] of the text, or None.
        tokens_out: float64 [queries, workers], or None.
        seconds: float64 [queries, workers], or None.
        answer: int64 [queries, workers], or None.
        malformed: bool [queries, workers, attempts], or None.
        choices: float64 [queries], or None.
        source: File name for errors.
    """

    workers: tuple[str, ...]
    domains: tuple[str, ...]
    domain: npt.NDArray[np.int64]
    scores: Array
    features: Array | None = None
    tokens_out: Array | None = None
    seconds: Array | None = None
    answer: npt.NDArray[np.int64] | None = None
    malformed: npt.NDArray[np.bool_] | None = None
    choices: Array | None = None
    source: str = "the table"


class Fitted(NamedTuple):
    """What a table of single calls tells.

    Attributes:
        accuracy: float64 [workers, domains], kept half a query away from 0 and 1.
        accuracy_error: Standard errors of it.
        failures: float64 [workers, domains], visible format failures.
        shared: Loadings of every worker on the shared factors, by domain.
        rho: float64 [domains], mean share of a worker's variance that is shared.
        rho_error: Standard errors of it, by a bootstrap over queries.
        loading_error: float64 [workers], standard errors of the difficulty's loadings.
        graded: Domains whose scores are not all 0 or 1.
        skew: Of the difficulty, with the loadings that go with it.
        tails: int64 [domains], wrong answers besides the common one, 0 for no end.
    """

    accuracy: Array
    accuracy_error: Array
    failures: Array
    shared: Shared
    rho: Array
    rho_error: Array
    loading_error: Array
    graded: tuple[str, ...]
    skew: Skew
    text: TextFit
    tokens: Tokens | None
    latency: Latency | None
    kappa: Estimate | None
    attractor: list[tuple[Estimate, int]] | None
    tails: npt.NDArray[np.int64]


def check_table(table: Table) -> None:
    """Refuse what cannot be fitted.

    Raises:
        DataFileError: Fewer than two workers, too few queries, or a worker that is always right
            or always wrong; says which.
    """
    first = table.scores[:, :, 0]
    if len(table.workers) < 2:
        raise DataFileError(
            f"{table.source}: {len(table.workers)} worker; a fit needs at least two, since what "
            "workers share comes from pairs of them."
        )
    if len(first) < FEWEST_QUERIES:
        raise DataFileError(
            f"{table.source}: {len(first)} queries to fit, at least {FEWEST_QUERIES} are needed. "
            "The train split is half of the queries that have a record of every worker; fewer "
            "workers (--workers) may leave more queries."
        )
    for w, name in enumerate(table.workers):
        column = first[:, w]
        if float(np.ptp(column)) == 0.0:
            raise DataFileError(
                f"{table.source}, line 1, column {name!r}: every one of {len(first)} scores is "
                f"{column[0]:g}. Nothing can be fitted to a constant: leave this worker out "
                "(--workers names the ones to keep)."
            )


def _accuracies(table: Table) -> tuple[Array, Array, Array]:
    """Accuracy, its standard error and visible format failures, all [workers, domains]."""
    first = table.scores[:, :, 0]
    overall = first.mean(axis=0)
    shape = (len(table.workers), len(table.domains))
    accuracy, error, failures = np.empty(shape), np.empty(shape), np.zeros(shape)
    for d in range(len(table.domains)):
        rows = table.domain == d
        n = int(rows.sum())
        here = first[rows]
        mean = here.mean(axis=0) if n else overall
        accuracy[:, d] = np.clip(mean, 0.5 / max(n, 1), 1.0 - 0.5 / max(n, 1)) if n else overall
        spread = here.var(axis=0) if n else np.full(shape[0], 0.25)
        error[:, d] = np.sqrt(np.maximum(spread, 0.5 / max(n, 1) ** 2) / max(n, 1))
        if table.malformed is not None and n:
            failures[:, d] = table.malformed[rows][:, :, 0].mean(axis=0)
    return accuracy, error, np.minimum(failures, 0.999 * (1.0 - accuracy))


def _bootstrap(table: Table, seed: int) -> tuple[Array, Array]:
    """Standard errors of rho [domains] and of the loadings [workers], one factor each time."""
    first = table.scores[:, :, 0]
    workers, domains = len(table.workers), len(table.domains)
    generator = np.random.Generator(np.random.Philox(key=[seed, len(first)]))
    rhos: list[Array] = []
    loadings: list[Array] = []
    for _ in range(RESAMPLES):
        rows = generator.integers(0, len(first), len(first))
        bad = None if table.malformed is None else table.malformed[rows][:, :, 0]
        pairs = pair_correlations(first[rows], table.domain[rows], domains, bad)
        if len(pairs.domain) == 0:
            continue
        a, scale = one_factor(pairs, workers, domains)
        rhos.append(scale * float((a**2).mean()))
        loadings.append(a * np.sqrt(float(scale.mean())))
    if len(rhos) < 2:
        return np.full(domains, 0.5), np.full(workers, 0.5)
    return _spread(np.stack(rhos)), _spread(np.stack(loadings))


def _spread(values: Array) -> Array:
    """Half of the central 68 %: a standard deviation that a single runaway does not move."""
    low, high = np.quantile(values, [0.16, 0.84], axis=0)
    return (np.asarray(high) - np.asarray(low)) / 2.0


def fit_outcomes(table: Table, seed: int = 0) -> Fitted:
    """Fit everything that a table of recorded single calls tells.

    Args:
        table: The calls.
        seed: Of bootstrap and folds.

    Raises:
        DataFileError: See `check_table`; or no pair of workers that is ever both right and wrong.
    """
    check_table(table)
    first = table.scores[:, :, 0]
    workers, domains = len(table.workers), len(table.domains)
    accuracy, error, failures = _accuracies(table)
    bad = None if table.malformed is None else table.malformed[:, :, 0]
    pairs = pair_correlations(first, table.domain, domains, bad)
    if len(pairs.domain) == 0:
        raise DataFileError(
            f"{table.source}: on no domain are two workers ever both right and wrong, so nothing "
            "tells what they share."
        )
    shared = fit_shared(pairs, workers, domains)
    whole = np.isin(first, (0.0, 1.0))
    graded = [d for d in range(domains) if not whole[table.domain == d].all()]
    inner = np.minimum(accuracy / (1.0 - failures), 0.9995)
    rows = ~np.isin(table.domain, graded)
    skew = Skew(0.0, 0.0, shared.loadings)
    if rows.any():
        skew = fit_skew(first[rows], table.domain[rows], inner, failures, shared.loadings, seed)
        shared = shared._replace(loadings=skew.loadings)
    communality = (shared.loadings**2).sum(axis=2)
    rho_error, loading_error = _bootstrap(table, seed)
    text = TextFit(0.0, 0.0, 0.0, 0.0, None, None)
    if table.features is not None:
        probits = skewed_probit(inner, shared.loadings[:, :, 0].T, skew.value)
        told = posterior(first, table.domain, probits, shared.loadings, skew.value)
        text = fit_text(table.features, table.domain, domains, told, seed)
    tails = np.zeros(domains, np.int64)
    if table.choices is not None:
        for d in range(domains):
            known = table.choices[(table.domain == d) & np.isfinite(table.choices)]
            tails[d] = max(0, round(float(np.median(known))) - 2) if len(known) else 0
    return Fitted(
        accuracy,
        error,
        failures,
        shared,
        communality.mean(axis=1),
        rho_error,
        loading_error,
        tuple(table.domains[d] for d in graded),
        skew,
        text,
        None if table.tokens_out is None else fit_tokens(table.tokens_out, table.domain, domains),
        None if table.seconds is None else fit_latency(table.seconds, table.tokens_out),
        fit_kappa(table.scores, table.domain, communality, table.malformed),
        None
        if table.answer is None
        else fit_attractor(first, table.answer, table.domain, domains, tails),
        tails,
    )
