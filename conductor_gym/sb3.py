"""A Stable-Baselines3 `VecEnv` over the native vector environment: a thousand in one process."""

from collections.abc import Iterable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode

from conductor_gym.config import EnvConfig
from conductor_gym.engine import Engine
from conductor_gym.errors import ConfigError, MissingExtraError, unknown_name
from conductor_gym.reset_options import streams_of
from conductor_gym.vector_env import ConductorVectorEnv

try:
    from stable_baselines3.common.vec_env import VecEnv
except ModuleNotFoundError:
    raise MissingExtraError("the Stable-Baselines3 adapter", "rl") from None


_ENDED = ("quality", "utility", "cost_usd", "invalid_actions")


class ConductorVecEnv(VecEnv):
    """n slots of `ConductorVectorEnv` for Stable-Baselines3, which restarts episodes in the step.

    `seed(s)` starts slot i at stream s + i with the next `reset`; without a seed, the first stream
    comes from the operating system's entropy.

    Args:
        num_envs: Slots, 1 to 2^20.
        config: Settings of the environment; all defaults where None.

    Attributes:
        vector: The vector environment.
    """

    def __init__(self, num_envs: int, config: EnvConfig | None = None) -> None:
        if not isinstance(config, EnvConfig | None):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"config must be an EnvConfig, got {config!r}.")
        settings = {} if config is None else config.as_dict()
        self.vector = ConductorVectorEnv(num_envs, AutoresetMode.SAME_STEP, **settings)
        self.config = self.vector.config
        self.render_mode = None
        super().__init__(  # pyright: ignore[reportUnknownMemberType]
            num_envs, self.vector.single_observation_space, self.vector.single_action_space
        )
        self._actions: Any = None
        self._masks: Any = None

    @property
    def engine(self) -> Engine:
        """The slots."""
        return self.vector.engine

    def seed(self, seed: int | None = None) -> list[int | None]:  # pyright: ignore
        """Name the streams that the next `reset` starts: s + i in slot i.

        Raises:
            ConfigError: A negative or too large number. What was seeded before stays.
        """
        if seed is not None:
            streams_of(seed, self.num_envs)
        return list(super().seed(seed))

    def reset(self) -> dict[str, npt.NDArray[Any]]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Start the next episode in every slot, or index 0 of the streams just seeded."""
        given = any(seed is not None for seed in self._seeds)
        observation, _ = self.vector.reset(seed=self._seeds if given else None)
        self._reset_seeds()
        self.reset_infos = [{} for _ in range(self.num_envs)]
        self._masks = observation["action_mask"].astype(bool)
        return observation

    def step_async(self, actions: npt.NDArray[np.int64]) -> None:
        """Remember the actions.

        Raises:
            InvalidActionError: Wrong shape or type.
        """
        self._actions = self.engine.as_actions(actions, (self.num_envs, 3))

    def step_wait(self) -> Any:
        """Step every slot and restart those whose episode ended.

        Returns:
            Observations, rewards float32 [n], dones bool [n], infos. The info of an ended episode
            holds ``terminal_observation``, ``quality``, ``utility``, ``cost_usd``,
            ``invalid_actions`` and SB3's ``episode`` statistics.

        Raises:
            InvalidActionError: An action outside the action space. No episode has moved.
        """
        observation, rewards, dones, _, told = self.vector.step(self._actions)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        ended = np.flatnonzero(dones)
        if len(ended):
            last = told["final_info"]
            columns = [last[name][ended].tolist() for name in _ENDED]
            statistics = zip(
                last["episode_return"][ended].tolist(),
                last["episode_length"][ended].tolist(),
                strict=True,
            )
            rows = zip(ended.tolist(), told["final_obs"][ended], statistics, *columns, strict=True)
            for slot, terminal, (total, length), *values in rows:
                infos[slot] = {
                    "terminal_observation": terminal,
                    "TimeLimit.truncated": False,
                    "episode": {"r": total, "l": length},
                    **dict(zip(_ENDED, values, strict=True)),
                }
        self._masks = observation["action_mask"].astype(bool)
        return observation, rewards.astype(np.float32), dones, infos

    def look(self) -> dict[str, npt.NDArray[Any]]:
        """Observations of all slots as they are, for whoever has put episodes into the engine."""
        observation = self.engine.new_observation()
        self.engine.observe(observation)
        self._masks = observation.action_mask.astype(bool)
        return observation._asdict()

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """Factorized masks of the current step, bool [n, max_workers + 8 + 7]."""
        return self._masks

    def close(self) -> None:
        """Nothing to release."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute, once per slot asked for.

        Raises:
            AttributeError: There is none of that name.
        """
        return [getattr(self, attr_name) for _ in self._slots(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Slots share all settings: build a new environment instead.

        Raises:
            UnknownNameError: Always.
        """
        raise unknown_name("settable attribute", attr_name, [])

    def env_method(
        self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a per-slot method; `action_masks` is the one there is.

        Raises:
            UnknownNameError: Any other method.
        """
        if method_name != "action_masks":
            raise unknown_name("environment method", method_name, ["action_masks"])
        masks = self.action_masks()
        return [masks[slot] for slot in self._slots(indices)]

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: Any = None
    ) -> list[bool]:
        """Slots are never wrapped one by one; episode statistics are reported all the same."""
        return [False for _ in self._slots(indices)]

    def _slots(self, indices: int | Iterable[int] | None) -> Sequence[int]:
        if indices is None:
            return range(self.num_envs)
        return [indices] if isinstance(indices, int) else list(indices)
