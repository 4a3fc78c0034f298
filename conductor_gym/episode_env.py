"""What every scalar environment shares: one engine slot, streams and indices, infos, rendering."""

import secrets
from typing import Any, Generic, TypeVar

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from conductor_gym.config import EnvConfig, whole_number
from conductor_gym.dynamics.results import RULE_NAMES, STATUS_NAMES
from conductor_gym.dynamics.state import Observation, Records
from conductor_gym.engine import Engine
from conductor_gym.engines import new_engine
from conductor_gym.errors import ConfigError, EpisodeOverError, unknown_name
from conductor_gym.render import tell_episode
from conductor_gym.reward import WEIGHT_SCALE
from conductor_gym.spaces import mask_width
from conductor_gym.types import LARGEST_INDEX

Observed = TypeVar("Observed")
Acted = TypeVar("Acted")


class EpisodeEnv(gym.Env[Observed, Acted], Generic[Observed, Acted]):
    """One engine slot; how it is observed and acted on is up to the environment.

    Args:
        config: The settings.
        render_mode: ``"ansi"`` returns the episode so far as text, ``"human"`` prints it.

    Attributes:
        config: The settings.
        engine: A batch of one.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi", "human"], "render_fps": 4}  # noqa: RUF012

    def __init__(self, config: EnvConfig, render_mode: str | None = None) -> None:
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise unknown_name("render_mode", render_mode, self.metadata["render_modes"])
        self.config = config
        self.render_mode = render_mode
        self.engine = self._new_engine()
        self._slot = np.zeros(1, np.int64)
        self._stream: int | None = None
        self._index = 0
        self._mask = np.zeros(mask_width(config.max_workers), np.int8)
        self._told = 0

    def _new_engine(self) -> Engine:
        return new_engine(self.config)

    def _begin(
        self, seed: int | None, options: dict[str, Any] | None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start the next episode; what `reset` takes, the engine's observation and info."""
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
        self._seen(observation)
        return observation, info

    def _advance(
        self, actions: npt.NDArray[np.int64]
    ) -> tuple[Observation, float, bool, dict[str, Any]]:
        """One step of the engine, int64 [1, 3]: its observation, reward, end and info."""
        observation = self.engine.new_observation()
        results = self.engine.step(actions, observation)
        self._seen(observation)
        return observation, *self._came(results)

    def _came(self, results: Records) -> tuple[float, bool, dict[str, Any]]:
        """Reward, end and info of what the slot's steps came to, `RESULT_DTYPE` [1]."""
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
        return reward, bool(over), info

    def _check_running(self) -> None:
        if self.engine.episodes[0]["over"]:
            raise EpisodeOverError(
                "no episode is running: it has ended or was never started. Call reset()."
            )

    def _seen(self, observation: Observation) -> None:
        self._mask = observation.action_mask[0].copy()
        if self.render_mode == "human":
            self.render()

    def render(self) -> Any:
        """The episode so far: a string (``ansi``), or new lines on the terminal (``human``)."""
        lines = tell_episode(self.engine, 0) if self._stream is not None else ["(not started)"]
        if self.render_mode == "human":
            print("\n".join(lines[self._told :]), flush=True)
            self._told = len(lines)
            return None
        return "\n".join(lines)
