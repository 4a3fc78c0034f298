"""The limit: a plain loop that writes the same bytes of fresh arrays and makes as many draws."""

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from workload import Subject

from conductor_gym.config import EnvConfig
from conductor_gym.dynamics.jit import njit
from conductor_gym.dynamics.keyed import interpolate, threefry
from conductor_gym.world import make_world

_U = np.uint64


@njit
def _fill(keys: Any, table: Any, draws: Any, rows: Any, rewards: Any) -> None:
    query, history, workers, budget, mask = rows
    for slot in range(keys.shape[0]):
        total = 0.0
        for purpose in range(draws[slot]):
            word, _ = threefry(keys[slot, 0], keys[slot, 1], _U(purpose), _U(0))
            total += interpolate(table, word)
        rewards[slot] = total
        for j in range(query.shape[1]):
            query[slot, j] = total
        for j in range(history.shape[1]):
            history[slot, j] = total
        for j in range(workers.shape[1]):
            workers[slot, j] = total
        for j in range(budget.shape[1]):
            budget[slot, j] = total
        for j in range(mask.shape[1]):
            mask[slot, j] = 1


@cache
def draws_per_step() -> float:
    """Keyed draws that a step makes on average; counted in uncompiled code by `count_draws.py`."""
    script = Path(__file__).with_name("count_draws.py")
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=True, timeout=300
    )
    return float(done.stdout)


def plain_loop(n: int, steps: int) -> Subject:
    """Fresh arrays of 1,103 bytes a slot in every step, and the draws."""
    world = make_world(EnvConfig())
    generator = np.random.default_rng(0)
    keys = generator.integers(0, 2**63, (n, 2)).astype(np.uint64)
    table = world.simulated.normal
    low, more = divmod(draws_per_step(), 1.0)
    draws = int(low) + (generator.random(n) < more).astype(np.int64)

    def run() -> None:
        for _ in range(steps):
            rows = (
                np.empty((n, 56), np.float32),
                np.empty((n, 110), np.float32),
                np.empty((n, 96), np.float32),
                np.empty((n, 8), np.float32),
                np.empty((n, 23), np.int8),
            )
            _fill(keys, table, draws, rows, np.empty(n))

    return Subject(run, n * steps)
