"""`Conductor-v0`: the numeric, serial environment, a batch of one."""

from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from conductor_gym.config import EnvConfig, check_settings
from conductor_gym.episode_env import EpisodeEnv
from conductor_gym.spaces import action_space, observation_space
from conductor_gym.types import (
    DEFAULT_BUDGET_USD,
    MAX_STEPS,
    MAX_WORKERS,
    Assumptions,
    Backend,
)

Observations = dict[str, npt.NDArray[Any]]


class ConductorEnv(EpisodeEnv[Observations, npt.NDArray[np.int64]]):
    """One episode is one query; one step is one decision (worker, subtask, context level).

    An episode is a pure function of (configuration, key, stream, index). ``reset(seed=s)`` starts
    stream s at index 0, each unseeded ``reset`` goes to the next index, and
    ``options={"episode_index": k}`` plays index k.

    Args:
        pool: Shipped pool or path to a pool's TOML file.
        suite: Shipped suite, or path to a suite's TOML file or to tasks (JSONL).
        split: ``"train"``, ``"dev"`` or ``"test"``.
        cost_weight: Quality points per US cent; None draws one per episode.
        latency_weight: Quality points per minute.
        budget_usd: USD an episode may spend.
        max_steps: Decisions per episode.
        max_workers: Worker slots; those beyond the pool are masked.
        key: Text of the key that all luck is drawn from.
        assumptions: Which end of the assumed parameters to simulate with.
        backend: ``"simulated"`` or ``"recorded"``; None: as the pool's file says. Live workers are
            in `ConductorLive-v0`.
        render_mode: ``"ansi"`` returns the episode so far as text, ``"human"`` prints it.
        **unknown: None: a setting that does not exist is an error that names the nearest one.

    Raises:
        ConductorError: Unknown names, broken files or settings that cannot work together.
    """

    def __init__(
        self,
        pool: str = "mixed",
        suite: str = "core-v1",
        split: str = "train",
        cost_weight: float | None = None,
        latency_weight: float = 0.0,
        budget_usd: float = DEFAULT_BUDGET_USD,
        max_steps: int = MAX_STEPS,
        max_workers: int = MAX_WORKERS,
        key: str = "public",
        assumptions: Assumptions = "mid",
        backend: Backend | None = None,
        render_mode: str | None = None,
        **unknown: Any,
    ) -> None:
        check_settings(unknown, also=("render_mode",))
        config = EnvConfig(
            pool=pool,
            suite=suite,
            split=split,
            cost_weight=cost_weight,
            latency_weight=latency_weight,
            budget_usd=budget_usd,
            max_steps=max_steps,
            max_workers=max_workers,
            key=key,
            assumptions=assumptions,
            backend=backend,
        )
        super().__init__(config, render_mode)
        self.observation_space: gym.Space[Any] = observation_space(max_workers, max_steps)
        self.action_space: gym.Space[Any] = action_space(max_workers)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Start the next episode.

        Args:
            seed: Start this stream at index 0.
            options: ``{"episode_index": k}`` plays index k of the stream.

        Returns:
            The observation, and info with ``stream``, ``index``, ``uid``, ``domain``,
            ``cost_weight``, ``latency_weight`` and, where the suite has text, ``prompt``.
        """
        observation, info = self._begin(seed, options)
        return _first_row(observation), info

    def step(
        self, action: npt.NDArray[np.int64]
    ) -> tuple[Observations, SupportsFloat, bool, bool, dict[str, Any]]:
        """Make one decision.

        Args:
            action: Integers (worker slot, subtask, context level).

        Returns:
            Observation, reward, terminated, truncated (always False), info. ``info["invalid"]``
            names the broken rule or is None, ``info["status"]`` is how the call came back,
            ``cost_usd``, ``latency_s`` and ``invalid_actions`` are totals; the last step adds
            ``quality``, ``utility``, ``episode_return`` and ``episode_length``.

        Raises:
            EpisodeOverError: No episode is running.
            InvalidActionError: The action is outside the action space; the episode is unchanged.
        """
        self._check_running()
        actions = self.engine.as_actions(action, (3,))
        observation, reward, over, info = self._advance(actions)
        return _first_row(observation), reward, over, False, info

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """Factorized mask for MaskablePPO, bool [max_workers + 8 + 7]."""
        return self._mask.astype(bool)


def _first_row(observation: Any) -> Observations:
    return {name: array[0] for name, array in observation._asdict().items()}
