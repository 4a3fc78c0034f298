"""What a process pays: time to the first step, and memory by the number of environments."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FIRST_STEP = """
import gymnasium as gym
import conductor_gym
env = gym.make("Conductor-v0")
env.reset(seed=0)
env.step([0, 0, 0])
"""
MEMORY = """
import gc, sys
import gymnasium as gym
import numpy as np
import conductor_gym

def resident():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

def stepped(n, steps):
    vector = gym.make_vec("Conductor-v0", n, vectorization_mode="vector_entry_point")
    observation, _ = vector.reset(seed=0)
    actions = np.zeros((n, 3), np.int64)
    for _ in range(steps):
        observation = vector.step(actions)[0]
    return vector, observation

kept = stepped(1, 30)
before = resident()
kept = stepped(int(sys.argv[1]), 12)
print(resident() - before)
"""


def _python(code: str, *words: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=True,
        timeout=600,
    )
    return done.stdout


@pytest.mark.parametrize("cache", ["cold", "compiled"])
def test_first_step(benchmark: Any, cache: str, tmp_path: Path) -> None:
    folder = str(tmp_path / "numba")

    def run() -> None:
        _python(FIRST_STEP, NUMBA_CACHE_DIR=folder)

    benchmark.extra_info.update(kind="first step", name=cache)
    benchmark.pedantic(run, rounds=1 if cache == "cold" else 5, warmup_rounds=int(cache != "cold"))


@pytest.mark.parametrize("n", [1024, 8192, 65536])
def test_memory(benchmark: Any, n: int) -> None:
    found: list[int] = []

    def run() -> None:
        found.append(int(_python(MEMORY, str(n))))

    benchmark.pedantic(run, rounds=1)
    benchmark.extra_info.update(kind="memory", name=f"{n}", bytes=found[0] / n)


def test_whole_board(benchmark: Any, tmp_path: Path) -> None:
    """Every agent that needs no training, on track standard, all weights and assumptions."""

    def run() -> None:
        code = "from conductor_gym.cli import main; main()"
        words = ("run", "--agent", "all", "--track", "standard", "--results", str(tmp_path))
        _python(code, *words)

    benchmark.extra_info.update(kind="board", name="standard")
    benchmark.pedantic(run, rounds=1)
