"""`Conductor-v0` as a native vector environment: n episodes in one compiled loop."""

import secrets
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from conductor_gym.config import EnvConfig, check_settings, whole_number
from conductor_gym.dynamics.state import Observation, Records
from conductor_gym.engine import Engine
from conductor_gym.engines import new_engine
from conductor_gym.env import Observations
from conductor_gym.errors import ConfigError, EpisodeOverError, unknown_name
from conductor_gym.infos import final_observations, start_infos, step_infos, text_infos
from conductor_gym.render import tell_episode
from conductor_gym.reset_options import (
    MAX_ENVS,
    RESET_OPTIONS,
    indices_of,
    slots_of,
    streams_of,
)
from conductor_gym.spaces import action_space, observation_space
from conductor_gym.types import LARGEST_INDEX

_MODES = {mode.value: mode for mode in AutoresetMode}

Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


def config_of(settings: Mapping[str, Any]) -> EnvConfig:
    """The settings that were given by name.

    Raises:
        UnknownNameError: There is no such setting.
    """
    check_settings(settings)
    return EnvConfig(**settings)


class ConductorVectorEnv(VectorEnv[Observations, npt.NDArray[np.int64], npt.NDArray[Any]]):
    """n slots of `Conductor-v0`; each plays the scalar environment's episodes, bit for bit.

    Slot i plays stream s + i after ``reset(seed=s)``. Without a seed the streams go on, each at its
    next index; the first reset without one draws them from the operating system's entropy.

    Args:
        num_envs: Slots, 1 to 2^20.
        autoreset_mode: ``"NextStep"`` (the step after the end starts the next episode and ignores
            the action), ``"SameStep"`` (the last step starts it; see ``infos["final_obs"]`` and
            ``infos["final_info"]``) or ``"Disabled"`` (``reset`` with a ``reset_mask`` starts it).
        render_mode: ``"ansi"`` or None.
        **settings: As for `ConductorEnv`: pool, suite, split, cost_weight and so on.

    Attributes:
        engine: The slots.

    Raises:
        ConductorError: Unknown names, broken files or settings that cannot work together.
    """

    metadata: ClassVar[dict[str, Any]] = {  # pyright: ignore[reportIncompatibleVariableOverride]
        "render_modes": ["ansi"],
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        num_envs: int = 1,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        mode = autoreset_mode
        if not isinstance(mode, AutoresetMode):
            if mode not in _MODES:
                raise unknown_name("autoreset_mode", mode, _MODES)
            mode = _MODES[mode]
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise unknown_name("render_mode", render_mode, self.metadata["render_modes"])
        self.num_envs = whole_number("num_envs", num_envs, 1, MAX_ENVS)
        self.config = config_of(settings)
        self.autoreset_mode = mode
        self.metadata = self.metadata | {"autoreset_mode": mode}  # pyright: ignore
        self.render_mode = render_mode
        self.engine = self._new_engine()
        self.single_observation_space: gym.Space[Any] = observation_space(
            self.config.max_workers, self.config.max_steps
        )
        self.single_action_space: gym.Space[Any] = action_space(self.config.max_workers)
        self._every = np.arange(self.num_envs, dtype=np.int64)
        self._started = False
        self._waiting = np.ones(self.num_envs, bool)  # slots whose episode is over

    def _new_engine(self) -> Engine:
        return new_engine(self.config, self.num_envs)

    # Made when asked for: the bounds of a batched space take 2.8 KB per environment.
    @cached_property
    def observation_space(self) -> gym.Space[Any]:  # pyright: ignore
        """The single space, batched."""
        return batch_space(self.single_observation_space, self.num_envs)

    @cached_property
    def action_space(self) -> gym.Space[Any]:  # pyright: ignore
        """`MultiDiscrete`, shape (num_envs, 3)."""
        return batch_space(self.single_action_space, self.num_envs)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Observations, dict[str, Any]]:
        """Start the next episode in every slot, or in some.

        Args:
            seed: s starts stream s + i at index 0 in slot i; a list gives each slot its own
                stream, or None to go on.
            options: ``{"reset_mask": flags}``, bool [n], resets only those slots;
                ``{"episode_index": k}`` plays that index, one for all or int64 [n].

        Returns:
            Observations of all slots, and infos of those that were reset: ``stream``, ``index``,
            ``uid``, ``domain``, ``cost_weight``, ``latency_weight`` and, where the suite has text,
            ``prompt``; each with its mask (``_stream`` and so on), as in Gymnasium.

        Raises:
            ConfigError: Seeds, masks or indices of the wrong shape, type or range. Nothing moved.
            UnknownNameError: An option that does not exist.
        """
        # All is checked before anything moves.
        n = self.num_envs
        streams, seeded = streams_of(seed, n)
        options = {} if options is None else options
        if not isinstance(options, dict):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"options must be a dictionary, got {options!r}.")
        for name in options:
            if name not in RESET_OPTIONS:
                raise unknown_name("reset option", name, RESET_OPTIONS)
        chosen = slots_of(options.get("reset_mask"), n)
        indices = indices_of(options.get("episode_index"), n)
        if not self._started and not chosen.all():
            raise ConfigError("reset_mask leaves out slots that were never reset: reset all first.")

        episodes = self.engine.episodes
        next_streams, next_indices = episodes["stream"].copy(), episodes["index"] + 1
        if not self._started:
            next_streams = secrets.randbelow(LARGEST_INDEX - MAX_ENVS) + self._every
            next_indices[:] = 0
        next_streams[seeded], next_indices[seeded] = streams[seeded], 0
        if indices is not None:
            next_indices = indices
        self._started = True
        self._waiting = self._waiting & ~chosen

        observation = self.engine.new_observation()
        slots = self._every[chosen]
        if len(slots) < self.num_envs:
            self.engine.observe(observation)
        self.engine.start(slots, next_streams[slots], next_indices[slots], observation)
        infos = text_infos(self.engine, chosen, start_infos(self.engine, chosen, {}))
        return observation._asdict(), infos

    def step(
        self, actions: npt.NDArray[np.int64]
    ) -> tuple[Observations, npt.NDArray[np.float64], Flags, Flags, dict[str, Any]]:
        """Make one decision in every slot.

        Args:
            actions: Integers [n, 3]: worker slot, subtask, context level.

        Returns:
            Observations, rewards float64 [n], terminations bool [n], truncations bool [n] (always
            False) and infos: those of `ConductorEnv.step`, each as an array with its mask; of
            slots that were restarted the numbers that `reset` tells. Their texts: see `texts`.

        Raises:
            EpisodeOverError: Before the first reset, or with autoreset disabled on a slot whose
                episode is over.
            InvalidActionError: Wrong shape, type or range. No episode has moved.
        """
        engine, mode = self.engine, self.autoreset_mode
        table = engine.as_actions(actions, (self.num_envs, 3))
        waiting = self._waiting
        if mode == AutoresetMode.DISABLED or not self._started:
            self._check_running()
        observation = engine.new_observation()
        results = engine.step(table, observation, mode == AutoresetMode.NEXT_STEP)
        rewards, over = results["reward"].copy(), results["over"].copy()
        infos: dict[str, Any] = {}
        if mode == AutoresetMode.SAME_STEP:
            self._restart(over, results, observation, infos)
        else:
            step_infos(results, ~waiting, infos)
            if waiting.any():
                start_infos(engine, waiting, infos)
            self._waiting = over.copy()
        return observation._asdict(), rewards, over, np.zeros(self.num_envs, bool), infos

    def action_masks(self) -> Flags:
        """Factorized masks for MaskablePPO, bool [n, max_workers + 8 + 7]."""
        observation = self.engine.new_observation()
        self.engine.observe(observation)
        return observation.action_mask.astype(bool)

    def texts(self) -> dict[str, Any]:
        """``uid``, ``domain`` and ``prompt`` of every slot's episode, object [n] each.

        Not part of the infos of every step: gathering them takes longer than the step.
        """
        every = np.ones(self.num_envs, bool)
        told = text_infos(self.engine, every, {})
        return {name: array for name, array in told.items() if not name.startswith("_")}

    def render(self) -> tuple[str, ...] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Each slot's episode so far, as text."""
        if self.render_mode is None:
            return None
        return tuple("\n".join(tell_episode(self.engine, slot)) for slot in range(self.num_envs))

    def _restart(
        self, over: Flags, results: Records, observation: Observation, infos: dict[str, Any]
    ) -> None:
        """SAME_STEP: keep the last observations and infos, start the next episodes."""
        step_infos(results, ~over, infos)
        ended = self._every[over]
        if not len(ended):
            return
        infos["final_obs"] = final_observations(observation, ended)
        infos["final_info"] = step_infos(results, over, {})
        infos["_final_obs"], infos["_final_info"] = over.copy(), over.copy()
        episodes = self.engine.episodes
        self.engine.start(
            ended, episodes["stream"][ended], episodes["index"][ended] + 1, observation
        )
        start_infos(self.engine, over, infos)

    def _check_running(self) -> None:
        if not self._started:
            raise EpisodeOverError("no episode is running: call reset() first.")
        slots = np.flatnonzero(self._waiting).tolist()
        if slots:
            raise EpisodeOverError(
                f"the episodes of {len(slots)} slots are over, the first is slot {slots[0]}. "
                'Autoreset is disabled: call reset(options={"reset_mask": terminations}).'
            )
