"""Playing an agent over a track: indices 0..N-1 of stream 0, in order, the same luck for all."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode

from conductor_gym.agents.base import Agent, Online, Outcome, Privileged
from conductor_gym.config import EnvConfig
from conductor_gym.dynamics.state import Records
from conductor_gym.engine import Engine
from conductor_gym.errors import AgentError, InvalidActionError
from conductor_gym.leaderboard.supervision import TIME_LIMIT_S, Supervisor
from conductor_gym.types import MICROSECONDS, N_LEVELS, N_SUBTASKS, NANO_USD
from conductor_gym.vector_env import ConductorVectorEnv

STREAM = 0
BATCH = 4096

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Episodes:
    """What N episodes came to; every array has N entries, in the order of the indices.

    Attributes:
        quality: float64, in [0, 1].
        cost: int64, nano-USD.
        latency: int64, microseconds.
        invalid: int64, invalid actions.
        decisions: Per episode, each action as one number, see `pack_action`.
        failures: Why an episode was lost, by index: the agent raised, gave no action or hung. What
            was spent until then is charged, the quality is 0, and the last decision is a submit
            that was made in its place.
    """

    quality: npt.NDArray[np.float64]
    cost: npt.NDArray[np.int64]
    latency: npt.NDArray[np.int64]
    invalid: npt.NDArray[np.int64]
    decisions: list[list[int]]
    failures: dict[int, str]


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
    time_limit_s: float = TIME_LIMIT_S,
) -> Episodes:
    """Play episodes 0..N-1 of stream 0.

    An agent that learns while it plays (`online = True`) plays one at a time, in order.

    Args:
        agent: A policy. What it does wrong loses the episode in which it does so.
        config: The environment that is scored.
        episodes: N.
        batch: Episodes side by side; the result does not depend on it.
        privileged: Bind the agent to the engine: for references only, never on an agent's word.
        advance: Called with the number of episodes that were finished.
        time_limit_s: Seconds that one call of `act` or `observe` may take.

    Raises:
        AgentError: A privileged agent that fails.
    """
    learner = agent if getattr(agent, "online", False) and isinstance(agent, Online) else None
    n = 1 if learner is not None else min(batch, episodes)
    vector = ConductorVectorEnv(n, AutoresetMode.DISABLED, **config.as_dict())
    if privileged and isinstance(agent, Privileged):
        agent.bind(vector.engine)
    supervisor = Supervisor(agent, config.max_workers, time_limit_s)
    quality = np.zeros(episodes)
    totals = np.zeros((3, episodes), np.int64)
    failures: dict[int, str] = {}
    taken: list[tuple[Codes, Codes]] = []
    playing = np.arange(n, dtype=np.int64)
    handed_out, finished = n, 0
    observation, _ = vector.reset(seed=[STREAM] * n, options={"episode_index": playing})
    while True:
        actions, failed = supervisor.ask(observation)
        if failed and privileged:
            raise AgentError(f"{type(agent).__name__}: {next(iter(failed.values()))}")
        failures |= {int(playing[row]): why for row, why in failed.items()}
        observation, rewards, over, _, _ = vector.step(actions)
        taken.append((playing.copy(), pack_action(actions)))
        counted = over & (playing < episodes)
        done, index = vector.engine.episodes[counted], playing[counted]
        quality[index] = done["quality"]
        totals[:, index] = done["cost"], done["latency"], done["invalid"]
        if learner is not None and not failed:
            told = outcome_of(vector.engine.episodes[0], actions[0], float(rewards[0]))
            why = supervisor.tell(learner, told)
            if why is not None:
                failures[int(playing[0])] = why
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
    failures = {index: failures[index] for index in sorted(failures) if index < episodes}
    quality[list(failures)] = 0.0
    decisions = by_episode(taken, episodes)
    return Episodes(quality, totals[0], totals[1], totals[2], decisions, failures)


def outcome_of(episode: Records, action: npt.NDArray[np.int64], reward: float) -> Outcome:
    """What an online learner is told; the charge is what utility falls short of quality."""
    over = bool(episode["over"])
    quality = float(episode["quality"])
    return Outcome(
        action=action.copy(),
        reward=reward,
        over=over,
        quality=quality if over else None,
        utility=quality - int(episode["charge"]) / 1e9 if over else None,
        cost_usd=int(episode["cost"]) / NANO_USD,
        latency_s=int(episode["latency"]) / MICROSECONDS,
    )


def by_episode(taken: list[tuple[Codes, Codes]], episodes: int) -> list[list[int]]:
    """The codes of each episode, in the order they were taken.

    Args:
        taken: Indices and codes, step by step; indices from `episodes` on are left out.
        episodes: How many there are.
    """
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
