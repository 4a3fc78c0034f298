"""Playing an agent over a track: indices 0..N-1 of stream 0, in order, the same luck for all."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Agent, Online, Outcome, Privileged
from conductor_gym.config import EnvConfig
from conductor_gym.dynamics.state import Records
from conductor_gym.engine import Engine
from conductor_gym.engines import new_engine
from conductor_gym.errors import AgentError, InvalidActionError
from conductor_gym.leaderboard.reading import Reader, usual_batch, usual_time_limit
from conductor_gym.leaderboard.supervision import Supervisor
from conductor_gym.types import (
    MICROSECONDS,
    MISSING,
    N_LEVELS,
    N_SUBTASKS,
    NANO_USD,
    UNREADABLE_ACTION,
)

STREAM = 0
AGAIN = -2
"""Stands between the decisions of two workflows of an episode."""
ACTION_BITS = (1 << 16) - 1
"""Of a decision; above them a workflow's step has the bits of the past steps that it saw."""

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
        own_tokens: int64 [N, 2], tokens that the agent itself read and wrote; None where it does
            not read.
    """

    quality: npt.NDArray[np.float64]
    cost: npt.NDArray[np.int64]
    latency: npt.NDArray[np.int64]
    invalid: npt.NDArray[np.int64]
    decisions: list[list[int]]
    failures: dict[int, str]
    own_tokens: Codes | None = None


def pack_action(actions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(worker, subtask, level) as one number: (worker * 8 + subtask) * 7 + level.

    `UNREADABLE_ACTION` is -1.

    Args:
        actions: int64 [n, 3].

    Returns:
        int64 [n].
    """
    codes = (actions[:, 0] * N_SUBTASKS + actions[:, 1]) * N_LEVELS + actions[:, 2]
    return np.where(actions[:, 0] == MISSING, MISSING, codes)


def unpack_action(code: int) -> tuple[int, int, int]:
    """The action that `pack_action` packed; what a step of a workflow saw is left out."""
    if code == MISSING:
        return UNREADABLE_ACTION
    rest, level = divmod(code & ACTION_BITS, N_LEVELS)
    worker, subtask = divmod(rest, N_SUBTASKS)
    return worker, subtask, level


def play(
    agent: Agent,
    config: EnvConfig,
    episodes: int,
    batch: int | None = None,
    privileged: bool = False,
    advance: Callable[[int], None] | None = None,
    time_limit_s: float | None = None,
) -> Episodes:
    """Play episodes 0..N-1 of stream 0.

    An agent that learns while it plays (`online = True`) plays one at a time, in order.

    Args:
        agent: A policy. What it does wrong loses the episode in which it does so.
        config: The environment that is scored.
        episodes: N.
        batch: Episodes side by side; the result does not depend on it. None: as suits the agent.
        privileged: Bind the agent to the engine: for references only, never on an agent's word.
        advance: Called with the number of episodes that were finished.
        time_limit_s: Seconds that one call of `act` or `observe` may take. None: as suits it.

    Raises:
        AgentError: A privileged agent that fails.
    """
    learner = agent if getattr(agent, "online", False) and isinstance(agent, Online) else None
    side_by_side = usual_batch(agent) if batch is None else batch
    n = 1 if learner is not None else min(side_by_side, episodes)
    engine = new_engine(config, n)
    if privileged and isinstance(agent, Privileged):
        agent.bind(engine)
    reader = Reader(agent, engine, episodes)
    limit = usual_time_limit(agent) if time_limit_s is None else time_limit_s
    supervisor = Supervisor(agent, config.max_workers, limit)
    quality = np.zeros(episodes)
    totals = np.zeros((3, episodes), np.int64)
    failures: dict[int, str] = {}
    taken: list[tuple[Codes, Codes]] = []
    every = np.arange(n, dtype=np.int64)
    playing = every.copy()
    handed_out, finished = n, 0
    observation = engine.new_observation()
    engine.start(every, np.full(n, STREAM), playing, observation)
    while True:
        # Past the last index, slots play on uncounted until the others are through; what reads is
        # not asked about those.
        asked = every if reader.language is None else every[playing < episodes]
        actions = np.zeros((n, 3), np.int64)
        actions[asked], failed = supervisor.ask(reader.shown(observation, asked))
        reader.note(playing)
        if failed and privileged:
            raise AgentError(f"{type(agent).__name__}: {next(iter(failed.values()))}")
        failures |= {int(playing[asked[row]]): why for row, why in failed.items()}
        observation = engine.new_observation()
        results = engine.step(actions, observation)
        over = results["over"].copy()
        taken.append((playing.copy(), pack_action(actions)))
        counted = over & (playing < episodes)
        done, index = engine.episodes[counted], playing[counted]
        quality[index] = done["quality"]
        totals[:, index] = done["cost"], done["latency"], done["invalid"]
        if learner is not None and not failed:
            told = outcome_of(engine.episodes[0], actions[0], float(results[0]["reward"]))
            why = supervisor.tell(learner, told)
            if why is not None:
                failures[int(playing[0])] = why
        finished += len(index)
        if advance is not None and len(index):
            advance(len(index))
        if finished == episodes:
            break
        ended = every[over]
        if len(ended):
            playing[ended] = handed_out + np.arange(len(ended))
            handed_out += len(ended)
            engine.start(ended, np.full(len(ended), STREAM), playing[ended], observation)
    failures = {index: failures[index] for index in sorted(failures) if index < episodes}
    quality[list(failures)] = 0.0
    decisions = by_episode(taken, episodes)
    cost, latency, invalid = totals
    return Episodes(quality, cost, latency, invalid, decisions, failures, reader.own_tokens)


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
