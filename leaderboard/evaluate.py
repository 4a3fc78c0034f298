"""Playing an agent over a track: indices 0..N-1 of stream 0, in order, the same luck for all."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode

from conductor_gym.agents.base import Agent, Privileged
from conductor_gym.config import EnvConfig
from conductor_gym.engine import Engine
from conductor_gym.errors import InvalidActionError
from conductor_gym.types import N_LEVELS, N_SUBTASKS
from conductor_gym.vector_env import ConductorVectorEnv

STREAM = 0
BATCH = 4096


@dataclass(frozen=True)
class Episodes:
    """What N episodes came to; every array has N entries, in the order of the indices.

    Attributes:
        quality: float64, in [0, 1].
        cost: int64, nano-USD.
        latency: int64, microseconds.
        invalid: int64, invalid actions.
        decisions: Per episode, each action as one number, see `pack_action`.
    """

    quality: npt.NDArray[np.float64]
    cost: npt.NDArray[np.int64]
    latency: npt.NDArray[np.int64]
    invalid: npt.NDArray[np.int64]
    decisions: list[list[int]]


def pack_action(actions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(worker, subtask, level) as one number: (worker * 8 + subtask) * 7 + level.

    Args:
        actions: int64 [n, 3].

    Returns:
        int64 [n].
    """
    return (actions[:, 0] * N_SUBTASKS + actions[:, 1]) * N_LEVELS + actions[:, 2]


def unpack_action(code: int) -> tuple[int, int, int]:
    """The action that `pack_action` packed."""
    rest, level = divmod(code, N_LEVELS)
    worker, subtask = divmod(rest, N_SUBTASKS)
    return worker, subtask, level


def play(
    agent: Agent,
    config: EnvConfig,
    episodes: int,
    batch: int = BATCH,
    privileged: bool = False,
    advance: Callable[[int], None] | None = None,
) -> Episodes:
    """Play episodes 0..N-1 of stream 0.

    Args:
        agent: A policy.
        config: The environment that is scored.
        episodes: N.
        batch: Episodes side by side; the result does not depend on it.
        privileged: Bind the agent to the engine: for references only, never on an agent's word.
        advance: Called with the number of episodes that were finished.

    Raises:
        InvalidActionError: The agent returned something that is no action.
    """
    n = min(batch, episodes)
    vector = ConductorVectorEnv(n, AutoresetMode.DISABLED, **config.as_dict())
    if privileged and isinstance(agent, Privileged):
        agent.bind(vector.engine)
    quality = np.zeros(episodes)
    totals = np.zeros((3, episodes), np.int64)
    taken: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]] = []
    playing = np.arange(n, dtype=np.int64)
    handed_out, finished = n, 0
    observation, _ = vector.reset(seed=[STREAM] * n, options={"episode_index": playing})
    while True:
        try:
            actions = vector.engine.as_actions(agent.act(observation), (n, 3))
            observation, _, over, _, _ = vector.step(actions)
        except InvalidActionError as error:
            raise InvalidActionError(f"{type(agent).__name__}.act: {error}") from None
        taken.append((playing.copy(), pack_action(actions)))
        counted = over & (playing < episodes)
        done, index = vector.engine.episodes[counted], playing[counted]
        quality[index] = done["quality"]
        totals[:, index] = done["cost"], done["latency"], done["invalid"]
        finished += len(index)
        if advance is not None and len(index):
            advance(len(index))
        if finished == episodes:
            break
        if over.any():
            # Past the last index, slots play on uncounted until the others are through.
            k = int(over.sum())
            playing[over] = handed_out + np.arange(k)
            handed_out += k
            options = {"reset_mask": over, "episode_index": playing}
            observation, _ = vector.reset(options=options)
    return Episodes(quality, totals[0], totals[1], totals[2], _by_episode(taken, episodes))


def _by_episode(
    taken: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]], episodes: int
) -> list[list[int]]:
    """The codes of each episode, in the order they were taken."""
    playing, codes = (np.concatenate(parts) for parts in zip(*taken, strict=True))
    order = np.argsort(playing, kind="stable")
    ends = np.searchsorted(playing[order], np.arange(1, episodes))
    counted = codes[order][: int((playing < episodes).sum())]
    return [part.tolist() for part in np.split(counted, ends)]


class Replay:
    """An agent that repeats recorded decisions: recomputing a score from them.

    Args:
        decisions: As in `Episodes.decisions`.
    """

    def __init__(self, decisions: list[list[int]]) -> None:
        self._decisions = decisions
        self._engine: Engine | None = None

    def bind(self, engine: Engine) -> None:
        """See `Privileged.bind`."""
        self._engine = engine

    def act(self, observation: object) -> npt.NDArray[np.int64]:
        """The recorded action of each running episode."""
        del observation
        if self._engine is None:
            raise InvalidActionError("a replay must be bound to an engine first.")
        rows = self._engine.episodes
        table = np.zeros((len(rows), 3), np.int64)
        for slot in np.flatnonzero(rows["over"] == 0).tolist():
            index, step = int(rows["index"][slot]), int(rows["steps"][slot])
            if index < len(self._decisions):
                table[slot] = unpack_action(self._decisions[index][step])
        return table
