"""A synthetic production log: what really would have happened is known, but not in the log."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

WORKERS = ("large", "medium", "small")
DOMAINS = ("chat", "code", "sums")
USD = np.array([0.012, 0.002, 0.0002])
RIGHT = np.array([[0.90, 0.85, 0.80], [0.85, 0.55, 0.30], [0.95, 0.92, 0.60]])
"""Probability of a good answer, [domains, workers]."""
CHANCE = np.array([[0.3, 0.4, 0.3], [0.5, 0.3, 0.2], [0.3, 0.3, 0.4]])
"""How the logging policy chose, [domains, workers]."""
WORDS = {
    "chat": ("Tell", "a story of", "and its moral"),
    "code": ("Write", "def f(x): # sort by", "return x;"),
    "sums": ("Add", "12 + 7 *", "= ?"),
}


class Log(NamedTuple):
    """The log's file and what it hides.

    Attributes:
        path: JSONL.
        domain: int64 [requests].
        good: bool [requests, workers], whether each worker's answer would have been good.
    """

    path: Path
    domain: npt.NDArray[np.int64]
    good: npt.NDArray[np.bool_]


def write_log(path: Path, requests: int = 6000, confounded: bool = False) -> Log:
    """Write a log of one call a request.

    Args:
        path: Where.
        requests: How many.
        confounded: Send the requests that are hard to see through to the large worker, by a reason
            that the log does not hold.
    """
    generator = np.random.default_rng(5)
    domain = generator.integers(0, len(DOMAINS), requests)
    hard = generator.random(requests)  # shared by all workers
    own = generator.random((requests, len(WORKERS)))
    luck = np.where(generator.random((requests, 1)) < 0.5, hard[:, None], own)
    good = luck < RIGHT[domain]
    chance = CHANCE[domain]
    if confounded:
        sent = np.where((hard > 0.5)[:, None], (0.8, 0.1, 0.1), (0.1, 0.45, 0.45))
    else:
        sent = chance
    chosen = (generator.random((requests, 1)) > np.cumsum(sent, axis=1)[:, :-1]).sum(axis=1)
    with path.open("w", encoding="utf-8") as file:
        for i in range(requests):
            name, worker = DOMAINS[int(domain[i])], int(chosen[i])
            verb, middle, end = WORDS[name]
            row: dict[str, Any] = {
                "request": f"r{i:05d}",
                "time": f"2026-{1 + i * 12 // requests:02d}-01T00:00:00Z",
                "prompt": f"{verb} {middle} {generator.integers(1000)} {end} ({i})",
                "kind": name,
                "worker": WORKERS[worker],
                "chance": float(chance[i, worker]),
                "rating": int(generator.integers(4, 6) if good[i, worker] else 1),
                "tokens_in": int(20 + generator.integers(20)),
                "tokens_out": int(200 + generator.integers(100)),
                "usd": float(USD[worker]),
                "seconds": round(float(generator.exponential(2.0)), 3),
            }
            file.write(json.dumps(row) + "\n")
    return Log(path, domain, good)
