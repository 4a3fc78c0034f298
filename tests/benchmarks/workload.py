"""What is timed: each subject is a function that makes a known number of steps."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from conductor_gym.types import N_LEVELS, N_SUBTASKS

gym: Any = gymnasium


@dataclass(frozen=True)
class Subject:
    """One thing that is timed.

    Attributes:
        run: Makes the steps.
        steps: How many environment steps that is.
    """

    run: Callable[[], None]
    steps: int


def valid_actions(mask: npt.NDArray[Any], generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Uniform over the valid entries of each part, int64 [n, 3]."""
    workers = mask.shape[1] - N_SUBTASKS - N_LEVELS
    bounds = (0, workers, workers + N_SUBTASKS, mask.shape[1])
    parts: list[npt.NDArray[np.int64]] = []
    for low, high in pairwise(bounds):
        chances = generator.random((len(mask), high - low))
        parts.append(np.where(mask[:, low:high], chances, -1.0).argmax(axis=1))
    return np.stack(parts, axis=1)


def recorded_actions(vector: Any, steps: int) -> list[npt.NDArray[np.int64]]:
    """Actions of a random policy that only takes valid ones, from `reset(seed=0)` on.

    They are drawn beforehand: what is timed is the environment alone, on episodes as they are and
    not on invalid actions, which would be cheaper.
    """
    generator = np.random.default_rng(0)
    observation, _ = vector.reset(seed=0)
    taken: list[npt.NDArray[np.int64]] = []
    for _ in range(steps):
        taken.append(valid_actions(observation["action_mask"], generator))
        observation = vector.step(taken[-1])[0]
    return taken


def conductor_vector(n: int, steps: int, mode: str = "NextStep", **settings: Any) -> Subject:
    """Our native vector environment."""
    vector = gym.make_vec(
        "Conductor-v0",
        n,
        vectorization_mode="vector_entry_point",
        autoreset_mode=mode,
        **settings,
    )
    return replayed(vector, n, steps)


def conductor_sync(n: int, steps: int) -> Subject:
    """Gymnasium's vector environment over our scalar one."""
    return replayed(gym.make_vec("Conductor-v0", n, vectorization_mode="sync"), n, steps)


def replayed(vector: Any, n: int, steps: int) -> Subject:
    """A vector environment under actions drawn beforehand."""
    taken = recorded_actions(vector, steps)

    def run() -> None:
        vector.reset(seed=0)
        for actions in taken:
            vector.step(actions)

    return Subject(run, n * steps)


def conductor_scalar(steps: int) -> Subject:
    """Our scalar environment from `gym.make`, with its resets."""
    env = gym.make("Conductor-v0")
    generator = np.random.default_rng(0)
    observation, _ = env.reset(seed=0)
    taken: list[npt.NDArray[np.int64]] = []
    for _ in range(steps):
        taken.append(valid_actions(observation["action_mask"][None], generator)[0])
        observation, _, over, _, _ = env.step(taken[-1])
        if over:
            observation, _ = env.reset()

    def run() -> None:
        env.reset(seed=0)
        for action in taken:
            if env.step(action)[2]:
                env.reset()

    return Subject(run, steps)


def cartpole_scalar(steps: int) -> Subject:
    """Gymnasium's CartPole from `gym.make`, with its resets."""
    env = gym.make("CartPole-v1")
    taken = np.random.default_rng(0).integers(0, 2, steps).tolist()

    def run() -> None:
        env.reset(seed=0)
        for action in taken:
            _, _, over, cut, _ = env.step(action)
            if over or cut:
                env.reset()

    return Subject(run, steps)


def cartpole_vector(n: int, steps: int) -> Subject:
    """Gymnasium's native CartPole."""
    vector = gym.make_vec("CartPole-v1", n, vectorization_mode="vector_entry_point")
    return _any_actions(vector, np.random.default_rng(0).integers(0, 2, (steps, n)))


def envpool_cartpole(n: int, steps: int) -> Subject:
    """EnvPool's CartPole on one thread."""
    import pytest

    envpool: Any = pytest.importorskip("envpool", reason="EnvPool is not installed (extra `bench`)")
    vector = envpool.make("CartPole-v1", env_type="gymnasium", num_envs=n, num_threads=1)
    return _any_actions(vector, np.random.default_rng(0).integers(0, 2, (steps, n), np.int32))


def gem_sync(n: int, steps: int) -> Subject:
    """GEM's text environment `GuessTheNumber` in its own serial vector environment."""
    import pytest

    gem: Any = pytest.importorskip("gem", reason="GEM is not installed (extra `bench`)")
    vector = gem.make_vec("game:GuessTheNumber-v0", n)
    guesses = [rf"\boxed{{{i % 20 + 1}}}" for i in range(n)]
    return _any_actions(vector, [guesses] * steps)


def _any_actions(vector: Any, taken: Any) -> Subject:
    def run() -> None:
        vector.reset()
        for actions in taken:
            vector.step(actions)

    return Subject(run, len(taken) * len(taken[0]))
