"""Does a ranking made in simulation carry over to reality?

Single-call agents that learn in simulation (single workers, random mixes, routers by domain and
by text) are ranked on simulated and on real outcomes of held-out queries.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau
from sklearn.linear_model import RidgeCV  # pyright: ignore[reportMissingTypeStubs]
from sklearn.neighbors import KNeighborsRegressor  # pyright: ignore[reportMissingTypeStubs]

from conductor_gym.leaderboard.statistics import Calls
from conductor_gym.reward import COST_UNIT_USD

Array = npt.NDArray[np.float64]
Policy = Callable[["Queries"], Array]
"""From queries to the shares float64 [queries, workers] with which each worker is asked."""

LEAST_AGENTS = 12
MIXES = (0.5, 0.75, 0.25, 0.9, 0.1, 0.6, 0.4, 0.8, 0.2, 0.7, 0.3)
"""Shares of the better of two workers that are neighbours in rank."""
SPLITS = 100
RESAMPLES = 200
NEIGHBOURS = 50
SAME = 0.98
"""Agents that ask the same workers on this share of the queries count once."""
KEPT = 0.9
"""A ranking carries over where its tau is at least this share of the real-against-real tau."""
TELLING = 0.5
"""Real-against-real taus below this say that the table itself cannot rank these agents."""


class Queries(NamedTuple):
    """What a single-call agent sees of queries.

    Attributes:
        domain: int64 [queries].
        features: float64 [queries, features] of the text, or None.
    """

    domain: npt.NDArray[np.int64]
    features: Array | None


class Learned(NamedTuple):
    """Simulated calls that agents learn from: blocks of the same queries under other keys.

    Attributes:
        queries: The queries of one block.
        utility: float64 [queries, workers], mean over the blocks.
        workers: Names.
    """

    queries: Queries
    utility: Array
    workers: tuple[str, ...]


def utilities(calls: Calls, cost_weight: float) -> Array:
    """Utility of each call, float64 [queries, workers]."""
    return calls.quality - cost_weight * calls.cost / COST_UNIT_USD


def learn(calls: Calls, queries: Queries, workers: tuple[str, ...], cost_weight: float) -> Learned:
    """What agents learn from: the mean over blocks of simulated calls on the same queries."""
    blocks = utilities(calls, cost_weight).reshape(-1, len(queries.domain), len(workers))
    return Learned(queries, blocks.mean(axis=0), workers)


def make_agents(learned: Learned) -> list[tuple[str, Policy]]:
    """Agents by name: every single worker, routers, and random mixes, at least a dozen in all.

    Args:
        learned: What they learn from.
    """
    workers = len(learned.workers)
    unit = np.eye(workers)
    ranking = np.argsort(-learned.utility.mean(axis=0), kind="stable")

    def always(shares: Array) -> Policy:
        return lambda queries: np.tile(shares, (len(queries.domain), 1))

    found = [(f"single {name}", always(unit[w])) for w, name in enumerate(learned.workers)]
    found.append(("uniform", always(np.full(workers, 1.0 / workers))))
    better = max(1, workers // 2)
    half = np.zeros(workers)
    half[ranking[:better]] = 1.0 / better
    found.append(("uniform over the better half", always(half)))
    by_domain = _best_by_domain(learned)
    found.append(("best by domain", lambda queries: unit[by_domain[queries.domain]]))
    if learned.queries.features is not None:
        near: Any = cast(Any, KNeighborsRegressor)(min(NEIGHBOURS, len(learned.utility)))
        line: Any = cast(Any, RidgeCV)(alphas=np.logspace(-1, 4, 11))
        for name, model in (("nearest neighbours", near), ("ridge regression", line)):
            model.fit(learned.queries.features, learned.utility)
            found.append((name, _text_router(model, workers)))
    # Some of these turn out to ask the same as another, and count once.
    most = max(LEAST_AGENTS + 6, 2 * workers + 7)
    for share in MIXES:
        for a, b in pairwise(ranking):
            if len(found) < most:
                name = f"{share:g} {learned.workers[a]} + {1 - share:g} {learned.workers[b]}"
                found.append((name, always(share * unit[a] + (1.0 - share) * unit[b])))
    return found


def _best_by_domain(learned: Learned) -> npt.NDArray[np.int64]:
    domain, domains = learned.queries.domain, int(learned.queries.domain.max()) + 64
    sums = np.stack([np.bincount(domain, column, domains) for column in learned.utility.T])
    sizes = np.bincount(domain, minlength=domains)
    means = np.where(sizes > 0, sums / np.maximum(sizes, 1), learned.utility.mean(axis=0)[:, None])
    return means.argmax(axis=0)


def _text_router(model: Any, workers: int) -> Policy:
    def route(queries: Queries) -> Array:
        worth = np.asarray(model.predict(queries.features), np.float64)
        return np.eye(workers)[worth.argmax(axis=1)]

    return route


def _different(made: list[tuple[str, Array]]) -> list[int]:
    """Positions of agents that are not the same as one before."""
    kept: list[int] = []
    for k, (_, shares) in enumerate(made):
        if all(np.minimum(shares, made[j][1]).sum(axis=1).mean() < SAME for j in kept):
            kept.append(k)
    return kept


def _tau(one: Array, other: Array) -> float:
    value = float(kendalltau(one, other).statistic)
    return 0.0 if np.isnan(value) else value


class Part(NamedTuple):
    """Real queries and what each worker's call was worth on them."""

    queries: Queries
    utility: Array


def carry_over(
    learned: Learned, simulated: Array, held: Part, before: Part, cost_weight: float
) -> dict[str, Any]:
    """Rank agents in simulation and on real held-out outcomes.

    Args:
        learned: What the agents learned from, in simulation.
        simulated: float64 [held-out queries, workers], mean simulated utility.
        held: Held-out queries with real utilities.
        before: The other real queries, for the real-against-real ranking.
        cost_weight: Quality points per cent in the utilities, for the report.

    Returns:
        ``rank_tau`` and ``rank_regret`` (``value``, ``noise_floor``, ``within``, and more), and
        ``agents`` with the utilities of each.
    """
    agents = make_agents(learned)
    made = [(name, policy(held.queries)) for name, policy in agents]
    kept = _different(made)
    names = [made[k][0] for k in kept]
    shares = [made[k][1] for k in kept]
    in_simulation = np.array([float((s * simulated).sum(axis=1).mean()) for s in shares])
    on_held = np.stack([(s * held.utility).sum(axis=1) for s in shares])
    on_before = np.stack(
        [(agents[k][1](before.queries) * before.utility).sum(axis=1) for k in kept]
    )
    truth = on_held.mean(axis=1)

    size = on_held.shape[1]
    every = np.concatenate([on_held, on_before], axis=1)
    generator = np.random.Generator(np.random.Philox(key=[size, len(kept)]))
    real_taus: list[float] = []
    real_regrets: list[float] = []
    for _ in range(SPLITS):
        order = generator.permutation(every.shape[1])
        one, other = every[:, order[:size]].mean(axis=1), every[:, order[size:]].mean(axis=1)
        real_taus.append(_tau(one, other))
        real_regrets.append(float(one.max() - one[int(other.argmax())]))
    again = (on_held[:, generator.integers(0, size, size)].mean(axis=1) for _ in range(RESAMPLES))
    taus = [_tau(in_simulation, resampled) for resampled in again]
    tau, floor = _tau(in_simulation, truth), float(np.mean(real_taus))
    winner = int(in_simulation.argmax())
    regret, regret_floor = (
        float(truth.max() - truth[winner]),
        float(np.quantile(real_regrets, 0.95)),
    )
    return {
        "rank_tau": {
            "value": tau,
            "interval": [float(q) for q in np.quantile(taus, [0.025, 0.975])],
            "noise_floor": floor,
            "noise_interval": [float(q) for q in np.quantile(real_taus, [0.025, 0.975])],
            "within": tau >= KEPT * floor or floor < TELLING,
            "telling": floor >= TELLING,
            "agents": len(kept),
            "cost_weight": cost_weight,
        },
        "rank_regret": {
            "value": regret,
            "noise_floor": regret_floor,
            "within": regret <= regret_floor + 1e-9,
            "simulated_winner": names[winner],
            "real_winner": names[int(truth.argmax())],
        },
        "agents": [
            {"agent": name, "simulated_utility": round(float(s), 5), "real_utility": round(r, 5)}
            for name, s, r in zip(names, in_simulation, truth.tolist(), strict=True)
        ],
    }
