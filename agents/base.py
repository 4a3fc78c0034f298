"""The batched protocol every agent follows, and what an agent is told before it starts.

An agent sees observations and nothing else; all it knows about an episode is in them, so its
score does not depend on how episodes are batched. Privileged agents are the marked exception.
"""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from conductor_gym.config import EnvConfig
from conductor_gym.engine import Engine
from conductor_gym.types import Subtask

Observations = dict[str, npt.NDArray[Any]]
"""Batched observations: every array has a leading dimension n."""
Actions = npt.NDArray[np.int64]
"""int64 [n, 3]: worker slot, subtask, context level."""


@dataclass(frozen=True)
class Setting:
    """What an agent is built for. Everything here is public.

    Attributes:
        train: The training environment: train split, public key.
        workers: Worker names in slot order.
        domains: Domain names in the order of the one-hot.
        subtasks: Subtasks that exist on this backend.
        confidence: Whether workers state a confidence.
        cost_weight: Quality points per US cent at which the agent will be scored.
        seed: For agents that draw; never the global random state.
        simulated: Whether outcomes are simulated, so that expected ones exist.
        foreseen: Whether outcomes exist before they are asked for, as those of live workers do not.
    """

    train: EnvConfig
    workers: tuple[str, ...]
    domains: tuple[str, ...]
    subtasks: frozenset[Subtask]
    confidence: bool
    cost_weight: float
    seed: int = 0
    simulated: bool = True
    foreseen: bool = True


class Agent(Protocol):
    """A policy over batches."""

    def act(self, observation: Observations) -> Actions:
        """Choose an action for each row.

        Args:
            observation: Batched observations of running episodes.

        Returns:
            int64 [n, 3].
        """
        ...


@dataclass(frozen=True)
class Outcome:
    """What came of one action, told to agents that learn while they are scored.

    Attributes:
        action: int64 [3], as `act` returned it.
        reward: Of this step.
        over: Whether the episode has ended.
        quality: In [0, 1]; None before the end.
        utility: Of the episode; None before the end.
        cost_usd: USD of the episode so far.
        latency_s: Seconds of the episode so far.
    """

    action: npt.NDArray[np.int64]
    reward: float
    over: bool
    quality: float | None
    utility: float | None
    cost_usd: float
    latency_s: float


@runtime_checkable
class Online(Agent, Protocol):
    """An agent that learns while it is scored: one episode at a time, in order.

    Its class has the attribute ``online = True`` and its section of agents.toml says so too.
    """

    def observe(self, outcome: Outcome) -> None:
        """Receive what came of the action that `act` has just returned."""
        ...


@runtime_checkable
class Privileged(Protocol):
    """An agent that looks inside the engine: a reference, never a competitor."""

    def bind(self, engine: Engine) -> None:
        """Receive the engine whose slots are the rows of every later `act`."""
        ...


def actions(n: int, subtask: int, worker: Any = 0, level: Any = 0) -> Actions:
    """N actions with one subtask.

    Args:
        n: Rows.
        subtask: For all rows.
        worker: Slot, one or int64 [n].
        level: Context level, one or int64 [n].
    """
    table = np.empty((n, 3), np.int64)
    table[:, 0] = worker
    table[:, 1] = subtask
    table[:, 2] = level
    return table
