"""Episodes with all their steps, played again from decisions that are known."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from conductor_gym.dynamics.state import Observation, Records
from conductor_gym.engine import Engine
from conductor_gym.errors import DataFileError

SIDE_BY_SIDE = 512
"""Episodes that are played, and held in memory, at a time."""

Arrays = dict[str, npt.NDArray[np.float32]]
Decisions = Sequence[tuple[int, int, int]]
"""Worker slot, subtask and context level of each step."""


@dataclass(frozen=True, eq=False)
class Episode:
    """One finished episode of T steps.

    Attributes:
        state: `EPISODE_DTYPE` record at the end.
        steps: `STEP_DTYPE` [T].
        actions: int64 [T, 3].
        rewards: float64 [T].
        observations: What was observed before each step and after the last, [T + 1, ...] each.
    """

    state: Records
    steps: Records
    actions: npt.NDArray[np.int64]
    rewards: npt.NDArray[np.float64]
    observations: Arrays


def replay(
    engine: Engine, stream: int, first: int, decisions: Sequence[Decisions]
) -> Iterator[Episode]:
    """Play consecutive episodes again.

    Args:
        engine: Slots; as many episodes are held in memory.
        stream: Stream of the episodes.
        first: Index of the first one.
        decisions: Of each episode.

    Raises:
        DataFileError: An episode that does not end with the last of its decisions.
    """

    def step(t: int, actions: npt.NDArray[np.int64], observation: Observation) -> Records:
        del t
        return engine.step(actions, observation)

    for start in range(0, len(decisions), engine.n):
        block = decisions[start : start + engine.n]
        indices = first + start + np.arange(len(block), dtype=np.int64)
        yield from play_block(engine, np.full(len(block), stream), indices, block, step)


def play_block(
    engine: Engine,
    streams: npt.NDArray[np.int64],
    indices: npt.NDArray[np.int64],
    decisions: Sequence[Decisions],
    step: Callable[[int, npt.NDArray[np.int64], Observation], Records],
) -> Iterator[Episode]:
    """Play some episodes side by side to their ends.

    Args:
        engine: At least as many slots as episodes.
        streams: int64 [k].
        indices: int64 [k].
        decisions: Of each of the k episodes.
        step: Called with t, the actions int64 [n, 3] and arrays for the observations; steps the
            engine and returns its results.

    Raises:
        DataFileError: An episode that does not end with the last of its decisions.
    """
    k = len(decisions)
    lengths = np.array([len(taken) for taken in decisions], np.int64)
    actions = np.zeros((int(lengths.max(initial=0)), engine.n, 3), np.int64)
    for slot, taken in enumerate(decisions):
        actions[: len(taken), slot] = np.reshape(np.array(taken, np.int64), (-1, 3))
    seen = [engine.new_observation()]
    engine.start(np.arange(k, dtype=np.int64), streams, indices, seen[0])
    rewards = np.zeros(actions.shape[:2])
    for t, row in enumerate(actions):
        _check(engine, indices, lengths, t)
        seen.append(engine.new_observation())
        rewards[t] = step(t, row, seen[-1])["reward"]
    _check(engine, indices, lengths, len(actions))
    stacked = Observation(*(np.stack(arrays)[:, :k] for arrays in zip(*seen, strict=True)))
    named = stacked._asdict()
    for slot, length in enumerate(lengths.tolist()):
        yield Episode(
            engine.episodes[slot].copy(),
            engine.state.steps[slot, :length].copy(),
            actions[:length, slot],
            rewards[:length, slot],
            {name: array[: length + 1, slot] for name, array in named.items()},
        )


def _check(
    engine: Engine, indices: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], t: int
) -> None:
    """Before step t, episodes are over whose decisions are used up, and no others."""
    over = engine.episodes["over"][: len(lengths)] == 1
    wrong = np.flatnonzero(over != (lengths <= t))
    if len(wrong):
        slot = int(wrong[0])
        raise DataFileError(
            f"episode {indices[slot]} {'is over' if over[slot] else 'goes on'} after {t} steps, "
            f"but {lengths[slot]} decisions are recorded: they come from another environment."
        )
