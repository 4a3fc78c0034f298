"""The batched engine: n episode slots over one world. Every environment and evaluation is one.

The loops below are the only callers of `simulate_call`, `recorded_call` and `apply_outcome`.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from conductor_gym.config import EnvConfig
from conductor_gym.dynamics.call import Fate, first_solve, plan_call
from conductor_gym.dynamics.jit import cached_njit, source_fingerprint
from conductor_gym.dynamics.observation import flat, observe, show_start, show_step
from conductor_gym.dynamics.state import Observation, Records, State, new_state
from conductor_gym.dynamics.transition import apply_outcome, start_episode
from conductor_gym.errors import ConfigError, InvalidActionError
from conductor_gym.spaces import BUDGET_COLUMNS, HISTORY_COLUMNS, WORKER_COLUMNS, mask_width
from conductor_gym.types import (
    CONTEXT_LEVELS,
    MICROSECONDS,
    MISSING,
    N_LEVELS,
    N_SUBTASKS,
    NANO_USD,
    CallOutcome,
    Status,
    Subtask,
)
from conductor_gym.workers.margin import document_loss, standard_margin
from conductor_gym.workers.recorded import recorded_call
from conductor_gym.workers.simulated import mean_below_cap, mean_length, simulate_call
from conductor_gym.world import World, make_world

_CALL = int(Fate.CALL)
_NO_OUTCOME = CallOutcome(int(Status.OK), MISSING, MISSING, -1.0, MISSING, 0, 0, 0, 0, 0.0, 0.0)
_SOLVE = int(Subtask.SOLVE)


class Kernels(NamedTuple):
    """The compiled loops.

    Attributes:
        start: ``(tables, state, slots, streams, indices, observation)`` starts episodes.
        step: ``(tables, simulated, recorded, state, actions, rewards, observation)`` steps every
            slot whose episode is not over.
        first_solves: ``(tables, simulated, recorded, state, slots, level, solves)`` looks at what
            each worker's first solve of the whole would give, without making it.
        expected_solves: ``(tables, simulated, state, slots, level, solves)`` looks at what
            that solve would give on average over the attempt's luck.
    """

    start: Callable[..., None]
    step: Callable[..., None]
    first_solves: Callable[..., None]
    expected_solves: Callable[..., None]


class FirstSolves(NamedTuple):
    """What each worker's first `solve` of the whole would give, all [slots, workers].

    Attributes:
        quality: float64 in [0, 1]; of expected solves, the probability of a right answer.
        tokens_out: float64, output tokens.
        cost_usd: float64, USD.
        latency_s: float64, seconds.
        affordable: bool, whether the call would be made.
    """

    quality: npt.NDArray[np.float64]
    tokens_out: npt.NDArray[np.float64]
    cost_usd: npt.NDArray[np.float64]
    latency_s: npt.NDArray[np.float64]
    affordable: npt.NDArray[np.bool_]


_SOLVES_DTYPE = np.dtype(
    [
        ("quality", np.float64),  # of expected solves: luck below which it is right
        ("tokens", np.float64),
        ("cost", np.float64),  # nano-USD
        ("latency", np.float64),  # microseconds
        ("affordable", np.int64),
    ],
    align=True,
)


@cache
def kernels() -> Kernels:
    """Compile the loops, or load them from numba's cache on disk."""
    fingerprint = source_fingerprint()

    @cached_njit
    def start(
        tables: Any, state: Any, slots: Any, streams: Any, indices: Any, observation: Any
    ) -> None:
        _ = fingerprint
        rows = flat(observation)
        for i in range(slots.shape[0]):
            slot = slots[i]
            start_episode(tables, state.episodes[slot], streams[i], indices[i])
            show_start(tables, state, slot)
            observe(tables, state, slot, rows)

    @cached_njit
    def step(
        tables: Any,
        simulated: Any,
        recorded: Any,
        state: Any,
        actions: Any,
        rewards: Any,
        observation: Any,
    ) -> None:
        _ = fingerprint
        rows = flat(observation)
        for slot in range(state.episodes.shape[0]):
            episode = state.episodes[slot]
            rewards[slot] = 0.0
            if episode.over == 0:
                steps = state.steps[slot]
                call = plan_call(
                    tables, episode, steps, actions[slot, 0], actions[slot, 1], actions[slot, 2]
                )
                outcome = _NO_OUTCOME
                if call.fate == _CALL:
                    if tables.rules[0].recorded == 1:
                        outcome = recorded_call(recorded, tables, episode, call)
                    else:
                        outcome = simulate_call(simulated, tables, episode, steps, call)
                rewards[slot] = apply_outcome(tables, episode, steps, call, outcome)
                show_step(tables, state, slot)
            observe(tables, state, slot, rows)

    @cached_njit
    def first_solves(
        tables: Any,
        simulated: Any,
        recorded: Any,
        state: Any,
        slots: Any,
        level: int,
        solves: Any,
    ) -> None:
        _ = fingerprint
        for i in range(slots.shape[0]):
            episode = state.episodes[slots[i]]
            steps = state.steps[slots[i]]
            for worker in range(tables.workers.shape[0]):
                call = first_solve(tables, episode, worker, level)
                if tables.rules[0].recorded == 1:
                    outcome = recorded_call(recorded, tables, episode, call)
                else:
                    outcome = simulate_call(simulated, tables, episode, steps, call)
                row = solves[i, worker]
                row.quality = outcome.score
                row.tokens = outcome.tokens_out
                row.cost = outcome.cost
                row.latency = outcome.latency
                row.affordable = int(call.fate == _CALL)

    @cached_njit
    def expected_solves(
        tables: Any, simulated: Any, state: Any, slots: Any, level: int, solves: Any
    ) -> None:
        _ = fingerprint
        for i in range(slots.shape[0]):
            episode = state.episodes[slots[i]]
            for w in range(tables.workers.shape[0]):
                worker, traits = tables.workers[w], simulated.traits[w]
                call = first_solve(tables, episode, w, level)
                row = solves[i, w]
                row.affordable = int(call.fate == _CALL)
                row.quality = -np.inf
                row.tokens = 0.0
                row.cost = 0.0
                row.latency = traits.first_token
                if call.tokens_in > worker.window:
                    continue
                mean = mean_length(simulated, tables, episode.query, MISSING, w, _SOLVE)
                length = mean_below_cap(simulated, tables, mean)
                lost = document_loss(simulated, call.shown, call.evidence)
                row.quality = standard_margin(simulated, tables, episode, w, -lost)
                row.tokens = length
                row.cost = (call.tokens_in * worker.price_in + length * worker.price_out) / 1000
                row.latency += traits.per_token * length

    return Kernels(start, step, first_solves, expected_solves)


class Engine:
    """n episode slots of one configuration.

    Args:
        config: The settings.
        n: Number of slots.
        world: Pool and suite already joined; made from the settings where None.

    Attributes:
        world: The joined pool and suite.
        n: Number of slots.
        state: Episode state of all slots, changed by `start` and `step` alone.
    """

    def __init__(self, config: EnvConfig, n: int = 1, world: World | None = None) -> None:
        if n < 1:
            raise ConfigError(f"at least one environment is needed, got {n!r}.")
        self.world: World = make_world(config) if world is None else world
        self.n = n
        self.state: State = new_state(n, config.max_steps, config.max_workers)
        self._kernels = kernels()
        self._upper = np.array([config.max_workers, N_SUBTASKS, N_LEVELS])

    @property
    def episodes(self) -> Records:
        """`EPISODE_DTYPE` [n]."""
        return self.state.episodes

    def new_observation(self) -> Observation:
        """Fresh, unfilled arrays for n slots."""
        n, config = self.n, self.world.config
        return Observation(
            np.empty((n, self.world.tables.features.shape[1]), np.float32),
            np.empty((n, config.max_steps, len(HISTORY_COLUMNS)), np.float32),
            np.empty((n, config.max_workers, len(WORKER_COLUMNS)), np.float32),
            np.empty((n, len(BUDGET_COLUMNS)), np.float32),
            np.empty((n, mask_width(config.max_workers)), np.int8),
        )

    def start(
        self,
        slots: npt.NDArray[np.int64],
        streams: npt.NDArray[np.int64],
        indices: npt.NDArray[np.int64],
        observation: Observation,
    ) -> None:
        """Start episodes and write their first observations.

        Args:
            slots: int64 [k], which slots.
            streams: int64 [k].
            indices: int64 [k], episode indices.
            observation: Arrays of all n slots; the k rows are written.
        """
        if len(slots) and (int(streams.min()) < 0 or int(indices.min()) < 0):
            raise ConfigError("seeds and episode indices must not be negative.")
        slots, streams, indices = (
            np.ascontiguousarray(array, np.int64) for array in (slots, streams, indices)
        )
        self._kernels.start(self.world.tables, self.state, slots, streams, indices, observation)

    def step(
        self, actions: npt.NDArray[np.int64], observation: Observation
    ) -> npt.NDArray[np.float64]:
        """Step every slot whose episode is not over; slots that are over stay as they are.

        Args:
            actions: int64 [n, 3], inside the action space.
            observation: Arrays of all n slots, all rows are written.

        Returns:
            float64 [n], rewards.
        """
        rewards = np.empty(self.n, np.float64)
        world = self.world
        self._kernels.step(
            world.tables,
            world.simulated,
            world.recorded,
            self.state,
            actions,
            rewards,
            observation,
        )
        return rewards

    def check_actions(self, actions: object, shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
        """Actions as int64 of the given shape.

        Raises:
            InvalidActionError: Wrong shape, not integers, or outside the action space. The
                episode is as it was before.
        """
        meaning = (
            f"An action is (worker slot 0..{self._upper[0] - 1}, subtask 0..{N_SUBTASKS - 1}, "
            f"context level 0..{len(CONTEXT_LEVELS) - 1})."
        )
        try:
            given = np.asarray(actions)
        except (ValueError, TypeError):
            given = np.asarray(None)
        if given.shape != shape or given.dtype.kind not in "iu":
            raise InvalidActionError(
                f"expected integers of shape {shape}, got shape {given.shape} of {given.dtype}: "
                f"{str(actions)[:80]}. {meaning}"
            )
        if bool(np.any(given < 0)) or bool(np.any(given >= self._upper)):
            rows = given.reshape(-1, 3)
            bad = rows[((rows < 0) | (rows >= self._upper)).any(axis=1)][0]
            raise InvalidActionError(f"action {tuple(bad.tolist())} is out of range. {meaning}")
        return np.ascontiguousarray(given, np.int64)

    def first_solves(self, slots: npt.NDArray[np.int64], level: int = 0) -> FirstSolves:
        """What each worker's first `solve` of the whole would give now. For privileged agents only.

        Args:
            slots: int64 [k].
            level: Context level.

        Returns:
            One row a slot, one column a worker of the pool.
        """
        solves = self._new_solves(slots)
        world = self.world
        self._kernels.first_solves(
            world.tables, world.simulated, world.recorded, self.state, slots, level, solves
        )
        return _named(solves, solves["quality"])

    def expected_solves(self, slots: npt.NDArray[np.int64], level: int = 0) -> FirstSolves:
        """`first_solves` on average over the attempt's luck: format, residual and length.

        What belongs to the query (its difficulty, each worker's own trouble with it) is given.
        For privileged agents only. The kernel gives the luck below which the solve is right; its
        normal probability is taken out here, where the last bit may depend on the machine.

        Args:
            slots: int64 [k].
            level: Context level.

        Returns:
            One row a slot, one column a worker of the pool.

        Raises:
            ConfigError: Outcomes are recorded, so there is nothing to average over.
        """
        world, sim = self.world, self.world.simulated
        if world.pool.backend != "simulated":
            raise ConfigError(f"pool {world.pool.name!r} is recorded: it has no expected outcomes.")
        solves = self._new_solves(slots)
        self._kernels.expected_solves(world.tables, sim, self.state, slots, level, solves)
        domain = world.tables.queries["domain"][self.episodes["query"][slots]]
        holds = 1.0 - sim.abilities[:, domain].T["format_failure"] / 2.0**64
        return _named(solves, holds * np.asarray(ndtr(solves["quality"]), np.float64))

    def _new_solves(self, slots: npt.NDArray[np.int64]) -> Records:
        return np.zeros((len(slots), len(self.world.tables.workers)), _SOLVES_DTYPE)


def _named(solves: Records, quality: npt.NDArray[np.float64]) -> FirstSolves:
    return FirstSolves(
        quality,
        solves["tokens"],
        solves["cost"] / NANO_USD,
        solves["latency"] / MICROSECONDS,
        solves["affordable"] == 1,
    )
