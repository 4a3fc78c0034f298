"""Simulated beside real: does a fitted pool agree with outcomes that the fit did not see?

Each difference stands beside its noise floor: the same statistic between two real parts, over
random splits of all real queries into parts as large as the fitted and the held-out one.
"""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conductor_gym.config import EnvConfig
from conductor_gym.engine import Engine
from conductor_gym.errors import ConfigError
from conductor_gym.workers.pool import load_pool
from conductor_gym.world import World, make_world

SIMULATED_QUERIES = 100_000
"""Simulated under as many keys as reach this, so that only the real side is noisy."""
SPLITS = 200
FLOOR_QUANTILE = 0.95

Scores = npt.NDArray[np.float64]


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
    """

    accuracy: Scores
    overall: Scores
    best_by_domain: float
    oracle: float
    majority: float
    phi: Scores
    how_many: Scores


def statistics(scores: Scores, domain: npt.NDArray[np.int64], domains: int) -> Statistics:
    """Compute them from 0 / 1 scores, float64 [queries, workers]."""
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
    return Statistics(
        accuracy,
        scores.mean(axis=0),
        float(sums.max(axis=0).sum() / len(scores)),
        float((right > 0).mean()),
        float((right > workers / 2).mean()),
        phi[np.triu_indices(workers, 1)],
        np.bincount(right.astype(np.int64), minlength=workers + 1) / len(scores),
    )


def differences(one: Statistics, other: Statistics) -> dict[str, float]:
    """How far two tables are apart, by name of the measure."""
    return {
        "accuracy_mae": float(np.nanmean(np.abs(one.accuracy - other.accuracy))),
        "best_single_error": abs(float(one.overall.max() - other.overall.max())),
        "best_by_domain_error": abs(one.best_by_domain - other.best_by_domain),
        "oracle_error": abs(one.oracle - other.oracle),
        "phi_mae": float(np.mean(np.abs(one.phi - other.phi))),
        "majority_error": abs(one.majority - other.majority),
        "how_many_distance": float(0.5 * np.abs(one.how_many - other.how_many).sum()),
    }


def _real(config: EnvConfig) -> tuple[World, Scores, npt.NDArray[np.int64]]:
    world = make_world(config)
    return world, world.recorded["score"], world.data.queries["domain"].astype(np.int64)


def simulate(config: EnvConfig) -> tuple[Scores, npt.NDArray[np.int64]]:
    """First solves of every worker on every query of a split, under many keys.

    Returns:
        Scores float64 [keys * queries, workers] and domains int64 [keys * queries].
    """
    size = len(make_world(config).data.uids)
    slots = np.arange(size, dtype=np.int64)
    scores: list[Scores] = []
    domains: list[npt.NDArray[np.int64]] = []
    for k in range(-(-SIMULATED_QUERIES // size)):
        engine = Engine(replace(config, key=f"fidelity-{k}"), size)
        engine.start(slots, np.zeros_like(slots), slots, engine.new_observation())
        scores.append(engine.first_solves(slots).quality)
        domains.append(engine.world.data.queries["domain"][engine.episodes["query"]])
    return np.concatenate(scores), np.concatenate(domains).astype(np.int64)


def fidelity(simulated: str, table: str, suite: str, fitted_on: str, held_out: str) -> Any:
    """Compare a fitted pool with held-out real outcomes.

    Args:
        simulated: The fitted pool, usually a path.
        table: The recorded pool.
        suite: Suite of the recording.
        fitted_on: Split that the pool was fitted on.
        held_out: Split that it is held against.

    Returns:
        Plain values: ``measures`` (each with ``value``, ``noise_floor``, ``within``), and
        ``simulated`` and ``real`` with the statistics themselves.

    Raises:
        ConfigError: Pools of the wrong kind, other workers, or one split for both.
    """
    if fitted_on == held_out:
        raise ConfigError(
            f"the pool was fitted on split {fitted_on!r}: hold it against another one."
        )
    pool = load_pool(simulated)
    if load_pool(table).backend != "recorded":
        raise ConfigError(f"--table must be a recorded pool, {table!r} is not.")
    world, scores, domain = _real(EnvConfig(pool=table, suite=suite, split=held_out))
    _, seen, seen_domain = _real(EnvConfig(pool=table, suite=suite, split=fitted_on))
    if pool.backend != "simulated" or pool.worker_names != world.pool.worker_names:
        raise ConfigError(
            f"pool {simulated!r} must be simulated and have the workers of {table!r}, in order: "
            f"{', '.join(world.pool.worker_names)}. `conductor-gym fit {table}` makes one."
        )
    domains = len(world.data.domains)
    config = EnvConfig(pool=simulated, suite=suite, split=held_out)
    made_scores, made_domain = simulate(config)
    made = statistics(made_scores, made_domain, domains)
    real = statistics(scores, domain, domains)

    every, every_domain = np.concatenate([scores, seen]), np.concatenate([domain, seen_domain])
    generator = np.random.Generator(np.random.Philox(key=[len(scores), len(seen)]))
    floors: list[dict[str, float]] = []
    for _ in range(SPLITS):
        order = generator.permutation(len(every))
        one, other = order[: len(scores)], order[len(scores) :]
        floors.append(
            differences(
                statistics(every[one], every_domain[one], domains),
                statistics(every[other], every_domain[other], domains),
            )
        )
    measures = {
        name: {
            "value": value,
            "noise_floor": float(np.quantile([f[name] for f in floors], FLOOR_QUANTILE)),
        }
        for name, value in differences(made, real).items()
    }
    for measure in measures.values():
        measure["within"] = measure["value"] <= measure["noise_floor"]

    def shown(found: Statistics) -> dict[str, Any]:
        return {
            "accuracy": dict(
                zip(world.pool.worker_names, found.overall.round(4).tolist(), strict=True)
            ),
            "best_by_domain": round(found.best_by_domain, 4),
            "oracle": round(found.oracle, 4),
            "majority": round(found.majority, 4),
            "phi": round(float(found.phi.mean()), 4),
            "how_many": found.how_many.round(4).tolist(),
        }

    return {
        "pool": simulated,
        "table": table,
        "suite": suite,
        "fitted_on": {"split": fitted_on, "queries": len(seen)},
        "held_out": {"split": held_out, "queries": len(scores)},
        "simulated_queries": len(made_scores),
        "measures": measures,
        "simulated": shown(made),
        "real": shown(real),
    }
