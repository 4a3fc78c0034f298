"""Playing an agent over a track: indices 0..N-1 of stream 0, in order, the same luck for all."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Agent, Privileged
from conductor_gym.config import EnvConfig
from conductor_gym.engine import Engine
from conductor_gym.errors import InvalidActionError
from conductor_gym.types import N_LEVELS, N_SUBTASKS

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
        advance: Called with the number of episodes that each batch finished.

    Raises:
        InvalidActionError: The agent returned something that is no action.
    """
    quality = np.zeros(episodes)
    totals = np.zeros((3, episodes), np.int64)
    decisions: list[list[int]] = []
    for first in range(0, episodes, batch):
        k = min(batch, episodes - first)
        engine = Engine(config, k)
        if privileged and isinstance(agent, Privileged):
            agent.bind(engine)
        slots = np.arange(k, dtype=np.int64)
        observation = engine.new_observation()
        engine.start(slots, np.full(k, STREAM), first + slots, observation)
        codes: list[npt.NDArray[np.int64]] = []
        running = engine.episodes["over"] == 0
        while running.any():
            try:
                actions = engine.as_actions(agent.act(observation._asdict()), (k, 3))
                observation = engine.new_observation()
                engine.step(actions, observation)
            except InvalidActionError as error:
                raise InvalidActionError(f"{type(agent).__name__}.act: {error}") from None
            codes.append(np.where(running, pack_action(actions), -1))
            running = engine.episodes["over"] == 0
        done = engine.episodes
        span = slice(first, first + k)
        quality[span] = done["quality"]
        totals[:, span] = done["cost"], done["latency"], done["invalid"]
        decisions += [row[row >= 0].tolist() for row in np.stack(codes, axis=1)]
        if advance is not None:
            advance(k)
    return Episodes(quality, totals[0], totals[1], totals[2], decisions)


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
            table[slot] = unpack_action(self._decisions[index][step])
        return table
