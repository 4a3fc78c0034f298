"""The environment for algorithms that want one row of numbers, or one number for an action.

Stable-Baselines3's DQN takes a discrete action alone, and sb3-contrib's recurrent policies are
simplest over one `Box`. `FlatVecEnv` plays the episodes of `ConductorVecEnv` and changes how they
are written: a function makes a row of each observation, and actions may be positions in a list.
"""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Actions, Observations
from conductor_gym.agents.reading import steps_taken
from conductor_gym.config import EnvConfig
from conductor_gym.sb3 import ConductorVecEnv
from conductor_gym.spaces import HISTORY_COLUMNS
from conductor_gym.types import CONTEXT_LEVELS, N_SUBTASKS, Subtask

Rows = npt.NDArray[np.float32]
Flatten = Callable[[Observations], Rows]
"""Batched observations to float32 [n, width]."""

LEVELS_TO_CHOOSE: dict[Subtask, tuple[int, ...]] = {
    Subtask.SOLVE: (0, 4_096, 65_536, 262_144),
    Subtask.PLAN: (0,),
    Subtask.VERIFY: (4_096,),
    Subtask.REVISE: (4_096,),
    Subtask.CONDENSE: (262_144,),
    Subtask.AGGREGATE: (16_384,),
}
"""Context tokens of each subtask in `action_list`. A level shows at most what there is, so the
widest one means everything. To solve, nothing, the newest outputs or a condensed text, half of a
long document (for small windows) and everything are worth telling apart; a plan is made from the
query; a check or a revision needs the newest answer, an aggregate all answers; to condense is to
read everything."""
NEWEST_WIDTH = len(HISTORY_COLUMNS)
"""Columns of the newest step, with which a row of `newest_step_first` begins."""


def action_list(max_workers: int) -> Actions:
    """The joint actions worth telling apart, int64 [2 + 9 * max_workers, 3].

    Submit and vote, which ignore worker and level, stand there once; the others once a worker and
    level of `LEVELS_TO_CHOOSE`: 74 of the 448 joint actions of eight worker slots.
    """
    rows = [(0, int(Subtask.SUBMIT), 0), (0, int(Subtask.VOTE), 0)]
    for subtask, tokens in LEVELS_TO_CHOOSE.items():
        levels = [CONTEXT_LEVELS.index(shown) for shown in tokens]
        rows += [(w, int(subtask), level) for w in range(max_workers) for level in levels]
    return np.array(rows, np.int64)


def valid_actions(observation: Observations, listed: Actions) -> npt.NDArray[np.bool_]:
    """Which listed actions are valid now, bool [n, k].

    Args:
        observation: Batched observations.
        listed: int64 [k, 3]; submit and vote ignore worker and level, the environment too.
    """
    mask = observation["action_mask"].astype(bool)
    slots = observation["workers"].shape[1]
    subtasks = mask[:, slots + listed[:, 1]]
    levels = mask[:, slots + N_SUBTASKS + listed[:, 2]]
    free = (listed[:, 1] == Subtask.SUBMIT) | (listed[:, 1] == Subtask.VOTE)
    return subtasks & (free | (mask[:, listed[:, 0]] & levels))


def everything(observation: Observations) -> Rows:
    """All of an observation, the whole history and the mask included, float32 [n, width]."""
    return _row(observation, ("query", "history", "workers", "budget", "action_mask"))


def newest_step_first(observation: Observations) -> Rows:
    """The newest step, then all but the history, float32 [n, `NEWEST_WIDTH` + width of the rest].

    Before the first step the newest one is -1 throughout.
    """
    steps = steps_taken(observation)
    newest = observation["history"][np.arange(len(steps)), np.maximum(steps - 1, 0)]
    rest = _row(observation, ("query", "workers", "budget", "action_mask"))
    return np.concatenate([newest, rest], 1)


def _row(observation: Observations, parts: tuple[str, ...]) -> Rows:
    n = len(observation["budget"])
    flat = [observation[name].reshape(n, -1).astype(np.float32, copy=False) for name in parts]
    return np.concatenate(flat, 1)


class FlatVecEnv(ConductorVecEnv):
    """`ConductorVecEnv` with rows for observations and, where a list is given, numbers for actions.

    Args:
        num_envs: Slots.
        config: Settings of the environment.
        flatten: Makes rows of observations.
        listed: int64 [k, 3], the actions that numbers stand for; None keeps `MultiDiscrete`.
    """

    def __init__(
        self, num_envs: int, config: EnvConfig, flatten: Flatten, listed: Actions | None = None
    ) -> None:
        super().__init__(num_envs, config)
        self._flatten = flatten
        self._listed = listed
        self.observation_space = row_space(self.vector.single_observation_space, flatten)
        if listed is not None:
            self.action_space = gym.spaces.Discrete(len(listed))

    def reset(self) -> Rows:  # pyright: ignore[reportIncompatibleMethodOverride]
        """See `ConductorVecEnv.reset`; float32 [n, width]."""
        return self._flatten(super().reset())

    def step_async(self, actions: npt.NDArray[np.int64]) -> None:
        """Remember the actions: positions in the list, int64 [n], or int64 [n, 3] without one."""
        super().step_async(actions if self._listed is None else self._listed[actions])

    def step_wait(self) -> Any:
        """See `ConductorVecEnv.step_wait`; terminal observations are rows too."""
        observation, rewards, dones, infos = super().step_wait()
        ended = [info for info in infos if info]
        if ended:
            last = [info["terminal_observation"] for info in ended]
            together = {name: np.stack([row[name] for row in last]) for name in last[0]}
            for info, row in zip(ended, self._flatten(together), strict=True):
                info["terminal_observation"] = row
        return self._flatten(observation), rewards, dones, infos

    def look(self) -> Rows:  # pyright: ignore[reportIncompatibleMethodOverride]
        """See `ConductorVecEnv.look`; float32 [n, width]."""
        return self._flatten(super().look())


def row_space(space: Any, flatten: Flatten) -> gym.spaces.Box:
    """The space of the rows that `flatten` makes of observations.

    Args:
        space: `Dict` space of single observations.
        flatten: Makes rows of observations.
    """
    parts: dict[str, Any] = space.spaces
    empty = {name: np.zeros((1, *part.shape), part.dtype) for name, part in parts.items()}
    return gym.spaces.Box(-1.0, 1.0, (flatten(empty).shape[1],), np.float32)
