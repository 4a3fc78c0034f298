"""A Stable-Baselines3 `VecEnv` over the batched engine: a thousand environments in one process."""

import secrets
from collections.abc import Iterable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from conductor_gym.config import EnvConfig
from conductor_gym.engine import Engine
from conductor_gym.errors import MissingExtraError, unknown_name
from conductor_gym.spaces import action_space, observation_space
from conductor_gym.types import INVALID_PENALTY, NANO_USD

try:
    from stable_baselines3.common.vec_env import VecEnv
except ModuleNotFoundError:
    raise MissingExtraError("the Stable-Baselines3 adapter", "rl") from None


class ConductorVecEnv(VecEnv):
    """n episodes of `Conductor-v0` side by side, with SAME_STEP autoreset as SB3 expects.

    `seed(s)` starts slot i at stream s + i with the next `reset`; without a seed, the first stream
    comes from the operating system's entropy.

    Args:
        num_envs: Number of slots.
        config: Settings of the environment; all defaults where None.
    """

    def __init__(self, num_envs: int, config: EnvConfig | None = None) -> None:
        self.config = config or EnvConfig()
        self.engine = Engine(self.config, num_envs)
        self.render_mode = None
        super().__init__(  # pyright: ignore[reportUnknownMemberType]
            num_envs,
            observation_space(self.config.max_workers, self.config.max_steps),
            action_space(self.config.max_workers),
        )
        self._streams = secrets.randbelow(2**62) + np.arange(num_envs, dtype=np.int64)
        self._indices = np.zeros(num_envs, np.int64)
        self._all = np.arange(num_envs, dtype=np.int64)
        self._observation = self.engine.new_observation()
        self._actions = np.zeros((num_envs, 3), np.int64)

    def reset(self) -> dict[str, npt.NDArray[Any]]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Start the next episode in every slot, or index 0 of the streams just seeded."""
        for slot, seed in enumerate(self._seeds):
            if seed is not None:
                self._streams[slot], self._indices[slot] = seed, 0
        self._reset_seeds()
        self._observation = self.engine.new_observation()
        self._start(self._all)
        self.reset_infos = [{} for _ in range(self.num_envs)]
        return self._observation._asdict()

    def step_async(self, actions: npt.NDArray[np.int64]) -> None:
        """Remember the actions.

        Raises:
            InvalidActionError: Wrong shape, type or range.
        """
        self._actions = self.engine.check_actions(actions, (self.num_envs, 3))

    def step_wait(self) -> Any:
        """Step every slot and restart those whose episode ended.

        Returns:
            Observations, rewards float32 [n], dones bool [n], infos. The info of an ended episode
            holds ``terminal_observation``, ``quality``, ``cost_usd``, ``invalid_actions`` and
            SB3's ``episode`` statistics.
        """
        observation = self.engine.new_observation()
        rewards = self.engine.step(self._actions, observation)
        episodes = self.engine.episodes
        dones = episodes["over"] == 1
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        ended = np.flatnonzero(dones)
        if len(ended):
            rows = [array[ended] for array in observation]
            names = observation._fields
            final = episodes[ended]
            cost = final["cost"] / NANO_USD
            returns = final["quality"] - final["charge"] * 1e-9 - INVALID_PENALTY * final["invalid"]
            for k, slot in enumerate(ended.tolist()):
                infos[slot] = {
                    "terminal_observation": {
                        name: row[k] for name, row in zip(names, rows, strict=True)
                    },
                    "TimeLimit.truncated": False,
                    "quality": float(final["quality"][k]),
                    "cost_usd": float(cost[k]),
                    "invalid_actions": int(final["invalid"][k]),
                    "episode": {"r": float(returns[k]), "l": int(final["steps"][k])},
                }
        self._observation = observation
        self._start(ended)
        return observation._asdict(), rewards.astype(np.float32), dones, infos

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """Factorized masks of the current step, bool [n, max_workers + 8 + 7]."""
        return self._observation.action_mask.astype(bool)

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

    def _start(self, slots: npt.NDArray[np.int64]) -> None:
        self.engine.start(slots, self._streams[slots], self._indices[slots], self._observation)
        self._indices[slots] += 1
