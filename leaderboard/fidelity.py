"""Simulated beside real: does a fitted pool agree with outcomes that the fit did not see?

Each difference stands beside its noise floor: the 95 % quantile of the same difference between
two real parts, over random splits of all real queries into parts as large as the fitted and the
held-out one.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from conductor_gym.engine import Engine
from conductor_gym.errors import ConfigError, unknown_name
from conductor_gym.fit import TEXT_COLUMNS, Source, fit_source
from conductor_gym.leaderboard.carry_over import Part, Queries, carry_over, learn, utilities
from conductor_gym.leaderboard.free_world import free_world
from conductor_gym.leaderboard.statistics import (
    Calls,
    Statistics,
    cascade_order,
    differences,
    statistics,
)
from conductor_gym.reward import HEADLINE_COST_WEIGHT
from conductor_gym.tasks.suite import Split
from conductor_gym.workers.pool import Pool

MEASURES = (
    "accuracy_mae",
    "best_single_error",
    "best_by_domain_error",
    "oracle_error",
    "phi_mae",
    "majority_error",
    "how_many_distance",
    "cascade_mae",
    "tokens_error",
    "cost_error",
    "cascade_cost_error",
    "rank_tau",
    "rank_regret",
)
"""Measures, each with ``value``, ``noise_floor`` and ``within``."""
SIMULATED_QUERIES = 100_000
"""Simulated under as many keys as reach this, so that only the real side is noisy."""
SPLITS = 200
FLOOR_QUANTILE = 0.95
FITTED_ON, HELD_OUT = "train", "test"

Step = Callable[[str], None]


def silent(what: str) -> None:
    """Report nothing."""
    del what


def single_calls(pool: Pool, data: Split, key: str = "fidelity") -> Calls:
    """A first isolated solve of every worker on every query of a split, in the split's order."""
    size = len(data.uids)
    world = free_world(pool, data, pool.backend, key)
    engine = Engine(world.config, size, world)
    slots = np.arange(size, dtype=np.int64)
    engine.start(slots, np.zeros_like(slots), slots, engine.new_observation())
    found = engine.first_solves(slots)
    back = np.argsort(engine.episodes["query"])
    domain = data.domain
    return Calls(found.quality[back], found.tokens_out[back], found.cost_usd[back], domain)


def real_calls(source: Source, data: Split) -> Calls:
    """Recorded calls; tokens and costs are 0 where the table holds neither tokens nor USD."""
    calls = single_calls(source.pool, data)
    if source.has_costs:
        return calls
    nothing = np.zeros_like(calls.cost)
    return Calls(calls.quality, nothing, nothing, calls.domain)


def simulated_calls(pool: Pool, data: Split, least: int = SIMULATED_QUERIES) -> Calls:
    """Single calls under as many keys as give `least` queries; blocks of one split each."""
    keys = -(-least // len(data.uids))
    parts = [single_calls(pool, data, f"fidelity-{k}") for k in range(keys)]
    return parts[0].with_more(parts[1:])


def _check(pool: Pool, source: Source, held_out: str, report: Step) -> str:
    """The split that the pool was fitted on.

    Raises:
        ConfigError: A pool that cannot be held against this table.
    """
    names = source.pool.worker_names
    if pool.backend != "simulated" or pool.worker_names != names:
        raise ConfigError(
            f"pool {pool.name!r} must be simulated and have the workers of {source.table!r}, in "
            f"order: {', '.join(names)}. It is {pool.backend} and has "
            f"{', '.join(pool.worker_names)}. `conductor-gym fit {source.table}` makes a fitting "
            "one; --workers chooses workers of a table."
        )
    if pool.fitted_on is None:
        return FITTED_ON
    if pool.fitted_on.content != source.recording.content_hash():
        report(
            f"WARNING: {source.table} is not the table that pool {pool.name!r} was fitted on "
            f"({pool.fitted_on.table}), or it has changed since: queries of its test split may "
            "have been fitted."
        )
    elif pool.fitted_on.split == held_out:
        raise ConfigError(
            f"pool {pool.name!r} was fitted on split {held_out!r}: hold it against another one "
            "(--held-out)."
        )
    return pool.fitted_on.split


def compare(
    source: Source,
    pool: Pool | None = None,
    held_out: str = HELD_OUT,
    ranks: bool = True,
    report: Step = silent,
) -> dict[str, Any]:
    """Compare a fitted pool with held-out real outcomes.

    Args:
        source: The recorded table.
        pool: The fitted pool; fitted on the train split where None.
        held_out: Split that it is held against.
        ranks: Whether to rank agents too.
        report: Called with what is being done.

    Returns:
        Plain values: each measure (``value``, ``noise_floor``, ``within``) by name, and
        ``simulated`` and ``real`` with the statistics themselves.

    Raises:
        ConfigError: A pool of the wrong kind, of other workers, or fitted on the held-out split.
        DataFileError: Too little or unfit data.
    """
    if held_out not in source.recording.card.shares:
        raise unknown_name("split", held_out, source.recording.card.shares)
    if pool is None and held_out == FITTED_ON:
        raise ConfigError(
            f"split {FITTED_ON!r} is what is fitted: hold the fit against another one (--held-out)."
        )
    fitted_on = FITTED_ON if pool is None else _check(pool, source, held_out, report)
    if pool is None:
        report(f"{source.table}: fitting")
        pool, _ = fit_source(source, fitted_on, f"{source.pool.name}-fitted")
    seen, unseen = source.split(fitted_on), source.split(held_out)
    domains = len(unseen.domains)
    report(f"{source.table}: simulating")
    real, before = (real_calls(source, data) for data in (unseen, seen))
    made = simulated_calls(pool, unseen)
    whole, all_real, all_before = made, real, before
    graded = [d for d in range(domains) if not _right_or_wrong(real, d)]
    real, before, made = (_without(calls, graded) for calls in (real, before, made))
    order = cascade_order(before if source.has_costs else made)
    simulated, held = statistics(made, domains, order), statistics(real, domains, order)

    report(f"{source.table}: splitting real queries for the noise floor")
    every = real.with_more([before])
    generator = np.random.Generator(np.random.Philox(key=[len(real.domain), len(before.domain)]))
    floors: list[dict[str, float]] = []
    for _ in range(SPLITS):
        shuffled = generator.permutation(len(every.domain))
        one, other = shuffled[: len(real.domain)], shuffled[len(real.domain) :]
        floors.append(
            differences(
                statistics(every.take(one), domains, order),
                statistics(every.take(other), domains, order),
            )
        )
    found: dict[str, Any] = {
        "table": source.table,
        "pool": pool.name,
        "workers": list(pool.worker_names),
        "domains": list(unseen.domains),
        "fitted_on": {"split": fitted_on, "queries": len(before.domain)},
        "held_out": {"split": held_out, "queries": len(real.domain)},
        "queries_without_every_record": source.left_out,
        "costs_are_recorded": source.has_costs,
        "graded_domains_left_out": [unseen.domains[d] for d in graded],
        "simulated_queries": len(made.domain),
    }
    for name, value in differences(simulated, held).items():
        floor = float(np.quantile([row[name] for row in floors], FLOOR_QUANTILE))
        found[name] = {"value": value, "noise_floor": floor, "within": value <= floor}
    if ranks:
        report(f"{source.table}: ranking agents")
        weight = HEADLINE_COST_WEIGHT if source.has_costs else 0.0
        blocks = simulated_calls(pool, seen)
        learned = learn(blocks, _queries(seen), pool.worker_names, weight)
        worth = learn(whole, _queries(unseen), pool.worker_names, weight).utility
        keep, keep_before = (~np.isin(c.domain, graded) for c in (all_real, all_before))
        found |= carry_over(
            learned,
            worth[keep],
            Part(_queries(unseen, keep), utilities(real, weight)),
            Part(_queries(seen, keep_before), utilities(before, weight)),
            weight,
        )
    found["simulated"] = _shown(simulated, pool, unseen)
    found["real"] = _shown(held, pool, unseen)
    return found


def _queries(data: Split, keep: npt.NDArray[np.bool_] | None = None) -> Queries:
    rows = slice(None) if keep is None else keep
    text = None if data.prompts is None else data.features[rows, :][:, list(TEXT_COLUMNS)]
    domain = data.domain
    return Queries(domain[rows], None if text is None else text.astype(np.float64))


def _right_or_wrong(calls: Calls, domain: int) -> bool:
    here = calls.quality[calls.domain == domain]
    return bool(np.isin(here, (0.0, 1.0)).all())


def _without(calls: Calls, graded: list[int]) -> Calls:
    """Calls on the domains whose outcomes are right or wrong."""
    rows: npt.NDArray[np.int64] = np.flatnonzero(~np.isin(calls.domain, graded))
    if len(rows) == 0:
        raise ConfigError(
            "every domain of this table is graded between 0 and 1: oracle, majority and error "
            "correlation need right or wrong outcomes."
        )
    return calls.take(rows)


def _shown(found: Statistics, pool: Pool, data: Split) -> dict[str, Any]:
    names = pool.worker_names

    def by_worker(values: npt.NDArray[np.float64], digits: int) -> dict[str, float]:
        return dict(zip(names, values.round(digits).tolist(), strict=True))

    return {
        "accuracy": by_worker(found.overall, 4),
        "accuracy_by_domain": {
            name: {
                domain: None if np.isnan(found.accuracy[w, d]) else round(found.accuracy[w, d], 4)
                for d, domain in enumerate(data.domains)
            }
            for w, name in enumerate(names)
        },
        "best_single": round(float(found.overall.max()), 4),
        "best_by_domain": round(found.best_by_domain, 4),
        "oracle": round(found.oracle, 4),
        "majority": round(found.majority, 4),
        "phi": found.phi.round(4).tolist(),
        "phi_mean": round(float(found.phi.mean()), 4),
        "how_many": found.how_many.round(4).tolist(),
        "cascade": found.cascade.round(4).tolist(),
        "cascade_usd": found.cascade_cost.round(8).tolist(),
        "tokens": by_worker(found.tokens, 1),
        "usd": by_worker(found.cost, 8),
    }


def measures(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The measures of one comparison by name."""
    return {name: one for name, one in found.items() if name in MEASURES}
