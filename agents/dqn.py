"""DQN over a list of joint actions (Mnih et al. 2015): off policy, from a replay buffer.

Stable-Baselines3's DQN needs one number for an action, so it chooses among the 74 of `action_list`.
It knows no masks: while it learns, an invalid action spends a step and costs 0.01, as it does for
everybody; when it acts, invalid actions have a value of minus infinity.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Actions, Observations, Setting
from conductor_gym.agents.flat_env import (
    FlatVecEnv,
    action_list,
    everything,
    row_space,
    valid_actions,
)
from conductor_gym.agents.sb3_training import Tensors, learn
from conductor_gym.agents.training import (
    TrainingRun,
    bytes_of,
    keeps_random_state,
    put_bytes,
    read_card,
    read_weights,
)
from conductor_gym.errors import MissingExtraError
from conductor_gym.spaces import observation_space

try:
    import gymnasium as gym
    import torch
    from stable_baselines3 import DQN
    from stable_baselines3.dqn.policies import DQNPolicy
except ModuleNotFoundError:
    raise MissingExtraError("this agent", "rl") from None

NET_ARCH = (64, 64)
ENVS = 256
LEARNING_RATE = 2e-3
"""Falls linearly to 0."""
HYPERPARAMETERS: dict[str, Any] = {
    "buffer_size": 2**16,
    "learning_starts": 4096,
    "batch_size": 512,
    "gamma": 0.98,
    "train_freq": 16,
    "gradient_steps": 32,
    "target_update_interval": 4096,
    "exploration_fraction": 0.5,
    "exploration_final_eps": 0.05,
}
"""Chosen on the dev split of track paper. `train_freq` counts steps of every slot. Without a
discount it never submits: a vote is free too, and an episode that runs out is submitted."""


class DQNAgent:
    """Takes the valid action with the highest value.

    Args:
        setting: What the agent is built for.
        model: Folder with `policy.safetensors` and `card.json`.

    Raises:
        DataFileError: Files that are missing or broken.
        ConfigError: A policy of another pool, suite or observation size.
    """

    @keeps_random_state
    def __init__(self, setting: Setting, model: Path) -> None:
        self.card = read_card("dqn", setting, model)
        slots, steps = setting.train.max_workers, setting.train.max_steps
        self.listed = action_list(slots)
        self._policy: Any = DQNPolicy(
            row_space(observation_space(slots, steps), everything),
            gym.spaces.Discrete(len(self.listed)),
            _no_learning,
            net_arch=list(NET_ARCH),
        )
        read_weights(model, self._policy)
        self._policy.double()

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        # Rounded: the last bits depend on how many rows there are.
        values = self.values(observation).round(9)
        allowed = np.where(valid_actions(observation, self.listed), values, -np.inf)
        return self.listed[allowed.argmax(axis=1)]

    def values(self, observation: Observations) -> npt.NDArray[np.float64]:
        """Value of every listed action, valid or not, float64 [n, 74]."""
        rows = torch.as_tensor(everything(observation).astype(np.float64))
        with torch.no_grad():
            return self._policy.q_net.q_net(rows).numpy()


@keeps_random_state
def train_dqn(run: TrainingRun) -> dict[str, Any]:
    """Train a policy and write its folder.

    Returns:
        The card.
    """
    listed = action_list(run.config.max_workers)
    env = FlatVecEnv(ENVS, run.config, everything, listed)
    learner: Any = _BatchedDQN(
        "MlpPolicy",
        env,
        seed=run.first_stream,
        policy_kwargs={"net_arch": list(NET_ARCH)},
        device="cpu",
        learning_rate=_falling_learning_rate,
        # Half the memory: the next row of a slot is the next observation, unless the episode is
        # over, and then nothing is read from it.
        optimize_memory_usage=True,
        replay_buffer_kwargs={"handle_timeout_termination": False},
        **HYPERPARAMETERS,
    )
    spent = learn(run, learner, env, lambda _: None, _Replay(learner))
    return run.finish(
        learner.policy.state_dict(),
        learner.num_timesteps,
        {
            "envs": ENVS,
            "net_arch": list(NET_ARCH),
            "actions": len(listed),
            "learning_rate": LEARNING_RATE,
            **HYPERPARAMETERS,
        },
        calls_usd=spent,
    )


class _BatchedDQN(DQN):
    """DQN in which each slot tosses its own coin: DQN's own explores in all slots or in none."""

    def _sample_action(
        self, learning_starts: int, action_noise: Any = None, n_envs: int = 1
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        del action_noise
        started = self.num_timesteps >= learning_starts  # pyright: ignore
        share = self.exploration_rate if started else 1.0
        chosen, _ = self.policy.predict(self._last_obs, deterministic=True)  # pyright: ignore
        explores = self.generator.random(n_envs) < share
        drawn = self.generator.integers(0, self.action_space.n, n_envs)  # pyright: ignore
        taken = np.where(explores, drawn, chosen)
        return taken, taken

    def set_random_seed(self, seed: int | None = None) -> None:
        """Seed the algorithm, its environment and its exploration."""
        super().set_random_seed(seed)
        self.generator = np.random.default_rng(seed)


class _Replay:
    """What DQN remembers: about 80 MB in a checkpoint, which is removed when training ends."""

    def __init__(self, learner: _BatchedDQN) -> None:
        self._learner = learner

    def keep(self) -> tuple[Tensors, dict[str, Any]]:
        learner: Any = self._learner
        buffer = learner.replay_buffer
        counts = {"position": buffer.pos, "full": buffer.full, "calls": learner._n_calls}
        return {name: bytes_of(array) for name, array in self._arrays().items()}, counts | {
            "share": learner.exploration_rate,
            "generator": learner.generator.bit_generator.state,
        }

    def restore(self, tensors: Tensors, values: dict[str, Any]) -> None:
        learner: Any = self._learner
        for name, array in self._arrays().items():
            put_bytes(array, tensors[name])
        learner.replay_buffer.pos, learner.replay_buffer.full = values["position"], values["full"]
        learner._n_calls, learner.exploration_rate = values["calls"], values["share"]
        learner.generator.bit_generator.state = values["generator"]

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        buffer: Any = self._learner.replay_buffer
        names = ("observations", "actions", "rewards", "dones")
        return {name: getattr(buffer, name) for name in names}


def _no_learning(left: float) -> float:
    """A learning-rate schedule for policies that only act."""
    del left
    return 0.0


def _falling_learning_rate(left: float) -> float:
    return LEARNING_RATE * left
