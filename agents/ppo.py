"""PPO over a thousand batched environments, one policy for all cost weights.

Two algorithms, both unchanged: Stable-Baselines3's PPO (Schulman et al. 2017) and sb3-contrib's
MaskablePPO (Huang and Ontanon 2022), which never tries invalid actions. The cost weight is drawn
per episode and observed, so one policy traces the whole frontier.
"""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from conductor_gym.agents.base import Actions, Observations, Setting
from conductor_gym.agents.sb3_training import learn
from conductor_gym.agents.training import (
    TrainingRun,
    keeps_random_state,
    read_card,
    read_weights,
)
from conductor_gym.spaces import action_space, observation_space

NET_ARCH = (64, 64)
ENVS = 1024
LEARNING_RATE = 3e-3
"""Falls linearly to 0."""
ENTROPY_START, ENTROPY_END = 0.03, 0.002
"""The entropy coefficient falls linearly: acting on answers pays only once both halves of it, the
second opinion and what to do with it, have been tried together."""
HYPERPARAMETERS: dict[str, Any] = {
    "n_steps": 16,
    "batch_size": 2048,
    "n_epochs": 4,
    "gamma": 1.0,
    "gae_lambda": 0.6,
    "vf_coef": 0.5,
}
"""Chosen on the dev split of track paper."""


class PPOAgent:
    """A policy that PPO trained, acting greedily.

    Args:
        setting: What the agent is built for.
        model: Folder with `policy.safetensors` and `card.json`.

    Raises:
        DataFileError: Files that are missing or broken.
        ConfigError: A policy of another pool, suite or observation size.
    """

    algorithm: ClassVar[str] = "ppo"

    @keeps_random_state
    def __init__(self, setting: Setting, model: Path) -> None:
        self.card = read_card(self.algorithm, setting, model)
        self._masked = self.algorithm == "maskable-ppo"
        self._policy: Any = _policy_class(self.algorithm)(
            observation_space(setting.train.max_workers, setting.train.max_steps),
            action_space(setting.train.max_workers),
            _no_learning,
            net_arch=list(NET_ARCH),
        )
        read_weights(model, self._policy)

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        options = {"action_masks": observation["action_mask"]} if self._masked else {}
        chosen, _ = self._policy.predict(observation, deterministic=True, **options)
        return np.asarray(chosen, np.int64)


class MaskablePPOAgent(PPOAgent):
    """A policy that MaskablePPO trained, acting greedily among valid actions."""

    algorithm: ClassVar[str] = "maskable-ppo"


@keeps_random_state
def train_ppo(run: TrainingRun) -> dict[str, Any]:
    """Train a policy and write its folder.

    Returns:
        The card.
    """
    from conductor_gym.sb3 import ConductorVecEnv

    env = ConductorVecEnv(ENVS, run.config)
    learner = _algorithm_class(run.agent)(
        "MultiInputPolicy",
        env,
        seed=run.first_stream,
        policy_kwargs={"net_arch": list(NET_ARCH)},
        device="cpu",
        learning_rate=_falling_learning_rate,
        **HYPERPARAMETERS,
    )

    def before_rollout(left: float) -> None:
        learner.ent_coef = ENTROPY_END + (ENTROPY_START - ENTROPY_END) * left

    spent = learn(run, learner, env, before_rollout)
    return run.finish(
        learner.policy.state_dict(),
        learner.num_timesteps,
        {
            "envs": ENVS,
            "net_arch": list(NET_ARCH),
            "learning_rate": LEARNING_RATE,
            "ent_coef": [ENTROPY_START, ENTROPY_END],
            **HYPERPARAMETERS,
        },
        calls_usd=spent,
    )


def _no_learning(progress: float) -> float:
    """A learning-rate schedule for policies that only act."""
    del progress
    return 0.0


def _falling_learning_rate(left: float) -> float:
    return LEARNING_RATE * left


def _policy_class(algorithm: str) -> Any:
    if algorithm == "ppo":
        from stable_baselines3.common.policies import MultiInputActorCriticPolicy

        return MultiInputActorCriticPolicy
    from sb3_contrib.common.maskable.policies import MaskableMultiInputActorCriticPolicy

    return MaskableMultiInputActorCriticPolicy


def _algorithm_class(algorithm: str) -> Any:
    if algorithm == "ppo":
        from stable_baselines3 import PPO

        return PPO
    from sb3_contrib import MaskablePPO

    return MaskablePPO
