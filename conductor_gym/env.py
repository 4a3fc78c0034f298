"""`Conductor-v0`: the numeric, serial environment, a batch of one."""

import secrets
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from conductor_gym.config import EnvConfig, check_settings, whole_number
from conductor_gym.dynamics.results import RULE_NAMES, STATUS_NAMES
from conductor_gym.engine import Engine
from conductor_gym.engines import new_engine
from conductor_gym.errors import ConfigError, EpisodeOverError, unknown_name
from conductor_gym.render import tell_episode
from conductor_gym.reward import WEIGHT_SCALE
from conductor_gym.spaces import action_space, mask_width, observation_space
from conductor_gym.types import (
    DEFAULT_BUDGET_USD,
    LARGEST_INDEX,
    MAX_STEPS,
    MAX_WORKERS,
    Assumptions,
    Backend,
)

Observations = dict[str, npt.NDArray[Any]]


class ConductorEnv(gym.Env[Observations, npt.NDArray[np.int64]]):
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

    metadata: dict[str, Any] = {"render_modes": ["ansi", "human"], "render_fps": 4}  # noqa: RUF012

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
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise unknown_name("render_mode", render_mode, self.metadata["render_modes"])
        self.config = EnvConfig(
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
        self.render_mode = render_mode
        self.engine = self._new_engine()
        self.observation_space: gym.Space[Any] = observation_space(max_workers, max_steps)
        self.action_space: gym.Space[Any] = action_space(max_workers)
        self._slot = np.zeros(1, np.int64)
        self._stream: int | None = None
        self._index = 0
        self._mask = np.zeros(mask_width(max_workers), np.int8)
        self._told = 0

    def _new_engine(self) -> Engine:
        return new_engine(self.config)

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
        # All is checked before anything moves.
        index = None
        if not isinstance(options, dict | None):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"options must be a dictionary, got {options!r}.")
        for name in options or {}:
            if name != "episode_index":
                raise unknown_name("reset option", name, ["episode_index"])
        if options and "episode_index" in options:
            index = whole_number("episode_index", options["episode_index"], 0, LARGEST_INDEX)
        if seed is not None:
            seed = whole_number("seed", seed, 0, LARGEST_INDEX)
        super().reset(seed=seed)
        if seed is not None:
            self._stream, self._index = seed, 0
        elif self._stream is None:
            self._stream, self._index = secrets.randbelow(LARGEST_INDEX), 0
        if index is not None:
            self._index = index

        engine = self.engine
        observation = engine.new_observation()
        engine.start(self._slot, np.array([self._stream]), np.array([self._index]), observation)
        self._index += 1
        self._told = 0
        data, episode = engine.world.data, engine.episodes[0]
        query = int(episode["query"])
        info: dict[str, Any] = {
            "stream": int(episode["stream"]),
            "index": int(episode["index"]),
            "uid": data.uids[query],
            "domain": data.domains[int(data.queries["domain"][query])],
            "cost_weight": int(episode["cost_weight"]) / WEIGHT_SCALE,
            "latency_weight": int(episode["latency_weight"]) / WEIGHT_SCALE,
        }
        if data.prompts is not None:
            info["prompt"] = data.prompts[query]
        self._mask = observation.action_mask[0].copy()
        if self.render_mode == "human":
            self.render()
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
        engine = self.engine
        episode = engine.episodes[0]
        if episode["over"]:
            raise EpisodeOverError(
                "no episode is running: it has ended or was never started. Call reset()."
            )
        observation = engine.new_observation()
        results = engine.step(engine.as_actions(action, (3,)), observation)
        (
            reward,
            cost_usd,
            latency_s,
            quality,
            utility,
            episode_return,
            invalid_actions,
            episode_length,
            status,
            rule,
            over,
        ) = results.item()
        info: dict[str, Any] = {
            "invalid": RULE_NAMES[rule],
            "status": STATUS_NAMES[status],
            "cost_usd": cost_usd,
            "latency_s": latency_s,
            "invalid_actions": invalid_actions,
        }
        if over:
            info["quality"] = quality
            info["utility"] = utility
            info["episode_return"] = episode_return
            info["episode_length"] = episode_length
        self._mask = observation.action_mask[0].copy()
        if self.render_mode == "human":
            self.render()
        return _first_row(observation), reward, bool(over), False, info

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """Factorized mask for MaskablePPO, bool [max_workers + 8 + 7]."""
        return self._mask.astype(bool)

    def render(self) -> Any:
        """The episode so far: a string (``ansi``), or new lines on the terminal (``human``)."""
        lines = tell_episode(self.engine, 0) if self._stream is not None else ["(not started)"]
        if self.render_mode == "human":
            print("\n".join(lines[self._told :]), flush=True)
            self._told = len(lines)
            return None
        return "\n".join(lines)


def _first_row(observation: Any) -> Observations:
    return {name: array[0] for name, array in observation._asdict().items()}
