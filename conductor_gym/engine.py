"""The batched engine: n episode slots over one world. Every environment and evaluation is one."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from conductor_gym.config import EnvConfig
from conductor_gym.dynamics.jit import entry
from conductor_gym.dynamics.results import RESULT_DTYPE
from conductor_gym.dynamics.state import (
    BLOCK,
    CALL_DTYPE,
    Observation,
    Records,
    State,
    new_scratch,
    new_state,
)
from conductor_gym.errors import ConfigError, InvalidActionError
from conductor_gym.kernels import SOLVES_DTYPE, kernels
from conductor_gym.spaces import (
    BUDGET_COLUMNS,
    HISTORY_COLUMNS,
    QUERY_WIDTH,
    WORKER_COLUMNS,
    mask_width,
)
from conductor_gym.types import (
    LARGEST_INDEX,
    MICROSECONDS,
    MISSING,
    N_LEVELS,
    N_SUBTASKS,
    NANO_USD,
)
from conductor_gym.world import World, make_world


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
        self._scratch = new_scratch(min(BLOCK, max(n, len(self.world.tables.workers))))
        self._shapes = (
            (n, QUERY_WIDTH),
            (n, config.max_steps, len(HISTORY_COLUMNS)),
            (n, config.max_workers, len(WORKER_COLUMNS)),
            (n, len(BUDGET_COLUMNS)),
            (n, mask_width(config.max_workers)),
        )
        self._start: Callable[..., None] | None = None
        self._step: Callable[..., int] | None = None
        self._meaning = (
            f"An action is (worker slot 0..{config.max_workers - 1}, subtask 0..{N_SUBTASKS - 1}, "
            f"context level 0..{N_LEVELS - 1})."
        )

    @property
    def episodes(self) -> Records:
        """`EPISODE_DTYPE` [n]."""
        return self.state.episodes

    def new_observation(self) -> Observation:
        """Fresh, unfilled arrays for n slots."""
        query, history, workers, budget, mask = self._shapes
        return Observation(
            np.empty(query, np.float32),
            np.empty(history, np.float32),
            np.empty(workers, np.float32),
            np.empty(budget, np.float32),
            np.empty(mask, np.int8),
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
        world = self.world
        arguments = (world.tables, self.state, slots, streams, indices, observation, self._scratch)
        if self._start is None:
            self._start = entry(kernels().start, arguments)
        self._start(*arguments)

    def observe(self, observation: Observation) -> None:
        """Write the observations of all slots as they are.

        Args:
            observation: Arrays of all n slots.
        """
        kernels().look(self.world.tables, self.state, observation)

    def step(
        self, actions: npt.NDArray[np.int64], observation: Observation, restart: bool = False
    ) -> Records:
        """Step every slot whose episode is not over.

        Args:
            actions: int64 [n, 3], see `as_actions`; `UNREADABLE_ACTION` where a text held none.
            observation: Arrays of all n slots, all rows are written.
            restart: Whether slots whose episode was over before start the next index of their
                stream instead; otherwise they stay as they are.

        Returns:
            `RESULT_DTYPE` [n]; the reward is 0 where nothing was stepped.

        Raises:
            InvalidActionError: An action outside the action space, of a slot whose episode is not
                over. No episode has moved.
        """
        self._check_makes_outcomes()
        results = np.empty(self.n, RESULT_DTYPE)
        world = self.world
        arguments = (
            world.tables,
            world.simulated,
            world.recorded,
            self.state,
            np.ascontiguousarray(actions, np.int64),
            restart,
            results,
            observation,
            self._scratch,
        )
        if self._step is None:
            self._step = entry(kernels().step, arguments)
        outside = self._step(*arguments)
        if outside >= 0:
            raise self.out_of_range(arguments[4], outside)
        return results

    def instruct(self, slot: int, words: str) -> None:
        """Words for the worker of a slot's next call. Workers that are not live ignore them.

        Args:
            slot: Which slot.
            words: Free text; nothing where empty.
        """
        del slot, words

    def answer_text(self, slot: int, step: int) -> str:
        """The answer that a past step gave, in words; empty where there are none.

        Args:
            slot: Which slot.
            step: From 0.
        """
        del slot, step
        return ""

    def _check_makes_outcomes(self) -> None:
        if self.world.told:
            raise ConfigError(
                f"outcomes of pool {self.world.pool.name!r} come from outside (backend "
                f"{self.world.backend!r}): an `Engine` cannot make them, a `LiveEngine` can."
            )

    def out_of_range(self, actions: npt.NDArray[np.int64], slot: int) -> InvalidActionError:
        """The error for a slot's action outside the action space."""
        where = f" of slot {slot}" if self.n > 1 else ""
        action = tuple(actions[slot].tolist())
        return InvalidActionError(f"action {action}{where} is out of range. {self._meaning}")

    def plan(self, slots: npt.NDArray[np.int64], actions: npt.NDArray[np.int64]) -> Records:
        """What actions ask for in some slots, without making it happen.

        Args:
            slots: int64 [k], none of them over.
            actions: int64 [n, 3], of all slots, all in range.

        Returns:
            `CALL_DTYPE` [n], written where asked.
        """
        calls = np.zeros(self.n, CALL_DTYPE)
        actions = np.ascontiguousarray(actions, np.int64)
        kernels().plan(self.world.tables, self.state, slots, actions, calls)
        return calls

    def step_told(
        self,
        slots: npt.NDArray[np.int64],
        actions: npt.NDArray[np.int64],
        outcomes: Records,
        observation: Observation,
    ) -> Records:
        """Step those of some slots whose episode is not over, with outcomes that are known.

        What the environment decides by itself stays its own: whether an action is valid and
        affordable, which part it is about, votes, and the end.

        Args:
            slots: int64 [k].
            actions: int64 [n, 3], of all slots, all in range.
            outcomes: `OUTCOME_DTYPE` [n], read where a call is made.
            observation: Arrays of all n slots, the k rows are written.

        Returns:
            `RESULT_DTYPE` [n], zeros elsewhere.
        """
        results = np.zeros(self.n, RESULT_DTYPE)
        kernels().step_told(
            self.world.tables,
            self.state,
            slots,
            np.ascontiguousarray(actions, np.int64),
            outcomes,
            results,
            observation,
            self._scratch,
        )
        return results

    def as_actions(self, actions: object, shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
        """Actions as int64 [n, 3], from integers of the given shape.

        Raises:
            InvalidActionError: Wrong shape, or not integers.
        """
        given: npt.NDArray[Any]
        try:
            given = np.asarray(actions)
        except (ValueError, TypeError):
            given = np.asarray(None)
        if given.shape != shape or given.dtype.kind not in "iu":
            raise InvalidActionError(
                f"expected integers of shape {shape}, got shape {given.shape} of {given.dtype}: "
                f"{' '.join(str(actions).split())[:80]}. {self._meaning}"
            )
        if given.dtype == np.uint64:
            given = np.minimum(given, np.uint64(LARGEST_INDEX))  # it would wrap
        table = given.astype(np.int64, copy=False).reshape(-1, 3)
        # Numbers are never unreadable, so what stands for that is out of range here.
        return np.where(table == MISSING, MISSING - 1, table)

    def first_solves(self, slots: npt.NDArray[np.int64], level: int = 0) -> FirstSolves:
        """What each worker's first `solve` of the whole would give now. For privileged agents only.

        Args:
            slots: int64 [k].
            level: Context level.

        Returns:
            One row a slot, one column a worker of the pool.
        """
        self._check_makes_outcomes()
        solves = self._new_solves(slots)
        world = self.world
        kernels().first_solves(
            world.tables,
            world.simulated,
            world.recorded,
            self.state,
            slots,
            level,
            solves,
            self._scratch,
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
        if world.backend != "simulated":
            raise ConfigError(
                f"pool {world.pool.name!r} is {world.backend}: it has no expected outcomes."
            )
        solves = self._new_solves(slots)
        kernels().expected_solves(
            world.tables, sim, self.state, slots, level, solves, self._scratch
        )
        domain = world.tables.queries["domain"][self.episodes["query"][slots]]
        holds = 1.0 - sim.abilities[:, domain].T["format_failure"] / 2.0**64
        return _named(solves, holds * np.asarray(ndtr(solves["quality"]), np.float64))

    def _new_solves(self, slots: npt.NDArray[np.int64]) -> Records:
        return np.zeros((len(slots), len(self.world.tables.workers)), SOLVES_DTYPE)


def _named(solves: Records, quality: npt.NDArray[np.float64]) -> FirstSolves:
    return FirstSolves(
        quality,
        solves["tokens"],
        solves["cost"] / NANO_USD,
        solves["latency"] / MICROSECONDS,
        solves["affordable"] == 1,
    )
