"""Training pools for a policy that is to meet pools it never saw: relatives of a track's pool.

A relative has 3 to 8 workers, each drawn from the pool's own and changed: abler or weaker in all
domains and in each, dearer or cheaper, wordier or terser, faster or slower, with a window of its
own. A worker may be drawn twice, and comes out different. Uids are new, so a relative's luck and
what texts tell about its workers are too. A recorded pool's outcomes cannot be changed: its
relatives are sub-pools: 2 workers at least, and one is left out.
"""

from statistics import NormalDist
from typing import Any

import numpy as np

from conductor_gym.types import MAX_WORKERS
from conductor_gym.workers.pool import Pool, end_points

FEWEST = 3
ABILITY, BY_DOMAIN = 0.4, 0.25
"""Standard deviation of a worker's change, in probits of accuracy."""
PRICE, LENGTH, SPEED = 0.7, 0.4, 0.3
"""Standard deviation of the natural logarithm of its factors."""
WINDOWS = (0.5, 1.0, 2.0)
"""Factors of its window."""
_NORMAL = NormalDist()


def draw_relative(pool: Pool, rng: np.random.Generator, number: int) -> Pool:
    """A pool that is like another one.

    Args:
        pool: The pool to draw from.
        rng: What is drawn from.
        number: Goes into names and uids.
    """
    known = len(pool.workers)
    if pool.backend == "recorded":
        size = min(known, int(rng.integers(2, max(3, known))))
        kept: list[int] = sorted(rng.choice(known, size, replace=False).tolist())
        return pool.model_copy(update={"workers": tuple(pool.workers[w] for w in kept)})
    size = int(rng.integers(FEWEST, MAX_WORKERS + 1))
    drawn: list[int] = rng.integers(known, size=size).tolist()
    names = [f"relative-{number}/{slot}" for slot in range(size)]
    elders = {name: pool.worker_names[w] for name, w in zip(names, drawn, strict=True)}
    made = pool.model_dump()
    made["name"] = f"{pool.name}-relative-{number}"
    workers: list[dict[str, Any]] = []
    for name, w in zip(names, drawn, strict=True):
        workers.append(_changed_card(made["workers"][w], name, rng))
    made["workers"] = tuple(workers)
    made["accuracy"]["values"] = {
        name: _changed_accuracies(pool, elder, rng) for name, elder in elders.items()
    }
    made["accuracy"]["standard_errors"] = {}
    cap = min(end_points(pool.output_cap))
    tokens = pool.token_means()
    lengths = {name: float(np.exp(rng.normal(0.0, LENGTH))) for name in names}
    table = {
        name: {d: min(lengths[name] * t, 0.7 * cap) for d, t in tokens[elder].items()}
        for name, elder in elders.items()
    }
    made["output_tokens"] = ({**made["output_tokens"][0], "values": table},)
    for section, field in (
        ("format_failure", "exceptions"),
        ("confidence_bias", "exceptions"),
        ("loadings", "values"),
        ("text", "eta"),
    ):
        if made[section] is not None:
            old = made[section][field]
            made[section][field] = {n: old[e] for n, e in elders.items() if e in old}
    return Pool.model_validate(made)


def _changed_card(card: dict[str, Any], name: str, rng: np.random.Generator) -> dict[str, Any]:
    price, speed = np.exp(rng.normal(0.0, (PRICE, SPEED))).tolist()
    return card | {
        "uid": name,
        "name": name,
        "usd_per_m_input": price * card["usd_per_m_input"],
        "usd_per_m_output": price * card["usd_per_m_output"],
        "window": int(card["window"] * rng.choice(WINDOWS)),
        "tokens_per_second": speed * card["tokens_per_second"],
    }


def _changed_accuracies(pool: Pool, elder: str, rng: np.random.Generator) -> dict[str, float]:
    published = pool.accuracy.values[elder] if pool.accuracy is not None else {}
    shift = float(rng.normal(0.0, ABILITY))
    made: dict[str, float] = {}
    for name, accuracy in published.items():
        failure = pool.failure(elder, name)
        most = 0.98 * (1.0 - (0.0 if failure is None else max(end_points(failure))))
        moved = _NORMAL.inv_cdf(accuracy) + shift + float(rng.normal(0.0, BY_DOMAIN))
        made[name] = min(max(_NORMAL.cdf(moved), 0.01), most)
    return made
